"""`spikeflow plot`: pictures of recorded events, and of graphs."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikeflow import plot
from spikeflow.cli.saying import OK, changes, guarded, say
from spikeflow.cli.watching import numbers
from spikeflow.errors import ParameterError, nearest
from spikeflow.units import parse_seconds

KINDS = ("raster", "rates", "traces", "graph")
_TAKES = {
    "neurons": ("raster", "rates", "traces"),
    "over": ("rates",),
    "from": KINDS[:3],
    "until": KINDS[:3],
    "set": KINDS[3:],
}


@dataclass(frozen=True, slots=True)
class Picture:
    """What the command line asks for; texts as they were typed."""

    what: str
    files: tuple[Path, ...]
    output: Path
    neurons: str | None = None
    over: str | None = None
    since: str | None = None
    until: str | None = None
    set: tuple[str, ...] = ()


def plot_files(wish: Picture, debug: bool) -> int:
    """Draw files; the exit code."""
    return guarded(lambda: _plot(wish), debug)


def _plot(wish: Picture) -> int:
    if wish.what not in KINDS:
        raise ParameterError(f"plot {wish.what}: there is no such picture", nearest(wish.what, KINDS))
    given = {"neurons": wish.neurons, "over": wish.over, "from": wish.since, "until": wish.until, "set": wish.set}
    for option, value in given.items():
        if value and wish.what not in _TAKES[option]:
            raise ParameterError(f"--{option}: not for {wish.what}", f"it is for {' and '.join(_TAKES[option])}")
    plot.check_ending(wish.output)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", plot.PlotWarning)
        try:
            figure = _drawn(wish)
        except ParameterError as error:  # the argument is called otherwise than the option
            what, colon, found = error.found.partition(": ")
            if not colon or what not in ("neurons", "channels"):
                raise
            raise ParameterError(f"--neurons {wish.neurons}: {found}", error.hint) from None
    for text in dict.fromkeys(str(one.message) for one in caught if issubclass(one.category, plot.PlotWarning)):
        say(f"warning: {text}")
    plot.save(figure, wish.output)
    return OK


def _drawn(wish: Picture) -> Any:
    if wish.what == "graph":
        if len(wish.files) != 1:
            raise ParameterError(f"plot graph: {len(wish.files)} files", "name one graph file")
        from spikeflow.spec import load

        return plot.graph(load(wish.files[0], set=changes(wish.set)))
    since, until = _time("--from", wish.since), _time("--until", wish.until)
    if since is not None and until is not None and until <= since:
        raise ParameterError(f"--until {wish.until}: it is not after --from {wish.since}", "choose a later time")
    chosen = None if wish.neurons is None else numbers(wish.neurons)
    if wish.what == "raster":
        return plot.raster(*wish.files, neurons=chosen, between=(since, until))
    if wish.what == "traces":
        return plot.traces(*wish.files, channels=chosen, between=(since, until))
    over = _time("--over", wish.over)
    if over is not None and over <= 0:
        raise ParameterError(f"--over {wish.over}: it is not above zero", "write a time such as 50ms")
    return plot.rates(*wish.files, over=over, neurons=chosen, between=(since, until))


def _time(option: str, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return parse_seconds(text)
    except ParameterError as error:
        raise ParameterError(f"{option} {text}: {error.found}", error.hint) from None
