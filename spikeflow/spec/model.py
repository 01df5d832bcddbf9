"""What a checked graph is: nodes, links, streams, blocks; and the keys at the top of a graph file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from spikeflow.errors import Finding, Position
from spikeflow.events import Stream
from spikeflow.node import Node
from spikeflow.units import Nanoseconds

DT_NS = 1_000_000
WINDOW_NS = 10_000_000


@dataclass(frozen=True, slots=True)
class Link:
    """Where an input comes from.

    Attributes:
        node: the node that sends.
        port: its outlet; ``""`` is the default one.
        lag_windows: how many empty windows it starts with; above zero only where it closes a loop.
        internal: True inside a block, whose own business it is.
        on_loop: True where the sender also depends on the receiver.
        delay_ticks: ticks by which the input is delayed at least.
    """

    node: str
    port: str = ""
    lag_windows: int = 0
    internal: bool = False
    on_loop: bool = False
    delay_ticks: int = 0

    @property
    def stream(self) -> str:
        """The name of what comes: ``node`` or ``node.port``."""
        return f"{self.node}.{self.port}" if self.port else self.node


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """A checked node.

    Attributes:
        name: its name in the graph.
        role: source, encoder, neuron, decoder or sink.
        kind: the kind, as the graph file names it.
        node: the node itself, ready to be bound.
        inputs: the streams that arrive, in the order of the file.
        outlets: port to stream; the default outlet is ``""``.
        wanted: the ports that somebody listens to.
        links: where each input comes from.
        forget_link: the link to the node at whose events this one forgets; never late.
        forget_stream: what comes on that link.
        block: the name of the block that steps the node; None where it steps alone.
        position: where its name stands in the file.
    """

    name: str
    role: str
    kind: str
    node: Node
    inputs: tuple[Stream, ...] = ()
    outlets: dict[str, Stream] = field(default_factory=dict)
    wanted: frozenset[str] = frozenset()
    links: tuple[Link, ...] = ()
    forget_link: Link | None = None
    forget_stream: Stream | None = None
    block: str | None = None
    position: Position | None = None

    @property
    def all_links(self) -> tuple[Link, ...]:
        """Where inputs come from, and what makes the node forget."""
        return self.links if self.forget_link is None else (*self.links, self.forget_link)


class MonitorSection(BaseModel):
    """Where the monitor listens: the page that `spikeflow run` serves."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    listen: Annotated[str, Field(pattern=r"^(\[[0-9a-fA-F:]+\]|[^:\s\[\]]+):[0-9]{1,5}$")] = Field(
        description="host:port, such as 127.0.0.1:8420"
    )
    hosts: list[str] = Field(
        default_factory=list, description="names that the page answers to, besides addresses and this machine's own"
    )


@dataclass(frozen=True, slots=True)
class GraphSpec:
    """A graph in which nothing is wrong.

    Attributes:
        name: its name; the stem of the file unless it says otherwise.
        dt_ns: one tick (ns).
        window_ns: one window (ns), a multiple of `dt_ns`.
        seed: where all randomness begins.
        nodes: by name, in the order of the file.
        warnings: what may not be meant, in the order of the file.
        folder: what relative paths count from.
        params: the parameters, filled in.
        file: the file's name as it was given; None for a graph from Python.
        monitor: where `spikeflow run` serves the page; None where nothing says so.
    """

    name: str
    dt_ns: int
    window_ns: int
    seed: int
    nodes: dict[str, NodeSpec]
    warnings: tuple[Finding, ...] = ()
    folder: Path = field(default_factory=Path.cwd)
    params: dict[str, Any] = field(default_factory=dict, repr=False)  # one may be a password
    file: str | None = None
    monitor: MonitorSection | None = None

    @property
    def window_ticks(self) -> int:
        """Ticks in a window."""
        return self.window_ns // self.dt_ns

    @property
    def blocks(self) -> dict[str, tuple[str, ...]]:
        """Block to its members, in the order of the file."""
        found: dict[str, tuple[str, ...]] = {}
        for name, node in self.nodes.items():
            if node.block is not None:
                found[node.block] = (*found.get(node.block, ()), name)
        return found


class TimeSection(BaseModel):
    """How time is divided: ticks of `dt`, and windows of whole ticks."""

    model_config = ConfigDict(extra="forbid")

    dt: Annotated[Nanoseconds, Field(gt=0)] = Field(DT_NS, description="one tick; 1 ms unless set")
    window: Annotated[Nanoseconds, Field(gt=0)] = Field(
        WINDOW_NS, description="what travels as one batch, a multiple of dt; 10 ms unless set"
    )


class Header(BaseModel):
    """The keys at the top of a graph file, without the nodes."""

    model_config = ConfigDict(extra="forbid")

    spikeflow: Literal[1] = Field(1, description="the version of this format: 1")
    name: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^/\\\x00-\x1f]*$")] | None = Field(
        None, description="a name without slashes; that of the file unless set"
    )
    params: dict[str, Any] = Field(default_factory=dict, description="values for ${params.name}")
    time: TimeSection = Field(default_factory=TimeSection, description="one tick (dt) and one window")
    seed: int = Field(0, ge=0, lt=2**63, description="where all randomness begins")
    monitor: MonitorSection | None = Field(None, description="where the monitor listens")
