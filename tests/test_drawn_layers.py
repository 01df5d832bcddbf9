"""Layers: nodes stand behind those they hear, and loops are found."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from spikeflow.layers import layers


def test_a_chain_stands_in_a_row() -> None:
    found = layers(["c", "a", "b"], [("a", "b"), ("b", "c")])
    assert found.columns == (("a",), ("b",), ("c",))
    assert found.places() == {"a": (0, 0.0), "b": (1, 0.0), "c": (2, 0.0)}
    assert not found.back


def test_what_comes_from_behind_closes_a_loop() -> None:
    found = layers(["in", "one", "two"], [("in", "one"), ("one", "two"), ("two", "one"), ("one", "one")])
    assert found.columns == (("in",), ("one",), ("two",))
    assert found.back == {("two", "one")}


def test_it_is_the_edge_back_that_closes_a_loop_whatever_the_order_of_the_file() -> None:
    edges = [("answer", "hidden"), ("hidden", "answer"), ("in", "hidden")]
    found = layers(["answer", "hidden", "in"], edges)
    assert found.columns == (("in",), ("hidden",), ("answer",))
    assert found.back == {("answer", "hidden")}


def test_a_loop_that_nothing_drives_begins_with_its_first_node() -> None:
    found = layers(["a", "b"], [("b", "a"), ("a", "b")])
    assert found.columns == (("a",), ("b",))
    assert found.back == {("b", "a")}


def test_nodes_stand_beside_those_they_hear_rather_than_across() -> None:
    edges = [("a", "x"), ("b", "y"), ("c", "z")]
    assert layers(["a", "b", "c", "z", "x", "y"], edges).columns == (("a", "b", "c"), ("x", "y", "z"))


def test_a_thousand_nodes_in_a_row_are_no_trouble() -> None:
    names = [str(k) for k in range(2000)]
    assert len(layers(names[::-1], list(pairwise(names))).columns) == 2000


def test_no_nodes_have_no_layers() -> None:
    assert layers([], []).columns == ()


@given(st.integers(1, 12).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.tuples(*[st.integers(0, n - 1)] * 2)))))
def test_every_node_has_one_place_and_every_edge_but_those_of_loops_runs_right(
    graph: tuple[int, list[tuple[int, int]]],
) -> None:
    names = [str(k) for k in range(graph[0])]
    edges = [(str(a), str(b)) for a, b in graph[1]]
    found = layers(names, edges)
    assert sorted(name for column in found.columns for name in column) == sorted(names)
    places = found.places()
    for source, target in edges:
        if source != target:
            assert ((source, target) in found.back) or places[source][0] < places[target][0]
    assert found.back <= set(edges)
