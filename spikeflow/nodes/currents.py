"""Encoders whose channels drive a neuron each: the value that a channel holds is the neuron's current."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field, model_validator

from spikeflow.errors import Problem
from spikeflow.events import Grid, Indices, Stream, Times, Values, columns, empty, spike_batch
from spikeflow.kernels import Events, Group, Network, NeuronModel, Projection, Result, Train, build
from spikeflow.kernels.model import Time, Value
from spikeflow.kernels.models.lif_current import LifCurrent
from spikeflow.kernels.models.lif_current_half import LifCurrentHalf
from spikeflow.node import ALWAYS, State
from spikeflow.nodes.blocks import FramedEncoder
from spikeflow.nodes.held import finite, within

_NEURONS, _CURRENT = "neurons", "current"
_MOST = 1e30
"""A current above it could take a state out of float32, and with it the run."""
_Flags = npt.NDArray[np.bool_]


class CurrentEncoder(FramedEncoder):
    """One neuron a channel, in its initial state until the channel's first sample; in frames, until the frame's."""

    trusted: ClassVar[bool] = True
    elementwise: ClassVar[bool] = True
    model_class: ClassVar[type[NeuronModel]]
    first_only: ClassVar[bool] = False
    """Whether a neuron's first spike, of the frame where there are frames, is its only one."""
    begins_at: ClassVar[Mapping[str, float]] = {}
    """The state of a neuron that begins, over the model's own."""

    precision: Literal["float32", "float64"] = Field("float32", description="of the neurons")
    allow_unstable: bool = Field(False, description="accept a tick so long that the leak overshoots")

    @model_validator(mode="after")
    def _model_takes_them(self) -> CurrentEncoder:
        self.model()
        return self

    def model(self) -> NeuronModel:
        """The neurons, with the parameters of the same names."""
        cls, own = self.model_class, type(self).model_fields
        return cls(**{name: getattr(self, name) for name in cls.model_fields if name in own})

    def check(self, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """A frame that is not whole ticks, and what the model has to say against its parameters."""
        yield from super().check(inputs, grid)
        yield from self.model().problems(grid.dt, inputs[0].size)

    def outlets(self, inputs: Sequence[Stream]) -> dict[str, Stream]:
        """A neuron a channel; spikes have a value where the model's have one."""
        return {"": replace(super().outlets(inputs)[""], valued=self.model().graded is not None)}

    def start(self, size: int) -> None:
        """Neurons in their initial state, which nothing drives."""
        self.begin_frames(size)
        grid, copies = self.context.grid, self.context.copies
        each = size // copies
        self._network = Network(
            [Group(_NEURONS, self.model(), size, self.precision, initial=self.begins_at, copies=copies)],
            [Train(_CURRENT, size, valued=True, copies=copies)],
            [Projection(_CURRENT, _NEURONS, build(each, each, dt=grid.dt), hold=True)],
            dt=grid.dt,
            origin_ns=grid.origin_ns,
            dt_ns=grid.dt_ns,
        )
        self._first = {key: value for key, value in self._network.save().items() if key.startswith("state/")}
        self._none = empty(self.context.outlet.plain)
        self.begun = np.zeros(size, np.bool_)
        """Which neurons have been given a current."""
        self.spent = np.zeros(size, np.bool_)
        """Which neurons have had their only spike."""

    def save(self) -> State:
        """The state of the neurons and the values that they hold."""
        return {**super().save(), "network": self._network.save()}

    def load(self, state: State) -> None:
        """Put a saved state back."""
        self._network.load(state["network"])
        super().load({name: value for name, value in state.items() if name != "network"})

    def rests_until(self) -> int:
        """Until the next sample, where no neuron moves any more, or none has a current."""
        if self.frame is not None:
            return 0 if self.holds else ALWAYS
        return ALWAYS if self._network.is_still or not self.begun.any() else 0

    def encode(self, samples: pa.RecordBatch) -> pa.RecordBatch:
        """Encode one window.

        Args:
            samples: [n] rows of `t`, `channel`, `value`, in time order; those that are not finite, or above 1e30 in
                size, count as none.

        Returns:
            [m] rows of `t` (starts of ticks), `neuron` (the channel) and, where spikes have one, `value`.
        """
        found = []
        samples = within(finite(samples, self.context.counters), _MOST, self.context.counters)
        for result in self._running(samples) if self.frame is None else self._framed(samples):
            t_ns, neuron, value = result.t, result.neuron, result.value
            if not len(t_ns):
                continue
            if self.first_only or not self.begun.all():
                fits = self._counting(neuron)
                t_ns, neuron, value = t_ns[fits], neuron[fits], None if value is None else value[fits]
            found.append((t_ns, neuron, value))
        if not found:
            return self._none
        if len(found) == 1:
            return spike_batch(*found[0])
        times, neurons, values = zip(*found, strict=True)
        return spike_batch(
            np.concatenate(times), np.concatenate(neurons), None if values[0] is None else np.concatenate(values)
        )

    def _counting(self, neuron: Indices) -> _Flags:
        """Which spikes count: of neurons that have begun, and, if it is the only one, each one's first."""
        counting = self.begun[neuron]
        if self.first_only:
            first = np.zeros(len(neuron), np.bool_)
            first[np.unique(neuron, return_index=True)[1]] = True
            counting &= first & ~self.spent[neuron]
            self.spent[neuron[counting]] = True
        return counting

    def _running(self, samples: pa.RecordBatch) -> Iterator[Result]:
        """Step through the window; where channels have their first sample, their neurons begin."""
        window = self.context.window
        low, end = window.first_tick, window.first_tick + window.ticks
        if not samples.num_rows:
            if self.begun.any():
                yield self._step(low, end, None)
            return
        t_ns, channel, value = columns(samples)
        new = np.flatnonzero(~self.begun[channel]) if not self.begun.all() else ()
        if len(new):
            tick = self.context.grid.ticks(t_ns[new])
            for first in np.unique(tick).tolist():
                at = int(np.searchsorted(t_ns, self.context.grid.time(first)))
                if self.begun.any() and low < first:
                    yield self._step(low, first, (t_ns[:at], channel[:at], value[:at]))
                t_ns, channel, value, low = t_ns[at:], channel[at:], value[at:], first
                beginning = channel[: int(np.searchsorted(t_ns, self.context.grid.time(first + 1)))]
                self._begin(np.unique(beginning[~self.begun[beginning]]))
        if self.begun.any():
            yield self._step(low, end, (t_ns, channel, value))

    def _framed(self, samples: pa.RecordBatch) -> Iterator[Result]:
        """Step through the frames of the window, each from the initial state on."""
        for part, value in self.latched(samples):
            given = None
            if part.begins:
                self._network.reset([_NEURONS])
                self.begun = ~np.isnan(value)
                self.spent[:] = False
                channel = np.flatnonzero(self.begun).astype(np.uint32)
                given = np.full(len(channel), self.context.grid.time(part.low)), channel, value[channel]
            if self.begun.any():
                yield self._step(part.low, part.high, given)

    def _step(self, low: int, high: int, given: tuple[Times, Indices, Values] | None) -> Result:
        events = {} if given is None or not len(given[0]) else {_CURRENT: Events(*given)}
        return self._network.step(low, high - low, events)[_NEURONS]

    def _begin(self, channels: Indices) -> None:
        """Put neurons in their initial state; nobody has looked at them yet."""
        if self.begun.any():
            state: dict[str, Any] = self._network.save()
            for key, first in self._first.items():
                state[key][channels] = first[channels]
            self._network.load(state)
        self.begun[channels] = True


class LifCurrentEncoder(CurrentEncoder):
    """One leaky integrate-and-fire neuron a channel."""

    tau_mem: Time = Field(10e-3, description="membrane time constant")
    v_leak: Value = Field(0.0, description="potential at rest")
    v_th: Value = Field(1.0, description="threshold; a spike where v is above it; 0.6 in jaxsnn")
    v_reset: Value = Field(0.0, description="potential after a spike")
    compatibility: Literal["jaxsnn"] | None = Field(
        None, description="jaxsnn: spikes carry 1, and where v is equal to v_th 1/2, which resets v by half"
    )

    def model(self) -> NeuronModel:
        """The neurons."""
        cls = LifCurrentHalf if self.compatibility == "jaxsnn" else LifCurrent
        return cls(tau_mem=self.tau_mem, v_leak=self.v_leak, v_th=self.v_th, v_reset=self.v_reset,
                   allow_unstable=self.allow_unstable)  # fmt: skip


__all__ = ["CurrentEncoder", "LifCurrentEncoder"]
