"""Copies: a node for each copy of its stream, where one cannot serve them all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field

from spikeflow.copies import called, split_copies
from spikeflow.events import Batch, Times, Values, Window, sort
from spikeflow.node import Context, Node, State, Stepper


def serving(node: Node, context: Context) -> Node:
    """The node itself, or copies of it where its stream has some and it cannot serve them at once."""
    if context.copies == 1 or not isinstance(node, Stepper) or node.elementwise:
        return node
    return Copied(original=node, on_error=node.on_error, forget=node.forget)


class Copied(Stepper):
    """As many nodes as there are copies; each gets its own part of every batch, and what has no copies whole.

    A copy without events is left alone for as long as it says that it rests.
    """

    role: ClassVar[str] = "copies"
    original: Stepper = Field(description="the node of which there are copies")

    def bind(self, context: Context) -> None:
        """Bind a node for each copy; they count together, and each draws the same random numbers as it would alone."""
        inputs = tuple(stream.one for stream in context.inputs)
        outlets = {port: stream.one for port, stream in context.outlets.items()}
        self.__dict__["_nodes"] = nodes = [self.original.model_copy() for _ in range(context.copies)]
        for copy, node in enumerate(nodes):
            log = partial(self._say, copy)
            node.bind(replace(context, inputs=inputs, outlets=outlets, window=context.window, log=log))
        self.__dict__["_name"], self.__dict__["_context"] = context.name, context
        self._schemas = [stream.schema(context.grid) for stream in inputs]
        self._sent_as = [(stream, stream.schema(context.grid)) for stream in context.outlets.values()]
        self.quiet = np.zeros(len(nodes), np.int64)

    def _say(self, copy: int, level: str, text: str) -> None:
        """Put a line of a copy in the run's log, under its name."""
        stream = next(iter(self.context.outlets.values()))
        self.context.log(level, f"{called(stream, self.context.names(stream).keys, copy)}: {text}")

    @property
    def nodes(self) -> Sequence[Stepper]:
        """The copies."""
        found: Sequence[Stepper] = self.__dict__["_nodes"]
        return found

    def step(self, window: Window, arriving: Sequence[Batch]) -> Sequence[Batch]:
        """Step the copies that have events, or something to do without."""
        streams = self.context.inputs
        silent = [Batch.none(window, schema) for schema in self._schemas]
        parts: list[Mapping[int, Batch] | Batch] = []
        due = self.quiet < window.first_tick + window.ticks
        for stream, schema, batch in zip(streams, self._schemas, arriving, strict=True):
            if stream.copies == 1:
                parts.append(batch)
                due |= batch.count > 0
            else:
                dealt = split_copies(batch, stream, schema)
                parts.append(dealt)
                due[list(dealt)] = True
        sent: list[list[tuple[Times, Times, Values | None]]] = [[] for _ in self._sent_as]
        for copy in np.flatnonzero(due).tolist():
            given = [
                part if isinstance(part, Batch) else part.get(copy, none)
                for part, none in zip(parts, silent, strict=True)
            ]
            found = self.nodes[copy].step(window, given)
            if any(batch.count for batch in (*given, *found)):
                self.quiet[copy] = 0
            else:
                self.quiet[copy] = self.nodes[copy].rests_until()
            for kept, batch, (stream, _) in zip(sent, found, self._sent_as, strict=True):
                if batch.count:
                    t_ns, index, value = batch.arrays
                    kept.append((t_ns, index + np.int64(copy * (stream.size // stream.copies)), value))
        return [_joined(window, schema, kept) for kept, (_, schema) in zip(sent, self._sent_as, strict=True)]

    def rests_until(self) -> int:
        """Until the first copy does something by itself."""
        return int(self.quiet.min())

    def pending(self) -> int:
        """What has not acted yet, of all copies."""
        return sum(node.pending() for node in self.nodes)

    def save(self) -> State:
        """The states of all copies."""
        return {"quiet": self.quiet.copy(), "copies": [node.save() for node in self.nodes]}

    def load(self, state: State) -> None:
        """Put saved states back."""
        self.quiet = state["quiet"].copy()
        for node, own in zip(self.nodes, state["copies"], strict=True):
            node.load(own)

    def reset(self) -> None:
        """Put all copies back to their initial state."""
        self.quiet[:] = 0
        for node in self.nodes:
            node.reset()


def _joined(window: Window, schema: pa.Schema, parts: Sequence[tuple[Times, Times, Values | None]]) -> Batch:
    """What the copies sent, in order."""
    if not parts:
        return Batch.none(window, schema)
    values = [value for _, _, value in parts if value is not None]
    t_ns, index, value = sort(
        np.concatenate([t for t, _, _ in parts]),
        np.concatenate([index for _, index, _ in parts]).astype(np.uint32),
        np.concatenate(values) if values else None,
    )
    return Batch(window, schema, t_ns, index, value)
