"""Blocks, late inputs and bad loops of graphs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spikeflow.spec.loops import Edge, Loops, analyse, components

WINDOW = 10


def fused(source: str, target: str, delay: int = 0, index: int = 0) -> Edge:
    return Edge(source, target, index, delay, fuses=True, delays=True)


def other(source: str, target: str, delay: int = 0, index: int = 0) -> Edge:
    return Edge(source, target, index, delay, delays=delay > 0)


def test_a_graph_without_loops_has_no_blocks_and_nothing_late() -> None:
    edges = [fused("a", "b", 50), fused("a", "c", 3), fused("b", "c", 20, 1)]
    assert analyse("abc", edges, WINDOW) == Loops()


def test_populations_on_a_short_loop_are_one_block() -> None:
    edges = [fused("a", "b"), fused("b", "a", 1), fused("b", "c")]
    found = analyse("abc", edges, WINDOW)
    assert found.blocks == {"a": "a+b", "b": "a+b"}
    assert found.internal == set(edges[:2])
    assert not found.lags
    assert not found.bad


def test_a_population_that_hears_itself_is_a_block_of_one() -> None:
    found = analyse("a", [fused("a", "a", 1)], WINDOW)
    assert found.blocks == {"a": "a"}


def test_delays_that_add_up_to_a_window_make_a_block_where_none_is_a_window_long() -> None:
    found = analyse("ab", [fused("a", "b", 6), fused("b", "a", 6)], WINDOW)
    assert found.blocks == {"a": "a+b", "b": "a+b"}


def test_a_delay_of_a_window_makes_the_input_late_instead() -> None:
    edges = [fused("a", "b", 1), fused("b", "a", 25)]
    found = analyse("ab", edges, WINDOW)
    assert not found.blocks
    assert found.lags == {edges[1]: 2}
    assert found.on_loop == set(edges)


def test_a_long_input_inside_of_a_block_is_its_own_business() -> None:
    edges = [fused("a", "a", 1), fused("a", "a", 30, 1)]
    found = analyse("a", edges, WINDOW)
    assert found.internal == set(edges)
    assert not found.lags


def test_a_port_that_leads_back_into_its_block_is_late() -> None:
    edges = [fused("a", "a", 1), other("a", "a", 30, 1)]
    found = analyse("a", edges, WINDOW)
    assert found.internal == {edges[0]}
    assert found.lags == {edges[1]: 3}


def test_a_way_out_of_a_block_and_back_into_it_is_late() -> None:
    edges = [fused("a", "b"), fused("b", "a", 1), other("a", "x"), other("x", "b", 10, 1)]
    found = analyse("abx", edges, WINDOW)
    assert found.blocks == {"a": "a+b", "b": "a+b"}
    assert found.lags == {edges[3]: 1}


def test_the_input_that_leads_back_in_the_file_is_late_and_the_other_is_not() -> None:
    edges = [fused("b", "a", 10), fused("a", "b", 10)]
    assert analyse("ab", edges, WINDOW).lags == {edges[0]: 1}
    assert analyse("ba", edges, WINDOW).lags == {edges[1]: 1}


def test_a_block_without_any_delay_is_bad() -> None:
    found = analyse("abc", [fused("a", "b"), fused("b", "c"), fused("c", "a")], WINDOW)
    (bad,) = found.bad
    assert bad.needs == "tick"
    assert bad.edges[0] == fused("c", "a")


def test_each_loop_through_something_else_is_bad_once() -> None:
    edges = [fused("a", "b", 1), other("b", "x"), fused("x", "a", 9), other("y", "y")]
    found = analyse("abxy", edges, WINDOW)
    assert [bad.needs for bad in found.bad] == ["window", "window"]
    assert found.bad[0].edges == (other("y", "y"),) or found.bad[1].edges == (other("y", "y"),)


NAMES = "abcdefg"


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[str], list[Edge]]:
    """Some nodes, the first of which are populations, and inputs between them."""
    names = list(NAMES[: draw(st.integers(1, len(NAMES)))])
    populations = set(names[: draw(st.integers(0, len(names)))])
    names = draw(st.permutations(names))
    edges = []
    for index in range(draw(st.integers(0, 14))):
        source, target = draw(st.sampled_from(names)), draw(st.sampled_from(names))
        delay = draw(st.sampled_from([0, 1, 5, 10, 25])) if target in populations else 0
        fuses = source in populations and target in populations and draw(st.integers(0, 4)) > 0
        edges.append(Edge(source, target, index, delay, fuses, delays=target in populations))
    return names, edges


@given(graphs())
def test_a_good_graph_can_be_run_in_some_order(graph: tuple[list[str], list[Edge]]) -> None:
    names, edges = graph
    found = analyse(names, edges, WINDOW)
    if found.bad:
        return
    merged = [found.blocks.get(name, name) for name in names]
    left = [
        Edge(found.blocks.get(e.source, e.source), found.blocks.get(e.target, e.target), e.index)
        for e in edges
        if e not in found.internal and e not in found.lags
    ]
    assert len(set(components(merged, left).values())) == len(set(merged))
    assert all(edge.source != edge.target for edge in left)


@given(graphs())
def test_inside_of_a_block_every_loop_has_a_tick_of_delay(graph: tuple[list[str], list[Edge]]) -> None:
    names, edges = graph
    found = analyse(names, edges, WINDOW)
    if found.bad:
        return
    instant = [edge for edge in found.internal if edge.delay == 0]
    assert len(set(components(names, instant).values())) == len(names)
    assert all(edge.source != edge.target for edge in instant)


@given(graphs())
def test_only_inputs_on_a_loop_with_a_window_of_delay_are_late(graph: tuple[list[str], list[Edge]]) -> None:
    names, edges = graph
    found = analyse(names, edges, WINDOW)
    for edge, lag in found.lags.items():
        assert edge in found.on_loop or found.bad
        assert edge.delay // WINDOW == lag >= 1


@given(graphs())
def test_no_input_is_late_without_need(graph: tuple[list[str], list[Edge]]) -> None:
    names, edges = graph
    found = analyse(names, edges, WINDOW)
    if found.bad:
        return
    merge = found.blocks
    for late in found.lags:
        kept = [
            Edge(merge.get(e.source, e.source), merge.get(e.target, e.target), e.index)
            for e in edges
            if e not in found.internal and (e not in found.lags or e is late)
        ]
        parts = components({merge.get(name, name) for name in names}, kept)
        assert parts[merge.get(late.source, late.source)] == parts[merge.get(late.target, late.target)]


@given(graphs())
def test_a_bad_loop_is_a_loop_and_lacks_what_it_needs(graph: tuple[list[str], list[Edge]]) -> None:
    names, edges = graph
    for bad in analyse(names, edges, WINDOW).bad:
        around = bad.edges
        assert all(one.target == two.source for one, two in zip(around, (*around[1:], around[0]), strict=True))
        assert all(edge.delay < WINDOW for edge in around)
        if bad.needs == "tick":
            assert not any(edge.delay for edge in around)
        else:
            assert not all(edge.fuses for edge in around)
