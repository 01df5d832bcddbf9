"""Lays a network out in the flat arrays that backends work on."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from spikeflow import noise
from spikeflow.errors import ParameterError, nearest
from spikeflow.kernels import layout
from spikeflow.kernels.layout import CODES, TILE, Arrays, aligned, tiles_of
from spikeflow.kernels.learning import Lesson
from spikeflow.kernels.model import Array, Coupling, Form
from spikeflow.kernels.parts import Group, Precision, Program, Projection, Train
from spikeflow.kernels.rule import RuleForm, rule_form
from spikeflow.units import Seconds


class Builder:
    """Lays a network out in flat arrays."""

    def __init__(
        self,
        groups: Sequence[Group],
        trains: Sequence[Train],
        projections: Sequence[Projection],
        forms: Sequence[tuple[Form, dict[str, float | Array]]],
        lessons: Sequence[Lesson] = (),
        *,
        dt: Seconds,
        origin_ns: int,
        dt_ns: int,
        seed: int,
        skip: bool,
    ) -> None:
        self.groups, self.projections, self.forms, self.lessons = groups, projections, forms, lessons
        self.members: tuple[Group | Train, ...] = (*groups, *trains)
        self.origin_ns, self.dt_ns = origin_ns, dt_ns
        self.place = {member.name: place for place, member in enumerate(self.members)}
        scratch = max((len(decided.states) for decided, _ in self.forms), default=0) * TILE
        self.real: dict[str, int] = {"float32": scratch, "float64": scratch}
        self.fills: list[tuple[str, int, npt.NDArray[np.float64]]] = []
        self.weights: dict[str, list[npt.NDArray[Any]]] = {"float32": [], "float64": [], "float16": []}
        self.weight_count = {"float32": 0, "float64": 0, "float16": 0}
        self.post: list[npt.NDArray[np.int32]] = [np.zeros(1, np.int32)]
        self.post_count = 1
        self.start: list[npt.NDArray[np.int64]] = [np.zeros(1, np.int64)]
        self.start_count = 1
        self.held_count, self.rest_count = 0, 0
        self.records: list[tuple[str, str, npt.NDArray[np.uint32], int, Precision]] = []
        for projection in self.projections:
            self._check(projection)
        order = _order(groups, projections)
        of = [group.precision for group in groups]
        self.which, distinct = _distinct([decided for decided, _ in forms], of, form_key)
        self.rules = [rule_form(lesson.learning.rule, dt) for lesson in lessons]
        of = [groups[lesson.after].precision for lesson in lessons]
        self.which_rule, rules = _distinct([decided for decided, _ in self.rules], of, rule_key)
        self.program = Program(tuple(distinct), tuple(rules), any(p.synapses.half for p in projections))
        self.couplings = [
            (place, coupling) for place, group in enumerate(groups) for coupling in group.model.couplings(dt)
        ]
        n_groups, n_sources = len(self.groups), len(self.members)
        n_projections = len(self.projections) + len(self.couplings)
        n_records = sum(len(group.record) for group in self.groups)
        self.group_at = len(layout.HEAD)
        self.source_at = self.group_at + n_groups * CODES["GROUP"]
        self.projection_at = self.source_at + n_sources * CODES["SOURCE"]
        self.record_at = self.projection_at + n_projections * CODES["PROJECTION"]
        self.learning_at = self.record_at + n_records * CODES["RECORD"]
        self.table = [0] * (self.learning_at + len(lessons) * CODES["LEARNING"])
        self._head(order, skip, seed)
        self._groups(seed)
        self._sources()
        for place, projection in enumerate(self.projections):
            self._projection(place, projection)
        for place, (target, coupling) in enumerate(self.couplings, len(self.projections)):
            self._coupling(place, target, coupling)
        for place, lesson in enumerate(lessons):
            self._lesson(place, lesson)
        self._record()
        self.arrays = self._allocate()

    def _set(self, at: int, **columns: int) -> None:
        for name, number in columns.items():
            self.table[at + CODES[name]] = number

    def _more(self, numbers: Sequence[int]) -> int:
        at = len(self.table)
        self.table += [int(number) for number in numbers]
        return at

    def _target(self, projection: Projection) -> Group:
        for group in self.groups:
            if group.name == projection.target:
                return group
        names = [group.name for group in self.groups]
        raise ParameterError(f"there is no group {projection.target!r}", nearest(projection.target, names))

    def _check(self, projection: Projection) -> None:
        synapses = projection.synapses
        sizes = {member.name: member.each for member in self.members}
        if projection.source not in sizes:
            raise ParameterError(f"there is no {projection.source!r}", nearest(projection.source, sizes))
        target = self._target(projection)
        copies = self.members[self.place[projection.source]].copies
        if copies not in (1, target.copies):
            found = f"{copies} copies of {projection.source!r} for {target.copies} of {target.name!r}"
            raise ParameterError(found, "as many, or one that all hear")
        receptors = target.model.receptors
        if projection.receptor is not None and projection.receptor not in receptors:
            raise ParameterError(f"no receptor {projection.receptor!r}", nearest(projection.receptor, receptors))
        for name, size in ((projection.source, synapses.pre_size), (projection.target, synapses.post_size)):
            if sizes[name] != size:
                raise ParameterError(
                    f"synapses for {size} neurons of {name!r}, which has {sizes[name]}", "make them agree"
                )
        if projection.source == projection.target and int(synapses.delays[0]) < 1:
            raise ParameterError(f"a delay of 0 from {projection.source!r} to itself", "delay it by a tick or more")

    def _head(self, order: list[int], skip: bool, seed: int) -> None:
        self.span = self._span(order)
        self._set(
            0, H_ORIGIN=self.origin_ns, H_STEP=self.dt_ns, H_SKIP=int(skip),
            H_GROUPS=len(self.groups), H_GROUP=self.group_at, H_SOURCES=len(self.members), H_SOURCE=self.source_at,
            H_PROJECTIONS=len(self.projections) + len(self.couplings), H_PROJECTION=self.projection_at,
            H_RECORDS=sum(len(group.record) for group in self.groups), H_RECORD=self.record_at,
            H_LEARNINGS=len(self.lessons), H_LEARNING=self.learning_at, H_FORMS=len(self.program.forms),
            H_ORDER=self._more(order),
            H_SCRATCH=self._more([0] * self._scratch()),
            H_SPAN=self.span, H_FOUND=-1, H_NEURON=-1, H_COUNTS=self._more([0] * self.span),
            H_BOUNDS=self._more([0] * (2 * self.span * self._most_listed())),
            H_BITS=sum(tiles_of(group.size) for group in self.groups) * (TILE // 8),
        )  # fmt: skip

    def _span(self, order: list[int]) -> int:
        """How many ticks a population may be stepped before the others are, without a spike that comes too late."""
        if self.lessons or any(group.model.graded for group in self.groups):
            return 1  # what learns looks at all populations of a tick; what spikes carry is read at their tick
        turn = {place: k for k, place in enumerate(order)}
        span = _SPAN
        for projection in self.projections:
            source, target = self.place[projection.source], self.place[projection.target]
            if source in turn and turn[source] >= turn[target]:
                span = min(span, int(projection.synapses.delays[0]))
        most = max((tiles_of(group.size) for group in self.groups), default=1)
        return max(1, min(span, _BITS // (most * TILE)))

    def _block(self, place: int, rows: int) -> int:
        """How many tiles of a population go through several ticks before the next ones do."""
        group = self.groups[place]
        listed = [p.synapses for p in self.projections if p.target == group.name]
        apart = not group.record and not any(target == place for target, _ in self.couplings)
        apart = apart and not any(p.hold for p in self.projections if p.target == group.name)
        apart = apart and all(synapses.kind != layout.CSR and synapses.delays.size == 1 for synapses in listed)
        if not apart or group.copies > 1:
            return tiles_of(group.size)
        return max(1, _CACHE // (rows * TILE * np.dtype(group.precision).itemsize))

    def _most_listed(self) -> int:
        targets = [projection.target for projection in self.projections] + [place for place, _ in self.couplings]
        return max((targets.count(target) for target in targets), default=0) + len(self.couplings)

    def _scratch(self) -> int:
        delays = max((projection.synapses.delays.size for projection in self.projections), default=1)
        words = max((8 * tiles_of(group.size) for group in self.groups), default=1)
        return max(2 * delays, words + 1)

    def _groups(self, seed: int) -> None:
        for place, (group, (decided, constants)) in enumerate(zip(self.groups, self.forms, strict=True)):
            if group.size < 1:
                raise ParameterError(f"{group.name!r} has {group.size} neurons", "give it one or more")
            if group.size % group.copies:
                raise ParameterError(f"{group.size} neurons in {group.copies} copies", "give each copy as many")
            for name, count in group.model.per_neuron().items():
                if count != group.each:
                    raise ParameterError(
                        f"{name} of {group.name!r} has {count} values for {group.each} neurons",
                        "give one value, or one per neuron",
                    )
            for name in group.initial:
                if name not in decided.states:
                    raise ParameterError(f"{group.name!r} has no state {name!r}", nearest(name, decided.states))
            listed = [k for k, p in enumerate(self.projections) if p.target == group.name]
            used = [self.projections[k].receptor or decided.receptors[0] for k in listed]
            own = [(k, c) for k, (target, c) in enumerate(self.couplings, len(self.projections)) if target == place]
            spare = len(used) > len(set(used)) or bool(own)
            listed += [k for k, coupling in own if not coupling.after]
            after = [k for k, coupling in own if coupling.after]
            value = decided.states.index(group.model.graded) if group.model.graded else -1
            if after and value >= 0:
                found = f"graded spikes and a coupling that acts after them in {group.name!r}"
                raise ParameterError(found, "let it act before the equations")
            states, inputs = len(decided.states), len(decided.receptors)
            rows = states + inputs + len(decided.rows) + int(spare)
            tiles = tiles_of(group.size)
            base = self.real[group.precision]
            self.real[group.precision] = base + tiles * rows * TILE
            scalars = [0.0 if isinstance(c := constants[n], np.ndarray) else c for n in decided.constants]
            constant = self._keep_constants(scalars, group.precision)
            for k, name in enumerate(decided.rows):
                row = np.resize(np.asarray(constants[name], np.float64), group.size)
                row = np.concatenate([row, np.full(tiles * TILE - group.size, row[-1])])
                for tile in range(tiles):
                    first = base + tile * rows * TILE + (states + inputs + k) * TILE
                    self.fills.append((group.precision, first, row[tile * TILE : (tile + 1) * TILE]))
            keys = [noise.key(seed, group.name, name) for name in decided.noise]
            self._set(
                self.group_at + place * CODES["GROUP"],
                G_FORM=self.which[place], G_BASE=base, G_TILES=tiles, G_ROWS=rows, G_SIZE=group.size, G_STATES=states,
                G_INPUTS=inputs, G_CONSTANT=constant, G_REST=self.rest_count, G_RESTING=0,
                G_LIST=self._more(listed), G_LISTED=len(listed), G_AFTER=self._more(after), G_AFTERS=len(after),
                G_KEY=self._more([k - 2**64 if k >= 2**63 else k for k in keys]),
                G_VALUE=value, G_EACH=group.each, G_BLOCK=self._block(place, rows),
            )  # fmt: skip
            self.rest_count += tiles

    def _sources(self) -> None:
        self.event_count = self.value_count = 0
        for place, member in enumerate(self.members):
            silent = isinstance(member, Group) and not member.model.spikes
            capacity = 0 if silent else max(2 * member.size, 4096)
            valued = member.valued if isinstance(member, Train) else member.model.graded is not None
            self._set(
                self.source_at + place * CODES["SOURCE"],
                S_CAPACITY=capacity, S_OFFSET=self.event_count, S_SIZE=member.size,
                S_VALUE=self.value_count if valued else -1, S_KEPT=int(isinstance(member, Group) and not silent),
            )  # fmt: skip
            self.event_count += capacity
            self.value_count += capacity if valued else 0

    def _projection(self, place: int, projection: Projection) -> None:
        synapses = projection.synapses
        target = self.place[projection.target]
        group, (decided, _) = self.groups[target], self.forms[target]
        receptor = projection.receptor or decided.receptors[0]
        row = len(decided.states) + decided.receptors.index(receptor)
        earlier = [
            p for p in self.projections[:place]
            if p.target == projection.target and (p.receptor or decided.receptors[0]) == receptor
        ]  # fmt: skip
        spare = len(decided.states) + len(decided.receptors) + len(decided.rows)
        weights, stride = synapses.weights, 1
        stored = "float16" if synapses.half else group.precision
        apart = synapses.kind != layout.DENSE and projection.learning is None
        if apart and weights.size and (weights == weights.flat[0]).all():
            weights, stride = weights.ravel()[:1], 0  # one number, which is not fetched anew for each synapse
        if synapses.kind == layout.DENSE:
            stride = tiles_of(group.each) * TILE
            wide = np.zeros((synapses.pre_size, stride), stored)
            wide[:, : group.each] = synapses.weights
            weights = wide
        held = -1
        every = self.members[self.place[projection.source]].size
        if projection.hold:
            held = self.held_count
            self.held_count += synapses.delays.size * every
        delays = self._more([number for delay in synapses.delays for number in (int(delay), 0)])
        self._set(
            self.projection_at + place * CODES["PROJECTION"],
            P_KIND=synapses.kind, P_SOURCE=self.place[projection.source], P_TARGET=target,
            P_ROW=spare if earlier else row, P_INTO=row if earlier else -1,
            P_WEIGHT=self.weight_count[stored], P_STRIDE=stride, P_PRE=synapses.pre_size,
            P_DELAYS=synapses.delays.size, P_DELAY=delays, P_HELD=held, P_STATE=-1,
            P_START=self._keep_start(synapses.start), P_POST=self._keep_post(synapses.post),
            P_MEMBER=self._keep_post(synapses.member), P_COPIES=group.copies, P_EACH=group.each, P_ALL=every,
            P_HALF=int(synapses.half),
        )  # fmt: skip
        self._keep_weights(weights, stored)

    def _coupling(self, place: int, target: int, coupling: Coupling) -> None:
        """A dense projection that the target's own state drives; it has no source, and no delay."""
        group, (decided, _) = self.groups[target], self.forms[target]
        if coupling.weights.shape != (group.each, group.each):
            found = f"a coupling of shape {list(coupling.weights.shape)} for {group.each} neurons of {group.name!r}"
            raise ParameterError(found, f"give [{group.each}, {group.each}]")
        rows = [*decided.states, *decided.receptors]
        wide = np.zeros((group.each, tiles_of(group.each) * TILE), group.precision)
        wide[:, : group.each] = coupling.weights.T
        self._set(
            self.projection_at + place * CODES["PROJECTION"],
            P_KIND=layout.DENSE, P_SOURCE=-1, P_TARGET=target, P_ROW=len(rows) + len(decided.rows),
            P_INTO=rows.index(coupling.into), P_WEIGHT=self.weight_count[group.precision], P_STRIDE=wide.shape[1],
            P_PRE=group.each, P_DELAYS=0, P_DELAY=0, P_START=-1, P_POST=-1, P_MEMBER=-1, P_HELD=-1,
            P_STATE=rows.index(coupling.of), P_COPIES=group.copies, P_EACH=group.each, P_ALL=group.size,
        )  # fmt: skip
        self._keep_weights(wide, group.precision)

    def _lesson(self, place: int, lesson: Lesson) -> None:
        """A projection that learns: its rule's constants, and what the rule keeps of each synapse beside the weight."""
        decided, constants = self.rules[place]
        precision = self.groups[lesson.after].precision
        synapses = self.projections[lesson.projection].synapses
        at = self.projection_at + lesson.projection * CODES["PROJECTION"]
        stride = self.table[at + CODES["P_STRIDE"]]
        count = synapses.pre_size * stride if synapses.kind == layout.DENSE else synapses.weights.size
        count += -count % TILE
        state = self.weight_count[precision]
        for _ in decided.states[1:]:
            self._keep_weights(np.zeros(count), precision)
        by_post = synapse = row = -1
        if synapses.start is not None and synapses.post is not None and decided.event_driven:
            order = np.argsort(synapses.post, kind="stable")
            rows = np.repeat(np.arange(synapses.start.size - 1), np.diff(synapses.start))
            ends = np.cumsum(np.bincount(synapses.post, minlength=synapses.post_size))
            by_post = self._keep_start(np.concatenate([np.zeros(1, np.int64), ends]))
            synapse = self._keep_post(order.astype(np.int32))
            row = self._keep_post(rows[order].astype(np.int32))
        until = lesson.learning.until
        self._set(
            self.learning_at + place * CODES["LEARNING"],
            L_RULE=self.which_rule[place], L_PROJECTION=lesson.projection, L_PRE=lesson.before, L_POST=lesson.after,
            L_CONSTANT=self._keep_constants([constants[name] for name in decided.constants], precision),
            L_STATE=state, L_COUNT=count, L_UNTIL=_NEVER if until is None else until,
            L_BY_POST=by_post, L_SYNAPSE=synapse, L_ROW=row,
        )  # fmt: skip

    def _keep_constants(self, scalars: Sequence[float], precision: Precision) -> int:
        at = self.real[precision]
        self.real[precision] = at + -(-len(scalars) // TILE) * TILE
        self.fills.append((precision, at, np.array(scalars, np.float64)))
        return at

    def _keep_weights(self, weights: npt.NDArray[Any], precision: str) -> None:
        flat = np.ascontiguousarray(weights, precision).ravel()
        padding = np.zeros(-flat.size % TILE, precision)
        self.weights[precision] += [flat, padding]
        self.weight_count[precision] += flat.size + padding.size

    def _keep_post(self, values: npt.NDArray[np.int32] | None) -> int:
        if values is None:
            return -1
        at = self.post_count
        self.post.append(values)
        self.post_count += values.size
        return at

    def _keep_start(self, values: npt.NDArray[np.int64] | None) -> int:
        if values is None:
            return -1
        at = self.start_count
        self.start.append(values)
        self.start_count += values.size
        return at

    def _record(self) -> None:
        for place, group in enumerate(self.groups):
            states = self.forms[place][0].states
            for variable, (neurons, every) in group.record.items():
                if variable not in states:
                    raise ParameterError(f"{group.name!r} has no state {variable!r}", nearest(variable, states))
                chosen = np.asarray(neurons)
                if chosen.size and not 0 <= int(chosen.min()) <= int(chosen.max()) < group.size:
                    raise ParameterError(
                        f"record names neurons {int(chosen.min())} to {int(chosen.max())} of {group.size}",
                        f"name neurons 0 to {group.size - 1}",
                    )
                if every < 1:
                    raise ParameterError(f"record every {every} ticks", "record every tick or less often")
                at = self.record_at + len(self.records) * CODES["RECORD"]
                self._set(
                    at, R_GROUP=place, R_ROW=states.index(variable), R_EVERY=every,
                    R_NEURON=self._keep_post(chosen.astype(np.int32)), R_NEURONS=chosen.size,
                )  # fmt: skip
                self.records.append((group.name, variable, chosen.astype(np.uint32), every, group.precision))

    def _allocate(self) -> Arrays:
        real = {of: aligned(max(count, 1), of) for of, count in self.real.items()}
        for of, at, numbers in self.fills:
            real[of][at : at + numbers.size] = numbers
        weights = {}
        for of, parts in self.weights.items():
            flat = aligned(max(self.weight_count[of], 1), of, 2048)
            if self.weight_count[of]:
                np.concatenate(parts, out=flat[: self.weight_count[of]])
            weights[of] = flat
        most = max((tiles_of(group.size) for group in self.groups), default=1)
        mask = aligned(max(self.rest_count, 1) * TILE + most * self.span * 8, np.uint8)
        any_typed: dict[str, Any] = {
            "table": np.array(self.table, np.int64),
            "real32": real["float32"], "real64": real["float64"],
            "weight32": weights["float32"], "weight64": weights["float64"], "weight16": weights["float16"],
            "post": np.concatenate(self.post), "start": np.concatenate(self.start),
            "time": aligned(max(self.event_count, 1), np.int64),
            "index": aligned(max(self.event_count, 1), np.uint32, 1024),
            "value": aligned(max(self.value_count, 1), np.float64, 3072),
            "held": np.zeros(self.held_count), "rest": np.zeros(self.rest_count, np.uint8), "recorded": np.zeros(1),
            "mask": mask, "words": mask.view(np.uint64),
        }  # fmt: skip
        return Arrays(**any_typed)


_NEVER = 2**62
_SPAN = 128
"""The most ticks in hand: what is done once for them is then a hundredth of the work."""
_BITS = 2**27
"""The most bits of neurons and ticks in hand: 16 MB."""
_CACHE = 256 * 1024
"""Bytes of state of a block: they stay in the second cache, which is as fast as the equations are."""


def _distinct(
    forms: Sequence[Any], precisions: Sequence[Precision], key_of: Callable[[Any], str]
) -> tuple[list[int], list[tuple[Any, Precision]]]:
    """The distinct forms, and which of them each is.

    By their keys, not as they come: graphs with the same models in another order share one compiled loop.
    """
    keys = [(key_of(one), precision) for one, precision in zip(forms, precisions, strict=True)]
    places = {key: place for place, key in enumerate(sorted(set(keys)))}
    known = dict(zip(keys, forms, strict=True))
    return [places[key] for key in keys], [(known[key], key[1]) for key in places]


def rule_key(decided: RuleForm) -> str:
    """Two rules with the same key have the same text in every backend."""
    text = ast.unparse(decided.update)
    return repr((text, decided.states, decided.pre, decided.post, decided.constants, decided.event_driven))


def form_key(decided: Form) -> str:
    """Two forms with the same key have the same text in every backend."""
    return repr((
        decided.text, decided.states, decided.receptors, decided.noise, decided.spikes, decided.held, decided.refracts,
        decided.constants, decided.rows, decided.restless,
    ))  # fmt: skip


def _order(groups: Sequence[Group], projections: Sequence[Projection]) -> list[int]:
    """Groups such that what acts in the same tick comes from an earlier one; else as they are given."""
    before: dict[str, set[str]] = {group.name: set() for group in groups}
    for projection in projections:
        if projection.source in before and int(projection.synapses.delays[0]) == 0:
            before[projection.target].add(projection.source)
    place = {name: k for k, name in enumerate(before)}
    order: list[int] = []
    while len(order) < len(before):
        ready = [name for name, need in before.items() if not need and place[name] not in order]
        if not ready:
            loop = [name for name in before if place[name] not in order]
            raise ParameterError(
                f"a loop without delay through {', '.join(loop)}", "delay one of its projections by a tick"
            )
        order.append(place[ready[0]])
        for need in before.values():
            need.discard(ready[0])
    return order
