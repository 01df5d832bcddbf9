"""Handed: events in memory that is another's, copied to where the kernels read them in one call."""

from __future__ import annotations

import ctypes
import functools
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from spikeflow.kernels.machine_code import address
from spikeflow.kernels.numba_backend import handing_text
from spikeflow.kernels.numba_handed import BATCH, DOUBLE, EMPTY, GIVEN, HELD, INDICES, STRUCTURE, TIMES, VALUES

IS_POSSIBLE = ctypes.sizeof(ctypes.c_void_p) == 8
"""Whether addresses are as long as the words that the copying reads."""


class Exported(Protocol):
    """A record batch, or whatever else can be read through Arrow's C data interface: `t`, an index, maybe a value."""

    @property
    def num_rows(self) -> int:
        """Events in it."""

    def _export_to_c(self, out_ptr: int) -> None:
        """Write an `ArrowArray` to an address."""


@functools.cache
def _hand() -> Any:
    """What copies: machine code. It keeps the lock of the interpreter, for the owner may be an object of Python's."""
    return ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(address(handing_text(), "hand_over"))


class Handing:
    """Copies exported events to those of a train. Arrays over the columns, and copies of them, take twice as long.

    Args:
        arrays: times, indices and values of all trains.
        offset: where the train's begin in the first two.
        values: where its values begin; -1 where it has none.
        is_double: whether the values that come are float64, not float32.
    """

    def __init__(
        self,
        arrays: tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]],
        offset: int,
        values: int,
        is_double: bool,
    ) -> None:
        words = np.zeros(GIVEN + STRUCTURE, np.int64)
        self._kept = words, arrays  # as long as their addresses are used
        self._given = given = memoryview(words)  # type: ignore[arg-type]
        self._batch_at = given[BATCH] = words.ctypes.data + 8 * GIVEN
        given[TIMES] = arrays[0][offset:].ctypes.data
        given[INDICES] = arrays[1][offset:].ctypes.data
        given[VALUES] = arrays[2][values:].ctypes.data if values >= 0 else 0
        given[DOUBLE] = is_double
        self._hand = functools.partial(_hand(), ctypes.c_void_p(words.ctypes.data))

    def copy(self, events: Exported, held: int) -> int:
        """Copy events behind those that the train holds.

        Returns:
            0, `EMPTY` where a field is empty, or another number where the columns are not those of events.
        """
        self._given[HELD] = held
        events._export_to_c(self._batch_at)
        status: int = self._hand()
        return status


__all__ = ["EMPTY", "IS_POSSIBLE", "Exported", "Handing"]
