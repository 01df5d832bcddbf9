"""Spike latency by LIF: each channel's first spike, which is the sooner, the larger the value."""

from __future__ import annotations

from typing import ClassVar

from spikeflow.nodes.currents import LifCurrentEncoder


class SpikeLatencyLif(LifCurrentEncoder):
    """The first spike of one leaky integrate-and-fire neuron a channel, driven by the value it holds.

    dv/dt = (v_leak - v + x) / tau_mem;  the first time that v > v_th: a spike, and silence. v starts at 0 with the
    first sample of the channel; with `frame`, at the start of each frame, which has a first spike of its own.
    Samples that are not finite, or above 1e30 in size, count as no samples.
    Source: Norse 1.1, spike_latency_lif_encode.
    """

    begins_at: ClassVar = {"v": 0.0}
    first_only: ClassVar = True
