"""The encoders of docs/encoders.md: the parameters of each, and how its spikes are turned back into a signal."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

from scipy.signal import firwin

THRESHOLD = 0.05
"""Of every encoder that has one, in units of the signal's range."""
TICKS = 25
"""From sample to sample."""

Node: TypeAlias = dict[str, Any]
Given: TypeAlias = str
"""Which form of the signal an encoder takes: a key of `FORMS`."""

FORMS = {
    "unit": "each channel scaled to 0 … 1",
    "signed": "each channel scaled to -1 … 1",
    "current": "each channel scaled to 0.25 … 1.25, so that no value is below v_th",
    "rise": "each channel scaled to a range of 1 that begins at 0, as the spikes do not tell where it begins",
}
BSA_TAPS = [round(float(tap), 4) for tap in firwin(12, 0.15)]


@dataclass(frozen=True)
class Ticks:
    """A time, in ticks."""

    count: float

    def of(self, dt_ns: int) -> str:
        """As a graph file has it."""
        return f"{self.count * dt_ns:g} ns"

    def __str__(self) -> str:
        samples = self.count / TICKS
        if self.count % 5 == 0:
            return "T" if samples == 1 else f"{samples:g} T"
        return f"{self.count:g} tick{'s' * (self.count != 1)}"


@dataclass(frozen=True)
class PerSample:
    """A rate, in events a sample."""

    count: float

    def of(self, dt_ns: int) -> str:
        """As a graph file has it."""
        return f"{self.count * 1e9 / (TICKS * dt_ns)!r} Hz"

    def __str__(self) -> str:
        return f"{self.count:g} / T"


@dataclass(frozen=True)
class Case:
    """An encoder with its parameters and its way back.

    Attributes:
        kind: of the encoder.
        parameters: its keys; times as `Ticks`, rates as `PerSample`.
        back: the nodes behind it, the last of which gives the signal; where `weights` of a `linear` are not said, they
            are fitted.
        given: the form of the signal that it takes.
        late: by how many samples the way back is late.
        closed: whether the spikes act back on the encoder, so that the error is stated in thresholds, too.
        why_not: by the name of a signal, why there is no way back from it.
        says: what a reader should know of its way back.
    """

    kind: str
    parameters: Node
    back: tuple[Node, ...]
    given: Given = "unit"
    late: int = 0
    closed: bool = False
    why_not: dict[str, str] = field(default_factory=dict)
    says: str = ""

    @property
    def fitted(self) -> bool:
        """Whether weights are fitted."""
        return bool(self.back[-1]["decoder"] == "linear")

    @property
    def frames(self) -> bool:
        """Whether the way back answers at the end of a frame."""
        return bool(self.back[-1]["decoder"] != "reconstruct")


_COUNTS: tuple[Node, ...] = ({"decoder": "spike_count", "frame": Ticks(TICKS)}, {"decoder": "linear"})
_TIMES: tuple[Node, ...] = (
    {"decoder": "spikes_to_times", "frame": Ticks(TICKS), "unit": "ticks"},
    {"decoder": "linear"},
)
_INVERSE: tuple[Node, ...] = ({"decoder": "reconstruct"},)
_LIF: Node = {"tau_mem": Ticks(10), "v_th": 0.2}
_SHARP: Node = {**_LIF, "delta_T": 0.02}
_FRAME: Node = {"frame": Ticks(TICKS)}

