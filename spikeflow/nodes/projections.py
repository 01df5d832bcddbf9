"""What connects to a population: projections with their synapses, how they learn, and what ports carry."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, create_model, model_validator

from spikeflow.errors import ParameterError, Problem, many, nearest
from spikeflow.events import Stream
from spikeflow.kernels import Synapses, connect
from spikeflow.kernels.connect_fields import Connect, Delay, Layout, Weights
from spikeflow.kernels.convolution import ShapeError, windowed
from spikeflow.kernels.rule import LearningRule
from spikeflow.kernels.rules import broken, rules
from spikeflow.kernels.weight_files import File, load, numbers_of
from spikeflow.node import Input
from spikeflow.nodes.sizes import shape_of
from spikeflow.units import Nanoseconds, format_ns

_COUNTED = 100_000
"""Weights that are looked at before a run, at most, where they are drawn."""


class Learns(BaseModel):
    """How a projection learns: one rule, and what goes for all of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kinds: ClassVar[tuple[str, ...]] = ()

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")] | None = Field(
        None, description="what the ports end with, as in w_<name>; the name of the input unless said otherwise"
    )
    frozen: bool = Field(False, description="whether the synapses stay as they are")
    until: Annotated[Nanoseconds, Field(ge=0)] | None = Field(
        None, description="the time, counted from the origin, from which they stay as they are"
    )

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, data: Any) -> Any:
        """`learn: stdp` is `learn: {stdp: {}}`, and so is `learn: {stdp: }`."""
        if not isinstance(data, str | dict):
            return data
        for name in [data] if isinstance(data, str) else data:
            if name in broken():
                raise broken()[name]
        if isinstance(data, str) and data not in cls.kinds:
            raise ParameterError(f"unknown learning rule {data!r}", nearest(data, cls.kinds))
        if isinstance(data, str):
            return {data: {}}
        return {key: {} if value is None and key in cls.kinds else value for key, value in data.items()}

    @model_validator(mode="after")
    def _one(self) -> Learns:
        stated = [kind for kind in self.kinds if getattr(self, kind) is not None]
        if len(stated) != 1:
            found = f"learn names {' and '.join(stated) or 'no rule'}"
            raise ParameterError(found, f"name one: {', '.join(self.kinds)}")
        return self

    @property
    def kind(self) -> str:
        """The rule's kind."""
        return next(kind for kind in self.kinds if getattr(self, kind) is not None)

    @property
    def rule(self) -> LearningRule:
        """The rule with its parameters."""
        found: LearningRule = getattr(self, self.kind)
        return found


def _learn() -> type[Learns]:
    """`Learns` with a key for each rule there is."""
    fields: dict[str, Any] = {
        name: (rule | None, Field(None, description=" ".join((rule.__doc__ or "").partition(chr(10))[0].split())))
        for name, rule in rules().items()
    }
    made = create_model("Learn", __base__=Learns, __module__=__name__, **fields)
    made.kinds = tuple(fields)
    return made


Learn = _learn()


def _or_a_name(schema: dict[str, Any]) -> None:
    """Let an editor know that a rule with its defaults is named alone."""
    schema["anyOf"].append({"enum": list(Learn.kinds)})


