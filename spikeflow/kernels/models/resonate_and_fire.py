"""Resonate-and-fire: a damped oscillation that answers to inputs in its own rhythm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from spikeflow.errors import Problem
from spikeflow.kernels.model import Array, NeuronModel, Time, Value
from spikeflow.kernels.parameters import Frequency
from spikeflow.kernels.vocabulary import Real, where
from spikeflow.units import Seconds


class ResonateAndFire(NeuronModel):
    """Resonate-and-fire: z = x + i y turns at `frequency` and fades with `tau`; x is like a current, y like a voltage.

    dz/dt = (-1 / tau + i 2 pi frequency) z + current;  where y > v_th: a spike, x = x_reset, y = y_reset.
    What arrives moves x at once. `integrator: exact`, the default, turns z over the tick; Euler's steps spiral
    outwards unless they are short.
    Source: Izhikevich (2001), Resonate-and-fire neurons, Neural Networks 14, with b = -1 / tau and omega = 2 pi
    frequency; the defaults keep the ratio of its figures, omega = 10 and b = -1.
    """

    frequency: Frequency = Field(40.0, description="eigenfrequency, one value or one per neuron")
    tau: Time = Field(40e-3, description="time in which an oscillation fades to 1/e")
    v_th: Value = Field(1.0, description="threshold; a spike where y is above it")
    x_reset: Value = Field(0.0, description="x after a spike")
    y_reset: Value = Field(1.0, description="y after a spike")
    integrator: Literal["euler", "exact"] = Field("exact", description="exact: the propagator over a tick, or euler")

    state: ClassVar = ("x", "y")
    receptors: ClassVar = ("current",)
    held: ClassVar = ("x", "y")
    integrators: ClassVar = ("euler", "exact")
    input_orders: ClassVar = ("first", "last")
    linear: ClassVar = ("tau",)
    reset_below: ClassVar = ("y_reset", "v_th")

    def constants(self, dt: Seconds) -> Mapping[str, float | Array]:
        angle = 2 * np.pi * dt * self.frequency
        keep = np.exp(-dt / self.tau)
        return {"along": keep * np.cos(angle), "across": keep * np.sin(angle), "leak": dt / self.tau, "turn": angle}

    def problems(self, dt: Seconds, size: int | None = None) -> list[Problem]:
        """Those of every model, an oscillation too fast for the tick, and steps of Euler that spiral outwards."""
        found = super().problems(dt, size)
        if not all(problem.warning for problem in found):
            return found
        frequency = np.asarray(self.frequency)
        if (frequency < 0).any():
            least = f"{frequency.min():.3g} Hz for neuron {int(frequency.argmin())}"
            return [*found, Problem(("frequency",), f"{least} is below zero", "narrow the distribution")]
        turns = dt * float(frequency.max())
        if turns > 0.5:
            found.append(Problem(
                ("frequency",), f"{frequency.max():.3g} Hz is {turns:.3g} turns in a tick, more than half a one",
                "take a shorter dt or a lower frequency",
            ))  # fmt: skip
        elif self.integrator == "euler" and not self.allow_unstable:
            tau, frequency = np.broadcast_arrays(self.tau, frequency)
            growth = float(np.hypot(1 - dt / tau, 2 * np.pi * dt * frequency).max())
            if growth > 1:
                found.append(Problem(
                    ("frequency",), f"unstable: a step of Euler makes an oscillation {growth:.4g} times as large",
                    "take integrator: exact, a shorter dt, or allow_unstable: true",
                ))  # fmt: skip
        return found

    @staticmethod
    def update(
        x: Real, y: Real, current: Real, along: Real, across: Real, leak: Real, turn: Real,
        v_th: Real, x_reset: Real, y_reset: Real, *, input_order: str, integrator: str,
    ) -> Any:  # fmt: skip
        if input_order == "first":
            x = x + current
        if integrator == "exact":
            turned = along * x - across * y
            y = across * x + along * y
        else:
            turned = x - (leak * x + turn * y)
            y = y + (turn * x - leak * y)
        if input_order == "last":
            turned = turned + current
        spiked = y > v_th
        return where(spiked, x_reset, turned), where(spiked, y_reset, y), spiked
