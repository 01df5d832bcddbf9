"""The reference: NumPy runs every model's `update` as it stands, tick by tick."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from spikeflow import noise
from spikeflow.kernels import layout
from spikeflow.kernels.layout import CODES, TILE, Arrays
from spikeflow.kernels.model import Form
from spikeflow.kernels.network import Program, Run
from spikeflow.kernels.vocabulary import FLUSH_EVERY, count_down, flush, hold

Tiles: TypeAlias = npt.NDArray[Any]
Arrival: TypeAlias = tuple[int, int, float]
"""Presynaptic neuron, which delay, value."""


def prepare(program: Program) -> Run:
    """One function of the arrays that steps `program`."""

    def run(*arrays: Any) -> None:
        _Pass(program, Arrays(*arrays)).run()

    return run


class _Row:
    """One record of the table, with its columns by name."""

    def __init__(self, table: npt.NDArray[np.int64], at: int) -> None:
        self.table, self.at = table, at

    def __getitem__(self, column: str) -> int:
        return int(self.table[self.at + CODES[column]])

    def __setitem__(self, column: str, number: int) -> None:
        self.table[self.at + CODES[column]] = number


class _Pass:
    """One call of the kernel."""

    def __init__(self, program: Program, arrays: Arrays) -> None:
        self.program, self.arrays = program, arrays
        self.head = _Row(arrays.table, 0)
        self.groups = self._rows("GROUP")
        self.sources = self._rows("SOURCE")
        self.projections = self._rows("PROJECTION")
        self.records = self._rows("RECORD")
        self.learnings = self._rows("LEARNING")

    def _rows(self, kind: str) -> list[_Row]:
        first, count = self.head[f"H_{kind}"], self.head[f"H_{kind}S"]
        return [_Row(self.arrays.table, first + k * CODES[kind]) for k in range(count)]

    def run(self) -> None:
        if self.head["H_FRESH"]:
            for place, source in enumerate(self.sources):
                status = self._check(source) if not source["S_KEPT"] else layout.DONE
                if status:
                    self.head["H_STATUS"], self.head["H_DETAIL"] = status, place
                    return
            for place, source in enumerate(self.sources):
                self._drop_old(place, source)
            self.head["H_FRESH"] = 0
        order = self.head["H_ORDER"]
        while self.head["H_TICK"] < self.head["H_PAUSE"]:
            for place, source in enumerate(self.sources):
                if source["S_KEPT"] and source["S_CAPACITY"] - source["S_COUNT"] < source["S_SIZE"]:
                    self.head["H_STATUS"], self.head["H_DETAIL"] = layout.FULL, place
                    return
            for place in self.arrays.table[order : order + len(self.groups)]:
                self._tick(int(place))
            for place, learning in enumerate(self.learnings):
                if self.head["H_TICK"] < learning["L_UNTIL"]:
                    self._learn(place, learning)
            if self.head["H_STATUS"]:
                return
            self.head["H_TICK"] += 1

    # ---- events

    def _check(self, source: _Row) -> int:
        """Whether the new events of a train can be read as they are."""
        first, count, offset = source["S_START"], source["S_COUNT"], source["S_OFFSET"]
        t = self.arrays.time[offset + first : offset + count]
        index = self.arrays.index[offset + first : offset + count].astype(np.int64)
        tick = (t - self.head["H_ORIGIN"]) // self.head["H_STEP"]
        if not t.size:
            return layout.DONE
        if index.max() >= source["S_SIZE"] or tick[0] < self.head["H_TICK"] or tick[-1] >= self.head["H_STOP"]:
            return layout.INVALID
        if (np.diff(tick) < 0).any():
            return layout.INVALID
        return layout.UNORDERED if ((np.diff(tick) == 0) & (np.diff(index) < 0)).any() else layout.DONE

    def _pointers(self, place: int) -> Iterator[int]:
        for projection in self.projections:
            if projection["P_SOURCE"] == place:
                yield from (projection["P_DELAY"] + 2 * d + 1 for d in range(projection["P_DELAYS"]))

    def _drop_old(self, place: int, source: _Row) -> None:
        """Let go of what every reader has read."""
        table = self.arrays.table
        start, count, offset, value = (source[k] for k in ("S_START", "S_COUNT", "S_OFFSET", "S_VALUE"))
        arrived = 0 if source["S_KEPT"] else count - start  # a train's new events lie behind the old ones already
        old = min((int(table[pointer]) for pointer in self._pointers(place)), default=count - arrived)
        for column, first in ((self.arrays.time, offset), (self.arrays.index, offset), (self.arrays.value, value)):
            if first >= 0:
                column[first : first + count - old] = column[first + old : first + count].copy()
        for pointer in self._pointers(place):
            table[pointer] -= old
        source["S_COUNT"] = count - old
        source["S_START"] = count - old

    # ---- one tick of one population

    def _tick(self, place: int) -> None:
        group = self.groups[place]
        form, precision = self.program.forms[group["G_FORM"]]
        real, weight = self._numbers(precision)
        state = _tiles(group, real)
        self._gather(group["G_LIST"], group["G_LISTED"], state, weight)
        spiked = self._update(form, group, state, real)
        if np.isnan(state[:, : len(form.states), :]).any():
            self._lost(place)
        if spiked is not None:
            neurons: Tiles = np.flatnonzero(spiked.reshape(-1)[: group["G_SIZE"]])
            source = self.sources[place]
            start = source["S_OFFSET"] + source["S_COUNT"]
            self.arrays.index[start : start + neurons.size] = neurons
            self.arrays.time[start : start + neurons.size] = (
                self.head["H_ORIGIN"] + self.head["H_TICK"] * self.head["H_STEP"]
            )
            if group["G_VALUE"] >= 0:
                first = source["S_VALUE"] + source["S_COUNT"]
                carried = state[neurons // TILE, group["G_VALUE"], neurons % TILE]
                self.arrays.value[first : first + neurons.size] = carried
            source["S_COUNT"] += neurons.size
        self._gather(group["G_AFTER"], group["G_AFTERS"], state, weight)
        for record in self.records:
            if record["R_GROUP"] == place and self.head["H_TICK"] % record["R_EVERY"] == 0:
                neurons = self.arrays.post[record["R_NEURON"] : record["R_NEURON"] + record["R_NEURONS"]]
                out = record["R_OUT"]
                self.arrays.recorded[out : out + neurons.size] = state[neurons // TILE, record["R_ROW"], neurons % TILE]
                record["R_OUT"] = out + neurons.size

    def _numbers(self, precision: str) -> tuple[Tiles, Tiles]:
        if precision == "float32":
            return self.arrays.real32, self.arrays.weight32
        return self.arrays.real64, self.arrays.weight64

    # ---- what synapses learn in one tick

    def _learn(self, place: int, learning: _Row) -> None:
        """Change every synapse of a projection, from the traces as they are after this tick."""
        form, precision = self.program.rules[learning["L_RULE"]]
        real, weight = self._numbers(precision)
        projection = self.projections[learning["L_PROJECTION"]]
        before, after = self.groups[learning["L_PRE"]], self.groups[learning["L_POST"]]
        pre = [_tiles(before, real)[:, k, :].reshape(-1)[: before["G_SIZE"]] for k in range(len(form.pre))]
        post = [_tiles(after, real)[:, k, :].reshape(-1)[: after["G_SIZE"]] for k in range(len(form.post))]
        firsts = [projection["P_WEIGHT"]]
        firsts += [learning["L_STATE"] + k * learning["L_COUNT"] for k in range(len(form.states) - 1)]
        if projection["P_KIND"] == layout.DENSE:
            shape = projection["P_PRE"], projection["P_STRIDE"]
            states = [weight[at : at + shape[0] * shape[1]].reshape(shape)[:, : after["G_SIZE"]] for at in firsts]
            pre = [row[:, None] for row in pre]
        elif projection["P_KIND"] == layout.CSR:
            first = projection["P_START"]
            starts = self.arrays.start[first : first + before["G_SIZE"] + 1]
            posts = self.arrays.post[projection["P_POST"] : projection["P_POST"] + int(starts[-1])]
            states = [weight[at : at + posts.size] for at in firsts]
            pre = [np.repeat(row, np.diff(starts)) for row in pre]
            post = [row[posts] for row in post]
        else:
            states = [weight[at : at + after["G_SIZE"]] for at in firsts]
        scalars = real[learning["L_CONSTANT"] : learning["L_CONSTANT"] + len(form.constants)]
        constant: dict[str, Any] = dict(zip(form.constants, scalars, strict=True))
        result = form.function(
            *[state.copy() for state in states], *pre, *post,
            **{name: constant[name] for name in form.named}, **dict.fromkeys(form.unused),
        )  # fmt: skip
        for state, new in zip(states, result, strict=True):
            state[:] = flush(new, constant["tiny"], constant["zero"])
            if np.isnan(state).any():
                self._lost(len(self.groups) + place)

    def _lost(self, place: int) -> None:
        """A state is not a number: the lowest population of a tick that has one is named."""
        if self.head["H_STATUS"] != layout.LOST or place < self.head["H_DETAIL"]:
            self.head["H_STATUS"], self.head["H_DETAIL"] = layout.LOST, place

    def _gather(self, first: int, count: int, state: Tiles, weight: Tiles) -> None:
        """Add up what acts through each of the listed projections."""
        for k in self.arrays.table[first : first + count]:
            projection = self.projections[int(k)]
            row = np.zeros(state.shape[0] * TILE, state.dtype)
            for arrival in self._arrivals(projection, state):
                self._deliver(projection, arrival, weight, row)
            into = projection["P_INTO"] if projection["P_INTO"] >= 0 else projection["P_ROW"]
            state[:, into, :] += row.reshape(-1, TILE)

    def _arrivals(self, projection: _Row, state: Tiles) -> list[Arrival]:
        """What acts in this tick: presynaptic neurons ascending, then delays; several of one neuron in their order."""
        found: list[Arrival] = []
        if projection["P_STATE"] >= 0:
            acting = state[:, projection["P_STATE"], :].reshape(-1)[: projection["P_ALL"]]
            return [(int(n), 0, acting[n]) for n in np.flatnonzero(acting)]
        source, pre, every = self.sources[projection["P_SOURCE"]], projection["P_PRE"], projection["P_ALL"]
        offset, held = source["S_OFFSET"], projection["P_HELD"]
        for d in range(projection["P_DELAYS"]):
            at = projection["P_DELAY"] + 2 * d
            delay, first = (int(number) for number in self.arrays.table[at : at + 2])
            end = self.head["H_ORIGIN"] + (self.head["H_TICK"] - delay + 1) * self.head["H_STEP"]
            last = first
            while last < source["S_COUNT"] and self.arrays.time[offset + last] < end:
                last += 1
            self.arrays.table[at + 1] = last
            for place in range(first, last):
                neuron = int(self.arrays.index[offset + place])
                value = float(self.arrays.value[source["S_VALUE"] + place]) if source["S_VALUE"] >= 0 else 1.0
                if projection["P_MEMBER"] >= 0 and self.arrays.post[projection["P_MEMBER"] + neuron % pre] != d:
                    continue
                if held >= 0:
                    self.arrays.held[held + d * every + neuron] = value
                else:
                    found.append((neuron, d, value))
        if held >= 0:
            values = self.arrays.held[held : held + projection["P_DELAYS"] * every].reshape(-1, every)
            found = [(int(n), int(d), float(values[d, n])) for n, d in np.argwhere(values.T != 0)]
        return sorted(found, key=lambda arrival: arrival[:2])

    def _deliver(self, projection: _Row, arrival: Arrival, weight: Tiles, row: Tiles) -> None:
        neuron, d, value = arrival
        if projection["P_HALF"]:
            weight = self.arrays.weight16
        each, own = projection["P_EACH"], projection["P_ALL"] > projection["P_PRE"]
        of, neuron = divmod(neuron, projection["P_PRE"])  # a copy hears its own neurons, or those that all hear
        for copy in (of,) if own else range(projection["P_COPIES"]):
            into = row[copy * each : (copy + 1) * each]
            first, factor = projection["P_WEIGHT"], row.dtype.type(value)
            if projection["P_KIND"] == layout.DENSE:
                first += neuron * projection["P_STRIDE"]
                into += weight[first : first + each].astype(row.dtype) * factor
            elif projection["P_KIND"] == layout.CSR:
                at = projection["P_START"] + d * projection["P_PRE"] + neuron
                start, end = (int(number) for number in self.arrays.start[at : at + 2])
                posts = self.arrays.post[projection["P_POST"] + start : projection["P_POST"] + end]
                every = projection["P_STRIDE"]
                numbers = weight[first + start : first + end] if every else weight[first : first + 1]
                np.add.at(into, posts, numbers.astype(row.dtype) * factor)
            else:
                into[neuron] += row.dtype.type(weight[first + neuron * projection["P_STRIDE"]]) * factor

    def _update(self, form: Form, group: _Row, state: Tiles, real: Tiles) -> Tiles | None:
        """Run the model and what all models share; returns where there is a spike."""
        states, inputs = len(form.states), len(form.receptors)
        scalars = real[group["G_CONSTANT"] : group["G_CONSTANT"] + len(form.constants)]
        constant: dict[str, Any] = dict(zip(form.constants, scalars, strict=True))
        for k, name in enumerate(form.rows):
            constant[name] = state[:, states + inputs + k, :]
        old = {name: state[:, k, :].copy() for k, name in enumerate(form.states)}
        sums = [state[:, states + k, :].copy() for k in range(inputs)]
        state[:, states : states + inputs, :] = 0
        taken = [argument.arg for argument in form.update.args.args[len(form.moved) + inputs + len(form.noise) :]]
        result = form.function(
            *[old[name] for name in form.moved], *sums, *self._noise(form, group, state),
            **{name: constant[name] for name in taken}, **dict.fromkeys(form.unused),
        )  # fmt: skip
        new = dict(zip(form.moved, result, strict=False))
        spiked = result[-1] if form.spikes else None
        if form.refracts:
            rho, zero = old["rho"], constant["zero"]
            free = rho <= zero
            spiked = spiked & free
            for name in form.held:
                new[name] = hold(free, old[name], new[name])
            new["rho"] = count_down(rho, free, spiked, constant["rho_reset"], constant["one"], zero)
        flushing = self.head["H_TICK"] % FLUSH_EVERY == 0
        for k, name in enumerate(form.states):
            state[:, k, :] = flush(new[name], constant["tiny"], constant["zero"]) if flushing else new[name]
        return spiked

    def _noise(self, form: Form, group: _Row, state: Tiles) -> list[Tiles]:
        keys = self.arrays.table[group["G_KEY"] : group["G_KEY"] + len(form.noise)].astype(np.uint64)
        neurons = np.arange(state.shape[0] * TILE) % group["G_EACH"]
        draw = noise.uniform32 if state.dtype == np.float32 else noise.uniform
        return [draw(int(key), neurons, self.head["H_TICK"]).reshape(-1, TILE) for key in keys]


def _tiles(group: _Row, real: Tiles) -> Tiles:
    """The tiles of a population: [tiles, rows, 64], not a copy."""
    base, tiles, rows = group["G_BASE"], group["G_TILES"], group["G_ROWS"]
    return real[base : base + tiles * rows * TILE].reshape(tiles, rows, TILE)