class ProjectionInput(Input):
    """One input of a population: where from, to which receptor, through which synapses."""

    to: str | None = Field(None, description="the receptor; the model's first one unless said otherwise")
    connect: Connect | None = Field(
        None,
        description="all, one_to_one, {probability: p}, {indegree: k} or {outdegree: k}; by shape: flatten, "
        "{conv1d: …}, {conv2d: …}, {sum_pool: …} or {avg_pool: …}",
    )
    from_shape: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] | None = Field(
        None, description="[channels, height, width] of what arrives, where the input has no such shape itself"
    )
    weights: Weights | None = Field(None, description="a number, a generator or a file; 1 unless said otherwise")
    delay: Delay | None = Field(
        None, description="whole ticks; none unless said otherwise, one from a population to itself"
    )
    precision: Literal["float16"] | None = Field(
        None,
        description="float16: the weights take half the memory, rounded to 11 bits; the population's unless said so",
    )
    layout: Layout = Field("post_pre", description="the axes of a file of weights: [post, pre] or [pre, post]")
    autapses: bool = Field(True, description="whether a neuron may connect to itself")
    hold: Literal["last"] | None = Field(
        None, description="`last`: a sample acts at every tick until the channel's next one"
    )
    learn: Learn | None = Field(  # type: ignore[valid-type]
        None,
        description="a rule by which the weights change: its kind, or {kind: {…}}; `spikeflow nodes rule` has all",
        json_schema_extra=_or_a_name,
    )

    @property
    def label(self) -> str:
        """What the ports of its synapses end with."""
        stated: str | None = self.learn.name if self.learn is not None else None
        return stated or self.source.replace(".", "_").replace("/", "_")

    def delays(self, dt_ns: int, default: int) -> npt.NDArray[np.int64]:
        """The delays in ticks: one, one per presynaptic neuron, or one per synapse.

        Raises:
            ParameterError: a delay that is no whole number of ticks, or a file that cannot be read.
        """
        return np.array(default) if self.delay is None else connect.ticks(self.delay, dt_ns / 1e9)

    def problems(
        self, stream: Stream, size: int, dt_ns: int, default_delay: int, seed: int, name: str, learns: bool = False
    ) -> Iterator[Problem]:
        """What does not fit, with the key at fault; files are opened. `learns`: by its own rule, or by the model's."""
        try:
            self.delays(dt_ns, default_delay)
        except ParameterError as error:
            yield Problem(("delay",), error.found, error.hint)
            return
        unfit = list(self._learning_problems(dt_ns))
        yield from unfit
        if self.from_shape is not None and not windowed(self.connect):
            hint = "it is for convolutions and pools; leave it out"
            yield Problem(("from_shape",), "'from_shape' does nothing here", hint, warning=True)
        try:
            connect.check(stream.size, size, **self._fields(stream, size))
        except ShapeError as error:
            yield Problem((error.key if getattr(self, error.key) is not None else "connect",), error.found, error.hint)
            return
        except ParameterError as error:
            key = next((key for key in ("weights", "connect", "delay") if getattr(self, key) is not None), None)
            yield Problem((key,) if key else (), error.found, error.hint)
            return
        try:
            self._read()
        except ParameterError as error:
            yield Problem(("weights",), error.found, error.hint)
            return
        weights: npt.NDArray[Any] = np.zeros(0)
        of = ""
        begin = None if self.learn is None else getattr(self.learn.rule.begin, "__func__", None)
        begins = begin not in (None, LearningRule.begin) and self.until_tick(dt_ns) != 0
        if self.precision or (begins and all(problem.warning for problem in unfit)):
            if stream.size * size <= _COUNTED or windowed(self.connect):
                weights = self._drawn(stream, size, dt_ns, default_delay, 0, seed, name).weights
            else:  # building them all takes longer than everything else here together
                weights = connect.first_weights(stream.size, size, self.weights, _COUNTED, seed, name)
                of = "" if isinstance(self.weights, File | np.ndarray) else "the first "
        if self.precision and learns:
            found = "weights in float16 that learn: what they learn at a time is less than they can tell apart"
            yield Problem(("precision",), found, "leave precision out")
        elif self.precision:
            yield from rounding_problems(weights, of)
        elif weights.size:
            yield from self._clipped(weights, of)

    def _clipped(self, weights: npt.NDArray[Any], of: str) -> Iterator[Problem]:
        """That the rule does not begin with the weights as they are."""
        assert self.learn is not None
        begun = self.learn.rule.begin(np.asarray(weights, np.float64))
        if count := np.count_nonzero(begun != weights):
            worst = int(np.argmax(np.abs(begun - weights)))
            found = f"{count} of {of}{many(weights.size, 'weight')} beyond the bounds of {self.learn.kind}"
            found += f", the farthest {weights.flat[worst]:g}, which starts at {begun.flat[worst]:g}"
            key = ("learn",) if self.weights is None else ("weights",)
            yield Problem(key, found, "choose weights within the bounds, or other bounds", warning=True)

    def _learning_problems(self, dt_ns: int) -> Iterator[Problem]:
        if self.learn is None:
            return
        for problem in self.learn.rule.problems(dt_ns / 1e9):
            yield replace(problem, path=("learn", self.learn.kind, *problem.path))
        if self.learn.until is not None and self.learn.until % dt_ns:
            found = f"{format_ns(self.learn.until)} is no multiple of the tick of {format_ns(dt_ns)}"
            yield Problem(("learn", "until"), found, "write a multiple of dt")
        if windowed(self.connect):
            found = "synapses that share their weights do not learn"
            yield Problem(
                ("learn",), found, "connect by all, one_to_one or at random; there each has a weight of its own"
            )

    def until_tick(self, dt_ns: int) -> int | None:
        """The first tick at which the synapses stay as they are."""
        if self.learn is None or (self.learn.until is None and not self.learn.frozen):
            return None
        return 0 if self.learn.frozen else self.learn.until // dt_ns

    def _read(self) -> None:
        """Raise what is wrong with the numbers of the weights."""
        if isinstance(self.weights, File):
            load(self.weights)
        elif isinstance(self.weights, np.ndarray):
            numbers_of(self.weights, "the array")

    def build(
        self, stream: Stream, size: int, dt_ns: int, default_delay: int, earlier: int, seed: int, name: str
    ) -> Synapses:
        """The synapses, with delays that are `earlier` ticks shorter, and weights as they are kept.

        Raises:
            ParameterError: something does not fit, or a weight is beyond what its precision holds.
        """
        made = self._drawn(stream, size, dt_ns, default_delay, earlier, seed, name)
        if self.precision is None:
            return made
        for problem in rounding_problems(made.weights, ""):
            if not problem.warning:
                raise ParameterError(problem.found, problem.hint)
        return replace(made, weights=made.weights.astype(np.float16))

    def _drawn(
        self, stream: Stream, size: int, dt_ns: int, default_delay: int, earlier: int, seed: int, name: str
    ) -> Synapses:
        """As `build`, in the precision that they come in."""
        delay = self.delay if self.delay is not None else default_delay * dt_ns / 1e9
        fields = self._fields(stream, size) | {"delay": delay}
        made = connect.build(stream.size, size, dt=dt_ns / 1e9, autapses=self.autapses, seed=seed, name=name, **fields)
        return replace(made, delays=made.delays - earlier) if earlier else made

    def _fields(self, stream: Stream, size: int) -> dict[str, Any]:
        delay = 0.0 if self.delay is None else self.delay
        shapes = {"from_shape": self.from_shape or stream.shape, "to_shape": shape_of(size)}
        return {"connect": self.connect, "weights": self.weights, "delay": delay, "layout": self.layout, **shapes}


