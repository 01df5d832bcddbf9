"""Alarm: whether a value is past a threshold, and has been for long enough."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from spikeflow.events import Indices, Kind, Stream, Times, Values, build, empty, sort
from spikeflow.node import Decoder
from spikeflow.nodes.frames import NEVER, finite
from spikeflow.nodes.held import previous_values
from spikeflow.units import Nanoseconds


class Alarm(Decoder):
    """1 where a channel's alarm begins, 0 where it ends; nothing in between.

    A value is past the threshold once it reaches it, and no longer once it is more than `hysteresis` short of it. The
    alarm begins as soon as the value has been past for `lasting`, and not before `hold_off` has gone by since the alarm
    before ended; it ends with the sample that is no longer past. A sample holds until the channel's next one, so an
    alarm may begin between samples; its time is exact, as that of the samples is. Samples that are not finite count as
    no samples.
    """

    elementwise: ClassVar[bool] = True
    takes: ClassVar[tuple[Kind, ...]] = ("samples",)
    trusted: ClassVar[bool] = True
    absent: ClassVar[float] = 0.0
    lasts: ClassVar[bool] = True

    threshold: float = Field(allow_inf_nan=False, description="where an alarm begins, in units of the samples")
    hysteresis: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="how far short of the threshold a value ends the alarm"
    )
    when: Literal["above", "below"] = Field("above", description="the side of the threshold that is past it")
    lasting: Annotated[Nanoseconds, Field(ge=0)] = Field(0, description="how long a value must be past the threshold")
    hold_off: Annotated[Nanoseconds, Field(ge=0)] = Field(
        0, description="how long after the end of an alarm its channel has no other one"
    )

    def outlets(self, inputs: Sequence[Stream]) -> dict[str, Stream]:
        """Samples of the input's shape."""
        return {"": Stream("", "samples", inputs[0].size, shape=inputs[0].shape)}

    def start(self, size: int) -> None:
        """No alarm."""
        self._sign = 1.0 if self.when == "above" else -1.0
        precision = np.float64 if self.context.inputs[0].double else np.float32  # so that 0.7 reaches 0.7
        self._up = float(precision(self._sign * self.threshold))
        self._down = float(precision(self._sign * self.threshold - self.hysteresis))
        self.side = np.full(size, -1.0)  # 1 past the threshold, -1 not
        self.since = np.zeros(size, np.int64)  # since when it is past (ns)
        self.free = np.full(size, -NEVER)  # from when there may be an alarm (ns)
        self.on = np.zeros(size, np.bool_)
        self.due = NEVER  # when the next alarm begins if no sample keeps it from it (ns)

    def answers_at(self, ticks: int) -> Sequence[int]:
        """Every tick: an alarm lasts."""
        return range(ticks)

    def decode(self, spikes: pa.RecordBatch) -> pa.RecordBatch:
        """Decode one window.

        Args:
            spikes: [n] rows of `t`, `channel` and `value`, in time order.

        Returns:
            [m] rows of `t`, `channel` and `value`, 1 or 0.
        """
        if not spikes.num_rows and self.due >= self.context.window.end_ns:
            return empty(self.context.outlet.plain)
        t_ns, channel, value = finite(self, spikes)
        found: list[tuple[Times, Indices, float]] = []
        if value is not None and len(value):
            self._cross(*self._crossings(t_ns, channel, value), found)
        waiting = np.flatnonzero((self.side > 0.0) & ~self.on).astype(np.uint32)
        begins = self._begins(waiting)
        now = begins < self.context.window.end_ns
        self.on[waiting[now]] = True
        found.append((begins[now], waiting[now], 1.0))
        self.due = int(begins[~now].min(initial=NEVER))
        return self._sorted(found)

    def _crossings(self, t_ns: Times, channel: Indices, value: Values) -> tuple[Times, Indices, Values]:
        """When which channels go to which side."""
        signed = value.astype(np.float64) * self._sign
        side = np.where(signed >= self._up, 1.0, np.where(signed < self._down, -1.0, 0.0))
        clear = side != 0.0
        t_ns, channel, side = t_ns[clear], channel[clear], side[clear]
        crossed = side != previous_values(channel, side, self.side)
        return t_ns[crossed], channel[crossed], side[crossed]

    def _cross(self, t_ns: Times, channel: Indices, side: Values, found: list[tuple[Times, Indices, float]]) -> None:
        """Follow each channel from side to side, all channels together."""
        order = np.argsort(channel, kind="stable")
        heads = np.flatnonzero(np.diff(channel[order].astype(np.int64), prepend=-1))
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order)) - np.repeat(heads, np.diff(heads, append=len(order)))
        by_rank = np.argsort(rank, kind="stable")
        for low, high in pairwise([0, *np.cumsum(np.bincount(rank)).tolist()]):
            use = by_rank[low:high]
            at, where, past = t_ns[use], channel[use], side[use] > 0.0
            self.since[where[past]] = at[past]
            at, where = at[~past], where[~past]
            begins = self._begins(where)
            begun = ~self.on[where] & (begins <= at)
            found.append((begins[begun], where[begun], 1.0))
            ended = self.on[where] | begun
            at, where = at[ended], where[ended]
            found.append((at, where, 0.0))
            self.on[where] = False
            self.free[where] = at + self.hold_off

    def _begins(self, channel: Indices) -> Times:
        """When the alarm of channels that are past the threshold begins (ns)."""
        begins: Times = np.maximum(self.since[channel] + self.lasting, self.free[channel])
        np.maximum(begins, self.context.window.start_ns, out=begins)  # later only behind a window that was missed
        return begins

    def _sorted(self, found: Sequence[tuple[Any, Indices, float]]) -> pa.RecordBatch:
        t_ns = np.concatenate([at for at, _, _ in found])
        channel = np.concatenate([where for _, where, _ in found])
        value = np.repeat([state for _, _, state in found], [len(at) for at, _, _ in found])
        return build(self.context.outlet.plain, *sort(t_ns, channel, value))
