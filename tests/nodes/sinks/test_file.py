"""Streams written to files."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from spikeflow.errors import ConnectError
from spikeflow.events import Batch, Grid, Stream, Window
from spikeflow.nodes.event_files import FORMATS, read_header
from spikeflow.nodes.event_writers import EventWriter
from spikeflow.nodes.sinks.file import File
from spikeflow.nodes.sources.file import File as FileSource
from spikeflow.testing import difference, random_events
from tests.nodes.conftest import Examples, GivingInlet, bind_sink, bind_source

GRID = Grid(1_700_000_000_000_000_000, 1_000_000, 10)
SAMPLES = Stream("edges", "samples", 6)
SPIKES = Stream("hidden", "spikes", 8, shape=(2, 4))
GRADED = Stream("net/deep.out", "spikes", 4, valued=True)
VOLTAGE = Stream("hidden.v", "samples", 8, double=True)
EXAMPLES: Examples = [
    (lambda folder: File(path=folder / "out.arrows"), {}),
    (lambda folder: File(path=folder / "out", format="parquet", rows=100), {"inputs": [SAMPLES, SPIKES, GRADED]}),
]


async def consumed(path: Path, records: dict[Stream, tuple[pa.RecordBatch, int]], **fields: Any) -> None:
    node = File(path=path, **fields)
    assert [p for p in node.check(tuple(records), GRID) if not p.warning] == []
    bind_sink(node, GRID, tuple(records), now_ns=GRID.origin_ns, graph="touch")
    inlet = GivingInlet.of(GRID, records)
    await node.consume(inlet)
    assert inlet.is_open.is_set()


async def read_back(path: Path, **fields: Any) -> tuple[FileSource, pa.RecordBatch]:
    node = FileSource(path=path, **fields)
    outlet = bind_source(node, GRID)
    await node.produce(outlet)
    plain = node.outlets(())[""].plain
    return node, pa.Table.from_batches(outlet.batches, plain).combine_chunks().to_batches()[0]


@pytest.mark.parametrize("stream", [SAMPLES, SPIKES, GRADED, VOLTAGE], ids=lambda stream: stream.name)
@pytest.mark.parametrize("ending", sorted(FORMATS))
async def test_what_is_written_comes_back_with_the_same_origin_size_and_end(
    tmp_path: Path, ending: str, stream: Stream
) -> None:
    record = random_events(stream, GRID, 195, 2_000)
    path = tmp_path / f"new folder/out{ending}"
    await consumed(path, {stream: (record, 203)}, rows=300)
    declared = {} if ending != ".csv" else {"size": stream.size, "precision": "float64" if stream.double else None}
    node, found = await read_back(path, **declared)
    assert difference(found, record) is None
    assert node.origin_ns() == GRID.origin_ns
    assert node.length_ns() == (203_000_000 if ending != ".csv" else None)
    back = node.outlets(())[""]
    assert (back.kind, back.size, back.valued, back.double) == (stream.kind, stream.size, stream.valued, stream.double)
    assert back.shape == (stream.shape if ending != ".csv" else ())


async def test_a_folder_gets_one_file_a_stream_each_with_its_own_end(tmp_path: Path) -> None:
    records = {
        SAMPLES: (random_events(SAMPLES, GRID, 50, 99), 57),
        VOLTAGE: (random_events(VOLTAGE, GRID, 90, 99), 100),
        GRADED: (random_events(GRADED, GRID, 5, 9), 5),
    }
    await consumed(tmp_path / "{name}-{start}", records)
    folder = tmp_path / "touch-20231114T221320Z"
    assert sorted(p.name for p in folder.iterdir()) == ["edges.arrow", "hidden.v.arrow", "net.deep.out.arrow"]
    for stream, (record, end_tick) in records.items():
        node, found = await read_back(folder, stream=stream.name.replace("/", "."))
        assert difference(found, record) is None
        assert node.length_ns() == end_tick * GRID.dt_ns


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
@pytest.mark.parametrize("ending", [".arrows", ".arrow", ".parquet"])
async def test_compressed_files_come_back(tmp_path: Path, ending: str, compression: str) -> None:
    record = random_events(SAMPLES, GRID, 90, 500)
    await consumed(tmp_path / f"out{ending}", {SAMPLES: (record, 90)}, compression=compression)
    assert difference((await read_back(tmp_path / f"out{ending}"))[1], record) is None


async def test_a_stream_without_events_keeps_its_length(tmp_path: Path) -> None:
    await consumed(tmp_path / "out.arrows", {SPIKES: (random_events(SPIKES, GRID, 1, 0), 70)})
    header = read_header(tmp_path / "out.arrows")
    assert (header.length_ns, header.first_ns, header.whole) == (70_000_000, None, True)


async def test_events_are_gathered_up_to_a_number_or_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    write = EventWriter.write

    def spy(self: EventWriter, batches: list[pa.RecordBatch], names: Sequence[str]) -> None:
        written.append(sum(batch.num_rows for batch in batches))
        write(self, batches, names)

    monkeypatch.setattr(EventWriter, "write", spy)
    record = random_events(SAMPLES, GRID, 1000, 1000)
    await consumed(tmp_path / "out.arrows", {SAMPLES: (record, 1000)}, rows=300)
    assert sum(written) == 1000
    assert all(300 <= count < 400 for count in written[:-1])


@pytest.mark.parametrize("ending", sorted(FORMATS))
async def test_a_full_disk_is_one_clear_error(tmp_path: Path, ending: str) -> None:
    link = tmp_path / f"out{ending}"
    link.symlink_to("/dev/full")
    with pytest.raises((OSError, ConnectError)) as error:
        await consumed(link, {SAMPLES: (random_events(SAMPLES, GRID, 500, 50_000), 500)})
    assert str(error.value) == f"{link} cannot be written: No space left on device"


async def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "out.arrow"
    with pytest.raises(ConnectError, match=r"cannot be made: there is a file of that name"):
        await consumed(path, {SAMPLES: (random_events(SAMPLES, GRID, 1, 1), 1)})


async def test_a_cancelled_sink_completes_its_file(tmp_path: Path) -> None:
    node = File(path=tmp_path / "out.arrow")
    bind_sink(node, GRID, [SAMPLES])
    record = random_events(SAMPLES, GRID, 10, 25)

    class Endless(GivingInlet):
        waits = asyncio.Event()

        async def take(self) -> Batch:
            if self.given:
                self.waits.set()
                await asyncio.Event().wait()
            return await super().take()

    inlet = Endless([SAMPLES], [Batch.of(Window.at(GRID, 0, 10), SAMPLES.schema(GRID), record)])
    task = asyncio.create_task(node.consume(inlet))
    await inlet.waits.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    found, back = await read_back(tmp_path / "out.arrow")
    assert difference(back, record) is None
    assert found.length_ns() == 10_000_000


KILLED = """
import sys, time
from pathlib import Path
import numpy as np
from spikeflow.events import Grid, Stream, build
from spikeflow.nodes.event_writers import EventWriter
stream, grid = Stream("x", "samples", 1), Grid(0, 1_000_000, 10)
writer = EventWriter(Path(sys.argv[1]), stream.schema(grid))
for number in range(10**9):
    t_ns = np.arange(100, dtype=np.int64) + 100 * number
    writer.write([build(stream.schema(grid), t_ns, np.zeros(100, np.uint32), np.zeros(100))])
    print(number, flush=True)
