"""Drawing: frames to lines of text, for a terminal of any size."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, pairwise
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.color import Color
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.style import Style

from spikeflow.monitor.frames import Frame, row_sizes

LEVELS = 20
_ANCHORS = ((10, 10, 22), (66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164))
_SHADES = " .:-=+*#%@"
_BARS = " ▁▂▃▄▅▆▇█"
_ASCII_BARS = " ._-=+*%#"
_KEPT = 512
_RECENT = 10
"""Columns whose mean rate the title says."""
MOST_FAULTS = 2
_SUMMARY_LINES = 12
_SILENT_S = 10.0
_MISHAPS = {"errors": "failures", "missed": "windows missed", "restarts": "restarts"}
_DIM, _BOLD, _HEAD = Style(dim=True), Style(bold=True), Style(bold=True, color="cyan")
_BAD, _BAR, _CURVE = Style(color="yellow"), Style(color="cyan"), Style(color="green")
_ROLES = {"source": "green", "encoder": "yellow", "neuron": "magenta", "decoder": "cyan", "sink": "blue"}

Line = list[Segment]
Levels = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Look:
    """What a terminal can show.

    Attributes:
        colour: colours, and so two pixels a cell; shades of text without.
        blocks: characters beyond ASCII.
    """

    colour: bool = True
    blocks: bool = True

    @staticmethod
    def of(console: Console) -> Look:
        """What `console` can show."""
        blocks = console.encoding.lower().startswith("utf")
        return Look(console.color_system is not None and not console.no_color and blocks, blocks)


class Lines:
    """Lines of segments, as a rich renderable."""

    def __init__(self, lines: Sequence[Line], width: int) -> None:
        self.lines, self.width = lines, width

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        ascii_only = not Look.of(console).blocks
        for line in self.lines:
            for segment in Segment.adjust_line_length(line, self.width, pad=False):
                yield Segment(in_ascii(segment.text), segment.style) if ascii_only else segment
            yield Segment.line()


class Picture:
    """What the terminal shows; a rich renderable that fills the console's width and height.

    Args:
        kept: columns of the raster to keep.

    Attributes:
        columns: [rows] spikes of each column of the raster.
        rates: spikes a second of a neuron, on average, in each column (Hz).
        curve: a decoder's answer at each column.
        taken: columns so far, of which the oldest are given up.
        missed: spikes that came faster than they could be taken, and are not in the raster.
        back: how many columns ago the right edge of the raster is.
    """

    def __init__(self, kept: int = _KEPT) -> None:
        self.hello: Mapping[str, Any] = {"graph": "", "view": None, "size": 0, "rows": 0, "column_s": 0.1}
        self.facts: Mapping[str, Any] = {"elapsed": 0.0, "progress": None, "events_per_s": 0, "lag_ms": 0, "nodes": {}}
        self.lines: deque[str] = deque(maxlen=50)
        self.columns: deque[npt.NDArray[Any]] = deque(maxlen=kept)
        self.rates: deque[float] = deque(maxlen=kept)
        self.curve: deque[float | None] = deque(maxlen=kept)
        self.back = 0
        self.taken = 0
        self.missed = 0
        self._scale = 0.0
        self._sizes = np.ones(1, np.int64)

    def take(self, frame: Frame) -> None:
        """Take a frame in."""
        if frame.kind == "hello":
            self.hello = frame.facts
            if frame.facts["rows"]:
                self._sizes = row_sizes(frame.facts["size"], frame.facts["rows"])
            return
        self.facts = frame.facts
        self.lines.extend(frame.facts.get("log", ()))
        self.columns.extend(frame.counts)
        self.taken += len(frame.counts)
        share = max(1, self.hello["size"]) * self.hello["column_s"]
        self.rates.extend((frame.counts.sum(axis=1, dtype=np.int64) / share).tolist() if frame.counts.size else ())
        for value in frame.facts["curve"]:
            last = self.curve[-1] if self.curve else None
            self.curve.append(last if value is None else value)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        height = options.height or console.height
        width = options.max_width
        yield Lines(self.draw(width, height, Look.of(console)), width)

    def summary(self, width: int, look: Look) -> Lines:
        """What stays on the terminal after the run: the last figures, and the last of the raster."""
        lines = [self.header(width), *self.table(width, 1000), *self.faults(width)]
        if self.columns:
            lines += self.raster(width, _SUMMARY_LINES, look)
        return Lines(lines, width)

    def draw(self, width: int, height: int, look: Look) -> list[Line]:
        """Exactly `height` lines: a header, the nodes, what went wrong with them, the raster, the log."""
        faults, log = self.faults(width)[:MOST_FAULTS], self.log(width, height)
        least = 7 if self.hello["view"] else 0
        room = height - 1 - len(log) - len(faults) - least
        lines = [self.header(width), *self.table(width, max(2, room)), *faults]
        left = height - len(lines) - len(log)
        if self.hello["view"] and left >= 4:
            lines += self.raster(width, left, look)
        lines += [[] for _ in range(height - len(log) - len(lines))]
        return (lines + log)[:height]

    def faults(self, width: int) -> list[Line]:
        """What was lost or went wrong, a line a node."""
        return [[Segment(_fit(fault, width), _BAD)] for fault in _faults(self.facts["nodes"])]

    def log(self, width: int, height: int) -> list[Line]:
        """The last lines of the log, as many as a terminal of `height` lines has room for."""
        logged = min(len(self.lines), 2 if height < 30 else 5)
        return [[Segment(_fit(line, width), _DIM)] for line in list(self.lines)[-logged:] if logged]

    # The header.

    def header(self, width: int) -> Line:
        """The graph, the time, the traffic, and how far a run of known length is."""
        facts = self.facts
        parts = [
            (f" {self.hello['graph']} ", Style(bold=True, reverse=True)),
            (f"  {clock(facts['elapsed'])}", _BOLD),
            (f"   {short(facts['events_per_s'])} events/s", None),
            (f"   lag {short(facts['lag_ms'])} ms", _BAD if facts["lag_ms"] > 1000 else None),
        ]
        line = [Segment(text, style) for text, style in parts]
        progress = facts.get("progress")
        used = sum(len(text) for text, _ in parts)
        if progress is not None and width - used > 16:
            room = min(40, width - used - 9)
            full = round(progress * room)
            line += [Segment("   "), Segment("━" * full, _BAR), Segment("━" * (room - full), _DIM)]
            line.append(Segment(f" {progress:4.0%}"))
        return line

    # The nodes.

    def table(self, width: int, height: int) -> list[Line]:
        """At most `height` lines: a head and one line a node; those that do not fit are counted."""
        nodes: Mapping[str, Mapping[str, Any]] = self.facts["nodes"]
        named = max([len(name) for name in nodes] + [4])
        kinds = max([len(f"{one['role']} {one['kind']}") for one in nodes.values()] + [4])
        name_width, kind_width = min(named, 20, max(6, width - 47)), min(kinds, 28)
        kind_width = min(kind_width, width - name_width - 47)
        kind_width = kind_width if kind_width >= 8 else 0
        head = f"{'node':<{name_width}} {_fit('kind', kind_width):<{kind_width}} {'in/s':>6} {'out/s':>6} {'queue':>6}"
        head += f" {'p50 µs':>7} {'p99 µs':>7} {'lag ms':>7}"
        lines: list[Line] = [[Segment(_fit(head, width), _HEAD)]]
        shown = list(nodes.items())
        if len(shown) > height - 1:
            shown = shown[: max(0, height - 2)]
        for name, one in shown:
            role = one["role"]
            kind = f"{role} {one['kind']}"
            queue = f"{one['queue']}/{one['capacity']}" if one["capacity"] else "–"
            came = short(one.get("in_per_s", 0)) if role != "source" else "–"
            went = short(one.get("out_per_s", 0)) if role != "sink" else "–"
            p50, p99 = (short(one[key]) if role != "source" else "–" for key in ("window_p50_us", "window_p99_us"))
            full = one["capacity"] and one["queue"] >= one["capacity"]
            lines.append(
                [
                    Segment(f"{_fit(name, name_width):<{name_width}} ", _BOLD),
                    Segment(f"{_fit(kind, kind_width):<{kind_width}} ", _role_style(role)),
                    Segment(f"{came:>6} {went:>6} "),
                    Segment(f"{queue:>6}", _BAD if full else None),
                    Segment(f" {p50:>7} {p99:>7}"),
                    Segment(f" {short(one['lag_ms']):>7}", _BAD if one["lag_ms"] > 1000 else None),
                ]
            )
        if len(shown) < len(nodes):
            lines.append([Segment(f"… and {len(nodes) - len(shown)} more", _DIM)])
        return lines

    # The raster.

    def raster(self, width: int, height: int, look: Look) -> list[Line]:
        """`height` lines: a title with the scale, the heat of the spikes, their rate, a decoder's answer, the time."""
        hello = self.hello
        decoder = hello.get("decoder")
        bars: list[tuple[str, Sequence[float | None]]] = [] if height < 7 else [("Hz", self.rates)]
        if decoder is not None and height >= 6:
            bars.append((str(decoder), self.curve))
        rows = height - 2 - len(bars)
        gutter = max(len(str(hello["size"] - 1)), *(min(8, len(name)) for name, _ in bars), 2) + 2
        across = max(1, width - gutter - 1)
        levels, peak = self._levels(across, 2 * rows if look.colour else rows)
        lines = [self._title(width, peak, look)]
        labels = _neuron_labels(hello["size"], rows)
        for row in range(rows):
            label = Segment(f"{labels.get(row, ''):>{gutter - 2}} {'┤' if row in labels else '│'}", _DIM)
            if not look.colour:
                shades = "".join(_SHADES[level * (len(_SHADES) - 1) // (LEVELS - 1)] for level in levels[row])
                lines.append([label, Segment(shades)])
            else:
                lines.append([label, *_heat(levels[2 * row], levels[2 * row + 1])])
        lines += [_strip(name, self._shown(values, across), gutter, across, look) for name, values in bars]
        lines.append(self._time_axis(gutter, across))
        return lines

    def _shown(self, values: Sequence[float | None], across: int) -> list[float]:
        """The part of the values that stands under the raster."""
        end = max(0, len(values) - self.back)
        return [value or 0.0 for value in islice(values, max(0, end - across), end)]

    def _levels(self, across: int, pixels: int) -> tuple[Levels, float]:
        """[pixels, across] levels of heat, newest column right, neuron 0 at the bottom; and the rate of the hottest."""
        rows = len(self._sizes)
        image = np.zeros((rows, across))
        for ago, column in enumerate(islice(reversed(self.columns), self.back, self.back + across)):
            image[:, across - 1 - ago] = column
        edges = np.arange(pixels + 1) * rows // pixels
        low, high = edges[:-1], np.maximum(edges[1:], edges[:-1] + 1)
        total = np.vstack([np.zeros((1, across)), np.cumsum(image, axis=0)])
        neurons = np.concatenate([[0], np.cumsum(self._sizes)])
        share = (neurons[high] - neurons[low]) * self.hello["column_s"]
        rate = (total[high] - total[low]) / share[:, None]
        peak = float(rate.max(initial=0.0))
        self._scale = max(peak, self._scale * 0.98)
        if self._scale <= 0.0:
            return np.zeros((pixels, across), np.int64), 0.0
        heat = np.ceil(np.sqrt(rate / self._scale) * (LEVELS - 1)).astype(np.int64)
        return heat[::-1], self._scale

    def _title(self, width: int, peak: float, look: Look) -> Line:
        hello = self.hello
        left = f"{hello['view']}"
        about = f" · {hello['size']} neurons"
        shown = self._shown(self.rates, _RECENT)
        if shown:
            about += f" · {short(fmean(shown))} Hz"
        latest = next((value for value in islice(reversed(self.curve), self.back, None) if value is not None), None)
        if hello.get("decoder") is not None and latest is not None:
            about += f" · {hello['decoder']} {short(latest)}"
        about += f" · {short(self.missed)} not seen" if self.missed else f" · {seconds(hello['column_s'])} a column"
        right = f" {short(peak)} Hz"
        scale = [Segment("0 " + _SHADES)]
        if look.colour:
            scale = [Segment("0 "), *(Segment(" ", _pixel(level, level)) for level in range(0, LEVELS, 2))]
        room = width - sum(len(s.text) for s in scale) - len(right) - len(left) - 1
        return [Segment(left, _HEAD), Segment(_fit(about, room).ljust(room) + " ", _DIM), *scale, Segment(right)]

    def _time_axis(self, gutter: int, across: int) -> Line:
        """Times before now, under the columns."""
        axis = list(" " * (gutter + across))
        column_s = self.hello["column_s"]
        step = _nice(column_s * 14)
        ago = self.back * column_s
        edge = f"-{seconds(ago)}" if self.back else "now"
        axis[-len(edge) :] = edge
        back = step
        while (end := gutter + across - round(back / column_s)) > gutter + 4:
            text = f"-{seconds(back + ago)}"
            if all(cell == " " for cell in axis[end - len(text) : end + 1]):
                axis[end - len(text) : end] = text
            back += step
        return [Segment("".join(axis)[: gutter + across], _DIM)]


# Numbers and names as people read them.


def short(number: float) -> str:
    """A number in at most five characters: 12, 3.4, 1.2k, 56M."""
    size = abs(number)
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size >= limit * 0.9995:
            return f"{number / limit:.3g}{unit}"
    if size >= 100 or number == int(number):
        return f"{number:.0f}"
    return f"{number:.2g}" if size < 10 else f"{number:.3g}"


def clock(elapsed: float) -> str:
    """Minutes and seconds, with hours where there are any."""
    minutes, rest = divmod(int(elapsed), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def seconds(duration: float) -> str:
    """A time on the axis."""
    return f"{duration:g} s" if duration >= 1 else f"{duration * 1e3:g} ms"


def _nice(least: float) -> float:
    """The smallest of 1, 2, 5, 10, … that is not below `least`."""
    power = 10.0 ** np.floor(np.log10(least))
    return float(next(power * step for step in (1, 2, 5, 10) if power * step >= least * 0.999))


def _fit(text: str, width: int) -> str:
    if len(text) <= width:
        return text
    return text[: max(0, width - 1)] + "…" if width > 0 else ""


def _strip(name: str, values: Sequence[float], gutter: int, across: int, look: Look) -> Line:
    """Numbers as bars of one line, from the least (or zero) to the greatest."""
    low, high = min([0.0, *values]), max([0.0, *values])
    bars = _BARS if look.blocks else _ASCII_BARS
    span = (high - low) or 1.0
    text = "".join(bars[round((value - low) / span * (len(bars) - 1))] for value in values)
    return [Segment(f"{_fit(name, gutter - 2):>{gutter - 2}} │", _DIM), Segment(text.rjust(across), _CURVE)]


def _faults(nodes: Mapping[str, Mapping[str, Any]]) -> Iterable[str]:
    """What was lost or went wrong, a line a node."""
    for name, one in nodes.items():
        said = []
        for what in ("rejected", "dropped"):
            said += [f"{count} {what} ({_words(why)})" for why, count in one.get(what, {}).items()]
        said += [f"{one[key]} {word}" for key, word in _MISHAPS.items() if one.get(key)]
        said += _connection(one.get("connection", {}))
        if said:
            yield f"{name}: " + ", ".join(said)


def _connection(one: Mapping[str, Any]) -> Iterable[str]:
    """What is not as it should be with a connection: gone, come back, silent."""
    if "away_s" in one:
        yield f"not connected to {one['broker']} for {_age(one['away_s'])}"
    if one.get("reconnects"):
        yield f"reconnected {one['reconnects']} times" if one["reconnects"] > 1 else "reconnected once"
    if one.get("outbox"):
        yield f"{one['outbox']} in the outbox"
    for pattern, age in one.get("last_message_s", {}).items():
        if one.get("connected") and age is not None and age >= _SILENT_S:
            yield f"nothing on {pattern} for {_age(age)}"


def _age(seconds: float) -> str:
    """How long something lasts, in the largest unit of which there are two."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _words(reason: str) -> str:
    return reason.replace("_", " ")


def _neuron_labels(size: int, rows: int) -> dict[int, str]:
    """Row to the neuron at that height: the last at the top, the first at the bottom."""
    labels = {0: str(size - 1), rows - 1: "0"}
    if rows >= 7 and size > 2:
        labels[rows // 2] = str(size // 2)
    return labels if rows > 1 else {0: "0"}


def _role_style(role: str) -> Style:
    return Style(color=_ROLES.get(role, "white"))


@lru_cache(maxsize=LEVELS)
def _colour(level: int) -> Color:
    place = level / (LEVELS - 1) * (len(_ANCHORS) - 1)
    low = min(int(place), len(_ANCHORS) - 2)
    part = place - low
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(_ANCHORS[low], _ANCHORS[low + 1], strict=True))
    return Color.from_rgb(red, green, blue)


@lru_cache(maxsize=LEVELS * LEVELS)
def _pixel(top: int, bottom: int) -> Style:
    """The style of an upper half block: its own colour above, the background below."""
    return Style(color=_colour(top), bgcolor=_colour(bottom))


def _heat(top: Levels, bottom: Levels) -> Line:
    """One line of half blocks, two pixels a cell; equal neighbours share a segment."""
    code = top * LEVELS + bottom
    cuts = [0, *(np.flatnonzero(np.diff(code)) + 1).tolist(), len(code)]
    upper, lower = top.tolist(), bottom.tolist()
    return [Segment("▀" * (end - at), _pixel(upper[at], lower[at])) for at, end in pairwise(cuts)]


_PLAIN = str.maketrans({"–": "-", "…": "~", "│": "|", "┤": "+", "━": "=", "·": "-", "µ": "u"})


def in_ascii(text: str) -> str:
    """A text for a terminal that knows no more."""
    return text.translate(_PLAIN).encode("ascii", "replace").decode("ascii")
