"""Nodes: the roles, and what a class takes and gives."""

from __future__ import annotations

import copy
import inspect
import math
from abc import abstractmethod
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Protocol, Self

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, model_validator

from spikeflow.context import Clock, Context, Counters, Inlet, Outlet
from spikeflow.copies import ChannelMap
from spikeflow.errors import EventError, ParameterError, Problem
from spikeflow.events import Batch, Grid, Indices, Kind, Stream, Times, Values, Window, merge, verify
from spikeflow.units import Nanoseconds

State = dict[str, Any]
"""What a node carries from one window to the next: names to numbers, texts, arrays or containers of them."""

Seen = deque[tuple[int, Values]]
"""Ticks, and what the chosen values were after each."""

ALWAYS = 1 << 62
"""A tick that does not come: a node that rests until then rests until its next event."""


class Input(BaseModel):
    """One entry of `input` or `inputs`: the name of a node, or a mapping with `from`."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, arbitrary_types_allowed=True)

    source: str = Field(alias="from", description="the node, `node.port` or `network/population` to listen to")

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, data: Any) -> Any:
        if isinstance(data, str):
            return {"from": data}
        if not isinstance(data, Mapping | Input):
            found = "nothing" if data is None else repr(data)
            raise ParameterError(f"an input that is {found}", "write the name of a node, or {from: node}")
        return data

    @property
    def node(self) -> str:
        """The node's name, without the port."""
        return self.source.partition(".")[0]

    @property
    def port(self) -> str:
        """The port's name; ``""`` is the default outlet."""
        return self.source.partition(".")[2]


