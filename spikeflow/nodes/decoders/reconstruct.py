"""Reconstruct: the values that an encoder turned into spikes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import BeforeValidator, Field, ValidationError, ValidationInfo, WithJsonSchema

from spikeflow.errors import ParameterError, Problem, first_of, nearest
from spikeflow.events import Grid, Stream, empty, sample_batch
from spikeflow.node import Decoder, Encoder
from spikeflow.nodes.frames import finite
from spikeflow.nodes.inverse import Arrived, Invertible
from spikeflow.units import format_ns

_SAID = "{encoder: level_crossing, threshold: 0.05}"


def _encoder(given: Any, info: ValidationInfo) -> Any:
    """The encoder that a mapping with its kind and its fields stands for."""
    if given is None or isinstance(given, Encoder):
        return given
    if not isinstance(given, Mapping):
        raise ParameterError(f"{_called(given)} as an encoder", f"write {_SAID}")
    if "encoder" not in given:
        raise ParameterError("an encoder without its kind", f"write {_SAID}")
    context, cls = info.context or {}, given["encoder"]
    if not isinstance(cls, type):
        if "node_class" not in context:
            hint = "from Python, give an encoder itself; `decode` knows their names"
            raise ParameterError(f"the encoder {cls!r} by its name", hint)
        if not isinstance(cls, str):
            raise ParameterError(f"{_called(cls)} as the kind of an encoder", f"write {_SAID}")
        cls = context["node_class"]("encoder", cls, context.get("folder"))
    if not issubclass(cls, Encoder):
        raise ParameterError(f"{cls.__name__} as an encoder", f"write {_SAID}")
    fields = {key: value for key, value in given.items() if key != "encoder"}
    kind = given["encoder"] if isinstance(given["encoder"], str) else cls.__name__
    known = [name for name in cls.model_fields if name not in ("inputs", "on_error")]
    for key, value in fields.items():
        if key not in known:
            raise cls.refused(key, value) or ParameterError(f"{kind} has no {key!r}", nearest(key, known))
    try:
        return cls.model_validate(fields, context=info.context)
    except ValidationError as error:
        if context.get("units") == "required":
            raise  # a graph file has a place for each key
        raise first_of(error) from None


def _called(given: Any) -> str:
    return given.__name__ if isinstance(given, type) else "nothing" if given is None else repr(given)


def _same(encoder: Encoder) -> str:
    """What to write beside a node that is to forget when the encoder does."""
    assert encoder.forget is not None
    every, on = encoder.forget.every, encoder.forget.on
    return f"write forget: {{on: {on}}}" if every is None else f"write forget: {{every: {format_ns(every)}}}"


class Reconstruct(Decoder):
    """The samples that the spikes of a closed-loop encoder stand for: one for each channel and tick with spikes.

    What its input comes from says how, so that nothing need be said where the encoder is in the same graph. Spikes of
    a recording, or from elsewhere, need `of`: the encoder, with the fields that it had. Each encoder says how near its
    reconstruction is; most know changes only, and begin at its `initial`, or at `first` where that is said, else at 0.
    Behind an encoder that forgets, whose spikes say how far the signal has come since, it has to forget with it.
    Spikes whose value is not finite count as none. A value holds until the channel's next one: `resample` gives it at
    every tick. `precision: float32` rounds it, which more than 2^20 thresholds from zero is no longer little beside a
    threshold.
    """

    elementwise: ClassVar[bool] = True
    trusted: ClassVar[bool] = True
    lasts: ClassVar[bool] = True

    of: Annotated[
        Encoder | None,
        BeforeValidator(_encoder),
        WithJsonSchema({"type": "object", "required": ["encoder"], "properties": {"encoder": {"type": "string"}}}),
    ] = Field(
        None,
        description=f"the encoder and its fields, such as {_SAID}; that of the input where it is not said",
    )
    first: float | None = Field(
        None, allow_inf_nan=False, description="the first sample of every channel, for encoders that do not send it"
    )
    precision: Literal["float32", "float64"] = Field("float64", description="of the values")

    def _of(self, stream: Stream) -> Invertible | None:
        known = self.of if self.of is not None else stream.made_by
        return known if isinstance(known, Invertible) else None

    def check(self, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """An encoder that is not known or has no way back, another number of neurons than it gives."""
        encoder, stream = self._of(inputs[0]), inputs[0]
        if self.of is not None and encoder is None:
            yield Problem(("of",), f"{type(self.of).__name__} has no way back", "name an encoder with an inverse")
        elif encoder is None:
            yield Problem(("inputs", 0), f"{stream.name!r} does not tell its encoder", f"write 'of: {_SAID}'")
        else:
            if self.of is None and encoder.relative and encoder.forget not in (None, self.forget):
                yield Problem((), f"{stream.name!r} begins anew where it forgets, and its values go on", _same(encoder))
            if stream.size % encoder.neurons:
                found = f"{stream.name!r} has {stream.size} neurons, and the encoder {encoder.neurons} a channel"
                yield Problem(("inputs", 0), found, "name the encoder that made these spikes")
            if self.of is not None:
                made_of = Stream("", "samples", max(1, stream.size // encoder.neurons))
                for problem in self.of.check([made_of], grid):
                    yield replace(problem, path=("of", *problem.path))
            try:
                encoder.undoing(1, self.first, grid)
            except ParameterError as error:
                yield Problem(("of",) if self.of is not None else ("inputs", 0), error.found, error.hint)

    def outlets(self, inputs: Sequence[Stream]) -> dict[str, Stream]:
        """The channels of the encoder."""
        encoder, given = self._of(inputs[0]), inputs[0]
        double = self.precision == "float64"
        if encoder is None or encoder.neurons == 1:
            return {"": Stream("", "samples", given.size, shape=given.shape, double=double)}
        shape = given.shape[:-1] if len(given.shape) > 2 else ()
        return {"": Stream("", "samples", given.size // encoder.neurons, shape=shape, double=double)}

    def start(self, size: int) -> None:
        """No spike yet."""
        encoder = self._of(self.context.inputs[0])
        assert encoder is not None
        self._encoder = encoder
        self.rebuilt = encoder.undoing(self.context.outlet.size, self.first, self.context.grid)

    def answers_at(self, ticks: int) -> Sequence[int]:
        """Every tick: a value holds until the next one."""
        return range(ticks)

    def decode(self, spikes: pa.RecordBatch) -> pa.RecordBatch:
        """Decode one window.

        Args:
            spikes: [n] rows of `t`, `neuron` and perhaps `value`, in time order.

        Returns:
            [m] rows of `t` (starts of ticks), `channel` and `value` (in units of the encoder's samples).
        """
        if not spikes.num_rows and not self._encoder.rings:
            return empty(self.context.outlet.plain)
        grid = self.context.grid
        t_ns, neuron, value = finite(self, spikes)
        value = np.ones(len(t_ns), np.float32) if value is None else value
        arrived = Arrived(self.context.window, grid, grid.ticks(t_ns), neuron, value)
        tick, channel, rebuilt = self._encoder.undo(arrived, self.rebuilt)
        kind = np.float64 if self.precision == "float64" else np.float32
        with np.errstate(over="ignore"):
            return sample_batch(grid.origin_ns + tick * grid.dt_ns, channel, rebuilt.astype(kind))
