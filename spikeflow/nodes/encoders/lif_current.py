"""Current into LIF: as `constant_current_lif`, from rest."""

from __future__ import annotations

from spikeflow.nodes.currents import LifCurrentEncoder


class LifCurrent(LifCurrentEncoder):
    """One leaky integrate-and-fire neuron a channel, driven at each tick by the value that the channel holds.

    dv/dt = (v_leak - v + x) / tau_mem;  where v > v_th: a spike, v = v_reset. v starts at v_leak with the first sample
    of the channel, which is silent before it; with `frame`, at the start of each frame.
    Samples that are not finite, or above 1e30 in size, count as no samples.
    Source: Norse 1.1 and jaxsnn 0.3, lif_current_encoder.
    """
