"""Small networks that learn by any rule there is, and their runs, for comparison bit by bit."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args, get_origin

import numpy as np
import numpy.typing as npt

from spikeflow.kernels import Events, Group, Network, Projection, Synapses, Train
from spikeflow.kernels.models.lif import Lif
from spikeflow.kernels.parameters import times
from spikeflow.kernels.rule import Bounded, Learning, LearningRule
from spikeflow.kernels.rules import rules
from spikeflow.kernels.synapses import dense, one_to_one, sparse
from tests.kernels.blocks import between, joined

TICKS = 36
DT = 1e-3
Drive: TypeAlias = dict[str, Events]
Outcome: TypeAlias = dict[str, npt.NDArray[Any]]
Segments: TypeAlias = Sequence[tuple[int, str | None]]
"""How many ticks each backend goes on for, from the state that was saved; None: without any saving."""


def choices(rule: type[LearningRule]) -> list[dict[str, Any]]:
    """Every combination of the fields by which a rule's text may differ."""
    valid: dict[str, tuple[Any, ...]] = {}
    for name, field in rule.model_fields.items():
        if get_origin(field.annotation) is Literal:
            valid[name] = get_args(field.annotation)
        elif field.annotation is bool:
            valid[name] = (True, False)
    return [dict(zip(valid, chosen, strict=True)) for chosen in itertools.product(*valid.values())]


def cases() -> Iterator[tuple[str, dict[str, Any], str, bool]]:
    """Every rule there is, in every option and precision, and whether the case is one of the few of every day."""
    for kind, rule in rules().items():
        known = choices(rule)
        for place, chosen in enumerate(known):
            yield kind, chosen, "float32", place == 0
            yield kind, chosen, "float64", place == len(known) - 1


def drawn(kind: str, chosen: Mapping[str, Any], rng: np.random.Generator) -> LearningRule:
    """A rule with numbers that make its synapses move, and that `check` would let pass.

    What may not be negative is one or more: a power below one has no finite slope at zero, where last bits grow. Rates
    are small and, where no bound holds the weights, positive: else weights grow without end.
    """
    rule = rules()[kind]
    rates = (-0.25, 0.25) if not issubclass(rule, Bounded) or chosen.get("hardbound", True) else (0.002, 0.02)
    while True:
        numbers: dict[str, Any] = {}
        for name, field in rule.model_fields.items():
            if name in times(rule):
                numbers[name] = float(rng.uniform(1e-3, 20e-3))
            elif field.annotation is float:
                positive = any(getattr(limit, "ge", None) == 0 for limit in field.metadata)
                numbers[name] = float(rng.uniform(1, 2) if positive else rng.uniform(*rates))
        if issubclass(rule, Bounded):
            numbers |= {"w_min": float(rng.uniform(-1, 0.2)), "w_max": float(rng.uniform(0.5, 2))}
        made = rule(**numbers, **chosen)
        if all(problem.warning for problem in made.problems(DT)):
            return made


@dataclass(frozen=True)
class Plan:
    """What may vary without another compiled text.

    Attributes:
        delays: one for all synapses, one for each presynaptic neuron, or one for each synapse.
        recurrent: whether the population learns from itself, too.
        held: whether what arrives acts until the channel's next event.
        busy: how many of the channels have an event in a tick.
    """

    seed: int = 0
    pre: int = 70
    post: int = 65
    kind: Literal["dense", "sparse", "one_to_one"] = "dense"
    delays: Literal["one", "neuron", "synapse"] = "one"
    recurrent: bool = True
    valued: bool = False
    held: bool = False
    busy: float = 0.1
    until: int | None = None

    @property
    def senders(self) -> int:
        return self.post if self.kind == "one_to_one" else self.pre


def synapses(plan: Plan, pre: int, post: int, least: int, rng: np.random.Generator) -> Synapses:
    """Synapses with weights of all sizes, several of them between the same two neurons, where the kind has such."""
    shape = {"dense": (pre, post), "sparse": (3 * (pre + post),), "one_to_one": (post,)}[plan.kind]
    weights = rng.normal(0.3, 0.7, shape) * rng.choice([1, 1, 1, 0, 1e-20, 1e-34], shape)
    delay: npt.ArrayLike = least
    if plan.delays != "one":
        each = plan.delays == "synapse" and plan.kind != "one_to_one"
        delay = rng.integers(least, least + 4, shape if each else pre)
    if plan.kind == "dense":
        return dense(weights, delay)
    if plan.kind == "one_to_one":
        return one_to_one(weights, delay)
    sender = rng.integers(0, pre, shape)
    late = np.asarray(delay)[sender] if plan.delays == "neuron" else delay
    return sparse(pre, post, sender, rng.integers(0, post, shape), weights, late)


