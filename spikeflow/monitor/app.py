"""`spikeflow top`: the terminal view of a run that is on, with keys; what is drawn is what `run` shows, too."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import ClassVar, Protocol

from rich.segment import Segment
from rich.style import Style
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Click, Resize
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Footer

from spikeflow.monitor.draw import MOST_FAULTS, Line, Look, Picture, in_ascii

EVERY_S = 0.1
_REST = 3.0
"""Pause after drawing, in units of the time that took: at most a quarter of a core is used."""
_STEP = 20
"""Columns that a key goes back."""
_CHOSEN = Style(reverse=True)
_PAUSED = Style(color="yellow", bold=True)
_DIM = Style(dim=True)


class Sees(Protocol):
    """What there is to see; a `Watched` is one."""

    outlets: Sequence[str]
    view: str | None
    picture: Picture
    ended: bool

    def choose(self, view: str | None) -> None:
        """See the spikes of another outlet."""

    def look(self) -> None:
        """Put what is new into the picture."""


class Drawn(Widget):
    """Lines of segments; those that have not changed are left alone."""

    def __init__(self, top: TopApp) -> None:
        super().__init__()
        self.top = top
        self._drawn: list[Line] = []

    def draw(self, width: int, height: int) -> list[Line]:
        """The lines to show, at most `height` of them."""
        raise NotImplementedError

    def show(self) -> None:
        """Draw anew what has changed."""
        width, height = self.size
        lines = self.draw(width, height) if width and height else []
        old, self._drawn = self._drawn, lines
        for y in range(max(len(lines), len(old))):
            if y >= len(lines) or y >= len(old) or lines[y] != old[y]:
                self.refresh(Region(0, y, width, 1))

    def on_resize(self, event: Resize) -> None:
        """The terminal is of another size."""
        self.show()
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One line, as wide as the widget."""
        line = self._drawn[y] if y < len(self._drawn) else []
        if not self.top.look_of.blocks:
            line = [Segment(in_ascii(text), style) for text, style, _ in line]
        return Strip(line).adjust_cell_length(self.size.width)


class Head(Drawn):
    """The graph, the time, the traffic."""

    def draw(self, width: int, height: int) -> list[Line]:
        line = self.top.picture.header(width)
        return [[*line, Segment("   paused", _PAUSED)] if self.top.paused else line]


class Nodes(Drawn):
    """The nodes; the one whose spikes are shown stands out."""

    first = 0

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self.top.picture.facts["nodes"]) + 1

    def draw(self, width: int, height: int) -> list[Line]:
        head, *rows = self.top.picture.table(width, 100_000)
        chosen = (self.top.sees.view or "").partition(".")[0]
        place = next((k for k, name in enumerate(self.top.picture.facts["nodes"]) if name == chosen), None)
        if place is not None:
            rows[place] = list(Segment.apply_style(rows[place], post_style=_CHOSEN))
        room = height - 1
        if len(rows) <= room:
            self.first = 0
            return [head, *rows]
        room = max(1, room - 1)
        if place is not None:  # the chosen one is never out of sight
            self.first = min(max(self.first, place - room + 1), place)
        self.first = min(self.first, len(rows) - room)
        above, below = self.first, len(rows) - room - self.first
        said = " and ".join(f"{count} {where}" for count, where in ((above, "above"), (below, "below")) if count)
        return [head, *rows[self.first : self.first + room], [Segment(f"… {said}", _DIM)]]

    def on_click(self, event: Click) -> None:
        """Show the spikes of the node that is clicked on."""
        names = list(self.top.picture.facts["nodes"])
        if 0 <= (row := self.first + event.y - 1) < len(names):
            self.top.show_node(names[row])


class Faults(Drawn):
    """What was lost or went wrong."""

    def draw(self, width: int, height: int) -> list[Line]:
        return self.top.picture.faults(width)[:MOST_FAULTS]


class Heat(Drawn):
    """The raster, its rates, and a decoder's answer."""

    def draw(self, width: int, height: int) -> list[Line]:
        if self.top.sees.view is None:
            return [[Segment("no spikes flow in this graph", _DIM)]]
        return self.top.picture.raster(width, height, self.top.look_of) if height >= 4 else []


