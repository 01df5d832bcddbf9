"""What Norse's encoders gave."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_FILE = Path(__file__).parents[2] / "data" / "encode.npz"

Case = dict[str, npt.NDArray[Any]]


def cases(prefix: str) -> dict[str, tuple[Case, dict[str, Any]]]:
    """The cases whose names begin with `prefix`: their arrays and what is said of them."""
    with np.load(_FILE) as data:
        said = json.loads(str(data["meta"]))["cases"]
        return {
            name: ({key.split("/")[1]: data[key] for key in data.files if key.startswith(f"{name}/")}, said[name])
            for name in said
            if name.startswith(prefix)
        }
