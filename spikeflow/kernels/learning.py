"""Lays learning out as what a network has already: traces are neurons that never spike."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from pydantic import create_model

from spikeflow.errors import ParameterError
from spikeflow.kernels import layout, synapses
from spikeflow.kernels.model import Array, NeuronModel
from spikeflow.kernels.parts import Group, Projection
from spikeflow.kernels.rule import Learning, LearningRule, values_of
from spikeflow.kernels.vocabulary import TINY, flush
from spikeflow.units import Seconds

COPIES = "copies share their weights, which each would change for all; learn with one, and give its weights to all"


class Trace(NeuronModel):
    """One side of a rule as neurons that never spike, so that everything that holds for neurons holds for traces."""

    spikes: ClassVar = False
    refracts: ClassVar = False
    resets: ClassVar = ()
    rule: LearningRule

    def constants(self, dt: Seconds) -> Mapping[str, float | Array]:
        return values_of(self.rule, dt)

    def options(self) -> dict[str, str]:
        return self.rule.options()


@functools.cache
def _trace(rule: type[LearningRule], side: str) -> type[Trace]:
    made = create_model(f"{rule.__name__}.trace_{side}", __base__=Trace, __module__=__name__)
    made.state = getattr(rule, side)
    made.receptors = ("z", *rule.receptors) if side == "post" else ("z",)
    made.update = getattr(rule, f"trace_{side}")  # type: ignore[method-assign]
    return made


@dataclass(frozen=True)
class Lesson:
    """A projection that learns, as it is laid out.

    Attributes:
        projection: its place among the projections.
        before, after: the places of the groups that keep the presynaptic and the postsynaptic traces.
    """

    projection: int
    learning: Learning
    before: int
    after: int


def expanded(
    groups: Sequence[Group], projections: Sequence[Projection]
) -> tuple[list[Group], list[Projection], list[Lesson]]:
    """Groups and projections with the traces that learning needs, behind the others.

    Raises:
        ParameterError: learning where nothing spikes, in copies, or with weights in float16.
    """
    all_groups, lessons = list(groups), list[Lesson]()
    targets = {group.name: group for group in groups}
    heard = [p for p in projections if _is_heard(p, projections, targets)]
    kept = [p for p in projections if p not in heard]
    made = [replace(p, synapses=_begun(p)) if p.learning else p for p in kept]
    for place, projection in enumerate(kept):
        if projection.learning is None:
            continue
        target, rule = targets[projection.target], projection.learning.rule
        if target.copies > 1:
            raise ParameterError(f"{target.copies} copies of {target.name!r} that learn", COPIES)
        if not target.model.spikes:
            hint = "let a population learn that spikes"
            raise ParameterError(f"{target.name!r} learns, but its neurons never spike", hint)
        if projection.synapses.half:
            found = f"weights in float16 that learn, from {projection.source!r} to {projection.target!r}"
            raise ParameterError(found, "let them have the precision of the population")
        listening = _listening(projection)
        names = [f"{projection.target}/{place}/{side}" for side in ("pre", "post")]
        before, after = len(all_groups), len(all_groups) + 1
        sizes = listening.post_size, target.size
        for name, side, size, seen in zip(
            names, ("pre", "post"), sizes, (listening.pre_size, target.size), strict=True
        ):
            trace = _trace(type(rule), side)(rule=rule)
            record = {
                state: (np.arange(seen) if channels is None else channels, every)
                for state, (channels, every) in projection.learning.record.items()
                if state in trace.state
            }
            all_groups.append(Group(name, trace, size, target.precision, record=record))
        lessons.append(Lesson(place, projection.learning, before, after))
        made.append(Projection(projection.source, names[0], listening, hold=projection.hold))
        made.append(Projection(target.name, names[1], synapses.one_to_one(np.ones(target.size))))
        made += [replace(p, target=names[1]) for p in heard if p.target == target.name and p.receptor in rule.receptors]
    return all_groups, made, lessons


def _is_heard(projection: Projection, projections: Sequence[Projection], groups: Mapping[str, Group]) -> bool:
    """Whether what arrives goes to a rule of the population, not to its neurons."""
    group = groups.get(projection.target)
    if group is None or projection.receptor in (None, *group.model.receptors):
        return False
    rules = [p.learning.rule for p in projections if p.target == projection.target and p.learning]
    return any(projection.receptor in rule.receptors for rule in rules)


def _begun(projection: Projection) -> synapses.Synapses:
    """The synapses with the weights that the rule begins with; as they are, if it never changes one."""
    assert projection.learning is not None
    if projection.learning.until == 0:
        return projection.synapses
    begun = projection.learning.rule.begin(np.asarray(projection.synapses.weights, np.float64))
    # as after a tick, for a backend that leaves a synapse alone until something happens to it; and no -0
    return replace(projection.synapses, weights=flush(begun, TINY, 0.0) + 0.0)


def _listening(projection: Projection) -> synapses.Synapses:
    """From the presynaptic neurons to their traces, as late as the synapses are.

    With one delay a neuron there is a trace for each; with one a synapse, for each neuron and delay, delays outermost.
    """
    of = projection.synapses
    if of.kind == layout.CSR and of.delays.size > 1:
        rows = of.delays.size * of.pre_size
        pre = np.tile(np.arange(of.pre_size), of.delays.size)
        late = np.repeat(of.delays, of.pre_size)
        return synapses.sparse(of.pre_size, rows, pre, np.arange(rows), np.ones(rows), late)
    delay = of.delays[of.member] if of.member is not None else of.delays[0]
    return synapses.one_to_one(np.ones(of.pre_size), delay)