CASES: tuple[Case, ...] = (
    Case(
        "level_crossing", {"threshold": THRESHOLD, "initial": 0.0}, _INVERSE, closed=True,
        says="The middle between two levels: half a threshold away at most.",
    ),
    Case(
        "send_on_delta", {"threshold": THRESHOLD}, _INVERSE, closed=True,
        says="The last value that was sent: less than a threshold away.",
    ),
    Case(
        "sigma_delta", {"threshold": THRESHOLD}, _INVERSE, closed=True,
        says="The sum of what was sent: less than a threshold away.",
    ),
    Case(
        "step_forward", {"threshold": THRESHOLD}, _INVERSE, "rise", closed=True,
        says="The base, which takes one step a sample: where the signal moves by more than a threshold from sample to "
        "sample, the base lags behind. `steps: all` is within one threshold.",
    ),
    Case(
        "threshold_based", {"factor": 1.0, "value": "step"}, _INVERSE, "rise",
        says="The sum of the thresholds of its spikes, which do not act back on the encoder: it drifts. What it keeps "
        "is where the signal changes.",
    ),
    Case(
        "moving_window", {"threshold": THRESHOLD, "over": 5}, _INVERSE, "rise",
        says="The sum of its spikes, which do not act back on the encoder: it drifts. What it keeps is where the "
        "signal leaves its recent mean.",
    ),
    Case(
        "bsa", {"taps": BSA_TAPS, "threshold": 0.6, "interval": Ticks(TICKS)}, _INVERSE, late=len(BSA_TAPS) - 1,
        says=f"The filter for each spike, {len(BSA_TAPS) - 1} samples late, by which it is moved back here. A spike a "
        "sample at most, and a filter that passes the lowest 15 % of the band: fast changes are lost, and so "
        "is what stays below the filter's own peak.",
    ),
    Case("rate", {"f_max": PerSample(10)}, _COUNTS),
    Case(
        "poisson", {"f_max": PerSample(10)}, _COUNTS,
        says="A sample has few spikes: what is off is chance, and the line is flatter than it would be without.",
    ),
    Case("signed_poisson", {"f_max": PerSample(10)}, _COUNTS, "signed", says="As `poisson`."),
    Case(
        "population", {"centres": 8, "scale": 1.0, "sigma": 0.15},
        ({"encoder": "poisson", "f_max": PerSample(10)}, {"decoder": "population_vector", "range": [0.0, 1.0],
          "centres": 8, **_FRAME}),
        says="It gives samples, and `poisson` behind it makes them spikes: these are counted. `population_vector` is "
        "drawn to the middle where the range ends, as there are no neurons beyond it.",
    ),
    Case(
        "constant_current_lif", _LIF, _COUNTS, "current",
        says="Counts are not linear in the current, nor is a sample long enough for many spikes.",
    ),
    Case("lif_current", _LIF, _COUNTS, "current", says="As `constant_current_lif`, whose neurons it has."),
    Case("lif_ex_current", _SHARP, _COUNTS, "current", says="As `constant_current_lif`."),
    Case(
        "lif_adex_current", {**_SHARP, "tau_ada": Ticks(4 * TICKS), "adaptation_current": 0.5}, _COUNTS, "current",
        says="The neurons adapt: the same value gives fewer spikes after a while, which no line can undo.",
    ),
    Case(
        "spike_latency_lif", {**_FRAME, **_LIF}, _TIMES, "current",
        says="The latency is a logarithm of the value, which a line follows badly.",
    ),
    Case(
        "time_to_first_spike", {**_FRAME, "low": -0.05}, _TIMES,
        says=f"One of {TICKS} ticks: the value to within half of 1.05 / {TICKS - 1}. With `low` at 0 the least value "
        "would be silent, as nothing is to cost nothing.",
    ),
    Case(
        "spatio_temporal", {**_FRAME, "t_late": Ticks(TICKS - 1)}, _TIMES,
        says=f"One of {TICKS} ticks: the value to within half of 1 / {TICKS - 1}.",
    ),
    Case(
        "burst", {**_FRAME, "most": 5, "shortest": Ticks(2)}, _COUNTS,
        says="Counts from 0 to 5. The distances within a burst say more, which a count leaves out.",
    ),
    Case("phase", {**_FRAME, "bits": 8}, _COUNTS, says="Eight bits of the value, three times a frame."),
    Case(
        "rank_order", {**_FRAME, "spacing": Ticks(1)}, _TIMES,
        why_not={"ECG": "one channel has no order"},
        says="Only the order of the channels, so that a line through the ranks is a guess at their values.",
    ),
)  # fmt: skip

LEFT_OUT = {
    "one_hot": "takes labels, not measurements",
    "spike_latency": "takes spikes",
}
"""Kinds that make no spikes of samples as sensors give them, beside those that give samples."""
