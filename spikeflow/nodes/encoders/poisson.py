"""Poisson: spikes at random, the more the larger the value."""

from __future__ import annotations

from typing import ClassVar

from spikeflow.nodes.chances import RandomEncoder


class Poisson(RandomEncoder):
    """At each tick a channel spikes with probability dt · f_max · x, cut to 0 … 1, where x is the value it holds.

    So x from 0 to 1 gives 0 to f_max spikes a second. A sample holds from its own tick on; before its first one a
    channel is silent. Which ticks spike depends on the seed, the node's name, the channel and the tick alone.
    Source: Norse 1.1, poisson_encode; poisson_encode_step has f_max at 1000 Hz.
    """

    purpose: ClassVar = "poisson"