class Log(Drawn):
    """The last lines of the log."""

    def draw(self, width: int, height: int) -> list[Line]:
        return self.top.picture.log(width, self.top.size.height)


class TopApp(App[None]):
    """Shows a run, and does what keys say.

    Args:
        sees: the run.
        look: what the terminal can show.
        goes: whether the picture moves by itself; else at each call of `step`.
    """

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Screen { background: ansi_default; color: ansi_default; layout: vertical; }
    Head { height: 1; }
    Nodes { height: auto; max-height: 50%; }
    Faults, Log { height: 0; }
    Heat { height: 1fr; }
    Footer { background: ansi_default; color: ansi_default; }
    Footer FooterKey { background: ansi_default; color: ansi_default; }
    Footer FooterKey .footer-key--key { background: ansi_default; color: ansi_cyan; text-style: bold; }
    Footer FooterKey .footer-key--description { background: ansi_default; color: ansi_default; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,escape,ctrl+c", "leave", "leave", key_display="q"),
        Binding("space", "pause", "pause", key_display="space"),
        Binding("n,down,tab", "choose(1)", "next node", key_display="n"),
        Binding("p,up,shift+tab", "choose(-1)", "node before", key_display="p"),
        Binding("left", "go_back(1)", "back", key_display="←"),
        Binding("right", "go_back(-1)", "on", key_display="→"),
        Binding("end", "go_on", "now", key_display="end"),
    ]

    def __init__(self, sees: Sees, look: Look, *, goes: bool = True) -> None:
        super().__init__(ansi_color=True)
        self.sees, self.look_of, self._goes = sees, look, goes
        self.paused = False
        self.left = False

    @property
    def picture(self) -> Picture:
        """What there is to see now."""
        return self.sees.picture

    def compose(self) -> ComposeResult:
        """The parts, from top to bottom."""
        yield from (part(self) for part in (Head, Nodes, Faults, Heat, Log))
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Begin to move."""
        self.step()
        if self._goes:
            self.run_worker(self._go())

    async def _go(self) -> None:
        while not self.sees.ended:
            began = time.monotonic()
            self.step()
            painted = asyncio.Event()
            self.call_after_refresh(painted.set)
            await painted.wait()
            took = time.monotonic() - began
            await asyncio.sleep(max(EVERY_S - took, _REST * took))
        self.exit()

    def step(self) -> None:
        """Show what is new; while it is paused, that waits."""
        before = self.picture.taken
        self.sees.look()
        if self.paused:
            self.picture.back = min(self.picture.back + self.picture.taken - before, len(self.picture.columns))
            return
        self.query_one(Faults).styles.height = min(MOST_FAULTS, len(self.picture.faults(80)))
        self.query_one(Log).styles.height = len(self.picture.log(80, self.size.height))
        for part in self.query(Drawn):
            part.show()

    # What keys do.

    def action_leave(self) -> None:
        """Leave; the run goes on."""
        self.left = True
        self.exit()

    def action_pause(self) -> None:
        """Hold the picture still, or let it go on."""
        if self.paused:
            self.action_go_on()
        else:
            self._hold()

    def _hold(self) -> None:
        self.paused = True
        self.query_one(Head).show()

    def action_go_on(self) -> None:
        """Back to now."""
        self.paused, self.picture.back = False, 0
        self.step()

    def action_go_back(self, steps: int) -> None:
        """Show what was before, or after; the picture holds still."""
        self._hold()
        self.picture.back = min(max(0, self.picture.back + steps * _STEP), max(0, len(self.picture.columns) - 1))
        self.query_one(Heat).show()

    def action_choose(self, step: int) -> None:
        """Show the spikes of the next node that has some, or of the one before."""
        names = list(self.sees.outlets)
        if self.sees.view in names and len(names) > 1:
            self._choose(names[(names.index(self.sees.view) + step) % len(names)])

    def show_node(self, node: str) -> None:
        """Show the spikes of a node, where it has some."""
        name = next((name for name in self.sees.outlets if name.partition(".")[0] == node), None)
        if name is not None and name != self.sees.view:
            self._choose(name)

    def _choose(self, view: str) -> None:
        self.paused = False
        self.sees.choose(view)
        self.step()
