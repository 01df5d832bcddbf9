"""Decoders and encoders that serve all copies at once: each copy is as it would be alone, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

import spikeflow
from spikeflow.catalog import node_class
from spikeflow.events import Stream, build, raw_columns
from spikeflow.node import Stepper
from spikeflow.testing import GRID, Bench, run_node

TICKS = 60
Array = npt.NDArray[Any]
Make = Callable[[], Any]


def made(role: str, kind: str, **fields: Any) -> Any:
    return node_class(role, kind).model_validate(fields)


def weights(outputs: int, size: int) -> Array:
    return np.random.default_rng(outputs).standard_normal((outputs, size)) * 10.0 ** np.arange(size)


def decoders(size: int, given: dict[str, Any]) -> list[Make]:
    decoder = partial(partial, made, "decoder")
    return [
        decoder("argmax", **given),
        decoder("argmax", margin=0.5, hysteresis=1.5, changes=True, **given),
        decoder("linear", weights=weights(1, size), bias=0.1, **given),
        decoder("linear", weights=weights(3, size), **given),
        decoder("population_vector", range=[-1, 3], **given),
        decoder("population_vector", preferred=weights(1, size)[0], period=7.0, **given),
    ]


def stream(kind: str, size: int) -> Stream:
    return Stream("x", "samples", size, double=True) if kind == "samples" else Stream("x", "spikes", size, valued=True)


def fleet(kind: str, copies: int, size: int, seed: int) -> Array:
    """[copies, ticks, size] values, NaN where there is none; copy 1 says nothing, and copy 2 only at the end."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((copies, TICKS, size)) * 10.0 ** rng.integers(-3, 4, (copies, TICKS, size))
    values[rng.random(values.shape) < 0.8] = np.nan
    values[rng.random(values.shape) < 0.02] = np.inf
    values[1:2], values[2:3, : TICKS - 5] = np.nan, np.nan
    return values


def record(values: Array, one: Stream) -> pa.RecordBatch:
    """The events of [copies, ticks, size]."""
    laid = values.transpose(1, 0, 2).reshape(TICKS, -1)
    tick, index = np.nonzero(~np.isnan(laid))
    return build(one.plain, GRID.time(0) + tick * GRID.dt_ns, index.astype(np.uint32), laid[tick, index])


