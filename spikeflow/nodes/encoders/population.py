"""Population: a value as the responses of neurons that each prefer another one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from spikeflow.errors import Problem
from spikeflow.events import Grid, Indices, Kind, Stream, Times, Values, columns, empty, sample_batch, sort
from spikeflow.node import ALWAYS, Encoder
from spikeflow.nodes.held import finite
from spikeflow.nodes.room import of_copies, too_large
from spikeflow.units import Seconds

_LARGEST = 3.4e38
"""Centres are in float32, as they are in PyTorch."""
_SAMPLE_BYTES = 32
"""Less than what a sample takes while it is made: its time, channel and value, and the distance that it comes from."""


class Tracked(BaseModel):
    """A range that follows the signal."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    track: Annotated[Seconds, Field(gt=0)] = Field(description="the time in which the range shrinks to 1 / e")


class Population(Encoder):
    """Each sample becomes one sample for each of `centres` values spread evenly from 0 to `scale`: how near it is.

    The response is kernel(distance(x, centre) · scale). Channel c has the outputs c · centres to (c + 1) · centres - 1.
    It gives samples, not spikes: follow it with `poisson`, or feed it into a population as a current.
    With `scale: {track: 60 s}` the scale at a tick is the largest max(x) · exp(-age / 60 s) of all samples of all
    channels (of one copy, where there are copies) up to that tick; until a value has been above zero, or where one is
    beyond float32, samples give nothing and are noted as no range.
    Source: Norse 1.1, population_encode, which multiplies the distance by the scale once more; there the scale is the
    largest value of all by default, which a stream cannot know.
    """

    elementwise: ClassVar[bool] = True
    gives: ClassVar[tuple[Kind, ...]] = ("samples",)
    trusted: ClassVar[bool] = True

    centres: int = Field(ge=1, description="how many neurons share a channel")
    scale: Annotated[float, Field(gt=0, le=_LARGEST, allow_inf_nan=False)] | Tracked = Field(
        description="the largest centre, in units of the samples; `{track: 60 s}` follows the largest of them"
    )
    kernel: Literal["gaussian", "laplace"] = Field(
        "gaussian", description="of a distance d: exp(-d / 2 sigma²), or exp(-d / sigma)"
    )
    distance: Literal["squared", "absolute"] = Field("squared", description="(x - centre)², or |x - centre|")
    sigma: float = Field(1.0, gt=0, allow_inf_nan=False, description="the width of the kernel")

    def check(self, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """More centres than there is memory for."""
        yield from self.check_copies(1, inputs, grid)

    def check_copies(self, copies: int, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """More centres than there is memory for."""
        count = copies * inputs[0].size * self.centres
        found = f"{count} samples for one of each channel{of_copies(copies)}"
        yield from too_large(count * _SAMPLE_BYTES, ("centres",), found, "take fewer centres")

    def outlets(self, inputs: Sequence[Stream]) -> dict[str, Stream]:
        """`centres` channels for each of the input's, of the input's precision."""
        shape = (*(inputs[0].shape or (inputs[0].size,)), self.centres)
        return {"": Stream("", "samples", inputs[0].size * self.centres, shape=shape, double=inputs[0].double)}

    def rests_until(self) -> int:
        """Until the next sample."""
        return ALWAYS

    def start(self, size: int) -> None:
        """No sample has been seen."""
        copies = self.context.copies
        self._one = size // copies
        self.peak = np.zeros(copies)
        """The sample that the range of each copy comes from."""
        self.peak_tick = np.zeros(copies, np.int64)

    def encode(self, samples: pa.RecordBatch) -> pa.RecordBatch:
        """Encode one window.

        Args:
            samples: [n] rows of `t`, `channel`, `value`, in time order; those that are not finite count as none.

        Returns:
            [n · centres] rows of `t`, `channel` and `value` in [0, 1].
        """
        if not samples.num_rows:
            return empty(self.context.outlet.plain)
        t_ns, channel, value = columns(finite(samples, self.context.counters))
        scale: Any = self.scale
        if isinstance(scale, Tracked):
            rate = self.context.grid.dt / scale.track
            scale = self._range(channel // np.uint32(self._one), self.context.grid.ticks(t_ns), value, rate)
            known = (scale > 0.0) & (scale <= _LARGEST)
            if not known.all():
                self.context.counters.note("no range", int((~known).sum()))
                t_ns, channel, value, scale = t_ns[known], channel[known], value[known], scale[known]
        if not len(t_ns):
            return empty(self.context.outlet.plain)
        response = responses(value, self.centres, scale, self.kernel, self.distance, self.sigma)
        wide = channel.astype(np.int64)[:, None] * self.centres + np.arange(self.centres)
        found = sort(np.repeat(t_ns, self.centres), wide.ravel().astype(np.uint32), response.ravel())
        return sample_batch(found[0], found[1], found[2] if found[2] is not None else ())

    def _range(self, copy: Indices, tick: Times, value: Values, rate: float) -> Values:
        """[n] what the range is at the tick of each sample; 0 where no value of its copy has been above zero."""
        if not len(tick):
            return np.zeros(0)
        heard = np.unique(copy)
        of = np.concatenate((heard, copy))  # each copy's samples behind the one that its range came from
        order = np.argsort(of, kind="stable")
        of = of[order]
        above = np.concatenate((self.peak[heard], np.maximum(value, 0.0).astype(np.float64)))[order]
        at = np.concatenate((self.peak_tick[heard], tick))[order]
        with np.errstate(divide="ignore"):
            grown = np.log(above) + at * rate  # so that all of them shrink alike: the largest one is the range
        place = np.arange(len(at))
        begins = np.flatnonzero(np.diff(of, prepend=of[0] + 1))
        first = np.repeat(begins, np.diff(begins, append=len(of)))
        rank = np.unique(grown, return_inverse=True)[1].reshape(-1) + first * len(of)  # those of a later copy are above
        newest = np.maximum.accumulate(np.where(rank >= np.maximum.accumulate(rank), place, 0))
        ends = np.flatnonzero((np.diff(of, append=of[-1] + 1) != 0) | (np.diff(at, append=-1) != 0))
        peak = newest[ends[np.searchsorted(ends, place)]]  # all samples of a tick count
        last = newest[np.append(begins[1:], len(of)) - 1]
        self.peak[heard], self.peak_tick[heard] = above[last], at[last]
        scale = np.empty(len(of))
        scale[order] = above[peak] * np.exp((at[peak] - at) * rate)
        return scale[len(heard) :]


def responses(
    x: Values,
    centres: int,
    scale: float | Values,
    kernel: str = "gaussian",
    distance: str = "squared",
    sigma: float = 1.0,
) -> Values:
    """[n, centres] responses to [n] values, in the precision of the values; `scale` is one, or one for each."""
    kind = x.dtype.type
    with np.errstate(over="ignore"):
        away: npt.NDArray[np.floating[Any]] = x[:, None] - evenly(scale, centres).astype(kind)
        away = away * away if distance == "squared" else np.abs(away)
        away = away * np.asarray(scale)[..., None].astype(kind)
        width = 2.0 * sigma * sigma if kernel == "gaussian" else sigma
        result: Values = np.exp(-away / kind(width))
    return result


def evenly(scale: float | Values, count: int) -> npt.NDArray[np.float32]:
    """[..., count] centres from 0 to each scale, in float32 and from both ends to the middle, as PyTorch makes them."""
    last = np.asarray(scale, np.float32)[..., None]
    step = last / np.float32(max(1, count - 1))
    place = np.arange(count, dtype=np.float32)
    found = np.where(place < count // 2, step * place, last - step * (np.float32(count - 1) - place))
    return found if count > 1 else np.zeros_like(found)