class Forget(BaseModel):
    """When a node goes back to its initial state: `{every: 10 s}` or `{on: node}`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    every: Annotated[Nanoseconds, Field(gt=0)] | None = Field(None, description="forget at multiples of this time")
    on: str | None = Field(None, description="forget before every tick in which this node sends an event")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.every is None) == (self.on is None):
            raise ParameterError("forget has both or none of 'every' and 'on'", "write {every: 10 s} or {on: node}")
        return self


def _plain_inputs(data: Any) -> Any:
    """`input: x` and `inputs: [x]` are the same."""
    if isinstance(data, Mapping) and "input" in data:
        if "inputs" in data:
            raise ParameterError("both 'input' and 'inputs'", "keep one of them")
        one = data["input"]
        data = {key: value for key, value in data.items() if key != "input"}
        data["inputs"] = one if isinstance(one, list | tuple) else [one]
    elif isinstance(data, Mapping) and "inputs" in data and not isinstance(data["inputs"], list | tuple):
        data = {**data, "inputs": [data["inputs"]]}
    return data


class Node(BaseModel):
    """One node of a graph. Fields are its keys in the graph file; what `start` puts on `self` is its state.

    State lives in attributes that are no fields; names that begin with an underscore are resources, which are
    neither saved nor forgotten.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True, validate_default=False)

    role: ClassVar[str]
    takes: ClassVar[tuple[Kind, ...]] = ()
    gives: ClassVar[tuple[Kind, ...]] = ()
    most_inputs: ClassVar[int | None] = None
    valued: ClassVar[bool] = False
    """Whether the spikes that it gives carry a value."""
    trusted: ClassVar[bool] = False
    """Whether its events are known to keep the rules of their stream, so that they need no look."""
    opens: ClassVar[bool] = False
    """Whether the node connects to something and says `opened()` once it stands."""
    unopened: ClassVar[str] = "is the address right, and does something listen there?"
    """What to look at where it does not stand in time."""

    inputs: list[Input] = Field(default_factory=list, description="the nodes to listen to")
    on_error: Literal["stop", "skip", "restart"] = Field(
        "stop", description="what a failure does: end the run, skip the window, or restart with back-off"
    )
    forget: Forget | None = Field(None, description="when to go back to the initial state")

    @model_validator(mode="before")
    @classmethod
    def _inputs(cls, data: Any) -> Any:
        return _plain_inputs(data)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in type(self).__pydantic_fields__:
            super().__setattr__(name, value)
        else:
            object.__setattr__(self, name, value)

    # What the graph needs to know before anything starts.

    @classmethod
    def refused(cls, key: str, value: Any) -> ParameterError | None:
        """Why a key that is no field is refused, where more can be said than which key is the nearest."""
        return None

    @classmethod
    def about(cls) -> dict[str, Any]:
        """What there is to say about the class beside its docstring and its keys, for `spikeflow nodes`."""
        return {}

    def check(self, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """What is wrong with the fields, given what arrives. Files are opened here; the origin is not known yet."""
        return ()

    def check_copies(self, copies: int, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """Why there cannot be `copies` copies of the node, each with a state of its own; `inputs` are those of one."""
        return ()

    def claims(self) -> Mapping[str, str]:
        """Key to what it takes for this node alone, in words: no other node of the graph may take the same."""
        return {}

    def outlets(self, inputs: Sequence[Stream]) -> dict[str, Stream]:
        """Port name to stream (the default one is ``""``); the run fills in the names.

        Of a node that there are copies of, `inputs` and outlets are those of one copy, here and in `check`. A source
        says itself how many copies its stream has.

        Raises:
            ParameterError: the size cannot be known.
        """
        if not self.gives:
            return {}
        size = self.size_out(inputs)
        shape = inputs[0].shape if inputs and inputs[0].size == size else ()
        return {"": Stream("", self.gives[0], size, self.valued and self.gives[0] == "spikes", shape)}

    def size_out(self, inputs: Sequence[Stream]) -> int:
        """The size of the default outlet; that of the input unless a class says otherwise."""
        return inputs[0].size

    def least_delay(self, index: int, dt_ns: int) -> int:
        """Ticks by which input `index` is delayed at least; only populations delay."""
        return 0

    async def probe(self, context: Context) -> str | None:
        """Open what the node connects to and close it again, for `check --connect`; the node is not bound.

        Nothing is read from it, sent, written, made or cut short, and a run that is on notices nothing.

        Returns:
            what was opened, in words; None where there is nothing to open, or no way to try it.

        Raises:
            ConnectError: it cannot be opened; says what, and why.
        """
        return None

    def see_to(self) -> str | None:
        """What is to be set on the other side, and cannot be found out by `probe`; `check --connect` says it."""
        return None

    # The run.

    @property
    def context(self) -> Context:
        """What the node knows of the run; only there while a run is on."""
        found: Context = self.__dict__["_context"]
        return found

    @property
    def node_name(self) -> str:
        """The node's name in its graph."""
        name: str = self.__dict__.get("_name", type(self).__name__)
        return name

    @property
    def graph_name(self) -> str:
        """The graph's name, as a graph file says it; for `check`."""
        name: str = self.__dict__.get("_graph", "graph")
        return name

    def bind(self, context: Context) -> None:
        """Enter a run: keep the context, start, and remember the initial state."""
        for name in [n for n in self.__dict__ if n not in type(self).__pydantic_fields__]:
            del self.__dict__[name]
        self.__dict__["_name"], self.__dict__["_context"] = context.name, context
        size = context.inputs[0].size if context.inputs else 0
        if not context.inputs and context.outlets:
            size = context.outlet.size
        self.start(size)
        self.__dict__["_initial"] = self.save()

    def start(self, size: int) -> None:
        """Set the initial state; `size` is that of the first input, or of the outlet where there is none."""

    def save(self) -> State:
        """The state at the end of a window, as a copy."""
        fields = type(self).__pydantic_fields__
        return copy.deepcopy({k: v for k, v in self.__dict__.items() if k not in fields and not k.startswith("_")})

    def load(self, state: State) -> None:
        """Put a saved state back."""
        for name, value in copy.deepcopy(state).items():
            object.__setattr__(self, name, value)

    def reset(self) -> None:
        """Go back to the initial state."""
        self.load(self.__dict__["_initial"])


class TimeRules(BaseModel):
    """How a live source's events get their time, and when its windows close."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    by: Literal["arrival", "payload"] = Field("arrival", description="stamp on arrival, or trust the payload's time")
    lateness: Annotated[Nanoseconds, Field(ge=0)] = Field(0, description="how far behind an event may come")
    idle_after: Annotated[Nanoseconds, Field(gt=0)] = Field(
        1_000_000_000, description="a key not heard for so long no longer holds windows open"
    )
    late: Literal["drop", "clamp"] = Field("drop", description="drop late events, or move them to the first open tick")
    ahead: Annotated[Nanoseconds, Field(gt=0)] = Field(
        10_000_000_000, description="a stamp further in the future than this is rejected"
    )


class Source(Node):
    """Brings samples or spikes into the graph: one method, `produce`."""

    role: ClassVar[str] = "source"
    most_inputs: ClassVar[int | None] = 0
    timed: ClassVar[bool] = False
    """True where events carry times of their own and come in order, so that the run may go as fast as it can."""

    @property
    def follows(self) -> bool:
        """Whether it wishes to hear when its events have been handed on (`Outlet.when_handed_on`)."""
        return False

    time: TimeRules = Field(default_factory=TimeRules, description="where event times come from")
    buffer: int = Field(100_000, ge=1, description="events held while the graph is behind")
    overflow: Literal["block", "drop_oldest", "fail"] = Field(
        "block", description="what happens when the buffer is full"
    )

    @property
    def finite(self) -> bool:
        """Whether the source ends by itself."""
        return False

    def origin_ns(self) -> int | None:
        """The instant of tick 0 that the source itself proposes (ns since 1970, UTC)."""
        return None

    def length_ns(self) -> int | None:
        """How long the source lasts, counted from the origin, where that is known (ns)."""
        return None

    def copy_names(self) -> Sequence[str]:
        """The names of the copies that are known before the run, in their order; others come as they are heard."""
        return ()

    def size_out(self, inputs: Sequence[Stream]) -> int:
        """The declared size."""
        raise ParameterError("the size of this source is not known", "declare how many channels or neurons there are")

    @abstractmethod
    async def produce(self, outlet: Outlet) -> None:
        """Push events into the outlet as they come; returning ends the source."""


class Rejecting(BaseModel):
    """The field of a source that can pass on what it could not read."""

    rejects: str | None = Field(
        None,
        description="a sink, `rejects` or `mqtt_rejects`, for what cannot be read; it is counted in any case",
    )


class Stepper(Node):
    """A node that turns one window of its inputs into one window of its outlets."""

    elementwise: ClassVar[bool] = False
    """Whether it serves all copies of a stream at once, each as it would serve it alone; else each gets a node."""

    @abstractmethod
    def step(self, window: Window, arriving: Sequence[Batch]) -> Sequence[Batch]:
        """One batch for each outlet of the context, in its order, from one batch of each input."""

    def rests_until(self) -> int:
        """The tick before which windows without events neither change the node nor bring anything forth.

        Asked after such a window; those that end by then pass it without a step.
        """
        return 0

    def pending(self) -> int:
        """Events that arrived and have not acted yet."""
        return 0

    def look(self, state: str, indices: Sequence[int]) -> Seen:
        """Note a state variable of some neurons after every tick, until `look_away`; nothing else changes by it.

        Returns:
            where each tick's values are put while the run is on; the oldest are given up where nobody takes them.

        Raises:
            ParameterError: there is no such state or neuron.
        """
        raise ParameterError(f"node {self.node_name!r} has no state {state!r}", "look at a population's")

    def look_away(self, seen: Seen) -> None:
        """Nobody looks there any more."""


class _Mapper(Stepper):
    """Steps by one call on record batches: the method that `verb` names."""

    most_inputs: ClassVar[int | None] = 1
    verb: ClassVar[str]

    def step(self, window: Window, arriving: Sequence[Batch]) -> Sequence[Batch]:
        """Hand the record batch to the one method of the role, and hold the answer to the stream's rules."""
        own = self.__dict__
        own["_context"].window = window
        batch = arriving[0]
        given = batch._record  # as `bare`, without its call
        if given is None:
            given = batch.record
        record = own["_call"](given)
        if record is given and batch.window is window:
            return arriving  # whoever looks at it gives it this stream's name
        if not self.trusted:
            if not isinstance(record, pa.RecordBatch):
                if inspect.iscoroutine(record):
                    record.close()  # else the interpreter complains that nobody waited for it
                kind = type(record).__name__
                what = "None" if record is None else f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"
                raise EventError(f"{self.verb} returned {what}; it must return a record batch")
            verify(record, own["_context"].outlet, window)
        return (Batch.of(window, own["_schema"], record),)

    def bind(self, context: Context) -> None:
        """Enter a run."""
        super().bind(context)
        self.__dict__["_schema"] = context.outlet.schema(context.grid)
        self.__dict__["_call"] = getattr(self, self.verb)


class Encoder(_Mapper):
    """Turns samples into spikes: one method, `encode`."""

    role: ClassVar[str] = "encoder"
    verb: ClassVar[str] = "encode"
    takes: ClassVar[tuple[Kind, ...]] = ("samples",)
    gives: ClassVar[tuple[Kind, ...]] = ("spikes",)

    @abstractmethod
    def encode(self, samples: pa.RecordBatch) -> pa.RecordBatch:
        """Encode one window."""


class Decoder(_Mapper):
    """Turns spikes into samples: one method, `decode`."""

    role: ClassVar[str] = "decoder"
    verb: ClassVar[str] = "decode"
    takes: ClassVar[tuple[Kind, ...]] = ("spikes",)
    gives: ClassVar[tuple[Kind, ...]] = ("samples",)
    absent: ClassVar[float] = math.nan
    """What stands in an array where it gives no sample."""
    lasts: ClassVar[bool] = False
    """Whether what it gives lasts until it gives something else; `absent` comes before the first."""

    def answers_at(self, ticks: int) -> Sequence[int] | None:
        """The ticks at which it answers on so many ticks, once it is bound; None where that is up to what arrives."""
        return None

    @abstractmethod
    def decode(self, spikes: pa.RecordBatch) -> pa.RecordBatch:
        """Decode one window."""


class Neuron(Stepper):
    """Steps neurons. Those on a loop shorter than a window are stepped together, as one block."""

    role: ClassVar[str] = "neuron"
    takes: ClassVar[tuple[Kind, ...]] = ("spikes", "samples")
    gives: ClassVar[tuple[Kind, ...]] = ("spikes",)

    def check_copies(self, copies: int, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """Copies are stepped together, which a class has to know how to do."""
        if not self.elementwise:
            yield Problem((), f"{copies} copies of neurons that know of none", "let a population take its place")

    @classmethod
    @abstractmethod
    def fuse(cls, members: Sequence[Neuron]) -> Block:
        """Bound nodes as one block."""


class Block(Protocol):
    """Neurons that are stepped together; an input from a member's default outlet is the block's own business."""

    def step(self, window: Window, arriving: Sequence[Batch]) -> Sequence[Batch]:
        """As `Stepper.step`: inputs from outside in the order of members, then outlets in the order of members."""

    def save(self) -> State:
        """The state of all members."""

    def load(self, state: State) -> None:
        """Put a saved state back."""

    def reset(self, name: str) -> None:
        """Put one member back to its initial state."""

    def rests_until(self) -> int:
        """As `Stepper.rests_until`."""

    def pending(self) -> int:
        """Spikes still in delay lines."""


class Sink(Node):
    """Takes batches out of the graph: one method, `consume`."""

    role: ClassVar[str] = "sink"
    takes: ClassVar[tuple[Kind, ...]] = ("spikes", "samples")
    collects: ClassVar[bool] = False
    """Whether it takes, in place of inputs, what sources that name it in `rejects` could not read."""
    hears_silence: ClassVar[bool] = True
    """Whether windows without events mean anything to it; where they do not, one with a single input gets none."""

    def brings_back(self, node: str, source: Source, heard: Source) -> bool:
        """Whether it sends what `source` could not read to where `heard` listens, as far as can be known beforehand.

        Only a sink that `collects` is asked. What goes round like that would never end, and is refused.

        Args:
            node: the name of `source` in the graph.
        """
        return False

    @abstractmethod
    async def consume(self, inlet: Inlet) -> None:
        """Iterate over the inlet until it ends."""


__all__ = [
    "ALWAYS",
    "Batch",
    "Block",
    "ChannelMap",
    "Clock",
    "Context",
    "Counters",
    "Decoder",
    "Encoder",
    "Forget",
    "Grid",
    "Indices",
    "Inlet",
    "Input",
    "Kind",
    "Neuron",
    "Node",
    "Outlet",
    "Rejecting",
    "Seen",
    "Sink",
    "Source",
    "State",
    "Stepper",
    "Stream",
    "TimeRules",
    "Times",
    "Values",
    "Window",
    "merge",
]