def parts(found: pa.RecordBatch, copies: int, outlet: Stream) -> list[bytes]:
    """The events of each copy, counted within it, as bytes."""
    t_ns, index, value = raw_columns(found)
    own, within = np.divmod(index, np.uint32(outlet.size // copies))
    of = []
    for copy in range(copies):
        mine = own == copy
        assert value is not None
        of.append(t_ns[mine].tobytes() + within[mine].tobytes() + value[mine].tobytes())
    return of


def ran(make: Make, one: Stream, values: Array) -> list[bytes]:
    """What each of the copies gives, all of them at once."""
    copies = len(values)
    bench = Bench(make(), [one.times(copies)])
    [found] = bench.run([record(values, one)], 0, TICKS)
    return parts(found, copies, bench.place.outlets[""])


def agree(make: Make, one: Stream, values: Array) -> None:
    assert make().elementwise
    alone = [ran(make, one, values[copy : copy + 1])[0] for copy in range(len(values))]
    assert any(alone)
    for copies in {2, 3, len(values)} & set(range(2, len(values) + 1)):
        assert ran(make, one, values[:copies]) == alone[:copies]


@pytest.mark.parametrize("size", [2, 9, 200])
@pytest.mark.parametrize(
    ("kind", "given"),
    [("samples", {}), ("spikes", {"frame": "7 ms"}), ("spikes", {"over": "30 ms", "every": "3 ms"})],
)
def test_a_readout_weighs_a_copy_as_it_would_weigh_it_alone(kind: str, given: dict[str, Any], size: int) -> None:
    for make in decoders(size, given):
        agree(make, stream(kind, size), fleet(kind, 11, size, size))


def test_sums_run_from_the_first_input_to_the_last_however_many_stand_beside() -> None:
    size = 40
    values = np.random.default_rng(1).standard_normal((1, 1, size)).astype(np.float32).astype(np.float64)
    row = weights(1, size)
    expected = 0.0
    for weight, value in zip(row[0].tolist(), values[0, 0].tolist(), strict=True):
        expected += weight * value
    held = np.full((3, TICKS, size), np.nan)
    held[:, 5] = values[0]
    for copies in (1, 3):
        given = Stream("x", "samples", size, double=True).times(copies), record(held[:copies], stream("samples", size))
        assert [value for *_, value in run_node(made("decoder", "linear", weights=row), given).rows()] == (
            [expected] * copies
        )


def test_many_outputs_are_summed_in_parts_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    make = partial(made, "decoder", "linear", weights=weights(3, 9), frame="7 ms")
    values = fleet("spikes", 5, 9, 0)
    whole = ran(make, stream("spikes", 9), values)
    monkeypatch.setattr("spikeflow.nodes.decoders.linear._AT_ONCE", 1)
    assert ran(make, stream("spikes", 9), values) == whole


@pytest.mark.parametrize("size", [1, 5])
@pytest.mark.parametrize("frame", ["1 ms", "13 ms", "50 ms"])
def test_first_spikes_are_those_of_each_copy(frame: str, size: int) -> None:
    for make in (
        partial(made, "decoder", "first_spike", frame=frame),
        partial(made, "decoder", "first_spike", frame=frame, at="spike"),
        partial(made, "decoder", "spikes_to_times", frame=frame, spike_count=3),
    ):
        agree(make, stream("spikes", size), fleet("spikes", 7, size, 3))


@pytest.mark.parametrize("size", [1, 6])
def test_a_population_code_has_the_range_of_its_own_copy(size: int) -> None:
    for scale in (2.0, {"track": "20 ms"}):
        agree(
            partial(made, "encoder", "population", centres=3, scale=scale),
            stream("samples", size),
            fleet("samples", 9, size, 4),
        )


def test_ranks_are_those_within_a_copy() -> None:
    values = np.round(fleet("samples", 9, 30, 2))  # with equal ones, and zeros of both signs
    make = partial(made, "encoder", "rank_order", frame="7 ms", modulation=0.9)
    agree(make, stream("samples", 30), values)


STATEFUL = [
    ("spikes", partial(made, "decoder", "argmax", over="30 ms", every="10 ms", hysteresis=1.0, changes=True)),
    ("samples", partial(made, "decoder", "argmax", hysteresis=1.0, changes=True)),
    ("spikes", partial(made, "decoder", "linear", weights=weights(2, 4), frame="25 ms")),
    ("spikes", partial(made, "decoder", "population_vector", range=[0, 1], frame="25 ms")),
    ("spikes", partial(made, "decoder", "first_spike", frame="25 ms")),
    ("spikes", partial(made, "decoder", "spikes_to_times", frame="25 ms", spike_count=2)),
    ("samples", partial(made, "encoder", "population", centres=2, scale={"track": "20 ms"})),
    ("samples", partial(made, "encoder", "rank_order", frame="25 ms", spacing="7 ms")),
]


@pytest.mark.parametrize(("kind", "make"), STATEFUL)
def test_a_state_saved_in_the_middle_of_a_frame_goes_on_for_every_copy(kind: str, make: Make) -> None:
    one, values = stream(kind, 4), fleet(kind, 5, 4, 8)
    bench = Bench(make(), [one.times(5)])
    given = [record(values, one)]
    [whole] = bench.run(given, 0, TICKS)
    bench = Bench(make(), [one.times(5)])
    [begun] = bench.run(given, 0, 30)
    again = Bench(make(), [one.times(5)])
    assert isinstance(again.node, Stepper)
    again.node.load(bench.node.save())
    bench.node.reset()  # what was saved is a copy
    [rest] = again.run(given, 30, TICKS)
    assert rest.num_rows
    assert pa.Table.from_batches([begun, rest]).equals(pa.Table.from_batches([whole]))


def said(copies: int, ticks: int, **more: Any) -> list[str]:
    """What a decision on samples says where the winner of every copy is another one at each of so many ticks."""
    values = np.zeros((ticks, copies, 2), np.float32)
    values[::2, :, 0] = values[1::2, :, 1] = 1.0
    node = made("decoder", "argmax", labels=["left", "right"])
    tick, index = np.divmod(np.arange(values.size), 2 * copies)
    one = Stream("x", "samples", 2).times(copies)
    given = build(one.plain, GRID.time(0) + tick * GRID.dt_ns, index.astype(np.uint32), values.ravel())
    return [text for _, text in run_node(node, (one, given), ticks=ticks).log if "ahead" in text]


def test_a_winner_is_named_with_its_copy_at_most_once_a_second() -> None:
    assert said(2, 1003) == [
        "copy 0: left at 0.000 s, ahead by 1",
        "copy 1: left at 0.000 s, ahead by 1",
        "copy 0: left at 1.000 s, ahead by 1",
        "copy 1: left at 1.000 s, ahead by 1",
    ]


def test_of_many_copies_ten_are_named_in_a_second_in_turn() -> None:
    lines = said(25, 2500)
    assert [int(line.split()[1].strip(":")) for line in lines] == [*range(25), *range(5)]
    assert [line.split()[4] for line in lines[::10]] == ["0.000", "1.000", "2.000"]


@pytest.mark.parametrize("copies", [1, 2])
def test_a_machine_is_called_by_its_name(copies: int) -> None:
    source = {"source": "synthetic", "signal": "sine", "channels": 2, "length": "5 ms", "replicate": "press"}
    best = {"decoder": "argmax", "input": "machines", "labels": ["left", "right"]}
    nodes = {"machines": {**source, "copies": copies}, "best": best}
    heard: list[str] = []
    spikeflow.run_blocking(spikeflow.load({"nodes": nodes}), log=lambda node, level, text: heard.append(text))
    assert [text.partition(" at")[0] for text in heard if "ahead" in text] == [
        f"press '{copy}': left" for copy in range(copies)
    ]
