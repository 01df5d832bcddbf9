"""Argmax: which neuron or channel is the largest, how sure that is, and since when it could be known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import Field

from spikeflow.errors import ParameterError, Problem, instead, shown, why
from spikeflow.events import Grid, Indices, Stream, Values
from spikeflow.nodes.frames import NEVER, Floats, Readout
from spikeflow.nodes.paths import GraphPath

_SAYS_EVERY = 1.0
"""Seconds between two lines in the log, at least."""


class Argmax(Readout):
    """The neuron that spiked most often, or the channel with the largest value, as a decision of three samples.

    Channel 0 `class` is the index of the winner, or -1 where there is none. Channel 1 `margin` is by how much it leads
    the second one. Channel 2 `latency` is how long before the decision (s) its first counted spike, or its sample, had
    come. The time of a decision is that of its samples: the end of `frame`, or of each `over`; of samples each
    tick that has some.

    The winner is the largest, the lowest index among equal ones, if it leads the second by `margin` or more; there is
    none before anything came. With `hysteresis` a winner stays until another one leads it by that much, whatever the
    margin, and also while nothing comes. A margin or a latency that is not known has no sample.
    """

    dated: ClassVar[bool] = True

    margin: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="by how much the winner must lead the second, in spikes or units"
    )
    hysteresis: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="by how much another one must lead the winner to take its place"
    )
    changes: bool = Field(False, description="whether a decision is given only where it is another than the one before")
    labels: list[str] | GraphPath | None = Field(
        None, description="names of the neurons, in a list or a file with one a line: the log says the winner's name"
    )

    def check(self, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """Times that do not fit, one neuron alone, labels that are too many or too few."""
        yield from super().check(inputs, grid)
        size = inputs[0].size
        if size < 2:
            yield Problem((), "one neuron or channel alone, which always wins", "give it two or more to choose from")
        try:
            labels = self._names()
        except ParameterError as error:
            yield Problem(("labels",), error.found, error.hint)
            return
        if labels and len(labels) != size:
            yield Problem(("labels",), f"{len(labels)} labels for {size} neurons", "give one for each")

    def _names(self) -> list[str]:
        if not isinstance(self.labels, Path):
            return self.labels or []
        try:
            lines = self.labels.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            hint = instead(self.labels, (self.labels.suffix,))
            raise ParameterError(f"there is no file {shown(self.labels)!r}", hint) from None
        except (OSError, UnicodeDecodeError) as error:
            found = f"{shown(self.labels)!r} cannot be read: {why(error)}"
            raise ParameterError(found, "write a text file with one name a line") from None
        return [line.strip() for line in lines if line.strip()]

    def outlets(self, inputs: Sequence[Stream]) -> dict[str, Stream]:
        """Three channels: class, margin and latency."""
        return {"": Stream("", "samples", 3)}

    def start(self, size: int) -> None:
        """No winner yet."""
        super().start(size)
        self.winner, self.given = -1, -2
        self._labels = self._names()
        self._free_tick = 0

    def weigh(self, weight: Floats, tick: int) -> tuple[Indices, Values] | None:
        """The decision at `tick`."""
        since = self.since()
        known = np.where(np.isnan(weight), -np.inf, weight)
        best = int(known.argmax())
        holds = self.winner >= 0 and self.hysteresis > 0.0 and known[best] - known[self.winner] < self.hysteresis
        chosen = self.winner if holds else best
        lead = known[chosen] - max(known[:chosen].max(initial=-np.inf), known[chosen + 1 :].max(initial=-np.inf))
        anything = holds or bool((since < NEVER).any())
        self.winner = chosen if holds or (anything and lead >= self.margin) else -1
        if self.changes and self.winner == self.given:
            return None
        if self._labels and self.winner not in (-1, self.given):
            self._say(tick, float(lead))
        self.given = self.winner
        values = np.array([self.winner, np.nan, np.nan])
        if anything:
            values[1] = lead
        if self.winner >= 0 and since[self.winner] < NEVER:
            values[2] = (tick - since[self.winner]) * self.context.grid.dt
        channel = np.flatnonzero(np.isfinite(values)).astype(np.uint32)
        return channel, values[channel]

    def _say(self, tick: int, lead: float) -> None:
        """Name the winner in the log, at a pace that can be read."""
        if tick >= self._free_tick:
            dt = self.context.grid.dt
            self._free_tick = tick + int(_SAYS_EVERY / dt)
            self.context.log("info", f"{self._labels[self.winner]} at {tick * dt:.3f} s, ahead by {lead:.4g}")
