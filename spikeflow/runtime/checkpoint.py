"""Checkpoints: the state of every node at the end of one window, and what is on its way round loops."""

from __future__ import annotations

from dataclasses import dataclass, field

from spikeflow.errors import ParameterError, nearest
from spikeflow.events import Batch
from spikeflow.node import State


@dataclass(slots=True)
class Checkpoint:
    """A run at the end of a window; complete once every stage has passed it.

    Attributes:
        tick: the first tick after it.
        origin_ns: the run's origin (ns since 1970, UTC).
        dt_ns: the run's tick (ns).
        states: stage to the state of its node or block.
        copies: key to the names of its copies, in their order.
        on_the_way: (stage, input) to the batches of a loop that were sent before, and are due after.
    """

    tick: int
    origin_ns: int = 0
    dt_ns: int = 0
    states: dict[str, State] = field(default_factory=dict)
    copies: dict[str, list[str]] = field(default_factory=dict)
    on_the_way: dict[tuple[str, int], list[Batch]] = field(default_factory=dict)

    def state(self, stage: str) -> State:
        """The state of a stage.

        Raises:
            ParameterError: the checkpoint has no such stage: it is another graph's, or not complete.
        """
        if stage not in self.states:
            raise ParameterError(f"the checkpoint has no state of {stage!r}", nearest(stage, self.states))
        return self.states[stage]

    def fits(self, dt_ns: int, window_ticks: int) -> None:
        """Hold the checkpoint to the graph that is to go on from it.

        Raises:
            ParameterError: another tick, or a window that does not begin there.
        """
        if self.dt_ns and self.dt_ns != dt_ns:
            raise ParameterError(f"a checkpoint of a run with dt {self.dt_ns} ns", f"this graph has {dt_ns} ns")
        if self.tick % window_ticks:
            raise ParameterError(
                f"a checkpoint at tick {self.tick}", f"take a window that divides it, not {window_ticks}"
            )


def window_end(seconds: float, dt_ns: int, window_ticks: int) -> int:
    """The first tick after the window that `seconds` falls into, counted from the origin."""
    ticks = max(1, round(seconds * 1e9 / dt_ns))
    return -(-ticks // window_ticks) * window_ticks
