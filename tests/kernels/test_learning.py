"""Every learning rule: the same bits on every backend, for any windows and restarts, and what all rules promise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeflow.kernels import Events, Group, Network, Projection, Train, backends
from spikeflow.kernels.models.lif import Lif
from spikeflow.kernels.rule import Bounded, Learning, rule_form
from spikeflow.kernels.rules import rules
from spikeflow.kernels.rules.stdp import Stdp
from spikeflow.kernels.synapses import one_to_one
from tests.kernels.cuda_host import COMPILER
from tests.kernels.lessons import DT, TICKS, Plan, assert_agrees, cases, drawn, drive, network, outcome, relay, whole

OTHERS = [*(name for name in backends() if name == "numba"), *(["cuda_host"] if COMPILER else [])]
BACKENDS = ["numpy", *OTHERS]
KNOWN = [
    (daily, kind, pytest.param(kind, chosen, precision, id="-".join(map(str, (kind, *chosen.values(), precision)))))
    for kind, chosen, precision, daily in cases()
]
CASES = [case for _, _, case in KNOWN]
DAILY = [case for daily, _, case in KNOWN if daily]
ONE_EACH = [case for daily, _, case in KNOWN if daily and case.values[2] == "float32"]
BOUNDED = [case for daily, kind, case in KNOWN if daily and issubclass(rules()[kind], Bounded)]
names = ("kind", "chosen", "precision")

plans = st.builds(
    Plan,
    seed=st.integers(0, 10_000),
    pre=st.sampled_from([1, 30, 70]),
    post=st.sampled_from([1, 63, 64, 65, 130]),
    kind=st.sampled_from(["dense", "sparse", "one_to_one"]),
    delays=st.sampled_from(["one", "neuron", "synapse"]),
    recurrent=st.booleans(),
    valued=st.booleans(),
    held=st.sampled_from([False, False, True]),
    busy=st.sampled_from([0.0, 0.02, 0.2]),
    until=st.none() | st.integers(0, TICKS),
)
relays = st.lists(st.tuples(st.integers(1, 15), st.sampled_from([None, *BACKENDS])), min_size=1, max_size=4)


def hold_to_the_reference(kind: str, chosen: Any, precision: Any, plan: Plan, segments: Any) -> None:
    """On every backend first, then as the segments say."""
    tolerance = drawn(kind, chosen, np.random.default_rng(0)).tolerance
    expected = whole(plan, kind, chosen, precision)
    for backend in OTHERS:
        first = [(segments[0][0], backend), *segments[1:]]
        assert_agrees(relay(plan, kind, chosen, precision, first), expected, tolerance)


@pytest.mark.parametrize(names, DAILY)
@given(plan=plans, segments=relays)
@settings(max_examples=4)
def test_any_windows_on_any_backends_give_the_bits_of_the_reference(
    kind: str, chosen: Any, precision: Any, plan: Plan, segments: Any
) -> None:
    hold_to_the_reference(kind, chosen, precision, plan, segments)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(names, CASES)
@given(plan=plans, segments=relays)
@settings(max_examples=5)
def test_any_option_on_any_backends_gives_the_bits_of_the_reference(
    kind: str, chosen: Any, precision: Any, plan: Plan, segments: Any
) -> None:
    hold_to_the_reference(kind, chosen, precision, plan, segments)


LIVELY = [
    Plan(seed=1, pre=70, post=130, kind="dense", delays="neuron", busy=0.15),
    Plan(seed=2, pre=70, post=65, kind="sparse", delays="synapse", busy=0.15, valued=True),
    Plan(seed=3, post=63, kind="one_to_one", busy=0.15),
]
on_each = pytest.mark.parametrize("plan", LIVELY, ids=lambda plan: plan.kind)


@pytest.mark.parametrize(names, DAILY)
@on_each
def test_what_is_compared_is_lively(kind: str, chosen: Any, precision: Any, plan: Plan) -> None:
    found = whole(plan, kind, chosen, precision)
    assert 100 < found["n/t"].size < 0.9 * TICKS * plan.post
    rule = rules()[kind]
    for port in rule.ports():
        values = found[f"n/{port}_x/value"].reshape(TICKS, -1)
        moving = (values != values[0]).any(axis=0).mean()
        assert moving > 0.2 or (port == "w" and not issubclass(rule, Bounded)), port


@pytest.mark.parametrize("kind", [kind for kind, rule in rules().items() if rule.event_driven])
@pytest.mark.parametrize("precision", ["float32", "float64"])
@given(seed=st.integers(0, 10_000), place=st.integers(0, 1000))
@settings(max_examples=50)
def test_a_rule_that_says_so_leaves_a_synapse_alone_while_its_neurons_are_silent(
    kind: str, precision: Any, seed: int, place: int
) -> None:
    rng = np.random.default_rng(seed)
    known = [chosen for name, chosen, *_ in cases() if name == kind]
    rule = drawn(kind, known[place % len(known)], rng)
    form, constants = rule_form(rule, DT)
    kept = len(form.states) + len(form.pre) + len(form.post)
    given_ = [rng.normal(0, 3, 200).astype(precision) for _ in range(kept)]
    given_[0] = rule.begin(given_[0]).astype(precision)
    for silent in (len(form.states) + len(form.pre) - 1, kept - 1):
        given_[silent][:] = 0
    named = {name: np.dtype(precision).type(constants[name]) for name in form.named}
    found = form.function(*[one.copy() for one in given_], **named, **dict.fromkeys(form.unused))
    for state, new in zip(given_[: len(form.states)], found, strict=True):
        assert new.tobytes() == state.tobytes()


@pytest.mark.parametrize(names, ONE_EACH)
@pytest.mark.parametrize("backend", BACKENDS)
@on_each
def test_reset_keeps_what_was_learned_and_clears_what_marks_it(
    backend: str, kind: str, chosen: Any, precision: Any, plan: Plan
) -> None:
    events = drive(plan)
    used = network(backend, plan, kind, chosen, precision)
    used.step(0, TICKS, events)
    learned = {name: used.plastic("n", name).read(used.arrays, "w").copy() for name in ("x", "own")}
    used.reset(["n"])
    saved = used.save()
    for name, values in saved.items():
        if name.startswith("state/") or (name.startswith("synapses/") and not name.endswith("/w")):
            assert not values.any(), name
    new = network(backend, plan, kind, chosen, precision)
    for name, values in learned.items():
        assert used.plastic("n", name).read(used.arrays, "w").tobytes() == values.tobytes()
        new.plastic("n", name).write(new.arrays, "w", values)
    new.step(0, TICKS, {})
    new.reset(["n"])
    later = {name: Events(t + TICKS, neuron, value) for name, (t, neuron, value) in events.items()}
    one, other = outcome(used, [used.step(TICKS, TICKS, later)]), outcome(new, [new.step(TICKS, TICKS, later)])
    assert_agrees(one, other, None)


@pytest.mark.parametrize(names, BOUNDED)
@given(plan=plans)
@settings(max_examples=10)
def test_weights_stay_within_their_bounds_from_the_first_tick_on(
    kind: str, chosen: Any, precision: Any, plan: Plan
) -> None:
    chosen = {**chosen, "hardbound": True}
    rng = np.random.default_rng(plan.seed)
    found = whole(replace(plan, until=plan.until or None), kind, chosen, precision)  # at once: they stay as they are
    for name in ("x", "own")[: 1 + plan.recurrent]:
        rule: Any = drawn(kind, chosen, rng)
        low, high = (np.dtype(precision).type(bound) for bound in (rule.w_min, rule.w_max))
        weights = found[f"n/w_{name}/value"]
        assert ((weights >= low) & (weights <= high)).all()


@pytest.mark.parametrize(names, ONE_EACH)
@pytest.mark.parametrize("backend", BACKENDS)
@on_each
def test_a_frozen_projection_keeps_its_weights_while_its_traces_move(
    backend: str, kind: str, chosen: Any, precision: Any, plan: Plan
) -> None:
    frozen = replace(plan, until=0, recurrent=False)
    made = network(backend, frozen, kind, chosen, precision)
    before = made.plastic("n", "x").read(made.arrays, "w").copy()
    given_ = next(p.synapses.weights for p in made.projections if p.learning)
    np.testing.assert_array_equal(np.sort(before), np.sort(given_.ravel().astype(precision)))
    found = outcome(made, [made.step(0, TICKS, drive(frozen))])
    rule = rules()[kind]
    for state in rule.state:
        weights = found[f"n/{state}_x/value"].reshape(TICKS, -1)
        assert all(row.tobytes() == (before if state == "w" else np.zeros_like(before)).tobytes() for row in weights)
    for trace in (*rule.pre[:-1], *rule.post[:-1]):
        assert found[f"n/{trace}_x/value"].any()


@pytest.mark.parametrize(names, ONE_EACH)
@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_changes_from_the_tick_on_that_until_names(
    backend: str, kind: str, chosen: Any, precision: Any
) -> None:
    plan = replace(LIVELY[0], until=25)
    found = whole(plan, kind, chosen, precision, backend)
    free = whole(replace(plan, until=None), kind, chosen, precision, backend)
    for state in rules()[kind].state:
        rows, unlimited = (one[f"n/{state}_x/value"].reshape(TICKS, -1) for one in (found, free))
        assert rows[:25].tobytes() == unlimited[:25].tobytes()
        assert all(row.tobytes() == rows[24].tobytes() for row in rows[25:])


QUIET = replace(LIVELY[1], recurrent=False)
SILENCE = 50
"""So many times as long as the events before it: traces come to zero, and tiles rest."""


@pytest.mark.skipif("numba" not in OTHERS, reason="Numba is not installed")
@pytest.mark.parametrize(names, ONE_EACH)
def test_a_long_silence_changes_no_bit(kind: str, chosen: Any, precision: Any) -> None:
    events, ends = drive(QUIET), []
    again = {name: Events(t + SILENCE * TICKS, neuron, value) for name, (t, neuron, value) in events.items()}
    for backend in ("numpy", "numba"):
        net = network(backend, QUIET, kind, chosen, precision, recorded=False)
        results = [net.step(0, TICKS, events)]
        results += [net.step(TICKS * k, TICKS, {}) for k in range(1, SILENCE)]
        ends.append(outcome(net, [*results, net.step(SILENCE * TICKS, TICKS, again)]))
    assert_agrees(ends[1], ends[0], None)


@pytest.mark.skipif("numba" not in OTHERS, reason="Numba is not installed")
@pytest.mark.parametrize(names, ONE_EACH)
def test_a_network_that_learns_is_never_skipped(kind: str, chosen: Any, precision: Any) -> None:
    net = network("numba", QUIET, kind, chosen, precision, recorded=False)
    net.step(0, TICKS, drive(QUIET))
    silence = [net.step(TICKS * k, TICKS, {}) for k in range(1, 2 * SILENCE)]
    assert not net.is_still and silence[-1] is not silence[-2]


# By hand: two synapses of one spike each tick, with numbers that binary fractions hold exactly.


def pair(backend: str, rule: Any, delays: Any = 0) -> Network:
    """Two channels, each to its neuron; a neuron takes a quarter of its current, and is at rest again after a spike."""
    ports = {"w": (None, 1), "t_pre": (None, 1), "t_post": (None, 1)}
    model = Lif(tau_mem=4e-3, tau_syn=1e-3)
    synapses = one_to_one(np.array([8.0, 1.5]), delays)
    learned = Projection("x", "n", synapses, learning=Learning(rule, name="x", record=ports))
    group = Group("n", model, 2, record={"v": (np.arange(2), 1)})
    return Network([group], [Train("x", 2)], [learned], dt=DT, backend=backend)


HALF = Stdp(tau_pre=2e-3, tau_post=2e-3, a_pre=2, a_post=2, eta_plus=1, eta_minus=0.25, w_max=100)
"""Traces that go half the way to two in every tick."""


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_old_weights_act_before_they_change(backend: str) -> None:
    events = Events(np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1] * 3, np.uint32))
    result = pair(backend, HALF).step(0, 3, {"x": events})["n"]
    recorded = {name: column[2].reshape(3, 2).tolist() for name, column in result.recorded.items()}
    # a neuron takes a quarter of the weight that the tick began with: 1 comes to 0.375, 0.66, 0.87 and is silent
    assert list(zip(result.t.tolist(), result.neuron.tolist(), strict=True)) == [(0, 0), (1, 0), (2, 0)]
    assert recorded["t_pre_x"] == [[1, 1], [1.5, 1.5], [1.75, 1.75]]
    assert recorded["t_post_x"] == [[1, 0], [1.5, 0], [1.75, 0]]
    assert recorded["w_x"] == [[8.75, 1.5], [9.875, 1.5], [11.1875, 1.5]]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("delays", [3, np.array([3, 1])], ids=["one", "each"])
def test_a_spike_is_one_for_the_rule_when_it_arrives(backend: str, delays: Any) -> None:
    events = Events(np.zeros(2, np.int64), np.arange(2, dtype=np.uint32))
    result = pair(backend, HALF, delays).step(0, 5, {"x": events})["n"]
    late = np.broadcast_to(delays, 2)
    trace = result.recorded["t_pre_x"][2].reshape(5, 2)
    for channel in range(2):
        assert (trace[: late[channel], channel] == 0).all()
        assert trace[late[channel] :, channel].tolist() == [2.0**-k for k in range(5 - late[channel])]
    assert list(zip(result.t.tolist(), result.neuron.tolist(), strict=True)) == [(3, 0)]
    assert result.recorded["w_x"][2].reshape(5, 2)[:, 0].tolist() == [8, 8, 8, 8.75, 8.75]
