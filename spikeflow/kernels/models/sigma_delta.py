"""Sigma-delta neurons: they add up changes, and send a change once it is large enough."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from spikeflow.kernels.model import NeuronModel, Value
from spikeflow.kernels.vocabulary import Real, absolute, maximum, where


class SigmaDelta(NeuronModel):
    """Sigma-delta neurons: graded spikes carry by how much the activation has changed since the last one.

    s += input;  a = s, or max(s, 0) with `activation: relu`;  where |a - ref| > v_th: a spike of a - ref, ref = a.
    Source: O'Connor and Welling (2017), and Lava's SigmaDelta process.
    """

    v_th: Value = Field(0.1, description="change that is worth a spike")
    activation: Literal["none", "relu"] = Field("none", description="what is sent of the sum")

    state: ClassVar = ("s", "ref", "sent")
    receptors: ClassVar = ("s",)
    refracts: ClassVar = False
    resets: ClassVar = ()
    graded: ClassVar = "sent"

    def options(self) -> dict[str, str]:
        return {**super().options(), "activation": self.activation}

    @staticmethod
    def update(
        s: Real, ref: Real, sent: Real, arriving: Real, v_th: Real, zero: Real, *, activation: str
    ) -> Any:  # fmt: skip
        s = s + arriving
        if activation == "relu":
            moved = maximum(s, zero) - ref
        else:
            moved = s - ref
        spiked = absolute(moved) > v_th
        sent = where(spiked, moved, zero)
        ref = ref + sent
        return s, ref, sent, spiked
