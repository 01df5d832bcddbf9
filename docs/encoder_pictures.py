"""Pictures of signals, their spikes, and the signals that the spikes are turned back into."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from docs.encoder_cases import TICKS, Case

if TYPE_CHECKING:
    from docs.encoders_on_signals import Outcome, Signal

SIGNAL, BACK, UP, DOWN = "#a8a8a8", "#d55e00", "#0072b2", "#a3186f"  # told apart in grey and with any eyes
INCHES, DPI, COLOURS = (9.0, 8.6), 100, 128
LABEL = (-0.062, 0.5)  # of the axes, one below the other


def draw(case: Case, signals: Sequence[Signal], found: Sequence[Outcome], path: Path) -> None:
    """Draw one encoder: a panel for each signal, with what was rebuilt on it, and a strip of spikes below it."""
    style: Any = {"font.family": "DejaVu Sans", "font.size": 9.5, "axes.spines.top": False, "axes.spines.right": False}
    with mpl.rc_context(style):
        figure = Figure(figsize=INCHES, dpi=DPI)
        canvas: Any = FigureCanvasAgg(figure)
        strip = 1.6 if found[0].neurons > 1 else 0.8
        rows = figure.add_gridspec(
            11, 1, height_ratios=[2.6, 0.12, strip, 1.3] * 2 + [2.6, 0.12, strip],
            left=0.083, right=0.985, top=0.895, bottom=0.065, hspace=0.0,
        )  # fmt: skip
        for place, (signal, outcome) in enumerate(zip(signals, found, strict=True)):
            values = figure.add_subplot(rows[4 * place])
            _signal(values, signal, outcome, case)
            spikes = figure.add_subplot(rows[4 * place + 2], sharex=values)
            _spikes(spikes, signal, outcome)
            if place == len(signals) - 1:
                spikes.set_xlabel("time (s)")
        signed = any((one.events[2] < 0).any() for one in found)
        handles = [
            Line2D([], [], color=SIGNAL, lw=3.4, label="signal"),
            Line2D([], [], color=BACK, lw=1.3, label="rebuilt from the spikes"),
            Line2D([], [], color=UP, marker="|", ls="", ms=10, mew=1.6, label="spike, up" if signed else "spike"),
        ]
        if signed:
            handles.append(Line2D([], [], color=DOWN, marker="|", ls="", ms=10, mew=1.6, label="spike, down"))
        figure.text(0.083, 0.962, case.kind, fontsize=14, fontweight="bold", va="center")
        figure.legend(handles=handles, loc="center right", bbox_to_anchor=(0.99, 0.962), ncols=4, frameon=False)
        canvas.draw()
        picture = Image.frombytes("RGBA", canvas.get_width_height(), canvas.buffer_rgba().tobytes())
    small = io.BytesIO()
    picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    path.write_bytes(small.getvalue())


def _signal(axes: Any, signal: Signal, outcome: Outcome, case: Case) -> None:
    """The signal, and what was rebuilt."""
    channel, low, high = signal.shown
    seconds = np.arange(low, high + 1) * signal.every_ns / 1e9
    steps = {"where": "post", "solid_joinstyle": "round"}
    given = outcome.given[low:high, channel]
    axes.step(seconds, [*given, given[-1]], color=SIGNAL, lw=3.4, **steps)
    said = f"{outcome.a_sample:.3g} events a sample"
    if outcome.back is not None:
        back = outcome.back[low:high, channel]
        axes.step(seconds, [*back, back[-1]], color=BACK, lw=1.3, **steps)
        said += f", error {100 * outcome.error[0]:.2g} % of the range (rms)"
    else:
        said += f", not rebuilt: {case.why_not[signal.name]}"
    axes.set_xlim(seconds[0], seconds[-1])
    axes.margins(y=0.08)
    axes.set_ylabel("part of the range")
    axes.yaxis.set_label_coords(*LABEL)
    axes.tick_params(labelbottom=False, bottom=False)
    axes.spines["bottom"].set_visible(False)
    axes.grid(axis="y", color="#e6e6e6", lw=0.7)
    axes.set_axisbelow(True)
    axes.set_title(f"{signal.name}: {signal.label}", loc="left", fontsize=10.5, pad=4)
    axes.set_title(f"all of the signal: {said}", loc="right", fontsize=9, pad=4, color="#444444")


def _spikes(axes: Any, signal: Signal, outcome: Outcome) -> None:
    """The spikes of the channel, as high as their value, or a row for each of its neurons."""
    channel, low, high = signal.shown
    tick, neuron, value = outcome.events
    own = (neuron // outcome.neurons == channel) & (tick >= low * TICKS) & (tick < high * TICKS)
    seconds, size = tick[own] * signal.dt_ns / 1e9, value[own]
    width = float(np.clip(420 / max(1, len(seconds) / outcome.neurons), 0.45, 1.4))
    colours = np.where(size < 0, DOWN, UP).tolist()
    if outcome.neurons > 1:
        row = neuron[own] % outcome.neurons
        axes.vlines(seconds, row + 0.12, row + 0.88, colors=colours, lw=width)
        axes.set_ylim(0, outcome.neurons)
        axes.set_yticks([0.5, outcome.neurons - 0.5], ["0", str(outcome.neurons - 1)])
        axes.set_ylabel("neuron")
    else:
        most = float(np.abs(size).max()) if len(size) else 1.0
        tall = np.sign(size) * np.maximum(np.abs(size) / most, 0.2)
        axes.vlines(seconds, 0.0, tall, colors=colours, lw=width)
        down = bool((size < 0).any())
        axes.axhline(0.0, color="#999999", lw=0.6)
        axes.set_ylim(-1.1 if down else 0.0, 1.1)
        label = f"{most:.0f}" if most >= 1.0 else f"{most:.2f}"
        axes.set_yticks([-1, 0, 1] if down else [0, 1], [f"-{label}", "0", label] if down else ["0", label])
        axes.set_ylabel("spike")
    axes.yaxis.set_label_coords(*LABEL)
