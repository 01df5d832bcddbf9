"""Argmax: which neuron or channel is the largest, how sure that is, and since when it could be known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import Field

from spikeflow.copies import called
from spikeflow.errors import ParameterError, Problem, instead, shown, why
from spikeflow.events import Grid, Stream
from spikeflow.nodes.frames import NEVER, Chosen, Copies, Floats, Readout
from spikeflow.nodes.paths import GraphPath

_SAYS_EVERY = 1.0
"""Seconds between two lines of a copy in the log, at least."""
_SAYS_AT_MOST = 10
"""Lines in such a time, at most, of all copies."""


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
    count_bytes: ClassVar[int] = 32  # a count and its first tick, as they are and as they began

    margin: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="by how much the winner must lead the second, in spikes or units"
    )
    hysteresis: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="by how much another one must lead the winner to take its place"
    )
    changes: bool = Field(False, description="whether a decision is given only where it is another than the one before")
    labels: list[str] | GraphPath | None = Field(
        None,
        description="names of the neurons, in a list or a file with one a line: the log says the name of a new winner, "
        "for each copy once a second at most, and for all of them ten times",
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
        self.winner = np.full(self._copies, -1)
        self.given = np.full(self._copies, -2)
        self._labels = self._names()
        self._free = np.zeros(self._copies, np.int64)  # from which tick a copy may say something

    def weigh(self, weight: Floats, copies: Copies, tick: int) -> tuple[Chosen, Floats]:
        """[m, 3] the decisions at `tick`."""
        since, row = self.since(copies), np.arange(len(copies))
        known, before = np.where(np.isnan(weight), -np.inf, weight), self.winner[copies]
        chosen = known.argmax(axis=1)
        holds = np.zeros(len(copies), np.bool_)
        with np.errstate(over="ignore", invalid="ignore"):
            if self.hysteresis > 0.0:
                holds = (before >= 0) & (known[row, chosen] - known[row, before] < self.hysteresis)
                chosen = np.where(holds, before, chosen)
            most = known[row, chosen]
            known[row, chosen] = -np.inf
            lead = most - known.max(axis=1)
        anything = holds | (since.min(axis=1) < NEVER)
        winner = np.where(holds | (anything & (lead >= self.margin)), chosen, -1)
        if self._labels or self.changes:
            new = winner != self.given[copies]
        if self._labels:
            self._say(tick, copies, np.where(new, winner, -1), lead)
        self.winner[copies] = self.given[copies] = winner
        came = since[row, winner]
        values, told = np.empty((len(copies), 3)), np.ones((len(copies), 3), np.bool_)
        values[:, 0], values[:, 1], values[:, 2] = winner, lead, (tick - came) * self.context.grid.dt
        told[:, 1], told[:, 2] = anything & np.isfinite(lead), (winner >= 0) & (came < NEVER)
        return told & new[:, None] if self.changes else told, values

    def _say(self, tick: int, copies: Copies, winner: Copies, lead: Floats) -> None:
        """Name new winners in the log, at a pace that can be read: those first who have said nothing for longest."""
        dt = self.context.grid.dt
        second = int(_SAYS_EVERY / dt)
        free = self._free[copies]
        row = np.flatnonzero((winner >= 0) & (free <= tick))
        row = row[np.argsort(free[row], kind="stable")]
        stream = self.context.outlet
        names = self.context.names(stream).keys
        for place in row[: max(0, _SAYS_AT_MOST - int((self._free > tick).sum()))].tolist():
            copy = int(copies[place])
            self._free[copy] = tick + second
            who = f"{called(stream, names, copy)}: " if stream.key or stream.copies > 1 else ""
            text = f"{self._labels[winner[place]]} at {tick * dt:.3f} s, ahead by {lead[place]:.4g}"
            self.context.log("info", who + text)