def network(
    backend: str, plan: Plan, kind: str, chosen: Mapping[str, Any], precision: Any, recorded: bool = True
) -> Network:
    """A population with a teacher, that learns from a train and from itself, and that hears what its rules hear.

    Where weights may differ in their last bits the teacher drowns them, so that the spikes are the same.
    """
    rng = np.random.default_rng(plan.seed)
    first, own = drawn(kind, chosen, rng), drawn(kind, chosen, rng)
    high = 6.0 if plan.kind == "dense" else 1.0  # where so much arrives, neurons fire now and then all the same
    loud = 2.0 * high if first.tolerance is None else 1e5
    ports: dict[str, Any] = dict.fromkeys(first.ports() if recorded else (), (None, 1))
    taught = synapses(plan, plan.senders, plan.post, 0, rng)
    projections = [
        Projection("teacher", "n", one_to_one(np.full(plan.post, loud))),
        Projection("x", "n", taught, hold=plan.held, learning=Learning(first, plan.until, "x", ports)),
    ]
    back = synapses(plan, plan.post, plan.post, 1, rng)
    if plan.recurrent:
        projections.append(Projection("n", "n", back, learning=Learning(own, None, "own", ports)))
    for receptor in first.receptors:
        projections.append(Projection("heard", "n", dense(rng.normal(0, 1, (3, plan.post)), 2), receptor))
    trains = [
        Train("x", plan.senders, plan.valued or plan.held),
        Train("teacher", plan.post, True),
        Train("heard", 3, True),
    ]
    return Network([Group("n", Lif(v_th=high), plan.post, precision)], trains, projections, dt=DT, backend=backend)


def drive(plan: Plan) -> Drive:
    """Events of every train, and some ticks without any."""
    rng = np.random.default_rng(plan.seed + 1)
    found = {}
    for name, size in (("x", plan.senders), ("teacher", plan.post), ("heard", 3)):
        here = rng.random((TICKS, size)) < plan.busy
        here[TICKS // 3 : TICKS // 2] = False
        tick, channel = np.nonzero(here)
        valued = name != "x" or plan.valued or plan.held
        value = rng.normal(2, 1, tick.size) if valued else None
        found[name] = Events(tick, channel.astype(np.uint32), value)
    return found


def outcome(made: Network, results: Sequence[Any]) -> Outcome:
    """All that can be seen: spikes, every port at every tick, and the state at the end."""
    return joined(results) | {f"saved {name}": np.asarray(value) for name, value in made.save().items()}


def whole(plan: Plan, kind: str, chosen: Mapping[str, Any], precision: Any, backend: str = "numpy") -> Outcome:
    """A run in one piece."""
    made = network(backend, plan, kind, chosen, precision)
    return outcome(made, [made.step(0, TICKS, drive(plan))])


def relay(plan: Plan, kind: str, chosen: Mapping[str, Any], precision: Any, segments: Segments) -> Outcome:
    """A run in pieces, each on its backend; the last one goes on to the end."""
    events, results, tick = drive(plan), [], 0
    made: Network | None = None
    for place, (ticks, backend) in enumerate(segments):
        if made is None or backend is not None:
            saved = None if made is None else made.save()
            made = network(backend or "numpy", plan, kind, chosen, precision)
            if saved is not None:
                made.load(saved)
        count = TICKS - tick if place == len(segments) - 1 else min(ticks, TICKS - tick)
        if count:
            results.append(made.step(tick, count, between(events, tick, tick + count)))
        tick += count
    assert made is not None
    return outcome(made, results)


def assert_agrees(found: Outcome, expected: Outcome, tolerance: float | None) -> None:
    """The same bits everywhere; with a tolerance, the same spikes, and numbers that are as near as it says."""
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        if tolerance is None or array.dtype.kind != "f":
            assert found[name].tobytes() == array.tobytes(), name
        else:
            np.testing.assert_allclose(found[name], array, rtol=tolerance, atol=tolerance, err_msg=name)
