"""Populations: one node that serves every neuron model, alone or as a member of a block."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, cast

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, create_model

from spikeflow.errors import ParameterError, Problem, nearest
from spikeflow.events import Batch, Grid, Indices, Stream, Times, Values, Window
from spikeflow.kernels import Columns, Events, Group, Network, NeuronModel, Projection, Synapses, Train, connect
from spikeflow.kernels.about import about
from spikeflow.kernels.connect import Connect, Delay, Layout, Weights
from spikeflow.kernels.convolution import ShapeError, windowed
from spikeflow.kernels.model import Value
from spikeflow.kernels.parameters import settled
from spikeflow.kernels.refusals import refused
from spikeflow.kernels.weight_files import File, load, numbers_of
from spikeflow.node import ALWAYS, Input, Neuron, State
from spikeflow.nodes.sizes import Size, shape_of
from spikeflow.units import Nanoseconds, format_ns

BACKEND = "SPIKEFLOW_BACKEND"
"""The environment variable that chooses the backend of `device: cpu`; the fastest one there unless set."""


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
    layout: Layout = Field("post_pre", description="the axes of a file of weights: [post, pre] or [pre, post]")
    autapses: bool = Field(True, description="whether a neuron may connect to itself")
    hold: Literal["last"] | None = Field(
        None, description="`last`: a sample acts at every tick until the channel's next one"
    )

    def delays(self, dt_ns: int, default: int) -> npt.NDArray[np.int64]:
        """The delays in ticks: one, one per presynaptic neuron, or one per synapse.

        Raises:
            ParameterError: a delay that is no whole number of ticks, or a file that cannot be read.
        """
        return np.array(default) if self.delay is None else connect.ticks(self.delay, dt_ns / 1e9)

    def problems(self, stream: Stream, size: int, dt_ns: int, default_delay: int) -> Iterator[Problem]:
        """What does not fit, with the key at fault; files are opened."""
        try:
            self.delays(dt_ns, default_delay)
        except ParameterError as error:
            yield Problem(("delay",), error.found, error.hint)
            return
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

    def _read(self) -> None:
        """Raise what is wrong with the numbers of the weights."""
        if isinstance(self.weights, File):
            load(self.weights)
        elif isinstance(self.weights, np.ndarray):
            numbers_of(self.weights, "the array")

    def build(
        self, stream: Stream, size: int, dt_ns: int, default_delay: int, earlier: int, seed: int, name: str
    ) -> Synapses:
        """The synapses, with delays that are `earlier` ticks shorter."""
        delay = self.delay if self.delay is not None else default_delay * dt_ns / 1e9
        fields = self._fields(stream, size) | {"delay": delay}
        made = connect.build(stream.size, size, dt=dt_ns / 1e9, autapses=self.autapses, seed=seed, name=name, **fields)
        return replace(made, delays=made.delays - earlier) if earlier else made

    def _fields(self, stream: Stream, size: int) -> dict[str, Any]:
        delay = 0.0 if self.delay is None else self.delay
        shapes = {"from_shape": self.from_shape or stream.shape, "to_shape": shape_of(size)}
        return {"connect": self.connect, "weights": self.weights, "delay": delay, "layout": self.layout, **shapes}


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


class Population(Neuron):
    """Neurons of one model, with what connects to them."""

    model_class: ClassVar[type[NeuronModel]]

    inputs: list[ProjectionInput] = Field(default_factory=list, description="projections, in the order of their sums")  # type: ignore[assignment]
    size: Size = Field(description="how many neurons, or their shape, such as [32, 26, 26]")
    record: dict[str, Record] = Field(default_factory=dict, description="limits of the ports, by state variable")
    initial: dict[str, Value] = Field(default_factory=dict, description="the state before the first tick")
    precision: Literal["float32", "float64"] = Field("float32", description="the arithmetic of the state")
    device: Literal["auto", "cpu"] = Field("auto", description="where the neurons are stepped")

    @property
    def model(self) -> NeuronModel:
        """The model with this population's parameters."""
        found: NeuronModel | None = self.__dict__.get("_model")
        if found is None:
            names = self.model_fields_set & set(self.model_class.model_fields)
            stated = self.model_class(**{name: getattr(self, name) for name in names})
            seed = self.context.seed if "_context" in self.__dict__ else self.__dict__.get("_seed", 0)
            found = self.__dict__["_model"] = stated.settled(seed, self.node_name, self.size)
        return found

    # What the graph needs to know.

    @classmethod
    def refused(cls, key: str, value: Any) -> ParameterError | None:
        """What the model says of a key that it does not have."""
        return refused(cls.model_class, key, value) if "model_class" in vars(cls) else None

    @classmethod
    def about(cls) -> dict[str, Any]:
        """The receptors, ports, options and equations of the model."""
        return about(cls.model_class)

    def outlets(self, inputs: Sequence[Stream]) -> dict[str, Stream]:
        """Spikes, or the first state variable where the model has none; every state variable as a port."""
        double, shape = self.precision == "float64", shape_of(self.size)
        found = {name: Stream("", "samples", int(self.size), shape=shape, double=double) for name in self._states()}
        first = found[self._states()[0]]
        graded = self.model_class.graded is not None
        return {
            "": Stream("", "spikes", int(self.size), valued=graded, shape=shape) if self.model_class.spikes else first,
            **found,
        }

    def _states(self) -> tuple[str, ...]:
        return self.model_class.state

    def least_delay(self, index: int, dt_ns: int) -> int:
        """Ticks from an event of input `index` to its earliest effect."""
        return int(self.inputs[index].delays(dt_ns, self._default_delay(index)).min())

    def _default_delay(self, index: int) -> int:
        """One tick from a population to itself, which has the spikes of the previous tick; else none."""
        return int(self.inputs[index].source == self.node_name)

    def check(self, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """Parameters against dt and size, receptors, synapses, records and initial values."""
        for problem in self.model.problems(grid.dt, self.size):
            yield replace(problem, path=self._said(problem.path))
        for name in sorted(set(self.initial) - set(self._states())):
            yield Problem(("initial", name), f"no state variable {name!r}", nearest(name, self._states()))
        for name, value in self.initial.items():
            if isinstance(value, np.ndarray) and value.size != self.size:
                found = f"{value.size} values for {self.size} neurons"
                yield Problem(("initial", name), found, "give one value, or one per neuron")
        for name, record in self.record.items():
            yield from self._check_record(name, record, grid)
        for index, (projection, stream) in enumerate(zip(self.inputs, inputs, strict=True)):
            path = ("inputs", index)
            receptors = self.model_class.receptors
            if projection.to is not None and projection.to not in receptors:
                yield Problem((*path, "to"), f"no receptor {projection.to!r}", nearest(projection.to, receptors))
            if projection.hold and stream.kind == "spikes":
                yield Problem((*path, "hold"), "hold on spikes", "only samples are held; leave it out")
            for problem in projection.problems(stream, self.size, grid.dt_ns, self._default_delay(index)):
                yield Problem((*path, *problem.path), problem.found, problem.hint, problem.warning)

    def _said(self, path: tuple[str | int, ...]) -> tuple[str | int, ...]:
        """A reset that only the model states is above a threshold that the file states: point at the threshold."""
        low, high = self.model_class.reset_below or ("", "")
        return (high,) if path == (low,) and low not in self.model_fields_set else path

    def _check_record(self, name: str, record: Record, grid: Grid) -> Iterator[Problem]:
        if name not in self._states():
            yield Problem(("record", name), f"no state variable {name!r}", nearest(name, self._states()))
        if record.neurons and max(record.neurons) >= self.size:
            found = f"neuron {max(record.neurons)} of {self.size}"
            yield Problem(("record", name, "neurons"), found, f"name neurons 0 to {self.size - 1}")
        if record.every is not None and record.every % grid.dt_ns:
            found = f"{format_ns(record.every)} is no multiple of the tick of {format_ns(grid.dt_ns)}"
            yield Problem(("record", name, "every"), found, "write a multiple of dt")

    # The run.

    def start(self, size: int) -> None:
        """Build the network, unless a block will."""
        context = self.context
        if all(self.inputs[k].node == context.name for k in context.internal):
            self.__dict__["_stepped"] = Stepped([self])

    @classmethod
    def fuse(cls, members: Sequence[Neuron]) -> Stepped:
        """Bound populations as one block."""
        return Stepped([cast(Population, member) for member in members])

    @property
    def stepped(self) -> Stepped:
        """What steps a population that is no member of a block."""
        found: Stepped = self.__dict__["_stepped"]
        return found

    def step(self, window: Window, arriving: Sequence[Batch]) -> Sequence[Batch]:
        """One window of all neurons."""
        return self.stepped.step(window, arriving)

    def save(self) -> State:
        """The state of the neurons, and what is on its way to them."""
        return self.stepped.save() if "_stepped" in self.__dict__ else {}

    def load(self, state: State) -> None:
        """Put a saved state back."""
        self.stepped.load(state)

    def reset(self) -> None:
        """Go back to the initial state; spikes on their way are gone."""
        self.stepped.reset(self.context.name)

    def rests_until(self) -> int:
        """Until the next event, where nothing moves any more."""
        return self.stepped.rests_until()

    def pending(self) -> int:
        """Spikes still in delay lines."""
        return self.stepped.pending()

    def group(self) -> Group:
        """The neurons as kernels know them."""
        context = self.context
        wanted = {port for port in context.outlets if port}
        if not self.model_class.spikes:
            wanted.add(self._states()[0])
        chosen: dict[str, tuple[npt.NDArray[np.integer[Any]], int]] = {}
        for name in sorted(wanted):
            record = self.record.get(name, Record())
            neurons = np.arange(self.size) if record.neurons is None else np.unique(record.neurons)
            chosen[name] = neurons, (record.every or context.grid.dt_ns) // context.grid.dt_ns
        return Group(context.name, self.model, int(self.size), self.precision, self._begun(), chosen)

    def _begun(self) -> dict[str, Any]:
        """The state before the first tick, with a draw for each neuron where it is a distribution."""
        return settled(self.initial, self.context.seed, self.context.name, self.size, "initial")

    def synapses(self, index: int) -> Synapses:
        """The synapses of input `index`, with delays counted from the window in which its events arrive."""
        context = self.context
        earlier = context.lags[index] * context.grid.window_ticks if context.lags else 0
        return self.inputs[index].build(
            context.inputs[index],
            self.size,
            context.grid.dt_ns,
            self._default_delay(index),
            earlier,
            context.seed,
            f"{context.name}<{index}",
        )


class Stepped:
    """One network of kernels and its streams: a population, or a block of them."""

    def __init__(self, members: Sequence[Population]) -> None:
        self._members = list(members)
        first = members[0].context
        grid = first.grid
        trains: list[Train] = []
        projections: list[Projection] = []
        self._arrivals: list[tuple[str, int, str]] = []
        self._forgot: dict[str, int | None] = {}
        for member in members:
            context = member.context
            for index, projection in enumerate(member.inputs):
                if index in context.internal:
                    source = projection.source
                else:
                    stream, source = context.inputs[index], f"{context.name}<{index}"
                    trains.append(Train(source, stream.size, stream.valued or stream.kind == "samples"))
                    lag = context.lags[index] if context.lags else 0
                    self._arrivals.append((source, lag * grid.window_ns, context.name))
                held = projection.hold is not None
                projections.append(Projection(source, context.name, member.synapses(index), projection.to, held))
        self._network = Network(
            [member.group() for member in members],
            trains,
            projections,
            dt=grid.dt,
            seed=first.seed,
            backend=os.environ.get(BACKEND, "auto"),
            origin_ns=grid.origin_ns,
            dt_ns=grid.dt_ns,
        )
        self._outlets = [
            (
                member.context.name,
                port or ("" if member.model_class.spikes else member.model_class.state[0]),
                stream.schema(grid),
            )
            for member in members
            for port, stream in member.context.outlets.items()
        ]

    def step(self, window: Window, arriving: Sequence[Batch]) -> Sequence[Batch]:
        """One batch for each outlet of each member, from one batch of each input from outside."""
        if self._forgot:
            self._forgot = {name: window.start_ns if at is None else at for name, at in self._forgot.items()}
        given: dict[str, Columns] = {}
        for (train, shift_ns, member), batch in zip(self._arrivals, arriving, strict=True):
            if batch.count:
                given[train] = batch.arrays
                if shift_ns:
                    given[train] = self._late(*batch.arrays, shift_ns, self._forgot.get(member))
        results = self._network.step(window.first_tick, window.ticks, given)
        found = []
        for name, port, schema in self._outlets:
            t_ns, neuron, recorded, value = results[name]
            if port:
                t_ns, neuron, value = recorded[port]
            found.append(Batch(window, schema, t_ns, neuron, value))
        return found

    @staticmethod
    def _late(t_ns: Times, index: Indices, value: Values | None, shift_ns: int, since_ns: int | None) -> Events:
        """Events of a loop as the network gets them: later, and without those sent before their receiver forgot."""
        first = 0 if since_ns is None else int(np.searchsorted(t_ns, since_ns))
        return Events(t_ns[first:] + shift_ns, index[first:], None if value is None else value[first:])

    def save(self) -> State:
        """The state of all members."""
        return {"network": self._network.save(), "forgot": dict(self._forgot)}

    def load(self, state: State) -> None:
        """Put a saved state back."""
        self._network.load(state["network"])
        self._forgot = dict(state["forgot"])

    def reset(self, name: str) -> None:
        """Put one member back to its initial state; what is on its way to it is gone."""
        self._network.reset([name])
        self._forgot[name] = None  # at the tick of the next step

    def rests_until(self) -> int:
        """Until the next event, where nothing moves any more."""
        return ALWAYS if self._network.is_still else 0

    def pending(self) -> int:
        """Spikes still in delay lines."""
        return self._network.pending()


@cache
def population_class(model: type[NeuronModel]) -> type[Population]:
    """The population of a model: its fields beside those that all populations have."""
    clash = set(model.model_fields) & set(Population.model_fields)
    if clash:
        raise ParameterError(
            f"the model {model.__name__} has the fields {', '.join(sorted(clash))}", "populations have them too; rename"
        )
    fields: Mapping[str, Any] = {
        name: (offered, field)
        for name, field in model.model_fields.items()
        if (offered := _offered(model, name, field.annotation)) is not None
    }
    made = create_model(f"{model.__name__}Population", __base__=Population, __module__=__name__, **fields)
    made.__doc__ = model.__doc__
    made.model_class = model
    if not model.spikes:
        made.gives = ("samples",)
    return made


def _offered(model: type[NeuronModel], name: str, annotation: Any) -> Any:
    """The type of a field as this model has it: an option takes what the model knows; None where there is no choice."""
    if name == "preset":
        return (Literal[tuple(model.presets)] | None) if model.presets else None
    if (valid := model.choices().get(name)) is not None:
        return Literal[valid] if len(valid) > 1 else None
    if name == "refractory" and not model.refracts:
        return None
    if name == "allow_unstable" and not model.linear:
        return None
    return annotation
