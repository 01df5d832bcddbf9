"""Small nodes of every role, for graphs that are only checked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, ClassVar, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, field_validator

from spikeflow.errors import ParameterError, Problem
from spikeflow.events import Batch, Grid, Kind, Stream, Window
from spikeflow.node import Block, Decoder, Encoder, Inlet, Input, Neuron, Outlet, Sink, Source
from spikeflow.units import Hertz, Nanoseconds, Seconds


class Sensor(Source):
    """Samples out of nowhere."""

    gives: ClassVar[tuple[Kind, ...]] = ("samples",)

    channels: int = Field(1, ge=1, description="how many channels there are")
    url: str = Field("mqtt://127.0.0.1:1883", description="where it is")
    rate: Hertz = 20.0
    port: Annotated[int, Field(ge=1, le=65535)] = 1883

    def size_out(self, inputs: Sequence[Stream]) -> int:
        return self.channels

    async def produce(self, outlet: Outlet) -> None:
        """Nothing comes."""


class Sizeless(Source):
    """A source that cannot say how large it is."""

    gives: ClassVar[tuple[Kind, ...]] = ("samples",)

    async def produce(self, outlet: Outlet) -> None:
        """Nothing comes."""


class Delta(Encoder):
    """Spikes where a channel moves by a threshold."""

    threshold: float = Field(gt=0, description="how far a channel has to move")
    sign: Literal["up", "down", "both"] = "both"

    def encode(self, samples: pa.RecordBatch) -> pa.RecordBatch:
        return samples


class Generator(BaseModel):
    """Numbers from a normal distribution."""

    model_config = ConfigDict(extra="forbid")

    mean: float
    std: float = Field(1.0, gt=0)


class Normal(BaseModel):
    """A normal distribution under its name."""

    model_config = ConfigDict(extra="forbid")

    normal: Generator


class Wire(Input):
    """A projection."""

    weights: float | Normal = 1.0
    connect: Literal["all", "one_to_one"] | dict[str, float] = "all"
    delay: Nanoseconds | None = None


class Pool(Neuron):
    """Neurons that only count how many they are."""

    inputs: list[Wire] = Field(default_factory=list)  # type: ignore[assignment]
    size: int = Field(ge=1, description="how many neurons")
    tau: Seconds = 0.01

    def outlets(self, inputs: Sequence[Stream]) -> dict[str, Stream]:
        return {"": Stream("", "spikes", self.size), "v": Stream("", "samples", self.size)}

    def least_delay(self, index: int, dt_ns: int) -> int:
        wire = self.inputs[index]
        if wire.delay is None:
            return int(wire.source == self.node_name)
        return wire.delay // dt_ns

    def check(self, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        for index, (wire, stream) in enumerate(zip(self.inputs, inputs, strict=True)):
            if wire.connect == "one_to_one" and stream.size != self.size:
                found = f"one_to_one from {stream.size} to {self.size}"
                yield Problem(("inputs", index, "connect"), found, "make the sizes agree")
        if grid.dt / self.tau > 0.5:
            yield Problem(("tau",), "dt / tau is above 0.5", "take a smaller dt", warning=True)

    def step(self, window: Window, arriving: Sequence[Batch]) -> Sequence[Batch]:
        return []

    @classmethod
    def fuse(cls, members: Sequence[Neuron]) -> Block:
        raise NotImplementedError


class Leaky(Pool):
    """Neurons that never spike."""

    gives: ClassVar[tuple[Kind, ...]] = ("samples",)

    def outlets(self, inputs: Sequence[Stream]) -> dict[str, Stream]:
        return {"": Stream("", "samples", self.size)}


class Even(Decoder):
    """A decoder with a rule of its own."""

    over: Nanoseconds = 100_000_000
    bins: int = 2

    @field_validator("bins")
    @classmethod
    def _even(cls, bins: int) -> int:
        if bins % 2:
            raise ParameterError(f"bins: {bins} is odd", f"write {bins + 1}")
        return bins

    def decode(self, spikes: pa.RecordBatch) -> pa.RecordBatch:
        return spikes


class Tape(Sink):
    """Writes nothing."""

    path: str = Field(description="where to write")

    async def consume(self, inlet: Inlet) -> None:
        """Nothing is written."""


class Buggy(Decoder):
    """A decoder whose author made a mistake."""

    def check(self, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        raise KeyError("oops")

    def decode(self, spikes: pa.RecordBatch) -> pa.RecordBatch:
        return spikes


class BadValidator(Decoder):
    """A decoder whose validator has a bug."""

    bins: int = 2

    @field_validator("bins")
    @classmethod
    def _bug(cls, bins: int) -> Any:
        raise TypeError("oops")

    def decode(self, spikes: pa.RecordBatch) -> pa.RecordBatch:
        return spikes


class Unfinished(Encoder):
    """An encoder without `encode`."""


class NoNode:
    """Something else."""
