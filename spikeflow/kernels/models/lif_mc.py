"""Leaky integrate-and-fire compartments that are coupled through a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from spikeflow.errors import Problem
from spikeflow.kernels.model import Coupling, Matrix
from spikeflow.kernels.models.lif import Lif
from spikeflow.units import Seconds


class LifMc(Lif):
    """Leaky integrate-and-fire compartments; each potential is moved by those of all others through `g_coupling`.

    One tick of `lif`, and after it (or before it, with `coupled: before`) v += dt · g_coupling v. So v may be above the
    threshold after a tick; the spike comes with the next one.
    Source: Norse 1.1, lif_mc_step (`after`) and lif_mc_feed_forward_step (`before`); its documentation shows another
    equation.
    """

    g_coupling: Matrix = Field(None, description="a .npy file [neurons, neurons]; row j moves neuron j (1/s)")
    coupled: Literal["after", "before"] = Field("after", description="whether the coupling acts after or before a tick")

    refracts: ClassVar = False

    def couplings(self, dt: Seconds) -> Sequence[Coupling]:
        if self.g_coupling is None:
            return ()
        return (Coupling(self.g_coupling * dt, of="v", into="v", after=self.coupled == "after"),)

    def problems(self, dt: Seconds, size: int | None = None) -> list[Problem]:
        return [*super().problems(dt, size), *coupling_problems(self.g_coupling, size)]


def coupling_problems(coupling: Matrix, size: int | None) -> list[Problem]:
    """What is wrong with a matrix of couplings between `size` neurons."""
    if coupling is None:
        return [Problem(("g_coupling",), "no coupling", "name a .npy file with a matrix [neurons, neurons]")]
    if size is not None and coupling.shape != (size, size):
        found = f"a coupling of shape {list(coupling.shape)} for {size} neurons"
        return [Problem(("g_coupling",), found, f"give [{size}, {size}]")]
    return []
