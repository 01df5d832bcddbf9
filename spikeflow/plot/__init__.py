"""Pictures of what a graph has computed, for papers and notebooks: rasters, rates, traces, and the graph itself.

Each function takes the files that `sink: file` writes, folders of them, or record batches, and gives a Matplotlib
figure, which a notebook shows and `figure.savefig` writes. They need ``pip install 'spikeflow[plot]'``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spikeflow.errors import ParameterError, many
from spikeflow.events import Kind
from spikeflow.plot import canvas
from spikeflow.plot.canvas import COLOURS, check_ending, save
from spikeflow.plot.counting import Counts, Lines
from spikeflow.plot.reading import Events, PlotWarning, Range, Source, opened
from spikeflow.units import format_ns, round_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from spikeflow.spec import GraphSpec

MOST_DOTS = 20_000
"""Spikes that are drawn one by one; more are counted to pixels."""
MOST_SAMPLES = 200_000
FEW_CHANNELS = 8
_ROWS = 256
_COLUMNS = 16_384
_MOST_BINS = 100_000
_BINS = 250


def raster(*sources: Source, neurons: Sequence[int] | None = None, between: Range = (None, None)) -> Figure:
    """Spikes over time: a dot each, or, where there are more than 20 000, the rate of each pixel.

    Args:
        sources: files or folders that `sink: file` has written, or record batches with the columns `t` (ns) and
            `neuron`; each stream gets axes of its own, with one time for all.
        neurons: [n] only these, one above the other; all unless given.
        between: from when to when (s, counted from each stream's origin).

    Returns:
        A figure with one axes a stream: time (s) to the right, neurons upwards.

    Raises:
        ParameterError: no such file, no spikes in it, or Matplotlib is missing.
        EventError: rows of a file are out of order; names the file and the row.

    Examples:
        >>> from spikeflow import plot, spike_batch
        >>> figure = plot.raster(spike_batch(t_ns=[1_000_000, 2_000_000], neuron=[0, 5]))
        >>> figure.axes[0].get_title(loc="left"), figure.axes[0].get_xlabel()
        ('spikes · 6 neurons · 2 spikes', 'time (s)')
    """
    streams = _opened(sources, "spikes", neurons, between)
    place = _places(neurons)
    figure, axes = canvas.panels(len(streams), 2.0)
    spans = [
        _raster_of(figure, one, stream, COLOURS[k % len(COLOURS)], place, neurons, between)
        for k, (one, stream) in enumerate(zip(axes, streams, strict=True))
    ]
    _time(axes, streams, spans)
    return figure


def _raster_of(
    figure: Figure,
    axes: Axes,
    stream: Events,
    colour: str,
    place: Any,
    neurons: Sequence[int] | None,
    between: Range,
) -> tuple[float, float]:
    size = stream.size if neurons is None else len(place[1])
    counts = Counts(_begin(stream, between), stream.dt_ns, row=max(1, -(-(size or 1) // _ROWS)), rows=_ROWS)
    kept: list[Any] = []
    for t_ns, neuron, _ in stream.parts(between):
        t_ns, neuron = _chosen(t_ns, neuron, place)
        counts.add(t_ns, neuron)
        if counts.total <= MOST_DOTS:
            kept.append((t_ns, neuron))
    size = size or counts.highest + 1
    first, consecutive = (0, True) if place is None else (int(place[1][0]), _run(place[1]))
    lift = first if consecutive else 0
    end_ns = _end(stream, between)
    table = counts.table(end_ns, size)
    span = _span(counts.start_ns, end_ns or counts.start_ns + table.shape[0] * counts.column_ns, stream)
    if not counts.total:
        canvas.said(axes, "no spikes")
    elif counts.total <= MOST_DOTS:
        t_ns, neuron = (np.concatenate([part[k] for part in kept]) for k in range(2))
        seconds = (t_ns - stream.start_ns) / 1e9
        marker, area = ("|", min(120.0, (100 / max(size, 1)) ** 2)) if size <= 64 else (".", 4.0)
        crowded = counts.total > MOST_DOTS // 4  # a vector picture of them all would be large, and slow to show
        axes.scatter(seconds, neuron + lift, s=area, c=colour, marker=marker, linewidths=0.8, rasterized=crowded)
    else:
        from matplotlib.colors import PowerNorm

        high = counts.start_ns + table.shape[0] * counts.column_ns
        extent = (*_span(counts.start_ns, high, stream), lift - 0.5, lift - 0.5 + table.shape[1] * counts.row)
        share = np.minimum(counts.row, size - np.arange(table.shape[1]) * counts.row) * counts.column_ns / 1e9
        drawn = axes.imshow(
            (table / share).T, extent=extent, origin="lower", aspect="auto", cmap=canvas.heat_map(), norm=PowerNorm(0.5)
        )
        bar = figure.colorbar(drawn, ax=axes, pad=0.01, fraction=0.03)
        bar.set_label("rate of a neuron (Hz)", fontsize=8, color=canvas.INK)
        bar.ax.tick_params(labelsize=7, colors=canvas.DIM)
    axes.set_ylim(lift - 0.5, lift + max(size, 1) - 0.5)
    axes.locator_params(axis="y", integer=True, min_n_ticks=1)
    if not consecutive and size <= 40:
        axes.set_yticks(range(size), [str(one) for one in place[1]])
    canvas.labelled(axes, "neuron" if consecutive or size <= 40 else "neuron (of those chosen)")
    canvas.titled(axes, stream.name, f"{many(size, 'neuron')} · {many(counts.total, 'spike')}")
    return span


def rates(
    *sources: Source,
    over: float | None = None,
    neurons: Sequence[int] | None = None,
    between: Range = (None, None),
) -> Figure:
    """The mean rate of the neurons of each stream over time.

    Args:
        sources: as for `raster`.
        over: length of a bin (s); unless given, one that gives some 250 of them.
        neurons: [n] only these.
        between: from when to when (s, counted from each stream's origin).

    Returns:
        A figure with one axes: time (s) to the right, the rate of a neuron (Hz) upwards, one line a stream.

    Raises:
        ParameterError: no such file, no spikes in it, more than 100 000 bins, or Matplotlib is missing.
        EventError: rows of a file are out of order; names the file and the row.

    Examples:
        >>> from spikeflow import plot, spike_batch
        >>> figure = plot.rates(spike_batch(t_ns=[0, 5_000_000, 95_000_000], neuron=[0, 1, 1]), over=0.05)
        >>> figure.axes[0].get_ylabel()
        'rate of a neuron (Hz)'
        >>> [float(rate) for rate in figure.axes[0].patches[0].get_data().values]
        [20.0, 10.0]
    """
    if over is not None and not (isinstance(over, int | float) and 0 < over < math.inf):
        raise ParameterError(f"over: {over!r}", "give the length of a bin in seconds, such as 0.05")
    streams = _opened(sources, "spikes", neurons, between)
    place = _places(neurons)
    figure, (axes,) = canvas.panels(1, 2.8)
    spans = []
    widths = []
    for k, stream in enumerate(streams):
        edges_ns, rate, bin_ns = _rate(stream, over, place, between)
        widths.append(bin_ns)
        seconds = (edges_ns - stream.start_ns) / 1e9
        spans.append((float(seconds[0]), float(seconds[-1])))
        axes.stairs(rate, seconds, color=COLOURS[k % len(COLOURS)], linewidth=1.2, label=stream.name)
    canvas.labelled(axes, "rate of a neuron (Hz)")
    axes.set_ylim(bottom=0.0)
    canvas.ruled(axes)
    each = " and ".join(format_ns(width) for width in sorted({*widths}))
    canvas.titled(
        axes, ", ".join(one.name for one in streams[:4]) + (", …" if len(streams) > 4 else ""), f"bins of {each}"
    )
    if len(streams) > 1:
        axes.legend(fontsize=8, frameon=False, ncols=min(4, len(streams)))
    _time([axes], streams, spans)
    return figure


def _rate(stream: Events, over: float | None, place: Any, between: Range) -> tuple[Any, Any, int]:
    """Edges of the bins (ns), the rate in each (Hz), and how long they are (ns)."""
    begin_ns = _begin(stream, between)
    if over is None:
        counts = Counts(begin_ns, stream.dt_ns, row=1 << 40, rows=1, columns=_COLUMNS)
    else:
        counts = Counts(begin_ns, max(1, round(over * 1e9)), row=1 << 40, rows=1, columns=_MOST_BINS)
    for t_ns, neuron, _ in stream.parts(between):
        counts.add(*_chosen(t_ns, neuron, place))
    bin_ns = counts.column_ns
    if over is not None and bin_ns != max(1, round(over * 1e9)):
        raise ParameterError(f"{stream.name}: more than {_MOST_BINS} bins of {over:g} s", "choose longer ones")
    size = (stream.size or counts.highest + 1) if place is None else len(place[1])
    end_ns = _end(stream, between)
    if end_ns is not None and (end_ns - counts.start_ns) // bin_ns >= (_COLUMNS if over is None else _MOST_BINS):
        end_ns = None  # silence at the end that is longer than all that can be shown
    found = counts.table(end_ns, 1)[:, 0]
    if over is None:
        each = round_number(-(-len(found) // _BINS))
        found = np.append(found, np.zeros(-len(found) % each, np.int64)).reshape(-1, each).sum(axis=1)
        bin_ns *= each
    edges_ns = counts.start_ns + np.arange(len(found) + 1) * bin_ns
    if end_ns is not None:  # the last bin is as long as there is time in it
        edges_ns[-1] = max(min(int(edges_ns[-1]), end_ns), int(edges_ns[-2]) + 1)
    return edges_ns, found / (max(1, size) * np.diff(edges_ns) / 1e9), bin_ns


def traces(*sources: Source, channels: Sequence[int] | None = None, between: Range = (None, None)) -> Figure:
    """Samples over time: membrane potentials, sensors, the answers of decoders.

    Args:
        sources: files or folders that `sink: file` has written, or record batches with the columns `t` (ns), `channel`
            and `value`; each stream gets axes of its own, with one time for all.
        channels: [n] which channels or neurons; the first eight that there are unless given.
        between: from when to when (s, counted from each stream's origin).

    Returns:
        A figure with one axes a stream: time (s) to the right, values, in the unit of the model or of whoever sends
        them, upwards. A value that is not a number is a gap. Of more than 200 000 samples the least and greatest of
        each pixel are drawn.

    Raises:
        ParameterError: no such file, no samples in it, or Matplotlib is missing.
        EventError: rows of a file are out of order; names the file and the row.

    Examples:
        >>> from spikeflow import plot, sample_batch
        >>> figure = plot.traces(sample_batch(t_ns=[0, 10, 20], channel=[3, 3, 3], value=[0.5, 1.0, 0.5]))
        >>> [float(value) for value in figure.axes[0].lines[0].get_ydata()]
        [0.5, 1.0, 0.5]
    """
    streams = _opened(sources, "samples", channels, between)
    chosen = None if channels is None else [int(one) for one in channels]
    figure, axes = canvas.panels(len(streams), 1.8)
    spans = [_traces_of(one, stream, chosen, between) for one, stream in zip(axes, streams, strict=True)]
    _time(axes, streams, spans)
    return figure


def _traces_of(axes: Axes, stream: Events, channels: list[int] | None, between: Range) -> tuple[float, float]:
    lines = Lines(_begin(stream, between), MOST_SAMPLES, channels, FEW_CHANNELS)
    last_ns = lines.start_ns
    for t_ns, channel, value in stream.parts(between):
        if value is not None:
            lines.add(t_ns, channel, value)
            last_ns = max(last_ns, int(t_ns[-1]))
    word = "neuron" if "." in stream.name else "channel"
    for k, one in enumerate(lines.chosen):
        at_ns, values = lines.line(one)
        axes.plot(
            (at_ns - stream.start_ns) / 1e9,
            values,
            color=COLOURS[k % len(COLOURS)],
            linewidth=0.9,
            label=str(one),
        )
    about = many(len(lines.seen), word)
    if len(lines.seen) > len(lines.chosen):
        about = f"{len(lines.chosen)} of {about}"
    if not lines.seen:
        canvas.said(axes, "no samples")
    elif 1 < len(lines.chosen) <= FEW_CHANNELS:
        beside: Any = {"loc": "lower right", "bbox_to_anchor": (1.0, 0.98), "borderaxespad": 0.0}
        axes.legend(fontsize=7, frameon=False, ncols=FEW_CHANNELS, handlelength=1.2, columnspacing=1.2, **beside)
    axes.margins(y=0.15)
    canvas.ruled(axes)
    port = stream.name.partition(".")[2]
    canvas.labelled(axes, f"{port} (model's unit)" if port else "value (sender's unit)")
    canvas.titled(axes, stream.name, about if lines.is_whole else f"{about} · least and greatest of each pixel")
    return _span(lines.start_ns, _end(stream, between) or last_ns, stream)


def graph(graph: GraphSpec | str | Path | Mapping[str, Any]) -> Figure:
    """A graph: its nodes in layers from left to right, what they send each other, and its loops.

    Args:
        graph: a loaded graph, a path, or a mapping.

    Returns:
        A figure without axes' lines: a box a node, an arrow an input, with its delay where it has one; what closes a
        loop runs back below.

    Raises:
        GraphError: something is wrong with the graph.
        ParameterError: Matplotlib is missing.

    Examples:
        >>> from spikeflow import plot
        >>> noise = {"source": "synthetic", "signal": "poisson", "size": 8, "rate": "50 Hz"}
        >>> hidden = {"neuron": "lif", "size": 4, "inputs": [{"from": "noise", "weights": 0.5}]}
        >>> figure = plot.graph({"nodes": {"noise": noise, "hidden": hidden}})
        >>> [text.get_text() for text in figure.axes[0].texts if text.get_text() in ("noise", "hidden")]
        ['noise', 'hidden']
    """
    from spikeflow.plot.graphs import drawn
    from spikeflow.spec import GraphSpec, load

    return drawn(graph if isinstance(graph, GraphSpec) else load(graph))


# What pictures have in common.


def _opened(sources: Sequence[Source], kind: Kind, chosen: Sequence[int] | None, between: Range) -> list[Events]:
    """The streams, once it is clear that something of them can be shown."""
    low, high = _seconds(between)
    if low is not None and high is not None and not low < high:
        raise ParameterError(f"between: {between!r}", "give the earlier time first")
    streams = opened(sources, kind)
    if chosen is None:
        return streams
    word = "neurons" if kind == "spikes" else "channels"
    wanted = np.asarray(chosen)
    if wanted.ndim != 1 or not wanted.size or wanted.dtype.kind not in "iu" or wanted.min() < 0:
        raise ParameterError(f"{word}: {chosen!r}", "give some, as whole numbers from 0 on")
    sizes = [stream.size for stream in streams]
    largest = max((size for size in sizes if size is not None), default=0)
    if None not in sizes and wanted.min() >= largest:
        names = ", ".join(stream.name for stream in streams[:4])
        raise ParameterError(
            f"{word}: {wanted.min()} is past the last one of {names}", f"name some of 0 to {largest - 1}"
        )
    return streams


def _seconds(between: Range) -> Range:
    """From when to when, if that is what it says."""
    try:
        low, high = between
        if all(at is None or math.isfinite(at) for at in (low, high)):
            return low, high
    except (TypeError, ValueError):
        pass
    raise ParameterError(f"between: {between!r}", "give two times in seconds, such as (1.0, 2.5) or (1.0, None)")


def _places(neurons: Sequence[int] | None) -> Any:
    """A table from neuron to place, -1 for those that are left out, and the neurons in order; None for all."""
    if neurons is None:
        return None
    chosen = np.unique(np.asarray(neurons, np.int64))
    table = np.full(int(chosen[-1]) + 1, -1, np.int64)
    table[chosen] = np.arange(chosen.size)
    return table, chosen


def _chosen(t_ns: Any, neuron: Any, place: Any) -> tuple[Any, Any]:
    """The spikes of the chosen neurons, with their places for their numbers."""
    if place is None:
        return t_ns, neuron
    found = place[0][np.minimum(neuron, len(place[0]) - 1)]
    keep = (neuron < len(place[0])) & (found >= 0)
    return t_ns[keep], found[keep]


def _run(chosen: Any) -> bool:
    """Whether numbers follow each other."""
    return int(chosen[-1] - chosen[0]) == len(chosen) - 1


def _begin(stream: Events, between: Range) -> int:
    return stream.start_ns + round((between[0] or 0.0) * 1e9)


def _end(stream: Events, between: Range) -> int | None:
    """Where the picture of a stream ends (ns); None where nothing says so."""
    known = [stream.end_ns] if stream.end_ns is not None else []
    if between[1] is not None:
        known.append(stream.start_ns + round(between[1] * 1e9))
    return min(known, default=None)


def _span(low_ns: int, high_ns: int, stream: Events) -> tuple[float, float]:
    return (low_ns - stream.start_ns) / 1e9, (high_ns - stream.start_ns) / 1e9


def _time(axes: Sequence[Axes], streams: Sequence[Events], spans: Sequence[tuple[float, float]]) -> None:
    """Label the time that they share."""
    starts = {stream.start_ns for stream in streams}
    origin_ns = starts.pop() if len(starts) == 1 else None
    axes[0].figure.align_ylabels()
    canvas.timed(axes, origin_ns, (min(low for low, _ in spans), max(high for _, high in spans)))


__all__ = ["PlotWarning", "check_ending", "graph", "raster", "rates", "save", "traces"]
