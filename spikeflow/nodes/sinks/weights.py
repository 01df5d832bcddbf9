"""Weights: what synapses have learned, as a file that a projection can load."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from spikeflow.errors import ConnectError, EventError, Problem, shown, why
from spikeflow.events import Grid, Indices, Kind, Stream, Values, columns
from spikeflow.node import Context, Inlet, Sink
from spikeflow.nodes.event_writers import try_to_write
from spikeflow.nodes.paths import GraphPath, written
from spikeflow.units import Nanoseconds, format_ns

_ENDINGS = (".npy", ".npz")


class Weights(Sink):
    """The weights of a projection that learns, at one tick or at the end, in a file for `weights:` of another run.

    Listen to its port, such as `hidden.w_x`; how often that sends is said by the population's `record`. A `.npy` file
    is a matrix [post, pre]; a `.npz` file is SciPy's sparse format, which keeps which synapses there are. The file
    appears whole or not at all.
    """

    takes: ClassVar[tuple[Kind, ...]] = ("samples",)
    most_inputs: ClassVar[int | None] = 1
    opens: ClassVar[bool] = True
    unopened: ClassVar[str] = "does the disk answer, and does a program read where it is a pipe?"

    path: GraphPath = Field(description="a file that ends in .npy or .npz")
    at: Annotated[Nanoseconds, Field(ge=0)] | None = Field(
        None,
        description="keep the first weights sent at or after this time from the origin; else the last that are sent",
    )

    def claims(self) -> Mapping[str, str]:
        """The file that it writes."""
        return written(self.path)

    def check(self, inputs: Sequence[Stream], grid: Grid) -> Iterable[Problem]:
        """A stream that carries no weights, or a file of another kind."""
        if self.path.suffix not in _ENDINGS:
            yield Problem(("path",), f"{self.path.name!r} says no format", f"let it end in {' or '.join(_ENDINGS)}")
        for stream in inputs:
            if not stream.synapses:
                found = f"{stream.name!r} carries no weights [post, pre]"
                yield Problem(("inputs",), found, "listen to the port of a projection that learns, such as hidden.w_x")

    async def probe(self, context: Context) -> str:
        """Look whether the file could be written; one that is there stays as it is."""
        try:
            await asyncio.to_thread(try_to_write, self.path)
        except OSError as error:
            raise ConnectError(str(error)) from None
        return shown(self.path)

    async def consume(self, inlet: Inlet) -> None:
        """Keep the weights of one instant, and write them once it is known which."""
        stream = inlet.streams[0]
        due = None if self.at is None else self.context.grid.origin_ns + self.at
        kept: tuple[Indices, Values] | None = None
        await asyncio.to_thread(self._open)
        inlet.opened()
        sent_ns = end_ns = 0
        while True:
            try:
                batch = await inlet.take()
            except StopAsyncIteration:
                break
            end_ns = batch.window.end_ns
            t_ns, channel, value = columns(batch.record)
            if not len(t_ns) or (due is not None and (kept is not None or t_ns[-1] < due)):
                continue
            chosen = t_ns == (t_ns[-1] if due is None else t_ns[np.searchsorted(t_ns, due)])
            kept, sent_ns = (channel[chosen], value[chosen]), int(t_ns[chosen][0])
            if due is not None:
                await asyncio.to_thread(self._write, *kept, stream)
        if kept is None:
            when = "" if self.at is None else f" at or after {format_ns(self.at)}"
            self.context.log("warning", f"no weights came{when}; {shown(self.path)!r} is not written")
        elif due is None:
            await asyncio.to_thread(self._write, *kept, stream)
            if end_ns - sent_ns > self.context.grid.dt_ns:
                port = stream.name.partition(".")[2]
                found = f"the weights in {shown(self.path)!r} are those of {format_ns(end_ns - sent_ns)} before the end"
                self.context.log("warning", f"{found}; `record: {{{port}: {{every: …}}}}` sends them more often")

    def _open(self) -> None:
        try:
            if self.path.is_dir():
                raise ConnectError(f"{shown(self.path)!r} is a folder; name a file")
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._aside.touch()
            self._aside.unlink()
        except OSError as error:
            raise ConnectError(f"{shown(self.path)!r} cannot be written: {why(error)}") from None

    @property
    def _aside(self) -> Path:
        return self.path.with_name(f".{self.path.name}.part")

    def _write(self, channel: Indices, value: Values, stream: Stream) -> None:
        """Write the file beside its place, then put it there; what is no matrix becomes a sparse file all the same."""
        whole = len(channel) == stream.size == len(np.unique(channel))
        path = self.path if whole else self.path.with_suffix(".npz")
        aside = self._aside
        try:
            with aside.open("wb") as file:
                if path.suffix == ".npy":
                    matrix = np.zeros(stream.size, value.dtype)
                    matrix[channel] = value
                    np.save(file, matrix.reshape(stream.shape))
                else:
                    from scipy.sparse import coo_array, save_npz

                    post, pre = np.divmod(channel.astype(np.int64), stream.shape[1])
                    save_npz(file, coo_array((value, (post, pre)), shape=stream.shape))
            aside.replace(path)
        except OSError as error:
            aside.unlink(missing_ok=True)
            raise EventError(
                f"{shown(path)!r} cannot be written: {why(error)}; make room, or name another place"
            ) from None
        if path != self.path:
            found = f"{len(channel)} synapses for {stream.size} pairs of neurons are no matrix"
            self.context.log("warning", f"{found}; they are in {shown(path)!r}: let the path end in .npz")
