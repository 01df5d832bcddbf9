"""Populations that are stepped together, with what connects them: one block."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from spikeflow.errors import EventError, ParameterError, nearest
from spikeflow.kernels import layout
from spikeflow.kernels.builder import form_key
from spikeflow.kernels.handed import EMPTY, Exported
from spikeflow.kernels.laid import (
    COUNT,
    NO_INDICES,
    NO_TIMES,
    NO_VALUES,
    OFFSET,
    SIZE,
    START,
    VALUE,
    Columns,
    Events,
    Laid,
    Result,
)  # fmt: skip
from spikeflow.kernels.layout import CODES
from spikeflow.kernels.parts import Away, Group, Precision, Program, Projection, Run, Train
from spikeflow.kernels.plastic import Plastic

__all__ = [
    "Away",
    "Columns",
    "Events",
    "Group",
    "Look",
    "Network",
    "Precision",
    "Program",
    "Projection",
    "Result",
    "Run",
    "Train",
    "form_key",
]

Arriving: TypeAlias = Events | Columns | Away | Exported
"""Events of a train, as they come."""

Learned: TypeAlias = tuple[str, str, tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32], npt.NDArray[np.floating]]]
"""A group, the name of a record of its synapses, and the record."""

_SEEN = 4096
"""Ticks that are kept until somebody takes them."""


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """A state variable of some neurons, with what it was after each tick that was stepped.

    Attributes:
        seen: ticks and [neurons] values; the oldest are given up where nobody takes them.
    """

    group: str
    variable: str
    neurons: npt.NDArray[np.integer[Any]]
    seen: deque[tuple[int, npt.NDArray[np.floating]]] = field(default_factory=lambda: deque(maxlen=_SEEN))


class Network(Laid):
    """Populations stepped together, tick by tick, whatever the split of ticks over calls.

    Args:
        dt: length of a tick, for the models.
        origin_ns, dt_ns: times of events are `origin_ns + tick * dt_ns`; as they are by default, times are ticks.
        skip: skip tiles whose state cannot change before their next input; never changes a bit.
        away: leave the spikes where they are: on a device until somebody looks; else in the network's own arrays,
            where they stand until the next step.

    Attributes:
        is_still: nothing can change, and nothing comes, before the next input.
        looks: what somebody looks at; replaced as a whole, because another thread may be stepping.

    Raises:
        ParameterError: something does not fit, with what would.
    """

    looks: tuple[Look, ...] = ()

    # ---- looking on

    def look(self, group: str, variable: str, neurons: npt.NDArray[np.integer[Any]]) -> Look:
        """Note a state variable of some neurons after every tick that is stepped, until `look_away`.

        Raises:
            ParameterError: there is no such state or neuron.
        """
        size = self.read(group, variable).size
        if neurons.size and not 0 <= int(neurons.min()) <= int(neurons.max()) < size:
            raise ParameterError(f"neuron {int(neurons.max())} of {group!r}", f"name neurons 0 to {size - 1}")
        look = Look(group, variable, neurons)
        self.looks = (*self.looks, look)
        return look

    def look_away(self, look: Look) -> None:
        """Note it no more."""
        self.looks = tuple(one for one in self.looks if one is not look)

    # ---- stepping

    def step(self, first_tick: int, ticks: int, arriving: Mapping[str, Arriving]) -> dict[str, Result]:
        """Step ticks `first_tick` to `first_tick + ticks`.

        Args:
            arriving: events of each train within these ticks, in time order; a train that is not there is silent.
                What another network left on a device is taken from there; a record batch is read where it lies, where
                the network `takes_exported`.

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
        try:
            for name, events in arriving.items():
                self._append(name, events)
        except EventError:
            self._give_up()
            raise
        if self._records:
            self._make_room_for_records(first_tick, stop)
        learned: Sequence[Learned] = ()
        if self._plastic or self.looks:
            learned = self._learn(first_tick, stop)
        else:
            table[_PAUSE] = stop
            self._run()
            if table[_STATUS]:
                self._go(stop)
        results, silence = {}, self._silence
        is_plain = not (self._records or learned)
        for name, first, last, base, values in self._outputs:
            start, end = table[first], table[last]
            if start == end and is_plain:
                results[name] = silence[name]
            elif start == end:
                results[name] = _new(Result, (NO_TIMES, NO_INDICES, {}, None if values < 0 else NO_VALUES, None))
            elif self._device is not None:
                results[name] = self._taken(base + start, base + end, -1 if values < 0 else values + start)
            else:
                t, index = self._time[base + start : base + end], self._index[base + start : base + end]
                value = None if values < 0 else self._value[values + start : values + end]
                if not self._stays:
                    t, index, value = t.copy(), index.copy(), None if value is None else value.astype(np.float32)
                results[name] = _new(Result, (t, index, {}, value, None))
        if self._records or learned:
            self._collect(first_tick, stop, results)
            for group, key, events in learned:
                results[group].recorded[key] = events
        elif not arriving:
            self.is_still = self._rests()
        return results

    def _taken(self, first: int, end: int, value_at: int) -> Result:
        """Spikes of this step on a device; they stay there where that is wanted."""
        assert self._device is not None
        away = self._device.take(first, end, value_at)
        if self._stays:
            return Result(NO_TIMES, NO_INDICES, {}, None, away)
        t, neuron, value = away.fetch()
        return Result(t, neuron, {}, value)

    def _go(self, pause: int) -> None:
        """Step up to tick `pause`, seeing to what the kernel cannot."""
        table = self._numbers
        table[_PAUSE] = pause
        if not table[_STATUS]:
            self._run()
        while table[_STATUS]:
            self._resolve()
            self._run()

    def _learn(self, first: int, stop: int) -> Sequence[Learned]:
        """Step up to tick `stop`; look at synapses where they are recorded, and at states after every tick."""
        kept = {
            (plastic, state): (range(-(-first // every) * every, stop, every), plastic.chosen(channels))
            for plastic in self._plastic
            for state, (channels, every) in plastic.learning.record.items()
            if state in plastic.states
        }
        seen: dict[tuple[Plastic, str], list[npt.NDArray[np.floating]]] = {each: [] for each in kept}
        looks = self.looks
        pauses = range(first, stop) if looks else sorted({tick for ticks, _ in kept.values() for tick in ticks})
        for tick in pauses:
            self._go(tick + 1)
            for look in looks:
                look.seen.append((tick, self.peek(look.group, look.variable, look.neurons)))
            for (plastic, state), (ticks, chosen) in kept.items():
                if tick in ticks:
                    self._fetch("weight32", "weight64")
                    seen[plastic, state].append(plastic.read(self.arrays, state)[chosen])
        self._go(stop)
        found = []
        for (plastic, state), (ticks, chosen) in kept.items():
            channel = plastic.channel[chosen]
            t = np.repeat(np.array(ticks, np.int64) * self.dt_ns + self.origin_ns, channel.size)
            value = np.concatenate([np.zeros(0, plastic.precision), *seen[plastic, state]])
            found.append((plastic.target, plastic.key(state), (t, np.tile(channel, len(ticks)), value)))
        return found

    def _rests(self) -> bool:
        """Whether nothing can change before the next input: every tile rests, and nothing waits in a delay line."""
        table = self._numbers
        if self._plastic:
            return False  # what learns is stepped, whatever its rule says of itself
        for resting, tiles in self._resting:  # asked in every silent call: a generator takes five times as long
            if table[resting] != table[tiles]:
                return False
        return all(table[at + START] == table[at + COUNT] for at in self._sources) and not self.pending()

    def _append(self, name: str, events: Any) -> None:
        self.is_still = False
        try:
            place, count_at, capacity, offset, values = self._trains[name]
        except KeyError:
            raise EventError(f"there is no train {name!r}; {nearest(name, self._trains)}") from None
        if not isinstance(events, tuple) and hasattr(events, "_export_to_c"):
            self._hand_over(name, cast(Exported, events))
            return
        if self._device is not None:
            self._append_there(name, events)
            return
        t, index, value = events if isinstance(events, tuple) else events.fetch()
        table = self._numbers
        held = table[count_at]
        count = held + len(t)
        if count > capacity:
            self._grow(place, count)
            offset, values = self._trains[name][3:]
        start, end = offset + held, offset + count
        try:  # twice as fast, where the types are those of the buffers
            self._times[start:end] = t
            self._indices[start:end] = index
        except (TypeError, ValueError):
            self._time[start:end] = t
            self._index[start:end] = index
        if values >= 0:
            self._value[values + held : values + count] = 1.0 if value is None else value
        elif value is not None:
            raise EventError(_UNVALUED.format(name))
        table[count_at] = count

    def _hand_over(self, name: str, events: Exported) -> None:
        """As `_append`, of a record batch that is read where it lies."""
        if not self._handings:
            raise EventError(f"a record batch for {name!r}; the backend {self.backend!r} takes arrays")
        place, count_at, capacity = self._trains[name][:3]
        table = self._numbers
        held = table[count_at]
        count = held + events.num_rows
        if count > capacity:
            self._grow(place, count)
        status = self._handings[name].copy(events, held)
        if status == EMPTY:
            raise EventError("an event with an empty field; each needs a value")
        if status:
            raise EventError(f"a record batch for {name!r} whose columns are not those of its stream")
        table[count_at] = count

    def _append_there(self, name: str, events: Events | Columns | Away) -> None:
        """As `_append`, on a device."""
        assert self._device is not None
        place, count_at, capacity, offset, values = self._trains[name]
        held = self._numbers[count_at]
        count = held + len(events[0] if isinstance(events, tuple) else events)
        if count > capacity:
            self._grow(place, count)
            offset, values = self._trains[name][3:]
        if values < 0 and isinstance(events, tuple) and events[2] is not None:
            raise EventError(_UNVALUED.format(name))
        self._device.write(offset + held, events, values + held if values >= 0 else -1)
        self._numbers[count_at] = count

    def _resolve(self) -> None:
        """Do what the kernel cannot: make room, or put events of the same tick in order."""
        table = self._table
        status, place = int(table[_STATUS]), int(table[_DETAIL])
        table[_STATUS] = 0
        if status in (layout.UNORDERED, layout.INVALID):
            self._fetch("time", "index", "value")
        if status == layout.FULL:
            at = self._sources[place]
            self._grow(place, int(table[at + COUNT] + max(table[at + SIZE], table[_FOUND] + 3)))
        elif status == layout.UNORDERED:
            self._sort(place)
        elif status == layout.LOST:
            self._not_a_number(place)
        else:
            self._refuse(place)

    def _not_a_number(self, place: int) -> None:
        table = self._table
        tick = int(table[_TICK])
        if place >= len(self.groups):
            plastic = self._plastic[place - len(self.groups)]
            self._fetch("weight32", "weight64")
            for state in plastic.states:
                lost = np.flatnonzero(np.isnan(plastic.read(self.arrays, state)))
                if lost.size:
                    found = f"synapse {plastic.channel[lost[0]]} into {plastic.target!r} is not a number at tick {tick}"
                    raise EventError(f"{found}, in its {plastic.key(state)!r}")
            raise EventError(f"what {plastic.target!r} learns is not a number at tick {tick}")
        group = self.groups[place]
        known, table[_NEURON] = int(table[_NEURON]), -1
        for variable in self._forms[place][0].states:
            lost = np.flatnonzero(np.isnan(self.read(group.name, variable)))
            if known >= 0:  # those before it are ahead of the tick
                lost = lost[lost == known]
            if not lost.size:
                continue
            if group.name in self._traces:
                target, name = self._traces[group.name]
                trace = f"trace {lost[0]} of '{variable}_{name}' in {target!r}"
                raise EventError(f"{trace} is not a number at tick {tick}")
            found = f"neuron {lost[0]} of {group.name!r} is not a number at tick {tick}"
            raise EventError(f"{found}, in its state {variable!r}")
        raise EventError(f"a state of {group.name!r} is not a number at tick {tick}")

    def _sort(self, place: int) -> None:
        at = self._sources[place]
        start, end = self._range(place)
        t, index = self.arrays.time[start:end], self.arrays.index[start:end]
        order = np.lexsort((index, (t - self.origin_ns) // self.dt_ns))
        t[:], index[:] = t[order], index[order]
        if (values := int(self._table[at + VALUE])) >= 0:
            first = values + int(self._table[at + START])
            part = self.arrays.value[first : first + order.size]
            part[:] = part[order]
        self._push("time", "index", "value")

    def _range(self, place: int) -> tuple[int, int]:
        at, offset = self._sources[place], int(self._table[self._sources[place] + OFFSET])
        return offset + int(self._table[at + START]), offset + int(self._table[at + COUNT])

    def _give_up(self) -> None:
        """Keep nothing of what has come for a step that is refused."""
        for at in self._sources[len(self.groups) :]:
            self._numbers[at + COUNT] = self._numbers[at + START]

    def _refuse(self, place: int) -> None:
        start, end = self._range(place)
        t, index = self.arrays.time[start:end].copy(), self.arrays.index[start:end].copy()
        self._give_up()
        name, size = self._names[place], int(self._table[self._sources[place] + SIZE])
        if index.size and int(index.max()) >= size:
            raise EventError(f"index {int(index.max())} in {name!r}, whose size is {size}")
        tick = (t - self.origin_ns) // self.dt_ns
        first, stop = int(self._table[_TICK]), int(self._table[_STOP])
        if tick.min() < first or tick.max() >= stop:
            raise EventError(
                f"events of {name!r} lie in ticks {tick.min()} to {tick.max()}, the step in {first} to {stop - 1}"
            )
        raise EventError(f"events of {name!r} are not in time order; sort them by time, then by index")

    # ---- records

    def _make_room_for_records(self, first: int, stop: int) -> None:
        need = 0
        for place, (_, _, neurons, every, _) in enumerate(self._records):
            self._table[self._record_at + place * CODES["RECORD"] + CODES["R_OUT"]] = need
            need += len(range(-(-first // every) * every, stop, every)) * neurons.size
        self._recorded = need
        if need > self.arrays.recorded.size:
            self.arrays.recorded = np.zeros(2 * need)
            self._pass("recorded")

    def _collect(self, first: int, stop: int, results: dict[str, Result]) -> None:
        start = 0
        if self._device is not None and self._records:
            self._device.fetch("recorded", count=self._recorded)
        for group, variable, neurons, every, precision in self._records:
            at = np.arange(-(-first // every) * every, stop, every) * self.dt_ns + self.origin_ns
            value = self.arrays.recorded[start : start + at.size * neurons.size].astype(precision)
            if group in self._traces:
                group, name = self._traces[group]
                variable = f"{variable}_{name}"
            results[group].recorded[variable] = np.repeat(at, neurons.size), np.tile(neurons, at.size), value
            start += value.size


_TICK, _STOP, _PAUSE, _STATUS, _DETAIL, _FRESH, _FOUND, _NEURON = (
    CODES[k] for k in ("H_TICK", "H_STOP", "H_PAUSE", "H_STATUS", "H_DETAIL", "H_FRESH", "H_FOUND", "H_NEURON")
)
_UNVALUED = "events of {!r} carry values, but the train has none; build it with valued=True"
_new = tuple.__new__  # half the time of a named tuple's own, which parses arguments
