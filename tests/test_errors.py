"""Errors say where they are, what was found and what would work."""

from __future__ import annotations

import pytest

from spikeflow.errors import (
    Finding,
    GraphError,
    NodeError,
    ParameterError,
    PayloadError,
    Position,
    Problem,
    SpikeflowError,
    many,
    nearest,
    ordinal,
    said,
)


def test_a_finding_has_place_node_what_was_found_and_what_would_work() -> None:
    at = Position("touch.yaml", 14, 13)
    finding = Finding("unknown neuron model 'lfi'", "did you mean 'lif'?", at, "cortex")
    assert str(finding) == "touch.yaml:14:13: node \"cortex\": unknown neuron model 'lfi' — did you mean 'lif'?"


def test_a_finding_without_place_or_node_leaves_them_out() -> None:
    assert str(Finding("the file is empty", "write a graph")) == "the file is empty — write a graph"


def test_a_graph_error_is_all_of_its_findings() -> None:
    findings = [Finding("a", "b"), Finding("c", "d")]
    error = GraphError(iter(findings))
    assert error.findings == tuple(findings)
    assert str(error) == "a — b\nc — d"


def test_a_problem_and_a_parameter_error_read_alike() -> None:
    assert str(Problem(("inputs", 0), "a", "b")) == str(ParameterError("a", "b")) == "a — b"


@pytest.mark.parametrize(
    ("cause", "text"),
    [
        (ParameterError("speed: 3", "write 1"), 'node "x": speed: 3 — write 1'),
        (OSError("disk full"), 'node "x": disk full'),
        (KeyError("v"), "node \"x\": KeyError: 'v'"),
        (ValueError(), 'node "x": ValueError'),
        (ValueError("one\ntwo"), 'node "x": ValueError: one'),
        (MemoryError(), 'node "x": there is not enough memory'),
    ],
)
def test_a_node_error_names_the_kind_of_a_cause_that_does_not_explain_itself(cause: Exception, text: str) -> None:
    assert str(NodeError("x", cause)) == text


def test_numbers_are_written_as_people_say_them() -> None:
    said = "1st 2nd 3rd 4th 11th 12th 13th 21st 32nd 64th 111th 1022nd"
    assert " ".join(ordinal(int(word[:-2])) for word in said.split()) == said
    assert [many(number, "event") for number in (0, 1, 2)] == ["0 events", "1 event", "2 events"]


def test_a_payload_error_is_counted_under_its_reason() -> None:
    assert PayloadError("json", "line 1").reason == "json"
    assert str(PayloadError("json", "line 1")) == "json: line 1"
    assert str(PayloadError("json")) == "json"


def test_every_error_is_a_spikeflow_error() -> None:
    for error in (ParameterError("a", "b"), PayloadError("a"), NodeError("x", OSError()), GraphError([])):
        assert isinstance(error, SpikeflowError)


def test_an_error_of_other_code_is_said_in_one_line() -> None:
    assert said(ValueError("first\nsecond")) == "ValueError: first"
    assert said(KeyError()) == "KeyError"


@pytest.mark.parametrize(
    ("name", "valid", "hint"),
    [
        ("lfi", ["lif", "li", "izhikevich"], "did you mean 'lif'?"),
        ("treshold", ["threshold", "input"], "did you mean 'threshold'?"),
        ("zzz", ["b", "a"], "valid: a, b"),
        ("zzz", [], "there is nothing to choose from"),
        ("q", [f"name{n:02}" for n in range(14)], "valid: " + ", ".join(f"name{n:02}" for n in range(12)) + ", …"),
    ],
)
def test_the_nearest_name_is_offered_else_all(name: str, valid: list[str], hint: str) -> None:
    assert nearest(name, valid) == hint
