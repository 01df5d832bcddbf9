"""Files of weights and delays: their shape from the header alone, and their numbers."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from spikeflow.errors import ParameterError, instead, nearest, shown, why
from spikeflow.kernels.parameters import finite, load_array

Floats: TypeAlias = npt.NDArray[np.floating]
Ints: TypeAlias = npt.NDArray[np.int64]


_UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)
"""What reading a file raises that is broken somewhere behind its header."""


class File(BaseModel):
    """Numbers in a file: `.npy`, `.npz#key`, or SciPy's sparse `.npz`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path
    key: str | None = None

    def __str__(self) -> str:
        return f"{shown(self.path)}#{self.key}" if self.key else shown(self.path)


@dataclass(frozen=True)
class Shape:
    """What a file's header says, without its numbers."""

    shape: tuple[int, ...]
    sparse: bool = False


def shape_of(file: File) -> Shape:
    """The shape of a weight file from its header.

    Raises:
        ParameterError: no such file, an unreadable one, or no such key.
    """
    hint = "write it with numpy.save, numpy.savez or scipy.sparse.save_npz"
    try:
        if file.path.suffix == ".npy":
            with file.path.open("rb") as stream:
                return Shape(_header(stream))
        with zipfile.ZipFile(file.path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
            if file.key is None and {"format", "shape", "data"} <= set(names):
                with archive.open("shape.npy") as stream:
                    return Shape(tuple(int(n) for n in np.lib.format.read_array(stream, allow_pickle=False)), True)
            with archive.open(f"{_key(file, names)}.npy") as stream:
                return Shape(_header(stream))
    except FileNotFoundError:
        raise ParameterError(f"there is no file {shown(file.path)!r}", instead(file.path, (".npy", ".npz"))) from None
    except ParameterError:
        raise
    except OSError as error:
        raise ParameterError(f"{shown(file.path)!r} cannot be read: {why(error)}", hint) from None
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile):
        raise ParameterError(f"{shown(file.path)!r} is no whole {file.path.suffix} file", hint) from None


def _header(stream: Any) -> tuple[int, ...]:
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    if dtype.kind not in "fiub":
        raise ParameterError(f"numbers of type {dtype}", "store float32, float64 or whole numbers")
    return tuple(int(n) for n in shape)


def _key(file: File, names: list[str]) -> str:
    if file.key is None and len(names) == 1:
        return names[0]
    if file.key is None:
        raise ParameterError(
            f"{shown(file.path)!r} holds {', '.join(names)}", f"name one, as {file.path.name}#{names[0]}"
        )
    if file.key not in names:
        raise ParameterError(f"{shown(file.path)!r} has no {file.key!r}", nearest(file.key, names))
    return file.key


@dataclass(frozen=True, eq=False)
class Loaded:
    """Weights as a matrix [post, pre], or as single synapses in the order of the file."""

    shape: tuple[int, ...]
    values: Floats
    row: Ints | None = None
    column: Ints | None = None


def load(file: File) -> Loaded:
    """The numbers of a weight file.

    Raises:
        ParameterError: an unreadable file, no numbers in it, or one that is not finite.
    """
    found = shape_of(file)
    if found.sparse:
        import scipy.sparse

        try:
            matrix: Any = scipy.sparse.coo_array(scipy.sparse.load_npz(file.path))
        except _UNREADABLE as error:
            raise ParameterError(
                f"{shown(file.path)!r} cannot be read: {why(error)}", "write it with scipy.sparse.save_npz"
            ) from None
        values = numbers_of(np.asarray(matrix.data), file)
        return Loaded(matrix.shape, values, matrix.row.astype(np.int64), matrix.col.astype(np.int64))
    if file.path.suffix == ".npy":
        array = load_array(file.path, "weights")
    else:
        try:
            with np.load(file.path, allow_pickle=False) as archive:
                array = archive[_key(file, list(archive.files))]
        except ParameterError:
            raise
        except _UNREADABLE as error:
            raise ParameterError(
                f"{file} cannot be read: {why(error)}", "write the whole file, with numpy.savez"
            ) from None
    return Loaded(array.shape, numbers_of(array, file))


def numbers_of(array: npt.NDArray[Any], what: object) -> Floats:
    """The array in floats, if it holds finite numbers; `what` names it in errors."""
    if array.dtype.kind not in "fiub":
        raise ParameterError(f"{what} holds {array.dtype}", "store float32, float64 or whole numbers")
    numbers: Floats = array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)
    finite(numbers, what)
    return numbers
