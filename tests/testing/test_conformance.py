"""The rules of nodes: one that keeps them passes, and each that breaks one is caught."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import pyarrow as pa
import pytest

from spikeflow.events import Kind, columns, sample_batch
from spikeflow.node import Node
from spikeflow.testing import CUTS, RULES, check_node
from tests.testing.nodes import (
    Above,
    Copy,
    CountsLongWindows,
    Demanding,
    Drowsy,
    Erratic,
    FromWindows,
    Growing,
    HiddenState,
    Impatient,
    Lazy,
    NeedsEvents,
    NeedsFiniteValues,
    OnceAWindow,
    Outside,
    PastTheSize,
    SendsItsBuffer,
    Shared,
    Silent,
    Ticking,
    Unforgetful,
    Unsaved,
    Unsorted,
    Unstorable,
    WritesIntoInput,
    WrongType,
    WrongWindow,
)


def test_a_node_that_keeps_the_rules_passes() -> None:
    check_node(Copy)
    check_node(Above, values=(0.0, 1.0))


@pytest.mark.parametrize(
    ("make", "rule", "said"),
    [
        (
            OnceAWindow,
            "windows",
            r"in windows of 1 tick, and not of 230, node: event 0 is \(tick 1 .*\) instead of \(tick 229",
        ),
        (HiddenState, "repeat", r"a second time, node: event 0 is \(tick 1, channel \d, value 920\.0\) instead of"),
        (Unsaved, "state", r"saved before tick 10 and loaded into a new node, node: event 0 is"),
        (Shared, "state", r"saved before tick 10 and loaded into a new node, node: event 0 is"),
        (Unforgetful, "forget", r"reset before tick 110, node: event 0 is"),
        (Unstorable, "state", r"'convert' holds a type; a state is numbers"),
        (Growing, "state", r"the names of the state change: \['latest'\] are not always there"),
        (Unsorted, "events", r"got events out of order; .*; in windows of 230 ticks"),
        (Outside, "events", r"got an event at \d+ ns, outside of its window \[0, 230000000\)"),
        (PastTheSize, "events", r"has the size 5 and got the index 5"),
        (WrongType, "events", r"got the columns \(.*value: double\); it takes"),
        (Silent, "speaks", r"no event came in 230 ticks"),
        (NeedsEvents, "silence", r"it raised IndexError: .*; in windows of \d+ tick"),
        (
            NeedsFiniteValues,
            "odd",
            r"it raised ValueError: cannot convert float NaN to integer; in windows of 230 ticks",
        ),
        (WritesIntoInput, "kept", r"the node wrote into what arrived; copy it first"),
        (SendsItsBuffer, "kept", r"window 0 was changed after it had been sent; copy what you keep"),
        (Demanding, "fields", r"five channels — give it six"),
        (WrongWindow, "events", r"answered the window of ticks 0 to 230 with one of ticks 0 to 10"),
        (Drowsy, "rest", r"in windows of 1 tick, without those, node: event 5 is "),
        (CountsLongWindows, "windows", r"in windows of 1 tick"),
        (FromWindows, "windows", r"in windows of 1 tick: event 1 is one too many: \(tick 1, channel 0, value 1.0\)"),
        (Lazy, "all", r"920 events came, \d+ were processed, dropped were \{'sink_ended': \d+\}"),
        (Impatient, "silence", r"it raised AssertionError: an empty window"),
    ],
)
def test_a_node_that_breaks_a_rule_is_caught(make: Callable[[], Node], rule: str, said: str) -> None:
    with pytest.raises(AssertionError, match=said) as caught:
        check_node(make)
    broken = str(caught.value).split("'")[1]
    assert broken == rule
    assert str(caught.value).startswith(f"{make.__name__} breaks the rule {broken!r}: {RULES[broken]}.\n")


def test_a_source_that_differs_each_time_is_caught() -> None:
    with pytest.raises(AssertionError, match=r"breaks the rule 'repeat'.*\na second time: event 1 is one too many"):
        check_node(Erratic, seconds=0.1)
    check_node(Ticking, seconds=0.35)


def test_every_kind_of_stream_that_a_class_takes_is_tried() -> None:
    tried: list[str] = []

    class Both(Copy):
        takes: ClassVar[tuple[Kind, ...]] = ("samples", "spikes")

        def encode(self, samples: pa.RecordBatch) -> pa.RecordBatch:
            tried.append(samples.schema.names[1])
            return sample_batch(*columns(samples))

    check_node(Both)
    assert set(tried) == {"channel", "neuron"}
    check_node(Silent, quiet=True)
    assert CUTS == (1, 7, 10, 100)
