"""Signed Poisson: spikes at random, the more the further the value is from zero, each with the value's sign."""

from __future__ import annotations

from typing import ClassVar

from spikeflow.nodes.chances import RandomEncoder


class SignedPoisson(RandomEncoder):
    """At each tick a channel spikes sign(x) with probability dt · f_max · |x|, cut to 0 … 1, where x is what it holds.

    So x from -1 to 1 gives spikes of -1 or 1, up to f_max of them a second. A sample holds from its own tick on; before
    its first one a channel is silent. Which ticks spike depends on the seed, the node's name, the channel and the tick
    alone.
    Source: Norse 1.1, signed_poisson_encode; signed_poisson_encode_step has f_max at 1000 Hz.
    """

    valued: ClassVar[bool] = True
    purpose: ClassVar = "signed_poisson"