"""


@pytest.mark.parametrize("ending", [".arrows", ".arrow"])
def test_what_has_been_written_outlives_a_killed_process(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"out{ending}"
    with subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(20):
            written = int(process.stdout.readline())
        process.kill()
    node, found = asyncio.run(read_back(path))
    assert found.num_rows >= 100 * (written + 1)
    assert np.array_equal(np.asarray(found.column(0).cast(pa.int64())), np.arange(found.num_rows))
    assert node.length_ns() is None
    assert "has lost its end" in str(next(iter(node.check((), GRID))))


def problems(streams: list[Stream], **fields: Any) -> list[str]:
    return [str(problem) for problem in File(**fields).check(streams, GRID)]


def test_what_does_not_fit_is_named_at_check() -> None:
    one = [SAMPLES]
    assert problems([SAMPLES, SPIKES], path="out.csv") == [
        "'out.csv' is one file, and there are 2 streams — write a folder, 'out', for one file a stream"
    ]
    assert problems(one, path="{nam}/x") == ["unknown placeholder {nam} — did you mean 'name'?"]
    assert problems(one, path="{x") == ["'{x' has a brace without its other half — write {name} or {start}"]
    assert problems(one, path="x.csv", compression="zstd") == ["CSV files are not compressed — leave 'compression' out"]
    assert problems(one, path="x.arow") == [
        "'x.arow' is taken as the name of a folder — endings of files: .arrows, .arrow, .feather, .parquet, .csv"
    ]
    assert problems(one, path="x", on_error="restart") == [
        "on_error is 'restart' — a file that failed cannot go on: leave 'on_error' out"
    ]
    assert problems([SAMPLES, SAMPLES], path="x") == ["'edges' is named twice — name it once"]
