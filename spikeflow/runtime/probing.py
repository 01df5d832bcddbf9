"""Probing: opens what the nodes of a graph connect to, and closes it again; nothing runs."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from spikeflow.errors import SpikeflowError, said
from spikeflow.events import Grid
from spikeflow.node import Context
from spikeflow.runtime.clock import WallClock
from spikeflow.spec import GraphSpec, NodeSpec

_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Probed:
    """What came of one node's connection.

    Attributes:
        node: the node's name.
        seconds: how long it took (s).
        to: what was opened; None where the node has no way to try it without a run, or it could not be opened.
        error: why it could not be opened.
        see_to: what is to be set on the other side, where the node cannot find out whether it is.
    """

    node: str
    seconds: float
    to: str | None = None
    error: str | None = None
    see_to: str | None = None

    @property
    def ok(self) -> bool | None:
        """Whether it could be opened; None where that was not tried."""
        return False if self.error is not None else (True if self.to is not None else None)


async def probe(spec: GraphSpec, timeout: float) -> list[Probed]:
    """Try the connections of all nodes at the same time, each for so long (s); nodes without one are left out."""
    clock = WallClock()
    grid = Grid(clock.now_ns() // _SECOND_NS * _SECOND_NS, spec.dt_ns, spec.window_ns // spec.dt_ns)
    tried = [
        _probed(node, Context(name, grid, clock, node.inputs, node.outlets, seed=spec.seed, graph=spec.name), timeout)
        for name, node in spec.nodes.items()
    ]
    try:
        return [found for found in await asyncio.gather(*tried) if found is not None]
    finally:
        clock.close()


async def _probed(spec: NodeSpec, context: Context, timeout: float) -> Probed | None:
    began, to, error = time.monotonic(), None, None
    try:
        async with asyncio.timeout(timeout):
            to = await spec.node.probe(context)
    except TimeoutError:
        error = f"no answer in {timeout:g} s — {spec.node.unopened}"
    except (SpikeflowError, OSError) as found:
        error = str(found)
    except Exception as found:  # a mistake in one node's own code does not keep the others from being tried
        error = said(found)
    if to is None and error is None and not spec.node.opens:
        return None
    return Probed(spec.name, time.monotonic() - began, to, error, spec.node.see_to() if error is None else None)


__all__ = ["Probed", "probe"]
