"""What lies where in a network's arrays, and its state: read, set back, saved and loaded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from spikeflow.errors import ParameterError, nearest
from spikeflow.kernels.builder import Builder
from spikeflow.kernels.handed import IS_POSSIBLE, Handing
from spikeflow.kernels.layout import CODES, TILE, aligned
from spikeflow.kernels.learning import expanded
from spikeflow.kernels.model import form
from spikeflow.kernels.parts import Away, Group, Projection, Resident, Train
from spikeflow.kernels.plastic import Plastic
from spikeflow.units import Seconds

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

    `value` is what each spike carries, where the model's spikes are graded. Where the spikes have stayed on a device,
    they are `away`, and the columns are empty.
    """

    t: npt.NDArray[np.int64]
    neuron: npt.NDArray[np.uint32]
    recorded: dict[str, tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32], npt.NDArray[np.floating]]]
    value: npt.NDArray[np.floating] | None = None
    away: Away | None = None


COUNT, CAPACITY, OFFSET, SIZE = (CODES[k] for k in ("S_COUNT", "S_CAPACITY", "S_OFFSET", "S_SIZE"))
VALUE, START = CODES["S_VALUE"], CODES["S_START"]
_EVENTS = ("table", "time", "index", "value")
_SYNAPSES = ("weight32", "weight64")
_REAL = {"float32": "real32", "float64": "real64"}
NO_TIMES, NO_INDICES, NO_VALUES = np.zeros(0, np.int64), np.zeros(0, np.uint32), np.zeros(0, np.float32)


