"""Blame: what a node's own code raises is that node's failure, whatever it is."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator

from spikeflow.errors import NodeError


@contextlib.contextmanager
def blamed(node: str, cut: Callable[[], bool] = bool) -> Iterator[None]:
    """Turn all that a node's own code raises in here into the node's failure.

    `sys.exit`, a `KeyboardInterrupt` and a cancellation are no exception: signals have their handlers, and what the
    node cancels is its own. Left through would be an event loop, or a task that seems to have ended well.

    Args:
        node: its name.
        cut: says whether the run itself has cancelled the task, so that a cancellation is the run's.

    Raises:
        NodeError: the node failed.
    """
    try:
        yield
    except BaseException as error:
        if isinstance(error, asyncio.CancelledError | GeneratorExit) and cut():
            raise
        if isinstance(error, NodeError) and error.node == node:
            raise
        raise NodeError(node, error) from error


__all__ = ["blamed"]
