"""Stepped: populations as one network of kernels, between batches that come and batches that go."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from spikeflow.events import Away, Batch, Indices, Times, Values, Window
from spikeflow.kernels import Columns, Events, Network, Projection, Train, devices
from spikeflow.kernels.handed import Exported
from spikeflow.kernels.network import Look
from spikeflow.node import ALWAYS, Seen, State
from spikeflow.segments import Segments

if TYPE_CHECKING:
    from spikeflow.nodes.population import Population

BACKEND = "SPIKEFLOW_BACKEND"
"""The environment variable that chooses the backend of `device: cpu`; the fastest one there unless set."""


class Stepped:
    """One network of kernels and its streams: a population, or a block of them."""

    def __init__(self, members: Sequence[Population]) -> None:
        self._members = list(members)
        first = members[0].context
        grid = first.grid
        trains: list[Train] = []
        projections: list[Projection] = []
        self._arrivals: list[tuple[str, int, str, pa.Schema]] = []
        self._forgot: dict[str, int | None] = {}
        self._looks: list[Look] = []
        for member in members:
            context = member.context
            for index, projection in enumerate(member.inputs):
                if index in context.internal:
                    source = projection.source
                else:
                    stream, source = context.inputs[index], f"{context.name}<{index}"
                    valued = stream.valued or stream.kind == "samples"
                    trains.append(Train(source, stream.size, valued, stream.copies, stream.double))
                    lag = context.lags[index] if context.lags else 0
                    self._arrivals.append((source, lag * grid.window_ns, context.name, stream.plain))
                held = projection.hold is not None
                synapses, learning = member.synapses(index), member.learning(index)
                projections.append(Projection(source, context.name, synapses, projection.to, held, learning))
        groups = [member.group() for member in members]
        self.choice = devices.choose(
            [member.device for member in members],
            [group.model for group in groups],
            sum(group.size for group in groups),
            grid.window_ticks,
        )
        on_core = self.choice.backend == "auto"
        self._network = Network(
            groups,
            trains,
            projections,
            dt=grid.dt,
            seed=first.seed,
            backend=os.environ.get(BACKEND, "auto") if on_core else self.choice.backend,
            away=True,
            origin_ns=grid.origin_ns,
            dt_ns=grid.dt_ns,
        )
        self._outlets = [
            (
                member.context.name,
                port or ("" if member.model_class.spikes else member.model_class.state[0]),
                schema := stream.schema(grid),
                Segments(schema),
            )
            for member in members
            for port, stream in member.context.outlets.items()
        ]

    def step(self, window: Window, arriving: Sequence[Batch]) -> Sequence[Batch]:
        """One batch for each outlet of each member, from one batch of each input from outside."""
        if self._forgot:
            self._forgot = {name: window.start_ns if at is None else at for name, at in self._forgot.items()}
        given: dict[str, Columns | Away | Exported] = {}
        as_it_is = self._network.takes_exported
        for (train, shift_ns, member, plain), batch in zip(self._arrivals, arriving, strict=True):
            if batch.count and shift_ns:
                given[train] = self._late(*batch.arrays, shift_ns, self._forgot.get(member))
            elif batch.count:
                given[train] = batch.handed(plain) if as_it_is else batch.columns
        results = self._network.step(window.first_tick, window.ticks, given)
        found = []
        for name, port, schema, segments in self._outlets:
            t_ns, neuron, recorded, value, away = results[name]
            if port:
                found.append(Batch(window, schema, *recorded[port]))
            elif away is not None:
                found.append(Batch.away(window, schema, away))
            elif len(t_ns):
                found.append(segments.batch(window, t_ns, neuron, value))
            else:
                found.append(Batch.none(window, schema))
        return found

    @staticmethod
    def _late(t_ns: Times, index: Indices, value: Values | None, shift_ns: int, since_ns: int | None) -> Events:
        """Events of a loop as the network gets them: later, and without those sent before their receiver forgot."""
        first = 0 if since_ns is None else int(np.searchsorted(t_ns, since_ns))
        return Events(t_ns[first:] + shift_ns, index[first:], None if value is None else value[first:])

    def save(self) -> State:
        """The state of all members."""
        return {"network": self._network.save(), "forgot": dict(self._forgot)}

    def load(self, state: State) -> None:
        """Put a saved state back."""
        self._network.load(state["network"])
        self._forgot = dict(state["forgot"])

    def reset(self, name: str) -> None:
        """Put one member back to its initial state; what is on its way to it is gone."""
        self._network.reset([name])
        self._forgot[name] = None  # at the tick of the next step

    def look(self, name: str, state: str, indices: Sequence[int]) -> Seen:
        """Note a state variable of some neurons of one member after every tick."""
        look = self._network.look(name, state, np.array(indices, np.int64))
        self._looks.append(look)
        return look.seen

    def look_away(self, seen: Seen) -> None:
        """Note it no more."""
        for look in [look for look in self._looks if look.seen is seen]:
            self._looks.remove(look)
            self._network.look_away(look)

    def rests_until(self) -> int:
        """Until the next event, where nothing moves any more."""
        return ALWAYS if self._network.is_still else 0

    def pending(self) -> int:
        """Spikes still in delay lines."""
        return self._network.pending()
