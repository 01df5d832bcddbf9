"""Make docs/encoders.md and its pictures: what every encoder makes of three real signals, and the way back from it.

python -m docs.encoders_on_signals
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pywt.data

import spikeflow
from docs.encoder_cases import CASES, FORMS, LEFT_OUT, THRESHOLD, TICKS, Case, Node, PerSample, Ticks
from spikeflow.catalog import kinds, node_class
from spikeflow.nodes.event_files import read_header

HERE = Path(__file__).parent
PAGE, PICTURES = HERE / "encoders.md", HERE / "encoders"
SIGNALS = HERE.parent / "tests" / "data" / "signals"

Floats: TypeAlias = npt.NDArray[np.float64]
Columns: TypeAlias = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats]
"""[n] ticks, [n] neurons or channels, [n] values."""


@dataclass(frozen=True)
class Signal:
    """A recorded signal.

    Attributes:
        name: of the signal.
        says: what it is.
        path: its file.
        channels: how many there are.
        every_ns: from sample to sample.
        samples: how many instants are sampled.
        low, high: [channels] the least and the largest value.
        first: [channels] the first value.
        shown: the channel in the pictures, and from which sample to which.
        label: what that channel is.
    """

    name: str
    says: str
    path: Path
    channels: int
    every_ns: int
    samples: int
    low: Floats
    high: Floats
    first: Floats
    shown: tuple[int, int, int]
    label: str

    @property
    def dt_ns(self) -> int:
        """A tick."""
        return self.every_ns // TICKS


@dataclass(frozen=True)
class Outcome:
    """What an encoder made of a signal.

    Attributes:
        events: spikes, as [n] ticks, neurons and values.
        neurons: how many there are a channel.
        given: [samples, channels] what it was given, from 0 to 1; NaN before a channel's first sample.
        back: the same, rebuilt; empty where there is no way back.
    """

    events: Columns
    neurons: int
    given: Floats
    back: Floats | None

    @property
    def a_sample(self) -> float:
        """Events per sample."""
        return len(self.events[0]) / int(np.isfinite(self.given).sum())

    @property
    def error(self) -> tuple[float, float]:
        """Root mean square and largest error, in parts of the range."""
        assert self.back is not None
        off = np.abs(self.back - self.given)
        off = off[np.isfinite(off)]
        return float(np.sqrt(np.mean(off**2))), float(off.max())


def signals(folder: Path) -> list[Signal]:
    """The three signals; the one that a package holds is written into `folder`."""
    ecg = pywt.data.ecg().astype(np.float32)
    every = 2_750_000
    path = folder / "ecg.parquet"
    t = pa.array(np.arange(len(ecg)) * every)
    pq.write_table(pa.table({"t": t, "channel": pa.array(np.zeros(len(ecg), np.uint32)), "value": pa.array(ecg)}), path)
    return [
        _signal(
            "ECG", "`pywt.data.ecg()` of PyWavelets: 1 channel, 1024 samples. The package does not say how "
            "fast they were taken; 2.75 ms apart, the heart beats 66 times a minute.",
            path, 1, every, (0, 420, 660), "one beat",
        ),
        _signal(
            "motions", "BasicMotions of the UEA archive, as it lies in the package aeon: the accelerometer of a smart "
            "watch (x, y and z) in the first training case each of standing, walking, running and badminton: 12 "
            "channels, 100 samples of each, 100 ms apart.",
            SIGNALS / "motions.csv", 12, 100_000_000, (6, 0, 100), "running, x",
        ),
        _signal(
            "host", "What the source `host` said of a machine in 16 s, in whose midst a core got busy: "
            "use of two cores, memory, received, sent and load: 6 channels, one sample of each every 50 ms, put on the "
            "beat by `resample`.", SIGNALS / "host.parquet", 6, 50_000_000, (0, 40, 160), "cpu.0",
        ),
    ]  # fmt: skip


def _signal(
    name: str, says: str, path: Path, channels: int, every_ns: int, shown: tuple[int, int, int], label: str
) -> Signal:
    """A signal with what its file says."""
    source: Node = {"source": "file", "path": str(path), "size": channels}
    with tempfile.TemporaryDirectory() as folder:
        tape = {"sink": "file", "input": "even", "path": f"{folder}/even.arrow"}
        even = {"encoder": "resample", "input": "signal", "every": f"{every_ns} ns"}
        time = {"dt": f"{every_ns // TICKS} ns", "window": f"{every_ns * 100} ns"}
        graph = {"spikeflow": 1, "time": time, "nodes": {"signal": source, "even": even, "tape": tape}}
        spikeflow.run_blocking(graph)
        tick, channel, value = read(Path(folder, "even.arrow"), every_ns // TICKS)
    own = [value[channel == k] for k in range(channels)]
    low, high, first = (np.array(found) for found in zip(*((x.min(), x.max(), x[0]) for x in own), strict=True))
    whole = read_header(path).length_ns  # a sample whose time is cut off by the end does not count
    samples = min(int(tick.max()) // TICKS + 1, int(tick.max()) if whole is None else whole // every_ns)
    return Signal(name, says, path, channels, every_ns, samples, low, high, first, shown, label)


def read(path: Path, dt_ns: int) -> Columns:
    """A stream that a graph has written."""
    with pa.ipc.open_file(path) as file:
        table = file.read_all()
        origin = int(str(file.schema.metadata[b"origin"].decode()))
    t_ns = table.column(0).cast(pa.int64()).to_numpy()
    value = table.column(2).to_numpy() if table.num_columns > 2 else np.ones(table.num_rows)
    return (t_ns - origin) // dt_ns, table.column(1).to_numpy().astype(np.int64), value.astype(np.float64)


def held(columns: Columns, size: int, at: npt.NDArray[np.int64], before: float = 0.0) -> Floats:
    """[n, size] the newest value of each channel at [n] ticks, and `before` before there is one."""
    tick, channel, value = columns
    found = np.full((len(at), size), before)
    for k in range(size):
        own = channel == k
        place = np.searchsorted(tick[own], at, side="right") - 1
        found[place >= 0, k] = value[own][place[place >= 0]]
    return found


def outcomes(signal: Signal, folder: Path, cases: Sequence[Case] = CASES) -> list[Outcome]:
    """What each case makes of the signal, in one graph; a second run has the weights that the first one led to."""
    first, second = folder / f"{signal.name}_1", folder / f"{signal.name}_2"
    run(signal, cases, [None] * len(cases), first)
    ends = (np.arange(signal.samples) + 1) * TICKS
    given = {form: held(_read(first, form, signal), signal.channels, ends - 1, np.nan) for form in FORMS}
    weights: list[Floats | None] = []
    for number, case in enumerate(cases):
        weights.append(None)
        if case.fitted and signal.name not in case.why_not:
            seen = held(_read(first, f"c{number}_back0", signal), signal.channels, ends)
            weights[-1] = fit(seen, given[case.given])
    run(signal, cases, weights, second)
    found = []
    for number, case in enumerate(cases):
        name = f"c{number}" if case.back[0].get("decoder") else f"c{number}_back0"
        tick, neuron, value = _read(second, name, signal)
        inside = tick < signal.samples * TICKS
        truth, back = given[case.given], None
        if signal.name not in case.why_not:
            last = f"c{number}_back{len(case.back) - 1}"
            at = ends if case.frames else ends - 1 + case.late * TICKS
            back = held(_read(second, last, signal), signal.channels, at)
            back[signal.samples - case.late :] = np.nan
            back[np.isnan(truth)] = np.nan
        low, width = bounds(signal, case.given)
        rebuilt = None if back is None else (back - low) / width
        columns = tick[inside], neuron[inside], value[inside]
        neurons = case.parameters.get("centres", 1)
        found.append(Outcome(columns, neurons, (truth - low) / width, rebuilt))
    return found


def bounds(signal: Signal, form: str) -> tuple[Floats, float]:
    """[channels] the least value of each channel in this form, and the range."""
    low = {"unit": 0.0, "signed": -1.0, "current": 0.25, "rise": (signal.low - signal.first) / ranges(signal)}[form]
    return np.broadcast_to(np.asarray(low), (signal.channels,)), 2.0 if form == "signed" else 1.0


def ranges(signal: Signal) -> Floats:
    """[channels] from the least value to the largest; 1 for a channel that never moves."""
    return np.where(signal.high > signal.low, signal.high - signal.low, 1.0)


def fit(seen: Floats, truth: Floats) -> Floats:
    """[2] weight and bias of the line that leads from what was read out to the signal, least squares."""
    known = np.isfinite(truth)
    x, y = seen[known], truth[known]
    slope, bias = np.linalg.lstsq(np.stack([x, np.ones_like(x)], axis=1), y, rcond=None)[0]
    return np.array([slope, bias])


def run(signal: Signal, cases: Sequence[Case], weights: Sequence[Floats | None], folder: Path) -> None:
    """Run the graph of all cases, whose streams go into `folder`."""
    spikeflow.run_blocking(graph(signal, cases, weights, folder))


def graph(signal: Signal, cases: Sequence[Case], weights: Sequence[Floats | None], folder: Path) -> Node:
    """The graph: signal, its forms, encoders, ways back, and a tape of them all."""
    dt, every = f"{signal.dt_ns} ns", f"{signal.every_ns} ns"
    length = f"{(signal.samples + 1) * signal.every_ns} ns"
    nodes: Node = {
        "signal": {"source": "file", "path": str(signal.path), "size": signal.channels, "length": length},
        "even": {"encoder": "resample", "input": "signal", "every": every},
    }
    for form in FORMS:
        low, width = bounds(signal, form)
        gain = width / ranges(signal)
        line = {"gain": gain.tolist(), "offset": (low - gain * signal.low).tolist()}
        nodes[form] = {"encoder": "scale", "input": "even", **line}
    for number, (case, fitted) in enumerate(zip(cases, weights, strict=True)):
        last = f"c{number}"
        nodes[last] = {"encoder": case.kind, "input": case.given, **spelled(case.parameters, signal.dt_ns)}
        for place, node in enumerate(case.back):
            if node.get("decoder") == "linear":
                if fitted is None:
                    break
                matrix = (np.eye(signal.channels) * fitted[0]).tolist()
                node = {**node, "weights": matrix, "bias": float(fitted[1])}
            nodes[f"c{number}_back{place}"] = {**spelled(node, signal.dt_ns), "input": last}
            last = f"c{number}_back{place}"
    streams = [name for name in nodes if name != "signal"]
    nodes["tape"] = {"sink": "file", "input": streams, "path": str(folder), "format": "arrow"}
    time = {"dt": dt, "window": f"{100 * signal.every_ns} ns"}
    return {"spikeflow": 1, "seed": 1, "name": signal.name, "time": time, "nodes": nodes}


def spelled(node: Node, dt_ns: int) -> Node:
    """The keys as a graph has them."""
    return {key: value.of(dt_ns) if isinstance(value, Ticks | PerSample) else value for key, value in node.items()}


def _read(folder: Path, name: str, signal: Signal) -> Columns:
    return read(folder / f"{name}.arrow", signal.dt_ns)


OPENING = f"""# Encoders on real signals

