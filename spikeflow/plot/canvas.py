"""The canvas: figures, axes and colours, alike in every picture. Matplotlib is imported on first use."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikeflow.errors import ParameterError, shown, why

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#c27c00", "#00795a", "#a8437c", "#8a7d00", "#c04a00", "#4a55c4", "#5a6679")
"""Okabe and Ito's, darkened for a white ground: told apart by everybody."""
HEAT = ("#fafbfd", "#cee0f0", "#78b2d6", "#2d79b8", "#0d4280", "#061a42")
"""Even steps of lightness, from nothing to the most."""
INK, DIM, GRID = "#18202c", "#5a6679", "#e3e7ee"
ENDINGS = (".png", ".svg", ".pdf")
_YEAR_NS = 31_536_000_000_000_000
_WIDE = 9.0
_DOTS_PER_INCH = 150


def panels(count: int, height: float) -> tuple[Figure, list[Axes]]:
    """A new figure with axes one below the other, which share their time.

    Raises:
        ParameterError: Matplotlib is missing.
    """
    figure = blank(_WIDE, 0.8 + height * count, arranged=True)
    axes = figure.subplots(count, 1, sharex=True, squeeze=False)[:, 0].tolist()
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
        one.spines[["left", "bottom"]].set_color(DIM)
        one.tick_params(colors=DIM, labelsize=8)
    return figure, axes


def blank(width: float, height: float, *, arranged: bool = False) -> Figure:
    """A new, empty figure (inches), which notebooks show as it is.

    Raises:
        ParameterError: Matplotlib is missing.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise ParameterError("plots need matplotlib", "pip install 'spikeflow[plot]'")
    from matplotlib.figure import Figure

    class Picture(Figure):
        def _repr_png_(self) -> bytes:
            raw = io.BytesIO()
            self.savefig(raw, format="png", dpi=100)
            return raw.getvalue()

    return Picture(figsize=(width, height), layout="constrained" if arranged else None)


def titled(axes: Axes, name: str, about: str) -> None:
    """A name, and what is to be said about it, above some axes."""
    axes.set_title(f"{name} · {about}", loc="left", fontsize=9, color=INK)


def timed(axes: Sequence[Axes], origin_ns: int | None, span: tuple[float, float]) -> None:
    """Label the time of the lowest axes, in seconds from the origin; None where streams differ in theirs."""
    text = "time (s)" if origin_ns is not None else "time (s), each from its own origin"
    if origin_ns is not None and origin_ns > _YEAR_NS:
        text += f" since {datetime.fromtimestamp(origin_ns / 1e9, UTC):%Y-%m-%d %H:%M:%S} UTC"
    axes[-1].set_xlabel(text, fontsize=9, color=INK)
    if span[1] > span[0]:
        axes[-1].set_xlim(*span)


def labelled(axes: Axes, text: str) -> None:
    """Label what runs upwards."""
    axes.set_ylabel(text, fontsize=9, color=INK)


def ruled(axes: Axes) -> None:
    """Draw lines across, behind everything."""
    axes.set_axisbelow(True)
    axes.grid(axis="y", color=GRID, linewidth=0.8)


def said(axes: Axes, text: str) -> None:
    """A few words where there is nothing to draw."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=DIM, fontsize=9)


def heat_map() -> Any:
    """The colours from nothing to the most."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("spikes", HEAT)


def check_ending(path: Path) -> None:
    """Whether a file's name says which picture it is.

    Raises:
        ParameterError: it does not.
    """
    if path.suffix.lower() not in ENDINGS:
        raise ParameterError(f"{shown(path)}: no ending that says what picture it is", f"endings: {', '.join(ENDINGS)}")


def save(figure: Figure, path: Path) -> None:
    """Write a picture, in the format that the ending says.

    Raises:
        ParameterError: an unknown ending, or the file cannot be written.
    """
    check_ending(path)
    known = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}  # the same events, the same file
    import matplotlib

    try:
        with matplotlib.rc_context({"svg.hashsalt": "spikeflow"}):
            figure.savefig(path, dpi=_DOTS_PER_INCH, metadata=known.get(path.suffix.lower()))
    except OSError as error:
        raise ParameterError(f"{shown(path)} cannot be written: {why(error)}", "choose another place") from None