class Laid:
    """A network as it is laid out; `Network` steps it."""

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
        away: bool = False,
    ) -> None:
        from spikeflow.kernels.backends import prepare  # the backends know this module

        models = {group.name: group.model for group in groups}
        heard = [p for p in projections if p.target not in models or models[p.target].hears(p.source == p.target)]
        all_groups, all_projections, lessons = expanded(groups, heard)
        self.groups, self.trains, self.projections = tuple(all_groups), tuple(trains), tuple(all_projections)
        self._own = len(groups)  # those behind are traces
        self.members: tuple[Group | Train, ...] = (*self.groups, *self.trains)
        self.dt, self.origin_ns, self.dt_ns = dt, origin_ns, dt_ns
        self._names = [group.name for group in self.groups] + [train.name for train in trains]
        if len(set(self._names)) < len(self._names):
            raise ParameterError(f"a name is used twice in {', '.join(self._names)}", "name each differently")
        self._place = {name: place for place, name in enumerate(self._names)}
        self._forms = [form(group.model, dt) for group in self.groups]
        built = Builder(
            self.groups,
            self.trains,
            self.projections,
            self._forms,
            lessons,
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
        self._resting = [
            (at + CODES["G_RESTING"], at + CODES["G_TILES"])
            for at in (built.group_at + place * CODES["GROUP"] for place in range(len(self.groups)))
        ]
        self._silence = {
            group.name: Result(NO_TIMES, NO_INDICES, {}, NO_VALUES if group.model.graded else None) for group in groups
        }
        self._plastic = [
            Plastic(
                lesson,
                self.projections[lesson.projection],
                self.groups[lesson.after].precision,
                built.learning_at + place * CODES["LEARNING"],
                built.projection_at + lesson.projection * CODES["PROJECTION"],
            )
            for place, lesson in enumerate(lessons)
        ]
        self._traces = {
            self.groups[place].name: (plastic.target, plastic.learning.name)
            for plastic, lesson in zip(self._plastic, lessons, strict=True)
            for place in (lesson.before, lesson.after)
        }
        self.is_still = False
        self._device: Resident | None = None
        self._stays = away
        self.reset([group.name for group in groups])
        self.backend, self._bind = prepare(backend, self.program)
        self._pass()

    @property
    def takes_exported(self) -> bool:
        """Whether record batches can be handed over as they are."""
        return bool(self._handings)

    def _fetch(self, *names: str) -> None:
        """Where the arrays are on a device: have what they are there."""
        if self._device is not None:
            self._device.fetch(*names)

    def _push(self, *names: str) -> None:
        """Where the arrays are on a device: have it take what they are here."""
        if self._device is not None:
            self._device.push(*names)

    def _pass(self, *names: str) -> None:
        """Hand the arrays over again, because those named are new ones; all of them at first."""
        if self._device is not None:
            self._device.push(*names)
        else:
            self._run = self._bind(self.arrays)
            self._device = self._run if isinstance(self._run, Resident) else None
        self._time, self._index, self._value = self.arrays.time, self.arrays.index, self.arrays.value
        self._times: memoryview[Any] = memoryview(self._time)  # type: ignore[arg-type]
        self._indices: memoryview[Any] = memoryview(self._index)  # type: ignore[arg-type]
        own, table = len(self.groups), self._numbers
        self._trains = {
            name: (place, at + COUNT, table[at + CAPACITY], table[at + OFFSET], table[at + VALUE])
            for place, (name, at) in enumerate(zip(self._names, self._sources, strict=True))
            if place >= own
        }
        self._handings: dict[str, Handing] = {}
        if self.backend == "numba" and IS_POSSIBLE:
            arrays = (self._time, self._index, self._value)
            doubles = {train.name: train.double for train in self.trains}
            self._handings = {
                name: Handing(arrays, offset, values, doubles[name])
                for name, (_, _, _, offset, values) in self._trains.items()
            }
        self._outputs = [
            (group.name, at + START, at + COUNT, table[at + OFFSET], table[at + VALUE] if group.model.graded else -1)
            for group, at in zip(self.groups[: self._own], self._sources, strict=False)
        ]

    def pending(self) -> int:
        """Spikes and samples that wait in delay lines: each once, however many synapses it is on the way to."""
        self._fetch(*_EVENTS)
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
        count = int(self._table[at + COUNT])
        first = min((int(self._table[pointer]) for pointer in self._pointers(place)), default=count)
        offset, value = int(self._table[at + OFFSET]), int(self._table[at + VALUE])
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
        self._fetch(_REAL[self.groups[place].precision])
        return self._values(place, variable)

    def _values(self, place: int, variable: str) -> npt.NDArray[np.floating]:
        """As `read`, of what is here."""
        row = self._forms[place][0].states.index(variable)
        return self._tiles(place)[:, row, :].reshape(-1)[: self.groups[place].size].copy()

    def peek(self, group: str, variable: str, neurons: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.floating]:
        """A state variable of some neurons, after the last tick; on the host it costs what these do, not the group."""
        place = self._group(group)
        self._fetch(_REAL[self.groups[place].precision])
        tiles, at = self._tiles(place), self._forms[place][0].states.index(variable)
        found: npt.NDArray[np.floating] = tiles[neurons // tiles.shape[2], at, neurons % tiles.shape[2]]
        return found

    def plastic(self, group: str, name: str) -> Plastic:
        """The synapses of a learning projection of a group."""
        found = {plastic.learning.name: plastic for plastic in self._plastic if plastic.target == group}
        if name not in found:
            raise ParameterError(f"{group!r} learns nothing named {name!r}", nearest(name, found))
        return found[name]

    def weights(self, group: str, name: str) -> npt.NDArray[np.floating]:
        """[post, pre] the weights of a learning projection; several synapses between two neurons add up."""
        plastic = self.plastic(group, name)
        self._fetch(*_SYNAPSES)
        values = plastic.read(self.arrays, plastic.states[0])
        found = np.zeros(plastic.shape, values.dtype)
        np.add.at(found.reshape(-1), plastic.channel, values)
        return found

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
        """Put groups back to their initial state: nothing is on the way to them, and nothing is held for them.

        What their synapses have learned stays; what marks them for learning (traces, eligibility) does not.
        """
        changed = (*_REAL.values(), "held", *_EVENTS[:1], *(_SYNAPSES if self._plastic else ()))
        self._fetch(*changed)
        for plastic in self._plastic:
            if plastic.target in groups:
                for state in plastic.states[1:]:
                    plastic.write(self.arrays, state, np.zeros(plastic.channel.size))
        traces = [name for name, (target, _) in self._traces.items() if target in groups]
        for name in [*groups, *traces]:
            place = self._group(name)
            group, states = self.groups[place], self._forms[place][0].states
            start = {**dict.fromkeys(states, 0.0), **group.model.initial(), **group.initial}
            for variable in states:
                values = np.asarray(start[variable])
                self._write(place, variable, np.tile(values, group.copies) if values.ndim else values)
            self._wake(place)
            for k, projection in enumerate(self.projections):
                if projection.target == name:
                    self._forget(k)
        self._push(*changed)

    def _forget(self, k: int) -> None:
        at = self._projection_at + k * CODES["PROJECTION"]
        source = self._sources[int(self._table[at + CODES["P_SOURCE"]])]
        first, delays = int(self._table[at + CODES["P_DELAY"]]), int(self._table[at + CODES["P_DELAYS"]])
        self._table[first + 1 : first + 2 * delays : 2] = self._table[source + COUNT]
        if (held := int(self._table[at + CODES["P_HELD"]])) >= 0:
            self.arrays.held[held : held + delays * int(self._table[at + CODES["P_ALL"]])] = 0.0

    def _wake(self, place: int) -> None:
        at = self._group_at + place * CODES["GROUP"]
        first, tiles = int(self._table[at + CODES["G_REST"]]), int(self._table[at + CODES["G_TILES"]])
        self.arrays.rest[first : first + tiles] = 0
        self._table[at + CODES["G_RESTING"]] = 0
        self.is_still = False

    def save(self) -> State:
        """Everything that the next tick depends on, in a form that any backend can load."""
        saved: State = {}
        self._fetch(*_REAL.values(), "held", *_EVENTS, *(_SYNAPSES if self._plastic else ()))
        for place, group in enumerate(self.groups):
            for variable in self._forms[place][0].states:
                saved[f"state/{group.name}/{variable}"] = self._values(place, variable)
        for place, name in enumerate(self._names):
            waiting = self._waiting(place)
            saved[f"waiting/{name}/t"], saved[f"waiting/{name}/index"] = waiting.t, waiting.neuron
            if waiting.value is not None:
                saved[f"waiting/{name}/value"] = waiting.value
            left = int(self._table[self._sources[place] + COUNT]) - waiting.t.size
            saved[f"waiting/{name}/next"] = self._table[self._pointers(place)] - left
        saved["held"] = self.arrays.held.copy()
        for place, plastic in enumerate(self._plastic):
            for state in plastic.states:
                saved[f"synapses/{place}/{state}"] = plastic.read(self.arrays, state)
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
            self._table[at + COUNT] = 0
            if len(t) > self._table[at + CAPACITY]:
                self._grow(place, len(t))
            offset, value = int(self._table[at + OFFSET]), int(self._table[at + VALUE])
            self.arrays.time[offset : offset + len(t)] = t
            self.arrays.index[offset : offset + len(t)] = index
            if value >= 0:
                self.arrays.value[value : value + len(t)] = state[f"waiting/{name}/value"]
            self._table[at + COUNT] = self._table[at + START] = len(t)
            self._table[self._pointers(place)] = state[f"waiting/{name}/next"]
        self.arrays.held[:] = state["held"]
        for place, plastic in enumerate(self._plastic):
            for name in plastic.states:
                values = np.asarray(state[f"synapses/{place}/{name}"])
                if values.shape != plastic.channel.shape:
                    found = f"a saved state of {values.size} synapses for {plastic.channel.size}"
                    raise ParameterError(found, "load it into the same graph")
                plastic.write(self.arrays, name, values)
        self._push(*_REAL.values(), "held", *_EVENTS, *(_SYNAPSES if self._plastic else ()))
        self.is_still = False

    def _grow(self, place: int, need: int) -> None:
        """Give a source room for twice what it needs; every source moves."""
        self._fetch(*_EVENTS)
        table, arrays = self._table, self.arrays
        capacity = [int(table[at + CAPACITY]) for at in self._sources]
        capacity[place] = 2 * need
        valued = [int(table[at + VALUE]) >= 0 for at in self._sources]
        old = (arrays.time, arrays.index, arrays.value)
        arrays.time = aligned(sum(capacity), np.int64)  # type: ignore[assignment]
        arrays.index = aligned(sum(capacity), np.uint32, 1024)  # type: ignore[assignment]
        arrays.value = aligned(sum(c for c, has in zip(capacity, valued, strict=True) if has), np.float64)  # type: ignore[assignment]
        offset = value_offset = 0
        for at, room, has in zip(self._sources, capacity, valued, strict=True):
            count, was, value_was = (int(table[at + k]) for k in (COUNT, OFFSET, VALUE))
            arrays.time[offset : offset + count] = old[0][was : was + count]
            arrays.index[offset : offset + count] = old[1][was : was + count]
            table[at + OFFSET], table[at + CAPACITY] = offset, room
            if has:
                arrays.value[value_offset : value_offset + count] = old[2][value_was : value_was + count]
                table[at + VALUE] = value_offset
                value_offset += room
            offset += room
        self._pass(*_EVENTS)
