"""Time to first spike: the larger a value, the sooner its spike."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from spikeflow.events import Indices
from spikeflow.nodes.folds import Doubles
from spikeflow.nodes.frame_codes import Code, RangedCode, plain


class TimeToFirstSpike(RangedCode):
    """One spike a channel and frame: at its first tick for `high`, at its last one for values just above `low`.

    With u = (x - low) / (high - low), cut to 0 … 1, and T ticks a frame: tick round((1 - u) · (T - 1)), where halves
    go to the even tick. A channel at `low` or below is silent, so that nothing costs nothing.
    Source: Thorpe, "Spike arrival times: a highly efficient coding scheme for neural networks", 1990.
    """

    elementwise: ClassVar[bool] = True

    def unit_code(self, value: Doubles, channel: Indices) -> Code:
        """The one spike of each channel above 0."""
        above = value > 0.0
        return plain(np.rint((1.0 - value[above]) * (self.frame_ticks - 1)), channel[above])
