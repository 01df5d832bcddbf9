"""Reading: the events of files, folders and record batches, part by part, as pictures need them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from spikeflow.errors import ParameterError, many, nearest, shown
from spikeflow.events import Indices, Kind, Stream, Times, Values, metadata, raw_columns
from spikeflow.nodes.event_files import FORMATS, Header, read_events, read_header

Source: TypeAlias = str | Path | pa.RecordBatch
"""A file of events, a folder of them, or a record batch of `spike_batch` or `sample_batch`."""

Part = tuple[Times, Indices, Values | None]
Range = tuple[float | None, float | None]
"""From when to when (s, from the origin)."""

_UNKNOWN = 1 << 32
_SHOWN_BY = {"spikes": "raster or rates", "samples": "traces"}


class PlotWarning(UserWarning):
    """Something of a file is not in the picture."""


@dataclass(frozen=True, slots=True)
class Events:
    """One stream of events.

    Attributes:
        name: what it is called.
        kind: spikes or samples.
        size: how many neurons or channels there are; None where nothing says so.
        start_ns: its origin (ns since 1970).
        end_ns: where it ends; None where nothing says so.
        dt_ns: a tick; None where nothing says so.
        whence: the file or the batch.
    """

    name: str
    kind: Kind
    size: int | None
    start_ns: int
    end_ns: int | None
    dt_ns: int | None
    whence: tuple[Path, Header] | pa.RecordBatch

    def parts(self, between: Range = (None, None)) -> Iterator[Part]:
        """[n] times (ns since 1970), indices and perhaps values, in time order; warns of what is left out.

        Raises:
            EventError: rows out of order, or an index past the size; names the file and the row.
        """
        low, high = (None if at is None else self.start_ns + round(at * 1e9) for at in between)
        for t_ns, index, value in self._all():
            a = 0 if low is None else int(np.searchsorted(t_ns, low))
            b = len(t_ns) if high is None else int(np.searchsorted(t_ns, high))
            if b > a:
                yield t_ns[a:b], index[a:b], None if value is None else value[a:b]
            if b < len(t_ns):
                return

    def _all(self) -> Iterator[Part]:
        if isinstance(self.whence, pa.RecordBatch):
            yield raw_columns(self.whence)
            return
        path, header = self.whence
        if not header.whole:
            warnings.warn(f"{shown(path)} has lost its end; it is read as far as it goes", PlotWarning, stacklevel=2)
        stream = Stream(self.name, self.kind, self.size or _UNKNOWN, header.valued, double=header.double)
        lost: dict[str, int] = {}
        for part in read_events(path, header, stream, gaps=self.kind == "samples"):
            for why, count in part.rejected.items():
                lost[why] = lost.get(why, 0) + count
            yield raw_columns(part.record)
        for why, count in lost.items():
            warnings.warn(f"{shown(path)}: {many(count, 'row')} left out: {why}", PlotWarning, stacklevel=2)


def opened(sources: Sequence[Source], kind: Kind) -> list[Events]:
    """The streams of `kind` in files, in folders (other files there are passed over) and in record batches.

    Raises:
        ParameterError: there is none, a file cannot be read, or holds the other kind.
    """
    if not sources:
        raise ParameterError("nothing to plot", "name a file of events, such as runs/small/hidden.arrow")
    found: list[Events] = []
    for source in sources:
        if isinstance(source, pa.RecordBatch):
            found.append(_of_batch(source, kind))
            continue
        if not isinstance(source, str | os.PathLike):
            raise ParameterError(
                f"{type(source).__name__} is nothing that can be plotted", "give paths or record batches"
            )
        path = Path(source)
        if not path.is_dir():
            found.append(_of_file(path, kind))
            continue
        there = [one for one in sorted(path.iterdir()) if one.suffix in FORMATS]
        inside = [one for one in there if _kind(one) == kind]
        if not inside:
            raise ParameterError(f"{shown(path)} holds no {kind}", nearest("", [one.name for one in there]))
        found += [_of_file(one, kind) for one in inside]
    return found


def _kind(path: Path) -> Kind | None:
    """What a file of a folder holds; None, with a warning, where it is no file of events."""
    try:
        return read_header(path).kind
    except ParameterError as error:
        warnings.warn(str(error), PlotWarning, stacklevel=2)
        return None


def _of_file(path: Path, kind: Kind) -> Events:
    header = read_header(path)
    if header.kind != kind:
        raise ParameterError(f"{shown(path)} holds {header.kind}, not {kind}", f"plot {_SHOWN_BY[header.kind]}")
    end_ns = None if header.length_ns is None else header.start_ns + header.length_ns
    name = header.stream or path.stem
    return Events(name, kind, header.size, header.start_ns, end_ns, header.dt_ns, (path, header))


def _of_batch(batch: pa.RecordBatch, kind: Kind) -> Events:
    holds: Kind = "spikes" if "neuron" in batch.schema.names else "samples"
    if holds != kind:
        raise ParameterError(f"a record batch holds {holds}, not {kind}", f"plot {_SHOWN_BY[holds]}")
    known = metadata(batch.schema)
    size, origin, dt = (
        int(known[key].removesuffix(" ns")) if key in known else None for key in ("size", "origin", "dt")
    )
    return Events(known.get("stream", kind), kind, size, origin or 0, None, dt, batch)
