"""Constant current into LIF: neurons that spike the sooner and the more often, the larger the value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from spikeflow.errors import Problem
from spikeflow.events import Grid, Stream, columns, spike_batch
from spikeflow.kernels import Events, Group, Network, Projection, Train, build
from spikeflow.kernels.model import Time, Value
from spikeflow.kernels.models.lif_current import LifCurrent
from spikeflow.node import ALWAYS, Encoder, State

_NEURONS, _CURRENT = "neurons", "current"


class ConstantCurrentLif(Encoder):
    """One leaky integrate-and-fire neuron a channel, driven at each tick by the value that the channel holds.

    dv/dt = (v_leak - v + x) / tau_mem;  where v > v_th: a spike, v = v_reset. v starts at 0 with the first sample of
    the channel, which is silent before it.
    Source: Norse 1.1, constant_current_lif_encode, where v starts at 0 and not at v_leak.
    """

    trusted: ClassVar[bool] = True
    elementwise: ClassVar[bool] = True

    tau_mem: Time = Field(10e-3, description="membrane time constant")
    v_leak: Value = Field(0.0, description="potential at rest")
    v_th: Value = Field(1.0, description="threshold; a spike where v is above it")
    v_reset: Value = Field(0.0, description="potential after a spike")
    precision: Literal["float32", "float64"] = Field("float32", description="of the neurons")

    @model_validator(mode="after")
    def _model_takes_them(self) -> ConstantCurrentLif:
        self._model()
        return self

    def _model(self) -> LifCurrent:
        return LifCurrent(tau_mem=self.tau_mem, v_leak=self.v_leak, v_th=self.v_th, v_reset=self.v_reset)

    def check(self, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """Parameters of another size, a tick that is too long, neurons that would spike without a sample."""
        if np.any(np.less_equal(self.v_th, 0.0)):
            yield Problem(("v_th",), f"v_th is {float(np.min(self.v_th)):g}", "above 0: v starts there")
        yield from self._model().problems(grid.dt, inputs[0].size)

    def start(self, size: int) -> None:
        """Neurons at 0 that nothing drives."""
        grid, copies = self.context.grid, self.context.copies
        each = size // copies
        self._network = Network(
            [Group(_NEURONS, self._model(), size, self.precision, initial={"v": 0.0}, copies=copies)],
            [Train(_CURRENT, size, valued=True, copies=copies)],
            [Projection(_CURRENT, _NEURONS, build(each, each, dt=grid.dt), hold=True)],
            dt=grid.dt,
            origin_ns=grid.origin_ns,
            dt_ns=grid.dt_ns,
        )
        self._against_leak = np.tile(np.broadcast_to(-np.asarray(self.v_leak, np.float64), each), copies)
        self._primed = not self._against_leak.any()

    def save(self) -> State:
        """The state of the neurons and the values that they hold."""
        return {**self._network.save(), "primed": self._primed}

    def load(self, state: State) -> None:
        """Put a saved state back."""
        self._primed = state["primed"]
        self._network.load({name: value for name, value in state.items() if name != "primed"})

    def rests_until(self) -> int:
        """Until the next sample, where no neuron moves any more."""
        return ALWAYS if self._primed and self._network.is_still else 0

    def encode(self, samples: pa.RecordBatch) -> pa.RecordBatch:
        """Encode one window.

        Args:
            samples: [n] rows of `t`, `channel`, `value`, in time order.

        Returns:
            [m] rows of `t` (starts of ticks) and `neuron` (the channel).
        """
        window = self.context.window
        if self._primed and not samples.num_rows:
            result = self._network.step(window.first_tick, window.ticks, {})[_NEURONS]
            return spike_batch(result.t, result.neuron)
        t_ns, channel, value = columns(samples)
        finite = np.isfinite(value)
        if not finite.all():
            t_ns, channel, value = t_ns[finite], channel[finite], value[finite]
        if not self._primed:  # v stays where it is until a channel's first sample, which takes this one's place
            size = len(self._against_leak)
            t_ns = np.concatenate([np.full(size, window.start_ns), t_ns])
            channel = np.concatenate([np.arange(size, dtype=np.uint32), channel])
            value = np.concatenate([self._against_leak, value])
            self._primed = True
        result = self._network.step(window.first_tick, window.ticks, {_CURRENT: Events(t_ns, channel, value)})[_NEURONS]
        return spike_batch(result.t, result.neuron)
