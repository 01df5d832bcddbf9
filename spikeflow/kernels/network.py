"""Populations that are stepped together, with what connects them: one block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from spikeflow.errors import EventError, ParameterError, nearest
from spikeflow.kernels import layout
from spikeflow.kernels.builder import Builder, form_key
from spikeflow.kernels.layout import CODES, TILE, aligned
from spikeflow.kernels.model import form
from spikeflow.kernels.parts import Group, Precision, Program, Projection, Run, Train
from spikeflow.units import Seconds

__all__ = [
    "Columns",
    "Events",
    "Group",
    "Network",
    "Precision",
    "Program",
    "Projection",
    "Result",
    "Run",
    "Train",
    "form_key",
]

State: TypeAlias = dict[str, Any]


class Events(NamedTuple):
    """Events in time order: time, neuron or channel and, where the train is valued, a number each."""

    t: npt.NDArray[np.int64]
    neuron: npt.NDArray[np.uint32]
    value: npt.NDArray[np.floating] | None = None


Columns: TypeAlias = tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32], npt.NDArray[np.floating[Any]] | None]
"""What `Events` names, as a plain tuple, which takes less time to make."""


class Result(NamedTuple):
    """What a group did in a step: spikes, and (time, neuron, value) of each recorded variable; by time, then neuron.

    `value` is what each spike carries, where the model's spikes are graded.
    """

    t: npt.NDArray[np.int64]
    neuron: npt.NDArray[np.uint32]
    recorded: dict[str, tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32], npt.NDArray[np.floating]]]
    value: npt.NDArray[np.floating] | None = None


class Network:
    """Populations stepped together, tick by tick, whatever the split of ticks over calls.

    Args:
        dt: length of a tick, for the models.
        origin_ns, dt_ns: times of events are `origin_ns + tick * dt_ns`; as they are by default, times are ticks.
        skip: skip tiles whose state cannot change before their next input; never changes a bit.

    Attributes:
        is_still: nothing can change, and nothing comes, before the next input.

    Raises:
        ParameterError: something does not fit, with what would.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        trains: Sequence[Train],
        projections: Sequence[Projection],
        *,
        dt: Seconds,
        seed: int = 0,
        backend: str = "auto",
        origin_ns: int = 0,
        dt_ns: int = 1,
        skip: bool = True,
    ) -> None:
        from spikeflow.kernels.backends import prepare  # the backends know this module

        self.groups, self.trains = tuple(groups), tuple(trains)
        models = {group.name: group.model for group in groups}
        self.projections = tuple(
            p for p in projections if p.target not in models or models[p.target].hears(p.source == p.target)
        )
        self.members: tuple[Group | Train, ...] = (*self.groups, *self.trains)
        self.dt, self.origin_ns, self.dt_ns = dt, origin_ns, dt_ns
        self._names = [group.name for group in groups] + [train.name for train in trains]
        if len(set(self._names)) < len(self._names):
            raise ParameterError(f"a name is used twice in {', '.join(self._names)}", "name each differently")
        self._place = {name: place for place, name in enumerate(self._names)}
        self._forms = [form(group.model, dt) for group in groups]
        built = Builder(
            self.groups,
            self.trains,
            self.projections,
            self._forms,
            dt=dt,
            origin_ns=origin_ns,
            dt_ns=dt_ns,
            seed=seed,
            skip=skip,
        )
        self.arrays, self.program = built.arrays, built.program
        self._table = built.arrays.table
        self._numbers = memoryview(self._table)  # type: ignore[arg-type]  # three times as fast for single numbers
        self._sources = [built.source_at + place * CODES["SOURCE"] for place in range(len(self._names))]
        self._group_at, self._projection_at, self._record_at = built.group_at, built.projection_at, built.record_at
        self._records = built.records
        first = len(self.groups)
        self._trains = {
            train.name: (self._sources[first + k], first + k, train.valued) for k, train in enumerate(self.trains)
        }
        self._outputs = [
            (group.name, at + _START, at + _COUNT, at + _OFFSET, at + _VALUE if group.model.graded else 0)
            for group, at in zip(self.groups, self._sources, strict=False)
        ]
        self._resting = [
            (at + CODES["G_RESTING"], at + CODES["G_TILES"])
            for at in (built.group_at + place * CODES["GROUP"] for place in range(len(self.groups)))
        ]
        self._silence = {
            group.name: Result(_NO_TIMES, _NO_INDICES, {}, _NO_VALUES if group.model.graded else None)
            for group in self.groups
        }
        self.is_still = False
        self.reset([group.name for group in groups])
        self.backend, self._bind = prepare(backend, self.program)
        self._pass()

    def _pass(self) -> None:
        """Hand the arrays over again, because one of them is a new one."""
        self._run = self._bind(self.arrays)
        self._time, self._index, self._value = self.arrays.time, self.arrays.index, self.arrays.value
        self._times: memoryview[Any] = memoryview(self._time)  # type: ignore[arg-type]
        self._indices: memoryview[Any] = memoryview(self._index)  # type: ignore[arg-type]

    # ---- stepping

    def step(self, first_tick: int, ticks: int, arriving: Mapping[str, Events | Columns]) -> dict[str, Result]:
        """Step ticks `first_tick` to `first_tick + ticks`.

        Args:
            arriving: events of each train within these ticks, in time order; a train that is not there is silent.

        Raises:
            EventError: events outside these ticks or out of order, or an index beyond the train's size.
        """
        if self.is_still and not arriving:
            return self._silence
        table = self._numbers
        stop = first_tick + ticks
        table[_TICK] = first_tick
        table[_STOP] = stop
        table[_FRESH] = 1
        for name, events in arriving.items():
            self._append(name, events)
        if self._records:
            self._make_room_for_records(first_tick, stop)
        self._run()
        while table[_STATUS]:
            self._resolve()
            self._run()
        results = {}
        for name, first, last, base, values in self._outputs:
            start, end = table[first], table[last]
            if start == end:
                results[name] = _new(Result, (_NO_TIMES, _NO_INDICES, {}, _NO_VALUES if values else None))
            else:
                value = None
                if values:
                    offset = table[values]
                    value = self._value[offset + start : offset + end].astype(np.float32)
                offset = table[base]
                start += offset
                end += offset
                results[name] = _new(Result, (self._time[start:end].copy(), self._index[start:end].copy(), {}, value))
        if self._records:
            self._collect(first_tick, stop, results)
        elif not arriving:
            self.is_still = self._rests()
        return results

    def _rests(self) -> bool:
        """Whether nothing can change before the next input: every tile rests, and nothing waits in a delay line."""
        table = self._numbers
        if any(table[resting] != table[tiles] for resting, tiles in self._resting):
            return False
        return all(table[at + _START] == table[at + _COUNT] for at in self._sources) and not self.pending()

    def _append(self, name: str, events: Events | Columns) -> None:
        self.is_still = False
        try:
            at, place, valued = self._trains[name]
        except KeyError:
            raise EventError(f"there is no train {name!r}; {nearest(name, self._trains)}") from None
        t, index, value = events
        table = self._numbers
        held = table[at + _COUNT]
        count = held + len(t)
        if count > table[at + _CAPACITY]:
            self._grow(place, count)
        offset = table[at + _OFFSET]
        start, end = offset + held, offset + count
        try:  # twice as fast, where the types are those of the buffers
            self._times[start:end] = t  # type: ignore[call-overload]
            self._indices[start:end] = index  # type: ignore[call-overload]
        except (TypeError, ValueError):
            self._time[start:end] = t
            self._index[start:end] = index
        if valued:
            offset = table[at + _VALUE]
            self._value[offset + held : offset + count] = 1.0 if value is None else value
        elif value is not None:
            raise EventError(f"events of {name!r} carry values, but the train has none; build it with valued=True")
        table[at + _COUNT] = count

    def _resolve(self) -> None:
        """Do what the kernel cannot: make room, or put events of the same tick in order."""
        table = self._table
        status, place = int(table[_STATUS]), int(table[_DETAIL])
        table[_STATUS] = 0
        at = self._sources[place]
        if status == layout.FULL:
            self._grow(place, int(table[at + _COUNT] + table[at + _SIZE]))
        elif status == layout.UNORDERED:
            self._sort(place)
        elif status == layout.LOST:
            self._not_a_number(place)
        else:
            self._refuse(place)

    def _not_a_number(self, place: int) -> None:
        group, tick = self.groups[place], int(self._table[_TICK])
        for variable in self._forms[place][0].states:
            lost = np.flatnonzero(np.isnan(self.read(group.name, variable)))
            if lost.size:
                raise EventError(
                    f"neuron {lost[0]} of {group.name!r} is not a number at tick {tick}, in its state {variable!r}"
                )

    def _sort(self, place: int) -> None:
        at = self._sources[place]
        start, end = self._range(place)
        t, index = self.arrays.time[start:end], self.arrays.index[start:end]
        order = np.lexsort((index, (t - self.origin_ns) // self.dt_ns))
        t[:], index[:] = t[order], index[order]
        if (values := int(self._table[at + _VALUE])) >= 0:
            first = values + int(self._table[at + _START])
            part = self.arrays.value[first : first + order.size]
            part[:] = part[order]

    def _range(self, place: int) -> tuple[int, int]:
        at, offset = self._sources[place], int(self._table[self._sources[place] + _OFFSET])
        return offset + int(self._table[at + _START]), offset + int(self._table[at + _COUNT])

    def _refuse(self, place: int) -> None:
        start, end = self._range(place)
        t, index = self.arrays.time[start:end].copy(), self.arrays.index[start:end].copy()
        for at in self._sources[len(self.groups) :]:  # nothing of a refused step is kept
            self._table[at + _COUNT] = self._table[at + _START]
        name, size = self._names[place], int(self._table[self._sources[place] + _SIZE])
        if index.size and int(index.max()) >= size:
            raise EventError(f"index {int(index.max())} in {name!r}, whose size is {size}")
        tick = (t - self.origin_ns) // self.dt_ns
        first, stop = int(self._table[_TICK]), int(self._table[_STOP])
        if tick.min() < first or tick.max() >= stop:
            raise EventError(
                f"events of {name!r} lie in ticks {tick.min()} to {tick.max()}, the step in {first} to {stop - 1}"
            )
        raise EventError(f"events of {name!r} are not in time order; sort them by time, then by index")

    def _grow(self, place: int, need: int) -> None:
        """Give a source room for twice what it needs; every source moves."""
        table, arrays = self._table, self.arrays
        capacity = [int(table[at + _CAPACITY]) for at in self._sources]
        capacity[place] = 2 * need
        valued = [int(table[at + _VALUE]) >= 0 for at in self._sources]
        old = (arrays.time, arrays.index, arrays.value)
        arrays.time = aligned(sum(capacity), np.int64)  # type: ignore[assignment]
        arrays.index = aligned(sum(capacity), np.uint32, 1024)  # type: ignore[assignment]
        arrays.value = aligned(sum(c for c, has in zip(capacity, valued, strict=True) if has), np.float64)  # type: ignore[assignment]
        offset = value_offset = 0
        for at, room, has in zip(self._sources, capacity, valued, strict=True):
            count, was, value_was = (int(table[at + k]) for k in (_COUNT, _OFFSET, _VALUE))
            arrays.time[offset : offset + count] = old[0][was : was + count]
            arrays.index[offset : offset + count] = old[1][was : was + count]
            table[at + _OFFSET], table[at + _CAPACITY] = offset, room
            if has:
                arrays.value[value_offset : value_offset + count] = old[2][value_was : value_was + count]
                table[at + _VALUE] = value_offset
                value_offset += room
            offset += room
        self._pass()

    # ---- records

    def _make_room_for_records(self, first: int, stop: int) -> None:
        need = 0
        for place, (_, _, neurons, every, _) in enumerate(self._records):
            self._table[self._record_at + place * CODES["RECORD"] + CODES["R_OUT"]] = need
            need += len(range(-(-first // every) * every, stop, every)) * neurons.size
        if need > self.arrays.recorded.size:
            self.arrays.recorded = np.zeros(2 * need)
            self._pass()

    def _collect(self, first: int, stop: int, results: dict[str, Result]) -> None:
        start = 0
        for group, variable, neurons, every, precision in self._records:
            at = np.arange(-(-first // every) * every, stop, every) * self.dt_ns + self.origin_ns
            value = self.arrays.recorded[start : start + at.size * neurons.size].astype(precision)
            results[group].recorded[variable] = np.repeat(at, neurons.size), np.tile(neurons, at.size), value
            start += value.size

    # ---- state

    def pending(self) -> int:
        """Spikes and samples that wait in delay lines: each once, however many synapses it is on the way to."""
        return sum(len(self._waiting(place)[0]) for place in range(len(self._names)))

    def _pointers(self, place: int) -> list[int]:
        """Where in the table the next events of each reader of a source stand."""
        found = []
        for k in range(len(self.projections)):
            at = self._projection_at + k * CODES["PROJECTION"]
            if self._table[at + CODES["P_SOURCE"]] == place:
                first = int(self._table[at + CODES["P_DELAY"]])
                found += [first + 2 * d + 1 for d in range(int(self._table[at + CODES["P_DELAYS"]]))]
        return found

    def _waiting(self, place: int) -> Events:
        at = self._sources[place]
        count = int(self._table[at + _COUNT])
        first = min((int(self._table[pointer]) for pointer in self._pointers(place)), default=count)
        offset, value = int(self._table[at + _OFFSET]), int(self._table[at + _VALUE])
        part = slice(offset + first, offset + count)
        values = self.arrays.value[value + first : value + count].copy() if value >= 0 else None
        return Events(self.arrays.time[part].copy(), self.arrays.index[part].copy(), values)

    def _tiles(self, place: int) -> npt.NDArray[np.floating]:
        """A group's tiles [tiles, rows, 64], not a copy."""
        at = self._group_at + place * CODES["GROUP"]
        base, tiles, rows = (int(self._table[at + CODES[k]]) for k in ("G_BASE", "G_TILES", "G_ROWS"))
        real = self.arrays.real32 if self.groups[place].precision == "float32" else self.arrays.real64
        return real[base : base + tiles * rows * TILE].reshape(tiles, rows, TILE)

    def read(self, group: str, variable: str) -> npt.NDArray[np.floating]:
        """A state variable of every neuron, after the last tick."""
        place = self._group(group)
        states = self._forms[place][0].states
        if variable not in states:
            raise ParameterError(f"{group!r} has no state {variable!r}", nearest(variable, states))
        return self._tiles(place)[:, states.index(variable), :].reshape(-1)[: self.groups[place].size].copy()

    def _write(self, place: int, variable: str, values: npt.ArrayLike) -> None:
        tiles, size = self._tiles(place), self.groups[place].size
        row = np.zeros(tiles.shape[0] * TILE, tiles.dtype)
        row[:size] = values
        row[size:] = row[size - 1]  # the neurons that fill the last tile do as the last one does
        tiles[:, self._forms[place][0].states.index(variable), :] = row.reshape(-1, TILE)

    def _group(self, name: str) -> int:
        place = self._place.get(name, -1)
        if not 0 <= place < len(self.groups):
            raise ParameterError(f"there is no group {name!r}", nearest(name, [g.name for g in self.groups]))
        return place

    def reset(self, groups: Sequence[str]) -> None:
        """Put groups back to their initial state: nothing is on the way to them, and nothing is held for them."""
        for name in groups:
            place = self._group(name)
            group, states = self.groups[place], self._forms[place][0].states
            start = {**dict.fromkeys(states, 0.0), **group.model.initial(), **group.initial}
            for variable in states:
                self._write(place, variable, start[variable])
            self._wake(place)
            for k, projection in enumerate(self.projections):
                if projection.target == name:
                    self._forget(k)

    def _forget(self, k: int) -> None:
        at = self._projection_at + k * CODES["PROJECTION"]
        source = self._sources[int(self._table[at + CODES["P_SOURCE"]])]
        first, delays = int(self._table[at + CODES["P_DELAY"]]), int(self._table[at + CODES["P_DELAYS"]])
        self._table[first + 1 : first + 2 * delays : 2] = self._table[source + _COUNT]
        if (held := int(self._table[at + CODES["P_HELD"]])) >= 0:
            self.arrays.held[held : held + delays * int(self._table[at + CODES["P_PRE"]])] = 0.0

    def _wake(self, place: int) -> None:
        at = self._group_at + place * CODES["GROUP"]
        first, tiles = int(self._table[at + CODES["G_REST"]]), int(self._table[at + CODES["G_TILES"]])
        self.arrays.rest[first : first + tiles] = 0
        self._table[at + CODES["G_RESTING"]] = 0
        self.is_still = False

    def save(self) -> State:
        """Everything that the next tick depends on, in a form that any backend can load."""
        saved: State = {}
        for place, group in enumerate(self.groups):
            for variable in self._forms[place][0].states:
                saved[f"state/{group.name}/{variable}"] = self.read(group.name, variable)
        for place, name in enumerate(self._names):
            waiting = self._waiting(place)
            saved[f"waiting/{name}/t"], saved[f"waiting/{name}/index"] = waiting.t, waiting.neuron
            if waiting.value is not None:
                saved[f"waiting/{name}/value"] = waiting.value
            left = int(self._table[self._sources[place] + _COUNT]) - waiting.t.size
            saved[f"waiting/{name}/next"] = self._table[self._pointers(place)] - left
        saved["held"] = self.arrays.held.copy()
        return saved

    def load(self, state: State) -> None:
        """Go on from what `save` gave, on the same groups, trains and projections."""
        expected = self.save()
        if missing := sorted(set(expected) ^ set(state)):
            raise ParameterError(
                f"a saved state that differs in {', '.join(missing[:5])}", "load it into the same graph"
            )
        for place, group in enumerate(self.groups):
            for variable in self._forms[place][0].states:
                values = np.asarray(state[f"state/{group.name}/{variable}"])
                if values.shape != (group.size,):
                    raise ParameterError(
                        f"a saved state of {values.size} neurons for {group.name!r}, which has {group.size}",
                        "load it into the same graph",
                    )
                self._write(place, variable, values)
            self._wake(place)
        for place, name in enumerate(self._names):
            t, index = state[f"waiting/{name}/t"], state[f"waiting/{name}/index"]
            at = self._sources[place]
            self._table[at + _COUNT] = 0
            if len(t) > self._table[at + _CAPACITY]:
                self._grow(place, len(t))
            offset, value = int(self._table[at + _OFFSET]), int(self._table[at + _VALUE])
            self.arrays.time[offset : offset + len(t)] = t
            self.arrays.index[offset : offset + len(t)] = index
            if value >= 0:
                self.arrays.value[value : value + len(t)] = state[f"waiting/{name}/value"]
            self._table[at + _COUNT] = self._table[at + _START] = len(t)
            self._table[self._pointers(place)] = state[f"waiting/{name}/next"]
        self.arrays.held[:] = state["held"]
        self.is_still = False


_TICK, _STOP, _STATUS, _DETAIL, _FRESH = (CODES[k] for k in ("H_TICK", "H_STOP", "H_STATUS", "H_DETAIL", "H_FRESH"))
_COUNT, _CAPACITY, _OFFSET, _SIZE = (CODES[k] for k in ("S_COUNT", "S_CAPACITY", "S_OFFSET", "S_SIZE"))
_VALUE, _START = CODES["S_VALUE"], CODES["S_START"]
_new = tuple.__new__  # half the time of a named tuple's own, which parses arguments
_NO_TIMES, _NO_INDICES, _NO_VALUES = np.zeros(0, np.int64), np.zeros(0, np.uint32), np.zeros(0, np.float32)
