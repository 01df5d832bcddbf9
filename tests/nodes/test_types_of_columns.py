"""What a trusted node sends in columns of other types than its stream's comes to the same numbers in a population."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest

import spikeflow
from spikeflow.events import columns, sample_batch
from spikeflow.runtime.engine import Engine
from tests.runtime.nodes import Collect, Ramp, Relay, collected_by, graph


class Typed(Relay):
    """Passes samples on, in columns of types of its own."""

    trusted: ClassVar[bool] = True
    columns: str = ""

    def encode(self, samples: pa.RecordBatch) -> pa.RecordBatch:
        t, channel, value = columns(samples)
        if self.columns == "double":
            return sample_batch(t, channel, value.astype(np.float64))
        record = sample_batch(t, channel, value)
        if self.columns == "long":
            return record.set_column(1, "channel", record.column(1).cast(pa.int64()))
        if self.columns == "coded":
            return record.set_column(1, "channel", record.column(1).dictionary_encode())
        return record


def heard(types: str) -> list[tuple[float, int, float]]:
    """The membrane of a neuron that hears a ramp."""
    hears = [{"from": "typed", "connect": "one_to_one", "weights": 1.0}]
    nodes: dict[str, Any] = {
        "in": {"source": Ramp, "ticks": 40},
        "typed": {"encoder": Typed, "input": "in", "columns": types},
        "n": {"neuron": "lif", "size": 1, "tau_mem": "10 ms", "v_th": 1e9, "inputs": hears},
        "out": {"sink": Collect, "input": "n.v"},
    }
    spec = spikeflow.load(graph(nodes, time={"dt": "1 ms", "window": "4 ms"}))
    asyncio.run(Engine(spec).run())
    return collected_by(spec)["n.v"]


@pytest.mark.parametrize("types", ["double", "long", "coded"])
def test_columns_of_other_types_are_converted(types: str) -> None:
    plain = heard("")
    assert plain[-1][2] > 1
    assert heard(types) == plain
