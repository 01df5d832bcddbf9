"""What Norse's decoders gave, and how a stream says each case.

The spikes of a case are [tick, lane, neuron]. Where lanes do not meet, all of them are one stream of `lane · neurons +
neuron`; where they are summed, or their neurons are, each run is of those that belong together.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_FILE = Path(__file__).parents[2] / "data" / "decode.npz"

Array = npt.NDArray[Any]
TICKS, LANES, NEURONS = 60, 3, 7

EXCEPTIONS: dict[str, str] = {}
"""Case to the reason why no stream can say it."""


def cases(prefix: str = "") -> dict[str, tuple[npt.NDArray[np.bool_], Array]]:
    """The cases whose names begin with `prefix`: their spikes [tick, lane, neuron], and what came of them."""
    with np.load(_FILE) as data:
        return {
            name: (data[f"{name}/input"].astype(bool), data[f"{name}/out"])
            for name in json.loads(str(data["meta"]))["cases"]
            if name.startswith(prefix)
        }
