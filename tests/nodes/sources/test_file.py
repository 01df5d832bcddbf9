"""Files read as streams."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spikeflow.errors import EventError, ParameterError
from spikeflow.events import Grid, Stream, build
from spikeflow.nodes.event_files import ROWS, read_events, read_header
from spikeflow.nodes.event_writers import EventWriter
from spikeflow.nodes.sources.file import File
from tests.nodes.conftest import Examples, KeepingOutlet, bind_source

GRID = Grid(5_000_000_000, 1_000_000, 10)
SPIKES = Stream("hidden", "spikes", 8, shape=(2, 4))


def text(tmp_path: Path, content: str, name: str = "in.csv") -> Path:
    path = tmp_path / name
    path.write_text(content)
    return path


def recorded(
    path: Path, count: int = 100, step_ns: int = 1_000_000, length_ns: int | None = None
) -> list[tuple[int, int]]:
    """A file as the sink writes it; the (t, neuron) in it."""
    t_ns = GRID.origin_ns + 500 + np.arange(count, dtype=np.int64) * step_ns
    neuron = (np.arange(count) % 8).astype(np.uint32)
    writer = EventWriter(path, SPIKES.schema(GRID))
    writer.write([build(SPIKES.schema(GRID), t_ns, neuron)])
    writer.close(length_ns)
    return list(zip(t_ns.tolist(), neuron.tolist(), strict=True))


def made(folder: Path) -> File:
    recorded(folder / "in.arrow", length_ns=333_000_000)
    return File(path=folder / "in.arrow")


EXAMPLES: Examples = [(made, {})]


async def produced(grid: Grid = GRID, **fields: Any) -> tuple[File, KeepingOutlet]:
    node = File(**fields)
    outlet = bind_source(node, grid)
    await node.produce(outlet)
    return node, outlet


@pytest.mark.parametrize("ending", [".arrows", ".arrow", ".feather", ".parquet"])
async def test_a_recorded_file_says_its_size_shape_origin_and_length(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"hidden{ending}"
    rows = recorded(path, length_ns=250_000_000)
    node, outlet = await produced(path=path)
    stream = node.outlets(())[""]
    assert (stream.kind, stream.size, stream.shape, stream.valued) == ("spikes", 8, (2, 4), False)
    assert (node.origin_ns(), node.length_ns()) == (GRID.origin_ns, 250_000_000)
    assert [(t, neuron) for t, neuron, _ in outlet.events] == rows
    assert outlet.batches[0].schema.equals(stream.plain)


async def test_a_csv_file_has_instants_and_its_origin_is_the_first_one_floored_to_the_second(tmp_path: Path) -> None:
    path = text(tmp_path, "t,channel,value\n2024-05-01T12:00:03.25Z,0,1.5\n2024-05-01T12:00:03.250000001Z,1,-2\n")
    node, outlet = await produced(path=path, size=2)
    start = 1_714_564_803_000_000_000
    assert node.origin_ns() == start
    assert node.length_ns() is None
    assert outlet.events == [(start + 250_000_000, 0, 1.5), (start + 250_000_001, 1, -2.0)]


@pytest.mark.parametrize(
    "instant", ["2024-05-01 12:00:03.25", "2024-05-01T14:00:03.25+02:00", "2024-05-01 12:00:03.250000Z"]
)
async def test_an_instant_without_a_zone_is_utc(tmp_path: Path, instant: str) -> None:
    _, outlet = await produced(path=text(tmp_path, f"t,neuron\n{instant},0\n"), size=1)
    assert outlet.events[0][0] == 1_714_564_803_250_000_000


async def test_whole_numbers_are_nanoseconds_from_the_origin(tmp_path: Path) -> None:
    node, outlet = await produced(path=text(tmp_path, "t,neuron\n0,0\n1500000,1\n"), size=2, length="10 ms")
    assert (node.origin_ns(), node.length_ns()) == (0, 10_000_000)
    assert outlet.events == [(0, 0, 1.0), (1_500_000, 1, 1.0)]


async def test_whole_numbers_in_a_table_with_an_origin_count_from_it(tmp_path: Path) -> None:
    table = pa.table({"t": [7, 9], "channel": [0, 0], "value": [1.0, 2.0]})
    pq.write_table(table.replace_schema_metadata({"origin": "3000000000", "size": "4"}), tmp_path / "in.parquet")
    node, outlet = await produced(path=tmp_path / "in.parquet")
    assert node.origin_ns() == 3_000_000_000
    assert [t for t, _, _ in outlet.events] == [3_000_000_007, 3_000_000_009]
    assert node.outlets(())[""] == Stream("", "samples", 4, double=True)


async def test_samples_are_float64_where_the_file_or_the_field_says_so(tmp_path: Path) -> None:
    path = text(tmp_path, "t,channel,value\n0,0,0.1\n")
    _, narrow = await produced(path=path, size=1)
    _, wide = await produced(path=path, size=1, precision="float64")
    assert narrow.events[0][2] == float(np.float32(0.1))
    assert wide.events[0][2] == 0.1


async def test_rows_with_empty_fields_or_numbers_that_are_not_finite_are_rejected_and_counted(tmp_path: Path) -> None:
    rows = "0,0,1.0\n1,0,\n,0,2.0\n2,,2.0\n3,0,nan\n4,0,inf\n5,0,1e300\n6,0,4.0\n"
    _, outlet = await produced(path=text(tmp_path, "t,channel,value\n" + rows), size=1)
    assert [(t, value) for t, _, value in outlet.events] == [(0, 1.0), (6, 4.0)]
    assert outlet.rejected == {"empty field": 4, "not finite": 2}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            "0,0\n5,0\n\n4,0\n",
            "row 3: its time is 1 ns before that of the row above; sort the file by t, then by neuron",
        ),
        ("0,1\n0,0\n", "row 2: neuron 0 follows 1 at the same time; sort the file by t, then by neuron"),
        ("0,0\n1,4\n", "row 2: neuron 4; the size is 4, so the last one is 3"),
        ("0,0\n1,-1\n", "row 2: neuron -1; the size is 4, so the last one is 3"),
    ],
)
async def test_what_breaks_the_rules_is_named_with_its_row(tmp_path: Path, rows: str, said: str) -> None:
    path = text(tmp_path, "t,neuron\n" + rows)
    with pytest.raises(EventError) as error:
        await produced(path=path, size=4)
    assert str(error.value) == f"{path}: {said}"


async def test_order_is_also_held_from_one_part_to_the_next(tmp_path: Path) -> None:
    path = tmp_path / "in.arrows"
    writer = EventWriter(path, SPIKES.schema(GRID))
    for t_ns in (7, 6):
        writer.write([build(SPIKES.schema(GRID), np.array([t_ns]), np.array([0]))])
    writer.close()
    with pytest.raises(EventError, match="row 2: its time is 1 ns before"):
        await produced(path=path)


async def test_a_number_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = text(tmp_path, "t,channel,value\n0,0,1.0\n1,0,high\n")
    assert problems(path=path) == [
        f"{path} cannot be read: In CSV column #2: CSV conversion error to double: invalid value 'high' — "
        "a row is like 2024-05-01T12:00:00.25Z,3,0.5, or with t in whole nanoseconds from the origin"
    ]
    path = text(tmp_path, "t,channel,value\n" + "7,0,1.0\n" * 300_000 + "8,0,high\n")
    with pytest.raises(EventError, match=r"after row \d+: In CSV column #2: .*high"):
        await produced(path=path, size=1)


def test_a_long_file_comes_in_parts(tmp_path: Path) -> None:
    path = tmp_path / "long.arrow"
    recorded(path, count=3 * ROWS + 5, step_ns=10)
    parts = [part.record.num_rows for part in read_events(path, read_header(path), SPIKES)]
    assert parts == [ROWS, ROWS, ROWS, 5]


async def test_reading_stops_once_the_declared_length_is_passed(tmp_path: Path) -> None:
    path = tmp_path / "long.arrow"
    recorded(path, count=10 * ROWS, step_ns=1000)
    node, outlet = await produced(path=path, length="10 ms")
    assert node.length_ns() == 10_000_000
    assert sum(batch.num_rows for batch in outlet.batches) <= ROWS
    assert outlet.events[9_999][0] < GRID.origin_ns + 10_000_000 <= outlet.events[10_000][0]


async def test_a_folder_holds_one_file_a_stream(tmp_path: Path) -> None:
    rows = recorded(tmp_path / "hidden.v.arrow")
    recorded(tmp_path / "hidden.arrow", count=3)
    _, outlet = await produced(path=tmp_path, stream="hidden.v")
    assert len(outlet.events) == len(rows)


@pytest.mark.parametrize("ending", [".arrows", ".arrow"])
def test_a_file_cut_off_anywhere_gives_its_whole_batches(tmp_path: Path, ending: str) -> None:
    whole = tmp_path / f"whole{ending}"
    writer = EventWriter(whole, SPIKES.schema(GRID))
    for number in range(3):
        t_ns = GRID.origin_ns + np.arange(10) + 10 * number
        writer.write([build(SPIKES.schema(GRID), t_ns, np.zeros(10, np.uint32))])
    writer.close(30)
    data = whole.read_bytes()
    found = set()
    for end in range(0, len(data) + 1, 3):
        cut = tmp_path / f"cut{end}{ending}"
        cut.write_bytes(data[:end])
        try:
            header = read_header(cut)
        except ParameterError:
            continue  # not even the schema is there
        count = sum(part.record.num_rows for part in read_events(cut, header, SPIKES))
        assert count % 10 == 0
        assert header.length_ns in (None, 30) and (header.whole == (header.length_ns == 30))
        found.add(count)
    assert found == {0, 10, 20, 30}


def problems(**fields: Any) -> list[str]:
    node = File(**fields)
    return [str(problem) for problem in node.check((), GRID)]


def test_a_missing_file_is_named_with_the_nearest_one(tmp_path: Path) -> None:
    recorded(tmp_path / "touch.arrow")
    missing = tmp_path / "tuch.arrow"
    assert problems(path=missing) == [f"there is no file {missing} — did you mean 'touch.arrow'?"]
    nowhere = tmp_path / "no" / "x.arrow"
    assert problems(path=nowhere) == [f"there is no file {nowhere} — the folder {nowhere.parent} does not exist"]
    assert problems(path=tmp_path) == [f"{tmp_path} is a folder — say which 'stream'; valid: touch"]
    assert problems(path=tmp_path, stream="tuoch") == [f"{tmp_path} has no stream 'tuoch' — did you mean 'touch'?"]


def test_files_that_hold_no_events_are_named(tmp_path: Path) -> None:
    shape = "spikes have the columns t, neuron and perhaps value; samples t, channel and value"
    path = text(tmp_path, "time,id\n1,2\n")
    assert problems(path=path) == [f"{path} has the columns time, id — {shape}"]
    path = text(tmp_path, "t,neuron,channel\n")
    assert problems(path=path) == [f"{path} has the columns t, neuron, channel — {shape}"]
    path = text(tmp_path, "not arrow at all", "in.arrow")
    assert problems(path=path)[0].startswith(f"{path} cannot be read: ")
    path = text(tmp_path, "", "empty.parquet")
    assert problems(path=path)[0].startswith(f"{path} cannot be read: ")
    path = text(tmp_path, "", "in.txt")
    assert problems(path=path)[0].startswith("'in.txt' has no ending that says what it is")
    pq.write_table(pa.table({"t": ["a"], "neuron": [1]}), tmp_path / "in.parquet")
    assert "column 't' is of type string" in problems(path=tmp_path / "in.parquet")[0]


def test_a_size_that_the_file_does_not_say_is_asked_for(tmp_path: Path) -> None:
    path = text(tmp_path, "t,neuron\n0,0\n")
    with pytest.raises(ParameterError, match="does not say how many neurons there are — declare it: size: 256"):
        File(path=path).outlets(())


def test_an_empty_file_is_an_empty_stream(tmp_path: Path) -> None:
    path = text(tmp_path, "t,neuron\n")
    assert problems(path=path, size=1) == []
    header = read_header(path)
    assert (header.first_ns, header.start_ns) == (None, 0)
    assert sum(part.record.num_rows for part in read_events(path, header, Stream("x", "spikes", 1))) == 0


def test_a_relative_path_counts_from_the_folder_of_the_graph_file(tmp_path: Path) -> None:
    recorded(tmp_path / "in.arrow")
    node = File.model_validate({"path": "in.arrow"}, context={"folder": tmp_path})
    assert node.outlets(())[""].size == 8
