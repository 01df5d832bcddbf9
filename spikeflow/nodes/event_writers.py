"""Event files, written: one writer a stream, whatever the format."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from spikeflow.errors import shown
from spikeflow.nodes.event_files import FORMATS

Compression = Literal["none", "lz4", "zstd"]


class EventWriter:
    """Writes record batches of one schema to a file; all of it blocks.

    An IPC stream (`.arrows`), and all of an IPC file but its list of batches, is on its way to the disk after each
    `write`: a killed process loses nothing of it.

    Args:
        path: where; its ending is the format, and an earlier file of this name goes.
        schema: of the batches, with the metadata of the stream.
        compression: of the batches; CSV has none.

    Raises:
        OSError: the file cannot be written; says which and why.
    """

    def __init__(self, path: Path, schema: pa.Schema, compression: Compression = "none") -> None:
        self.path, self.schema = path, schema
        self._kind = FORMATS[path.suffix]
        packing = None if compression == "none" else compression
        self._file: Any = None
        _make(path.parent)
        with self._named():
            if path.is_dir():
                raise OSError("it is a folder")
            self._file = pa.OSFile(str(path), "wb")
            options = pa.ipc.IpcWriteOptions(compression=packing)
            self._writer: Any
            if self._kind == "arrows":
                self._writer = pa.ipc.new_stream(self._file, schema, options=options)
            elif self._kind == "arrow":
                self._writer = pa.ipc.new_file(self._file, schema, options=options)
            elif self._kind == "parquet":
                self._writer = pq.ParquetWriter(self._file, schema, compression=packing or "none")
            else:
                self._writer = pa_csv.CSVWriter(self._file, schema.remove_metadata())

    @property
    def lasting(self) -> bool:
        """Whether what has been written can be read where the file was never completed."""
        return self._kind != "parquet"

    def write(self, batches: list[pa.RecordBatch], names: Sequence[str] = ()) -> None:
        """Write batches as one, with the names of the copies so far where the format can hold them."""
        told = _told(names)
        table = pa.Table.from_batches(batches, self.schema).combine_chunks()
        with self._named():
            for batch in table.to_batches():
                if told and self._kind in ("arrows", "arrow"):  # each time, so that a killed process leaves them too
                    self._writer.write_batch(batch, custom_metadata=told)
                else:
                    self._writer.write_batch(batch)

    def close(self, length_ns: int | None = None, names: Sequence[str] = ()) -> None:
        """Complete the file, with the stream's length (ns from the origin) and names where the format can hold them."""
        with self._named():
            if length_ns is not None:
                told = {"length": str(length_ns), **_told(names)}
                if self._kind in ("arrows", "arrow"):
                    nothing = pa.RecordBatch.from_arrays(
                        [pa.array([], f.type) for f in self.schema], schema=self.schema
                    )
                    self._writer.write_batch(nothing, custom_metadata=told)
                elif self._kind == "parquet":
                    self._writer.add_key_value_metadata(told)
            self._writer.close()
            self._file.close()

    def abandon(self) -> None:
        """Let go of a file that cannot be completed, without another word."""
        with contextlib.suppress(OSError, pa.ArrowException):
            self._file.close()

    @contextlib.contextmanager
    def _named(self) -> Any:
        """Errors say which file, and in words."""
        try:
            yield
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else str(error).strip()
            raise OSError(f"{shown(self.path)} cannot be written: {why}") from None


def _told(names: Sequence[str]) -> dict[str, str]:
    return {"names": json.dumps(list(names), ensure_ascii=False)} if names else {}


def try_to_write(path: Path) -> None:
    """Find out whether a file could be written, without making or changing anything.

    Raises:
        OSError: it could not, as the permissions are; says which and why.
    """
    what = f"{shown(path)} cannot be written"
    if path.is_dir():
        raise OSError(f"{what}: it is a folder")
    if path.exists():
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))  # neither made nor cut short; a pipe is not waited for
        except OSError as error:
            raise OSError(f"{what}: {error.strerror}") from None
        return
    there = next(folder for folder in path.parents if folder.exists())
    if there != path.parent:
        what = f"the folder {shown(path.parent)} cannot be made"
    if not there.is_dir():
        raise OSError(f"{what}: there is a file of that name")
    if not os.access(there, os.W_OK | os.X_OK):
        raise OSError(f"{what}: {os.strerror(errno.EACCES)}")


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = "there is a file of that name" if isinstance(error, FileExistsError) else error.strerror
        raise OSError(f"the folder {shown(folder)} cannot be made: {why}") from None
