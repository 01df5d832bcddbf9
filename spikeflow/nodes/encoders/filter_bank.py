"""Filter bank: a signal as its parts in bands of frequency."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator
from scipy import signal

from spikeflow.errors import ParameterError, Problem
from spikeflow.events import Grid, Indices, Kind, Stream, Times, empty, sample_batch, sort
from spikeflow.node import Encoder
from spikeflow.nodes.folds import MOST_CARRIED, Doubles, finite_samples, groups
from spikeflow.nodes.held import finite, held_values, within
from spikeflow.units import Hertz


class FilterBank(Encoder):
    """Each channel in n bands of frequency: channel c gives the channels c·n to c·n + n - 1.

    The bands lie between neighbouring `edges`, or `count` of them between `low` and `high`. Each is an IIR filter of
    SciPy's design, as second-order sections whose state is carried on; a band that begins at 0 Hz is a low-pass.
    Without `rate` the filters run at the ticks, on the value that a channel holds (1 / dt is their rate), and give a
    sample at every tick from the channel's first one on. With `rate` every sample counts as the next one at that rate,
    whatever its time, and gives one for each band. Samples that are not finite, or beyond 1e150, count as none.
    It gives samples, not spikes: follow it with `level_crossing`, `rate` or another encoder.
    Source: scipy.signal.butter, bessel, cheby1 and sosfilt; for mel, O'Shaughnessy, "Speech communication", 1987.
    """

    elementwise: ClassVar[bool] = True
    gives: ClassVar[tuple[Kind, ...]] = ("samples",)
    trusted: ClassVar[bool] = True

    edges: list[Annotated[Hertz, Field(ge=0, allow_inf_nan=False)]] | None = Field(
        None, min_length=2, description="where one band ends and the next begins, ascending"
    )
    count: int | None = Field(None, ge=1, le=10_000, description="how many bands, where no edges are given")
    low: Annotated[Hertz, Field(ge=0, allow_inf_nan=False)] | None = Field(None, description="where the lowest begins")
    high: Annotated[Hertz, Field(gt=0, allow_inf_nan=False)] | None = Field(None, description="where the highest ends")
    spacing: Literal["log", "linear", "mel"] = Field("log", description="in what `count` bands are equally wide")
    design: Literal["butter", "bessel", "cheby1"] = Field(
        "butter", description="flat, of equal delay, or steep with ripples"
    )
    order: int = Field(2, ge=1, le=8, description="of the filters; a band-pass has twice as many poles")
    ripple: float = Field(1.0, gt=0, allow_inf_nan=False, description="of cheby1 (dB)")
    rate: Annotated[Hertz, Field(gt=0, allow_inf_nan=False)] | None = Field(
        None, description="at which the samples come; where it is not said, the values held at the ticks are filtered"
    )

    @model_validator(mode="after")
    def _bands_are_given_once(self) -> Self:
        by_count = (self.count, self.low, self.high)
        if self.edges is None:
            if None in by_count:
                raise ParameterError("no bands", "write edges: [100 Hz, 200 Hz, 400 Hz], or count, low and high")
            if self.spacing == "log" and self.low == 0:
                raise ParameterError(
                    "low is 0 Hz, where log spacing has no end", "write spacing: mel, or a low above 0"
                )
        elif any(one is not None for one in by_count):
            raise ParameterError("both edges and count, low or high", "keep one of them")
        if (np.diff(self.band_edges()) <= 0).any():
            raise ParameterError("edges that do not ascend", "write each higher than the one before")
        return self

    def band_edges(self) -> Doubles:
        """[bands + 1] (Hz)."""
        if self.edges is not None:
            return np.array(self.edges)
        assert self.count is not None and self.low is not None and self.high is not None
        if self.spacing == "log":
            return np.geomspace(self.low, self.high, self.count + 1)
        if self.spacing == "linear":
            return np.linspace(self.low, self.high, self.count + 1)
        mel = 2595.0 * np.log10(1.0 + np.array([self.low, self.high]) / 700.0)
        return 700.0 * (10.0 ** (np.linspace(mel[0], mel[1], self.count + 1) / 2595.0) - 1.0)

    def check(self, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """Bands that such samples cannot hold."""
        rate = self.rate or 1.0 / grid.dt
        edges = self.band_edges()
        at = ("edges",) if self.edges is not None else ("high",)
        if edges[-1] >= rate / 2:
            hint = f"bands end below {rate / 2:g} Hz, half the rate" + ("" if self.rate else "; a smaller dt raises it")
            yield Problem(at, f"a band ends at {edges[-1]:g} Hz, and values come {rate:g} times a second", hint)
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", signal.BadCoefficients)
            poles = [signal.sos2zpk(sections)[1] for sections in self._designed(rate)]
        for low, high, pole in zip(edges[:-1], edges[1:], poles, strict=True):
            if np.abs(pole).max() >= 1.0 - 1e-12:
                found = f"the band from {low:g} to {high:g} Hz is too narrow for {rate:g} values a second"
                yield Problem(at, found, "write a wider one, a lower order, or a lower rate")

    def outlets(self, inputs: Sequence[Stream]) -> dict[str, Stream]:
        """A channel for each band of each of the input's."""
        given, bands = inputs[0], len(self.band_edges()) - 1
        shape = (*(given.shape or (given.size,)), bands)
        return {"": Stream("", "samples", given.size * bands, shape=shape, double=given.double)}

    def _designed(self, rate: float) -> list[Doubles]:
        """Second-order sections of each band."""
        edges, found = self.band_edges(), []
        for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            kind: Literal["lowpass", "bandpass"] = "lowpass" if low == 0.0 else "bandpass"
            at: Any = high if low == 0.0 else (low, high)
            if self.design == "butter":
                sections = signal.butter(self.order, at, kind, fs=rate, output="sos")
            elif self.design == "bessel":
                sections = signal.bessel(self.order, at, kind, fs=rate, output="sos", norm="mag")
            else:
                sections = signal.cheby1(self.order, self.ripple, at, kind, fs=rate, output="sos")
            found.append(np.asarray(sections, np.float64))
        return found

    def start(self, size: int) -> None:
        """Filters at rest."""
        self._filters = self._designed(self.rate or 1.0 / self.context.grid.dt)
        self.held = np.full(size, np.nan)
        most = max(len(one) for one in self._filters)
        self.rest = np.zeros((len(self._filters), most, 2, size))

    def encode(self, samples: pa.RecordBatch) -> pa.RecordBatch:
        """Encode one window.

        Args:
            samples: [n] rows of `t`, `channel`, `value`, in time order.

        Returns:
            [ticks · channels · bands], or [n · bands], rows of `t`, `channel` and `value`.
        """
        outlet = self.context.outlet
        if not samples.num_rows and (self.rate is not None or np.isnan(self.held).all()):
            return empty(outlet.plain)
        t_ns, channel, value = self._at_rate(samples) if self.rate is not None else self._at_ticks(samples)
        bands = len(self._filters)
        wide = channel.astype(np.int64)[:, None] * bands + np.arange(bands)
        with np.errstate(over="ignore"):
            kept = value if outlet.double else value.astype(np.float32)
        found = sort(np.repeat(t_ns, bands), wide.ravel().astype(np.uint32), kept.ravel())
        return sample_batch(found[0], found[1], found[2] if found[2] is not None else ())

    def _at_ticks(self, samples: pa.RecordBatch) -> tuple[Times, Indices, Doubles]:
        """[m] times, [m] channels and [m, bands] values."""
        grid, all_channels = self.context.grid, np.arange(len(self.held))
        times, channels, values = [], [], []
        counters = self.context.counters
        samples = within(finite(samples, counters), MOST_CARRIED, counters)
        for first, held in held_values(samples, self.context.window, grid, self.held):
            known = ~np.isnan(held)
            found = self._filtered(np.where(known, held, 0.0), all_channels)  # nothing, into filters at rest
            row, column = np.nonzero(known)
            times.append(grid.origin_ns + (first + row) * grid.dt_ns)
            channels.append(column.astype(np.uint32))
            values.append(found[row, column])
        return np.concatenate(times), np.concatenate(channels), np.concatenate(values)

    def _at_rate(self, samples: pa.RecordBatch) -> tuple[Times, Indices, Doubles]:
        """[n] times, [n] channels and [n, bands] values."""
        t_ns, channel, value = finite_samples(self, samples, MOST_CARRIED)
        order, edges = groups(channel)
        lengths = np.diff(edges)
        found = np.empty((len(value), len(self._filters)))
        for length in np.unique(lengths).tolist():  # channels with as many samples are filtered together
            heads = edges[:-1][lengths == length]
            place = order[heads + np.arange(length)[:, None]]
            found[place] = self._filtered(value[place], channel[place[0]])
        return t_ns, channel, found

    def _filtered(self, value: Doubles, channel: Indices | np.ndarray[tuple[int], np.dtype[np.int64]]) -> Doubles:
        """[n, channels, bands] from [n, channels]; the filters of these channels go on."""
        found = np.empty((*value.shape, len(self._filters)))
        with np.errstate(over="ignore", invalid="ignore"):
            for band, sections in enumerate(self._filters):
                at = self.rest[band, : len(sections)][..., channel]
                found[..., band], after = signal.sosfilt(sections, value, axis=0, zi=at)
                self.rest[band, : len(sections), :, channel] = np.moveaxis(after, 2, 0)
        return found
