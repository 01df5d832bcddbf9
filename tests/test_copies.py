"""Copies and their names: dealt out, shared by sources, kept in files and checkpoints."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest

import spikeflow
from spikeflow.copies import ChannelMap, named_parts
from spikeflow.errors import GraphError, ParameterError
from spikeflow.events import Batch, Grid, Kind, Stream, Window, columns, sample_batch
from spikeflow.node import Inlet, Outlet, Sink, Source
from spikeflow.nodes.event_files import read_header
from spikeflow.nodes.event_writers import EventWriter
from spikeflow.runtime.checkpoint import Checkpoint

GRID = Grid(0, 1_000_000, 10)


class Appearing(Source):
    """One sample a tick, of the machines of a list in turn; each is named when it is first heard."""

    gives: ClassVar[tuple[Kind, ...]] = ("samples",)
    timed: ClassVar[bool] = True
    finite: ClassVar[bool] = True

    machines: list[str]
    replicate: str = "machine"
    copies: int = 4
    only: str | None = None

    def outlets(self, inputs: Sequence[Stream]) -> dict[str, Stream]:
        return {"": Stream("", "samples", 2).times(self.copies, self.replicate)}

    def length_ns(self) -> int:
        return len(self.machines) * 1_000_000

    async def produce(self, outlet: Outlet) -> None:
        names = self.context.names(self.context.outlet)
        for tick, name in enumerate(self.machines):
            if self.only not in (None, name):
                continue
            copy = names.channel(name)
            assert copy is not None
            t_ns = self.context.grid.origin_ns + tick * 1_000_000
            await outlet.send(sample_batch([t_ns], [2 * copy + tick % 2], np.array([tick], np.float32)))
            await outlet.advance(t_ns + 1_000_000)


class Named(Sink):
    """Keeps (machine, channel, value) of every event."""

    async def consume(self, inlet: Inlet) -> None:
        self.heard: list[tuple[str, int, float]] = []
        self.unnamed = 0
        async for record in inlet:
            for stream in inlet.streams:
                if stream.name.encode() == record.schema.metadata[b"stream"]:
                    batch = Batch.of(Window(0, 0, 0, 0), record.schema, record)
                    names = self.context.names(stream).keys
                    parts, unnamed = named_parts(batch, stream, stream.one.schema(self.context.grid), names)
                    self.unnamed += unnamed
                    for name, part in parts.items():
                        _, channel, value = columns(part.record)
                        self.heard += [(name, c, v) for c, v in zip(channel.tolist(), value.tolist(), strict=True)]


def play(nodes: dict[str, Any], sink: str = "out", **options: Any) -> list[tuple[str, int, float]]:
    spec = spikeflow.load({"nodes": nodes})
    spikeflow.run_blocking(spec, **options)
    node = spec.nodes[sink].node
    assert isinstance(node, Named)
    return node.heard


def refused(nodes: dict[str, Any]) -> list[str]:
    with pytest.raises(GraphError) as caught:
        spikeflow.load({"nodes": nodes})
    return str(caught.value).splitlines()


SCALED = {"encoder": "scale", "input": "machines", "gain": 2.0}
HEARD = ["b", "a", "b", "c", "a", "a", "c", "b"] * 5


def test_events_are_dealt_out_by_name_and_those_without_one_are_counted() -> None:
    stream = Stream("rate", "samples", 3).times(4, "machine")
    window = Window.at(GRID, 0, 10)
    record = sample_batch([0, 0, 0, 5, 5], [0, 4, 11, 3, 4], np.arange(5, dtype=np.float32))
    batch = Batch.of(window, stream.schema(GRID), record)
    parts, unnamed = named_parts(batch, stream, stream.one.schema(GRID), ["p", "q"])
    found = {name: [column.tolist() for column in columns(part.record)] for name, part in parts.items()}
    assert found == {"p": [[0], [0], [0.0]], "q": [[0, 5, 5], [1, 0, 1], [1.0, 3.0, 4.0]]}
    assert unnamed == 1
    assert named_parts(Batch.none(window, stream.schema(GRID)), stream, stream.one.schema(GRID), ["p"]) == ({}, 0)


def test_names_that_are_taken_keep_their_places_or_are_refused() -> None:
    names = ChannelMap(3, ["a"])
    names.take(["a", "b"])
    names.take(["a"])
    assert names.keys == ["a", "b"]
    with pytest.raises(ParameterError, match="'b' is number 0 here and number 1 there"):
        names.take(["b"])
    with pytest.raises(ParameterError, match="'d' is one more than the 3 there can be"):
        names.take(["a", "b", "c", "d"])


def test_a_node_downstream_knows_the_name_of_every_copy_that_it_hears() -> None:
    source = {"source": Appearing, "machines": HEARD}
    out = {"sink": Named, "input": ["machines", "scaled"]}
    heard = play({"machines": source, "scaled": SCALED, "out": out})
    expected = [(name, tick % 2, float(tick)) for tick, name in enumerate(HEARD)]
    twice = [(name, channel, 2 * value) for name, channel, value in expected]
    assert sorted(heard) == sorted(expected + twice)


@pytest.mark.parametrize("only", ["a", "c", "d"])
def test_a_machine_that_two_sources_hear_gives_what_it_gives_alone(only: str) -> None:
    def heard(**options: Any) -> list[tuple[str, int, float]]:
        first = {"connect": "one_to_one"}
        nodes = {
            "machines": {"source": Appearing, "machines": HEARD, **options},
            "others": {"source": Appearing, "machines": ["c", "d", "a"] * 10, **options},
            "both": {"neuron": "li", "size": 2, "inputs": [{"from": "machines", **first}, {"from": "others", **first}]},
            "out": {"sink": Named, "input": "both"},
        }
        spec = spikeflow.load({"nodes": nodes})
        assert spec.nodes["both"].outlets[""].key == "machine"
        spikeflow.run_blocking(spec)
        return [row for row in spec.nodes["out"].node.heard if row[0] == only and row[2]]  # type: ignore[attr-defined]

    whole = heard()
    assert whole == heard(only=only)
    assert len(whole) > 30


def test_a_resumed_run_calls_its_copies_as_before() -> None:
    nodes = {"machines": {"source": Appearing, "machines": HEARD}, "out": {"sink": Named, "input": "machines"}}
    point = Checkpoint(tick=10)
    whole = play(nodes, checkpoint=point)
    assert point.copies["machine"][:3] == ["b", "a", "c"]
    later = [*HEARD[:9], "z", *HEARD[10:]]  # "z" is before the checkpoint, where nothing is heard again
    rest = play({**nodes, "machines": {"source": Appearing, "machines": later}}, resume=point)
    assert rest == [row for row in whole if row[2] >= 10]


@pytest.mark.parametrize("ending", ["arrows", "arrow", "parquet"])
def test_a_recording_keeps_the_names_and_whoever_reads_it_finds_them(ending: str, tmp_path: Path) -> None:
    path = str(tmp_path / f"tape.{ending}")
    source = {"source": Appearing, "machines": HEARD}
    out = {"sink": Named, "input": "machines"}
    live = play({"machines": source, "out": out, "tape": {"sink": "file", "input": "machines", "path": path}})
    assert play({"machines": {"source": "file", "path": path}, "out": out}) == live
    spec = spikeflow.load({"nodes": {"machines": {"source": "file", "path": path}, "out": out}})
    assert spec.nodes["machines"].outlets[""].key == "machine"
    press = {"machines": {"source": "file", "path": path, "replicate": "press"}, "out": out}
    assert spikeflow.load({"nodes": press}).nodes["machines"].outlets[""].key == "press"
    assert play(press) == live


def test_a_recording_without_its_end_has_the_names_that_were_heard_until_then(tmp_path: Path) -> None:
    stream = Stream("machines", "samples", 1).times(3, "machine")
    path = tmp_path / "killed.arrows"
    writer = EventWriter(path, stream.schema(GRID))
    writer.write(
        [sample_batch([0], [0], np.ones(1, np.float32)).replace_schema_metadata(writer.schema.metadata)], ["p"]
    )
    writer.write(
        [sample_batch([1], [1], np.ones(1, np.float32)).replace_schema_metadata(writer.schema.metadata)], ["p", "q"]
    )
    writer.abandon()
    header = read_header(path)
    assert (header.whole, header.key, header.names) == (False, "machine", ("p", "q"))


def test_names_that_a_file_says_wrongly_are_refused(tmp_path: Path) -> None:
    schema = Stream("machines", "samples", 1).times(3, "machine").schema(GRID)
    path = tmp_path / "odd.arrow"
    with (
        pa.OSFile(str(path), "wb") as file,
        pa.ipc.new_file(
            file, schema.with_metadata({**(schema.metadata or {}), b"names": json.dumps(["p", "p"]).encode()})
        ),
    ):
        pass
    nodes = {"machines": {"source": "file", "path": str(path)}, "out": {"sink": Named, "input": "machines"}}
    (said,) = refused(nodes)
    assert said.endswith("""its metadata 'names' is '["p", "p"]' — a JSON array, each name once""")


def test_the_copies_of_a_synthetic_source_are_called_by_their_numbers() -> None:
    source = {"source": "synthetic", "signal": "sine", "copies": 3, "length": "20 ms", "replicate": "machine"}
    heard = play({"machines": source, "out": {"sink": Named, "input": "machines"}})
    assert {name for name, _, _ in heard} == {"0", "1", "2"}


def test_sources_that_share_a_key_and_differ_in_their_copies_are_refused(tmp_path: Path) -> None:
    nodes = {
        "machines": {"source": Appearing, "machines": HEARD},
        "others": {"source": Appearing, "machines": HEARD, "copies": 5},
        "out": {"sink": Named, "input": ["machines", "others"]},
    }
    assert refused(nodes) == [
        "node \"others\": 5 copies for {machine}, of which 'machines' has 4 — "
        "say as many, or call the keys otherwise with 'replicate'"
    ]
    sources = {}
    for name, machines in {"left": ["a", "b"], "right": ["b", "a"]}.items():
        path = str(tmp_path / f"{name}.arrow")
        play(
            {
                "machines": {"source": Appearing, "machines": machines},
                "out": {"sink": Named, "input": "machines"},
                "tape": {"sink": "file", "input": "machines", "path": path},
            }
        )
        sources[name] = {"source": "file", "path": path}
    assert refused({**sources, "out": {"sink": Named, "input": ["left", "right"]}}) == [
        "node \"right\": 'b' is number 0 here and number 1 there — "
        "take them from one run, or call the keys otherwise with 'replicate'"
    ]


def test_a_key_that_cannot_stand_in_a_topic_is_refused() -> None:
    source = {"source": "synthetic", "signal": "sine", "copies": 3, "length": "20 ms", "replicate": "the machine"}
    (said,) = refused({"machines": source, "out": {"sink": Named, "input": "machines"}})
    assert "'the machine' is not a key — a name, such as machine; a topic then says {machine}" in said
