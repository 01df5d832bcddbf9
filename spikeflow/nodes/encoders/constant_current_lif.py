"""Constant current into LIF: neurons that spike the sooner and the more often, the larger the value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

import numpy as np

from spikeflow.errors import Problem
from spikeflow.events import Grid, Stream
from spikeflow.nodes.currents import LifCurrentEncoder


class ConstantCurrentLif(LifCurrentEncoder):
    """One leaky integrate-and-fire neuron a channel, driven at each tick by the value that the channel holds.

    dv/dt = (v_leak - v + x) / tau_mem;  where v > v_th: a spike, v = v_reset. v starts at 0 with the first sample of
    the channel, which is silent before it; with `frame`, at the start of each frame.
    Samples that are not finite, or above 1e30 in size, count as no samples.
    Source: Norse 1.1, constant_current_lif_encode, where v starts at 0 and not at v_leak; jaxsnn 0.3, the function of
    the same name.
    """

    begins_at: ClassVar = {"v": 0.0}

    def check(self, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """Beside what is wrong with neurons, some that would spike without a current."""
        if np.any(np.less_equal(self.v_th, 0.0)):
            yield Problem(("v_th",), f"v_th is {float(np.min(self.v_th)):g}", "above 0: v starts there")
        yield from super().check(inputs, grid)
