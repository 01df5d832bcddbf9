"""Decoders on arrays, for notebooks and tests: the nodes that graphs run, without a graph."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from spikeflow.catalog import node_class
from spikeflow.context import Context
from spikeflow.errors import ParameterError, first_of, nearest
from spikeflow.events import Batch, Grid, Stream, Window, build, raw_columns
from spikeflow.node import Decoder, Node
from spikeflow.units import Seconds, whole_ns

Array: TypeAlias = npt.NDArray[Any]

_GRAPHS_ONLY = ("inputs", "input", "on_error", "forget")


def decode(
    kind: str | type[Decoder],
    values: npt.ArrayLike,
    *,
    dt: Seconds | str = 1e-3,
    frame: Seconds | str | None = None,
    **parameters: Any,
) -> Array:
    """What a decoder makes of spikes or samples, as it would in a graph.

    Args:
        kind: the kind of a graph file, or the class.
        values: [ticks, neurons] of spikes (booleans, 0 and 1, or counts) or of samples (floats; NaN is none). Where a
            kind takes either, whole numbers are spikes and floats are samples.
        dt: length of a tick: seconds, or a text such as ``"1 ms"``.
        frame: length of a frame, for kinds that have frames; unless given, all ticks are one frame.
        parameters: the other keys of the kind, times as seconds or texts with their unit. `of` of `reconstruct` is an
            encoder, or a mapping as in a graph file.

    Returns:
        [answers, *shape] in time order, where shape is that of what the kind gives, such as [neurons]; without the
        first axis where all ticks are one frame. NaN where there is no sample, infinity for `spikes_to_times`. A kind
        that gives changes only, as `alarm` and `reconstruct` do, answers at each tick with what lasts. Ticks behind the
        last whole frame do not count.

    Raises:
        ParameterError: something does not fit, with what would.

    >>> import spikeflow
    >>> spikes = [[1, 0], [0, 0], [1, 1], [1, 0]]
    >>> spikeflow.decode("spike_count", spikes)
    array([3., 1.], dtype=float32)
    >>> spikeflow.decode("spike_count", spikes, frame="2 ms").tolist()
    [[1.0, 0.0], [2.0, 1.0]]
    >>> spikeflow.decode("spikes_to_times", spikes, spike_count=2, unit="ticks").tolist()
    [[0.0, 2.0], [2.0, inf]]

    There and back, where each value that is known holds until the next one:

    >>> encoder = {"threshold": 0.5}
    >>> spikes = spikeflow.encode("level_crossing", [[0.0], [0.4], [0.9], [1.6], [0.2]], **encoder)
    >>> spikeflow.decode("reconstruct", spikes, of={"encoder": "level_crossing", **encoder}).T
    array([[ nan,  nan, 0.75, 1.75, 0.25]])
    """
    cls = cast(type[Decoder], node_class("decoder", kind))
    array = _numbers(values)
    dt_ns, ticks = whole_ns(dt, "dt"), len(array)
    stream, tick, index, value = _events(cls, array)
    fields = dict(parameters)
    whole = frame is None and _takes_frames(cls, stream, parameters)
    if frame is not None:
        fields["frame"] = whole_ns(frame, "frame")
    elif whole:
        fields["frame"] = ticks * dt_ns
    node = _made(cls, kind, fields)
    grid = Grid(0, dt_ns, ticks + 1)  # an answer on the last tick carries the time of the tick after it
    _report(node, stream, grid)
    outlets = {port: replace(one, name=port or "decoder") for port, one in node.outlets([stream]).items()}
    node.bind(Context("decoder", grid, _Still(), (stream,), outlets))
    window = Window.at(grid, 0, ticks + 1, last=True)
    record = build(stream.plain, tick * dt_ns, index.astype(np.uint32), value)
    (sent,) = node.step(window, [Batch.of(window, stream.schema(grid), record)])
    found = _laid_out(node, sent, grid, ticks)
    return found if not whole else found[0] if len(found) else np.full(found.shape[1:], node.absent, found.dtype)


class _Still:
    """The clock of a run that takes no time."""

    def now_ns(self) -> int:
        return 0

    async def sleep_until(self, t_ns: int) -> None:
        return


def _numbers(values: npt.ArrayLike) -> Array:
    if isinstance(values, np.ma.MaskedArray):
        raise ParameterError("a masked array", "say what stands for what is masked, such as values.filled(np.nan)")
    try:
        found = np.asarray(values)
    except ValueError:
        raise ParameterError("values are rows of several lengths", "give an array [ticks, neurons]") from None
    if found.dtype.kind not in "biuf":
        raise ParameterError(f"values hold {found.dtype}", "give an array of numbers")
    if found.ndim != 2 or 0 in found.shape:
        hint = "give [ticks, neurons], one tick and one neuron or more"
        hint += "; values[:, None] is one neuron" if found.ndim == 1 else ""
        raise ParameterError(f"values of shape {list(found.shape)}", hint)
    return found


def _events(cls: type[Decoder], array: Array) -> tuple[Stream, Array, Array, Array | None]:
    """The stream that the array is for this kind, with the ticks, indices and values of its events."""
    size, floats = array.shape[1], array.dtype.kind == "f"
    if "samples" in cls.takes and (floats or "spikes" not in cls.takes):
        double = array.dtype == np.float64
        samples = array if floats else array.astype(np.float32)
        tick, index = np.nonzero(~np.isnan(samples))
        return Stream("values", "samples", size, double=double), tick, index, samples[tick, index]
    tick, index = np.nonzero(array)
    value = array[tick, index]
    if (value == 1).all():
        return Stream("values", "spikes", size), tick, index, None
    with np.errstate(over="ignore"):  # too large to be finite, which counts as none
        return Stream("values", "spikes", size, valued=True), tick, index, value.astype(np.float32)


def _takes_frames(cls: type[Decoder], stream: Stream, given: Mapping[str, Any]) -> bool:
    """Whether the kind wants a frame that nobody has given."""
    field = cls.model_fields.get("frame")
    if field is None:
        return False
    return field.is_required() or (stream.kind == "spikes" and "over" not in given)


def _made(cls: type[Decoder], kind: str | type[Decoder], fields: Mapping[str, Any]) -> Decoder:
    name = kind if isinstance(kind, str) else kind.__name__
    for key in fields:
        if key in _GRAPHS_ONLY:
            raise ParameterError(f"{key!r} beside an array", "it is for graphs; leave it out")
        if key not in cls.model_fields:
            known = [key for key in cls.model_fields if key not in _GRAPHS_ONLY]
            raise cls.refused(key, fields[key]) or ParameterError(f"{name} has no {key!r}", nearest(key, known))
    try:
        return cls.model_validate(dict(fields), context={"node_class": node_class})
    except ValidationError as error:
        raise first_of(error) from None


def _report(node: Node, stream: Stream, grid: Grid) -> None:
    """Raise or warn of what does not fit."""
    for problem in node.check([stream], grid):
        path = ".".join(map(str, problem.path))
        found = problem.found if problem.found.startswith(path) else f"{path}: {problem.found}"
        if not problem.warning:
            raise ParameterError(found, problem.hint)
        warnings.warn(f"{found} — {problem.hint}", stacklevel=3)


def _laid_out(node: Decoder, sent: Batch, grid: Grid, ticks: int) -> Array:
    """[answers, *shape] of what was sent on the ticks."""
    stream = node.context.outlet
    t_ns, channel, value = raw_columns(sent.record)
    tick = grid.ticks(t_ns)
    given = node.answers_at(ticks)
    at = np.unique(tick) if given is None else np.array(given, np.int64)
    row = np.searchsorted(at, tick)
    known = np.isin(tick, at)
    found = np.full((len(at), stream.size), node.absent, np.float64 if stream.double else np.float32)
    if value is not None:
        found[row[known], channel[known]] = value[known]  # of several in a tick the last one stays
    if node.lasts:
        newest = np.full(found.shape, -1)
        newest[row[known], channel[known]] = row[known]
        np.maximum.accumulate(newest, axis=0, out=newest)
        found = np.where(newest < 0, found, np.take_along_axis(found, np.maximum(newest, 0), axis=0))
    return found.reshape(len(at), *(stream.shape or (stream.size,)))


__all__ = ["decode"]
