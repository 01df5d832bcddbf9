"""Numbers in fields: written down, or in a `.npy` or `.npz` file."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import PlainValidator, ValidationInfo, WithJsonSchema

from spikeflow.errors import ParameterError
from spikeflow.kernels.parameters import resolved
from spikeflow.kernels.weight_files import File, load, numbers_of

Floats: TypeAlias = npt.NDArray[np.float64]


def _numbers(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, File):
        return value
    if isinstance(value, str):
        path, _, key = value.partition("#")
        if not path.endswith((".npy", ".npz")):
            raise ParameterError(f"{value!r} is no file of numbers", "write a list, or name a .npy or a .npz#key")
        return File(path=resolved(path, info), key=key or None)
    try:
        found = np.asarray(value)
    except ValueError:
        raise ParameterError("rows of several lengths", "give each row as many numbers") from None
    if found.dtype.kind not in "iuf":
        raise ParameterError(f"{value!r} is no list of numbers", "write a list, or name a .npy or a .npz#key")
    return numbers_of(found, repr(value) if found.size == 1 else "the list").astype(np.float64)


Numbers = Annotated[
    Any,  # a File or an array
    PlainValidator(_numbers),
    WithJsonSchema(
        {"anyOf": [{"type": "number"}, {"type": "array"}, {"type": "string", "pattern": r"\.np[yz](#.+)?$"}]}
    ),
]
"""A number, a list of numbers, or of rows of them, or a file: `.npy`, `.npz#key`, or SciPy's sparse `.npz`."""


def numbers(given: File | npt.NDArray[Any] | float) -> Floats:
    """The numbers of a field.

    Raises:
        ParameterError: a file that cannot be read, or a number that is not finite.
    """
    if not isinstance(given, File):
        return np.asarray(given, np.float64)
    found = load(given)
    if found.row is None or found.column is None:
        return np.asarray(found.values, np.float64)
    full = np.zeros(found.shape)
    np.add.at(full, (found.row, found.column), found.values)
    return full