What every encoder makes of three recorded signals, and how near the way back comes. Made by
`python -m docs.encoders_on_signals` (with the extra `dev`), which runs one graph for each signal; the tests run them
again and compare the figures.

## Rules

- T is the time from sample to sample. A tick is T / {TICKS}, so that how fast a signal was taken plays no part.
- `scale` brings each channel to a range of 1 over the whole recording. A threshold is {THRESHOLD} of that range.
- A spike is an event, whatever its value: a count of 3 is one event.
- Spikes are turned back by `reconstruct` where the encoder has an inverse. Else the spikes of each sample are counted
  (`spike_count`), or their first time is taken (`spikes_to_times`), and `linear` maps that to the value: one weight and
  one bias for all channels, fitted to this very signal by least squares. So that figure is the best a line can do.
- The error is the difference between each sample and the value rebuilt at its end, in % of the channel's range: the
  root of the mean square, and the largest. Before the first spike a channel counts as 0.
- A picture shows one channel for a while, with the figures of the whole signal. A spike is as high as its value.

## Signals

{{signals}}

## All of them

Events per sample, and the error (root mean square, % of the range).

{{table}}

Not here: {{left_out}}.
"""


def page(made: Sequence[tuple[Signal, Sequence[Outcome]]]) -> str:
    """The page."""
    given = "\n".join(f"- **{signal.name}**: {signal.says}" for signal, _ in made)
    text = OPENING.format(signals=given, table="\n".join(_overview(made)), left_out=_left_out())
    return text + "".join(_section(number, case, made) for number, case in enumerate(CASES))


def _overview(made: Sequence[tuple[Signal, Sequence[Outcome]]]) -> Iterator[str]:
    names = [signal.name for signal, _ in made]
    yield "| encoder | " + " | ".join(f"events, {name} | error, {name}" for name in names) + " |"
    yield "| --- |" + " ---: | ---: |" * len(names)
    for number, case in enumerate(CASES):
        cells = []
        for _, found in made:
            one = found[number]
            cells += [f"{one.a_sample:.3f}", "-" if one.back is None else f"{100 * one.error[0]:.2f}"]
        yield f"| [{case.kind}](#{case.kind}) | " + " | ".join(cells) + " |"


def _section(number: int, case: Case, made: Sequence[tuple[Signal, Sequence[Outcome]]]) -> str:
    """All about one encoder."""
    keys = ", ".join(f"`{key}: {value}`" for key, value in case.parameters.items())
    back = ", ".join(_named(node) for node in case.back)
    lines = [f"\n## {case.kind}", "", f"- With {keys}; {FORMS[case.given]}.", f"- Back by {back}. {case.says}".rstrip()]
    lines += [
        "",
        "| signal | events per sample | events/s a channel | error, rms (%) | largest (%) | largest (thresholds) |",
    ]
    lines += ["| --- | ---: | ---: | ---: | ---: | ---: |"]
    for signal, found in made:
        one = found[number]
        a_second = one.a_sample * 1e9 / signal.every_ns
        errors = ["-", "-", "-"]
        if one.back is not None:
            errors = [f"{100 * part:.2f}" for part in one.error]
            errors += [f"{one.error[1] / THRESHOLD:.2f}" if case.closed else "-"]
        name = f"{signal.name} ({case.why_not[signal.name]})" if signal.name in case.why_not else signal.name
        lines.append(f"| {name} | {one.a_sample:.3f} | {a_second:.1f} | {' | '.join(errors)} |")
    alt = f"Three signals, the spikes of {case.kind}, and the signals rebuilt from them"
    return "\n".join([*lines, "", f"![{alt}](encoders/{case.kind}.png)", ""])


def _named(node: Node) -> str:
    """A node of the way back, in words."""
    kind = node.get("decoder") or node["encoder"]
    keys = ", ".join(f"{key}: {value}" for key, value in node.items() if key not in ("decoder", "encoder"))
    return f"`{kind}`" + (f" ({keys})" if keys else "")


def _left_out() -> str:
    """The kinds that are not on the page, and why."""
    giving = [kind for kind in kinds("encoder") if node_class("encoder", kind).gives == ("samples",)]
    samples = [f"`{kind}`" for kind in giving if kind not in {case.kind for case in CASES}]
    others = [f"`{kind}` {why}" for kind, why in LEFT_OUT.items()]
    return "; ".join([*others, f"{', '.join(samples)} give samples"])


def measured(folder: Path) -> list[tuple[Signal, list[Outcome]]]:
    """Every signal with what each case makes of it."""
    return [(signal, outcomes(signal, folder)) for signal in signals(folder)]


def main() -> None:
    """Write the page and draw the pictures."""
    from docs.encoder_pictures import draw

    with tempfile.TemporaryDirectory() as folder:
        made = measured(Path(folder))
    PAGE.write_text(page(made), encoding="utf-8")
    PICTURES.mkdir(exist_ok=True)
    for number, case in enumerate(CASES):
        draw(case, [signal for signal, _ in made], [found[number] for _, found in made], PICTURES / f"{case.kind}.png")


if __name__ == "__main__":
    main()
