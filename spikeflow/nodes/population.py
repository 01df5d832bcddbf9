"""Populations: one node that serves every neuron model, alone or as a member of a block."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, cast

import numpy as np
import numpy.typing as npt
from pydantic import Field, create_model

from spikeflow.errors import ParameterError, Problem, nearest
from spikeflow.events import Batch, Grid, Stream, Window
from spikeflow.kernels import Group, NeuronModel, Synapses, devices
from spikeflow.kernels.about import about
from spikeflow.kernels.devices import Choice
from spikeflow.kernels.learning import COPIES
from spikeflow.kernels.model import Value
from spikeflow.kernels.parameters import settled
from spikeflow.kernels.refusals import refused
from spikeflow.kernels.rule import Learning, LearningRule
from spikeflow.kernels.rules import kind_of
from spikeflow.node import Neuron, Seen, State
from spikeflow.nodes.projections import ProjectionInput, Record, receptor_hint
from spikeflow.nodes.sizes import Size, shape_of
from spikeflow.nodes.stepped import Stepped
from spikeflow.units import format_ns

_BETWEEN_WEIGHTS_NS = 1_000_000_000
"""Time between two samples of all synapses, unless said otherwise."""


class Population(Neuron):
    """Neurons of one model, with what connects to them."""

    model_class: ClassVar[type[NeuronModel]]
    elementwise: ClassVar[bool] = True

    inputs: list[ProjectionInput] = Field(default_factory=list, description="projections, in the order of their sums")  # type: ignore[assignment]
    size: Size = Field(description="how many neurons, or their shape, such as [32, 26, 26]")
    record: dict[str, Record] = Field(default_factory=dict, description="limits of the ports, by state variable")
    initial: dict[str, Value] = Field(default_factory=dict, description="the state before the first tick")
    precision: Literal["float32", "float64"] = Field("float32", description="the arithmetic of the state")
    device: Literal["auto", "cpu", "cuda"] | Annotated[str, Field(pattern=r"^cuda:\d+$")] = Field(
        "auto", description="where the neurons are stepped: auto, cpu, cuda, or one of several GPUs, such as cuda:1"
    )

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
        spikes = Stream("", "spikes", int(self.size), valued=graded, shape=shape)
        return {"": spikes if self.model_class.spikes else first, **found, **self._learned(inputs, shape)}

    def _learned(self, inputs: Sequence[Stream], shape: tuple[int, ...]) -> dict[str, Stream]:
        """The ports of what learns: of synapses [post, pre], of the traces of inputs, and of those of neurons.

        On a loop, where sizes are asked for before inputs are known, those that need an input are left out.
        """
        double, found, size = self.precision == "float64", {}, int(self.size)
        for index, projection in enumerate(self.inputs):
            rule = self._rule(index)
            if rule is None:
                continue
            for port in rule.post[:-1]:
                found[f"{port}_{projection.label}"] = Stream("", "samples", size, shape=shape, double=double)
            pre = inputs[index].size if index < len(inputs) else size if projection.source == self.node_name else 0
            if not pre:
                continue
            for port in rule.pre[:-1]:
                found[f"{port}_{projection.label}"] = Stream("", "samples", pre, double=double)
            for port in rule.state:
                name = f"{port}_{projection.label}"
                found[name] = Stream("", "samples", size * pre, shape=(size, pre), double=double, synapses=True)
        return found

    def _rule(self, index: int) -> LearningRule | None:
        """How input `index` learns: as it says, else as the model has it."""
        learn = self.inputs[index].learn
        if learn is not None:
            return learn.rule
        found: LearningRule | None = self.model.learns()
        return found

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
        if (error := devices.problem(self.device)) is not None:
            yield Problem(("device",), error.found, error.hint)
        for name in sorted(set(self.initial) - set(self._states())):
            yield Problem(("initial", name), f"no state variable {name!r}", nearest(name, self._states()))
        for name, value in self.initial.items():
            if isinstance(value, np.ndarray) and value.size != self.size:
                found = f"{value.size} values for {self.size} neurons"
                yield Problem(("initial", name), found, "give one value, or one per neuron")
        ports = {port: stream for port, stream in self.outlets(inputs).items() if port}
        for name, record in self.record.items():
            yield from self._check_record(name, record, ports, grid)
        taken, seed = (self.size, grid.dt_ns), self.__dict__.get("_seed", 0)
        labels: dict[str, int] = {}
        for index, (projection, stream) in enumerate(zip(self.inputs, inputs, strict=True)):
            path = ("inputs", index)
            if projection.learn is not None and not self.model_class.spikes:
                found = "learning where neurons never spike"
                yield Problem((*path, "learn"), found, "let a population learn that spikes")
            rule = self._rule(index)
            if rule is not None and labels.setdefault(projection.label, index) != index:
                found = f"two projections that learn as {projection.label!r}"
                hint = "name one of them differently: learn: {…, name: …}"
                if projection.learn is None:
                    kind = kind_of(rule)
                    hint = f"give one of them a name: learn: {{{kind}: {{…}}, name: …}}; or add their weights up in one"
                yield Problem((*path, "learn"), found, hint)
            heard = [name for k in range(len(self.inputs)) if (one := self._rule(k)) for name in one.receptors]
            receptors = (*self.model_class.receptors, *heard)
            if projection.to is not None and projection.to not in receptors:
                yield Problem((*path, "to"), f"no receptor {projection.to!r}", receptor_hint(projection.to, receptors))
            elif projection.to in heard and projection.to not in self.model_class.receptors and projection.learn:
                found = f"{projection.to!r} is what a rule hears; there is nothing to learn there"
                yield Problem((*path, "learn"), found, "let a projection to the neurons learn")
            if projection.hold and stream.kind == "spikes":
                yield Problem((*path, "hold"), "hold on spikes", "only samples are held; leave it out")
            for problem in projection.problems(
                stream, *taken, self._default_delay(index), seed, f"{self.node_name}<{index}", rule is not None
            ):
                yield replace(problem, path=(*path, *problem.path))

    def check_copies(self, copies: int, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """Learning: the copies share their weights."""
        for index, projection in enumerate(self.inputs):
            if self._rule(index) is not None:
                path = ("inputs", index, "learn") if projection.learn is not None else ("inputs", index)
                yield Problem(path, f"{copies} copies that learn", COPIES)

    def stepped_on(self, window_ticks: int) -> Choice:
        """Where the neurons are stepped if nothing is stepped together with them, and why."""
        return devices.choose([self.device], [self.model], int(self.size), window_ticks)

    def _said(self, path: tuple[str | int, ...]) -> tuple[str | int, ...]:
        """A reset that only the model states is above a threshold that the file states: point at the threshold."""
        low, high = self.model_class.reset_below or ("", "")
        return (high,) if path == (low,) and low not in self.model_fields_set else path

    def _check_record(self, name: str, record: Record, ports: Mapping[str, Stream], grid: Grid) -> Iterator[Problem]:
        if name not in ports:
            yield Problem(("record", name), f"no state variable {name!r}", nearest(name, ports))
        elif record.neurons and max(record.neurons) >= (size := ports[name].size):
            what = "neuron" if name in self._states() else "channel"
            found = f"{what} {max(record.neurons)} of {size}"
            yield Problem(("record", name, "neurons"), found, f"name {what}s 0 to {size - 1}")
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
        populations = [cast(Population, member) for member in members]
        stepped = Stepped(populations)
        for population in populations:
            population.__dict__["_block"] = stepped
        return stepped

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

    def look(self, state: str, indices: Sequence[int]) -> Seen:
        """Note a state variable of some neurons after every tick."""
        if state not in self._states():
            raise ParameterError(
                f"population {self.node_name!r} has no state {state!r}", nearest(state, self._states())
            )
        return (self.__dict__.get("_block") or self.stepped).look(self.context.name, state, indices)

    def look_away(self, seen: Seen) -> None:
        """Note it no more."""
        (self.__dict__.get("_block") or self.stepped).look_away(seen)

    def group(self) -> Group:
        """The neurons as kernels know them."""
        context, copies = self.context, self.context.copies
        wanted = {port for port in context.outlets if port in self._states()}
        if not self.model_class.spikes:
            wanted.add(self._states()[0])
        chosen: dict[str, tuple[npt.NDArray[np.integer[Any]], int]] = {}
        for name in sorted(wanted):
            record = self.record.get(name, Record())
            neurons = np.arange(self.size) if record.neurons is None else np.unique(record.neurons)
            neurons = (np.arange(copies)[:, None] * int(self.size) + neurons).ravel()
            chosen[name] = neurons, (record.every or context.grid.dt_ns) // context.grid.dt_ns
        return Group(context.name, self.model, int(self.size) * copies, self.precision, self._begun(), chosen, copies)

    def learning(self, index: int) -> Learning | None:
        """How input `index` learns, with what is listened to of it."""
        rule, projection, context = self._rule(index), self.inputs[index], self.context
        if rule is None:
            return None
        kept: dict[str, tuple[npt.NDArray[np.integer[Any]] | None, int]] = {}
        for state in rule.ports():
            port = f"{state}_{projection.label}"
            if port in context.outlets:
                record = self.record.get(port, Record())
                chosen = None if record.neurons is None else np.unique(record.neurons)
                slow = -(-_BETWEEN_WEIGHTS_NS // context.grid.dt_ns) if state in rule.state else 1
                kept[state] = chosen, record.every // context.grid.dt_ns if record.every else slow
        return Learning(rule, projection.until_tick(context.grid.dt_ns), projection.label, kept)

    def _begun(self) -> dict[str, Any]:
        """The state before the first tick, with a draw for each neuron where it is a distribution."""
        return settled(self.initial, self.context.seed, self.context.name, self.size, "initial")

    def synapses(self, index: int) -> Synapses:
        """The synapses of input `index`, with delays counted from the window in which its events arrive."""
        context = self.context
        earlier = context.lags[index] * context.grid.window_ticks if context.lags else 0
        return self.inputs[index].build(
            context.inputs[index].one,
            self.size,
            context.grid.dt_ns,
            self._default_delay(index),
            earlier,
            context.seed,
            f"{context.name}<{index}",
        )


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
