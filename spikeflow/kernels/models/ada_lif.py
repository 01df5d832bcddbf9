"""Leaky integrate-and-fire with an adaptation current that each spike raises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from spikeflow.kernels.model import Array
from spikeflow.kernels.models.lsnn import Lsnn
from spikeflow.kernels.vocabulary import Real, where


class AdaLif(Lsnn):
    """Leaky integrate-and-fire with an adaptation current `b`, which each spike raises by `beta`.

    dv/dt = (v_leak - v + i - b) / tau_mem,  di/dt = -i / tau_syn,  db/dt = -b / tau_adapt;
    where v > v_th: a spike, v = v - (v_th - v_reset), b = b + beta. Input reaches i after v has moved.
    Source: Norse 1.1, ada_lif_step. As in `lsnn`, it runs with a tau_adapt of 800 s where 800 ms is meant.
    """

    resets: ClassVar = ("subtract",)

    def initial(self) -> Mapping[str, float | Array]:
        return {"v": self.v_leak}

    @staticmethod
    def update(
        v: Real, i: Real, b: Real, arriving: Real, leak: Real, decay: Real, adapt: Real, v_leak: Real, v_th: Real,
        v_reset: Real, beta: Real,
    ) -> Any:  # fmt: skip
        v = v + leak * ((v_leak - v) + i - b)
        i = i - decay * i
        b = b - adapt * b
        spiked = v > v_th
        v = where(spiked, v - (v_th - v_reset), v)
        b = where(spiked, b + beta, b)
        i = i + arriving
        return v, i, b, spiked
