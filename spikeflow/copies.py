"""Copies: who has which, and the events of a stream dealt out to them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from spikeflow.errors import ParameterError
from spikeflow.events import Batch, Stream


class ChannelMap:
    """Keys to channels, or to copies: the next free one for a new key, or the one that a fixed list names.

    Attributes:
        keys: channel to key, in the order of the channels.
        version: grows by one with every new key.
    """

    def __init__(self, size: int, keys: Sequence[str] = (), *, fixed: bool = False) -> None:
        self.size, self.fixed = size, fixed
        self.keys = list(keys)
        self.version = len(self.keys)
        self._channels = {key: channel for channel, key in enumerate(self.keys)}

    def channel(self, key: str) -> int | None:
        """The channel of `key`; None where there is no room for a new one."""
        found = self._channels.get(key)
        if found is None and not self.fixed and len(self.keys) < self.size:
            found = self._channels[key] = len(self.keys)
            self.keys.append(key)
            self.version += 1
        return found

    def take(self, keys: Sequence[str]) -> None:
        """Give keys the channels that are their places in a list.

        Raises:
            ParameterError: one of them has another channel already, or there is no room for it.
        """
        for place, key in enumerate(keys):
            found = self.channel(key)
            if found is None:
                raise ParameterError(f"{key!r} is one more than the {self.size} there can be", "let there be more")
            if found != place:
                hint = "take them from one run, or call the keys otherwise with 'replicate'"
                raise ParameterError(f"{key!r} is number {place} here and number {found} there", hint)


def called(stream: Stream, names: Sequence[str], copy: int) -> str:
    """What a copy is called in the log, such as ``machine 'press-4'``; by its number where it has no name yet."""
    return f"{stream.key} {names[copy]!r}" if copy < len(names) else f"copy {copy}"


def split_copies(batch: Batch, stream: Stream, schema: pa.Schema) -> dict[int, Batch]:
    """The events of each copy that has any, with indices counted within the copy."""
    if not batch.count:
        return {}
    t_ns, index, value = batch.arrays
    copy, local = np.divmod(index, np.uint32(stream.size // stream.copies))
    order = np.argsort(copy, kind="stable")
    copy, local, t_ns = copy[order], local[order], t_ns[order]
    value = None if value is None else value[order]
    edges = [0, *(np.flatnonzero(np.diff(copy)) + 1).tolist(), len(copy)]
    return {
        int(copy[low]): Batch(
            batch.window, schema, t_ns[low:high], local[low:high], None if value is None else value[low:high]
        )
        for low, high in itertools.pairwise(edges)
    }


def named_parts(batch: Batch, stream: Stream, schema: pa.Schema, names: Sequence[str]) -> tuple[dict[str, Batch], int]:
    """The events of each copy under its name, as `split_copies`, and how many are of copies that have none yet.

    Copies without a name have events only where something fires by itself, or is driven by what has no copies.
    """
    found: dict[str, Batch] = {}
    unnamed = 0
    for copy, part in split_copies(batch, stream, schema).items():
        if copy < len(names):
            found[names[copy]] = part
        else:
            unnamed += part.count
    return found, unnamed