def rounding_problems(weights: npt.NDArray[np.floating], of: str) -> Iterator[Problem]:
    """What float16 does not hold of `weights`: those beyond its range are refused, those that become 0 are told.

    Args:
        of: what is said before their number, where they are not all.
    """
    with np.errstate(over="ignore"):
        kept = weights.astype(np.float16)
    among = f"of {of}{many(weights.size, 'weight')}"
    if count := np.count_nonzero(np.isinf(kept)):
        farthest = float(weights.flat[np.argmax(np.abs(weights))])
        found = f"{count} {among} beyond float16, which ends at 65504; the farthest is {farthest:g}"
        yield Problem(("precision",), found, "leave precision out, or scale the weights")
    if count := np.count_nonzero((kept == 0) & (weights != 0)):
        found = f"{count} {among} so near to zero that float16 has them as 0: they are nearer than 3e-08"
        yield Problem(("precision",), found, "leave precision out, or scale the weights", warning=True)


def receptor_hint(name: str, receptors: Iterable[str]) -> str:
    """What would work where a population has no such receptor: a rule that hears it, or the nearest name."""
    hearing = [kind for kind, rule in rules().items() if name in rule.receptors]
    if not hearing:
        return nearest(name, receptors)
    return f"let a projection to this population learn by {' or '.join(hearing)}, which hears it"


def _neurons(value: Any) -> Any:
    if isinstance(value, str) and value.strip().isdecimal():
        value = int(value)
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d+)\s*:\s*(\d+)\s*", value)
        if match is None or int(match[1]) >= int(match[2]):
            raise ParameterError(f"{value!r} names no neurons", "write first:end, such as 0:16, or a list")
        return list(range(int(match[1]), int(match[2])))
    if isinstance(value, int) and not isinstance(value, bool):
        return [value]
    return value


class Record(BaseModel):
    """What a port carries of a state variable: which neurons, and how often."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    neurons: (
        Annotated[
            list[Annotated[int, Field(ge=0)]],
            BeforeValidator(_neurons),
            WithJsonSchema({"anyOf": [{"type": "string", "examples": ["0:16"]}, {"type": "array"}]}),
        ]
        | None
    ) = Field(None, description="`first:end` or a list; all unless said otherwise")
    every: Annotated[Nanoseconds, Field(gt=0)] | None = Field(
        None, description="time between two samples, counted from the origin; every tick unless said otherwise"
    )
