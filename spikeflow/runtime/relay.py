"""The shortest way through a node: it steps a batch where the batch is sent, without a turn of the event loop."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from spikeflow.errors import NodeError
from spikeflow.events import Batch
from spikeflow.runtime.channel import Channel, Fan
from spikeflow.runtime.meters import RECENT

if TYPE_CHECKING:
    from spikeflow.runtime.stepping import StepStage

DEEPEST = 32
"""Nodes that a batch passes at once; the next one takes it in a turn of its own, so that the stack stays small."""

HEAVY_NS = 125_000
"""Work (ns) of a window above which a node may be better off in a thread, four windows at once."""

_STRETCH_BITS = 6
_SLOW_WINDOWS = 16


async def relay(stage: StepStage, channel: Channel, fan: Fan) -> int | None:
    """Step a node with one input, one outlet and nothing to look after, which are most nodes.

    While the node waits, its channel hands each batch to `arrive`, which steps it at once and sends what comes of it.
    Where that cannot be done without waiting, the node's task goes on from there, and batches queue meanwhile.
    Every call counts here: a hop of a light node costs about as much as a dozen of them.

    Returns:
        None at the end of the stream, else the time (ns) of windows so heavy that they may be better off in a thread.

    Raises:
        NodeError: the node failed.
    """
    step, offer, queue, meter, clock = stage.stepper.step, fan.offer, channel.queue, stage.meter, time.perf_counter_ns
    grid, rests_until, none = stage.shared.grid, stage.stepper.rests_until, Batch.none
    schema = fan.stream.schema(grid)
    recent, now_ns, pressure = meter.recent, stage.contexts[0].clock.now_ns, stage.shared.pressure
    live, can_arrive = stage.shared.live, stage.depth % DEEPEST != 0
    over = halted = False
    heavy: int | None = None
    stuck: list[Channel] | None = None
    sent: Batch | None = None
    failure: NodeError | None = None
    slow = since = quiet_ns = 0
    last_kept = RECENT - 1
    taps = fan.taps
    only = fan.channels[0] if len(fan.channels) == 1 and not fan.watchers else None

    def arrive(batch: Batch) -> None:
        """Step one window and send it on; where there is something to see to, the task goes on."""
        nonlocal over, heavy, stuck, sent, failure, slow, since, halted, quiet_ns
        window = batch.window
        try:
            if not batch.count and window.end_ns <= quiet_ns:
                made, took = none(window, schema), 0
            else:
                began = clock()
                made = step(window, (batch,))[0]
                took = clock() - began
                quiet_ns = 0 if batch.count else grid.time(rests_until())
            if only is None or taps:
                stuck = offer(made)
            else:  # what `offer` does, without its calls
                fan.events += made.count
                onward = only.arrive
                if onward is not None:
                    onward(made)
                elif not only.offer(made):
                    stuck = [only]
        except BaseException as error:  # as `blamed`, without its call
            meter.errors += 1
            failure = NodeError(stage.name, error)
            failure.__cause__ = error
            halted = True
        else:
            windows = meter.windows
            recent[windows & last_kept] = took
            meter.windows = windows + 1
            if live:
                meter.lag_ns = now_ns() - window.end_ns
            if took > HEAVY_NS:
                # one slow window may be the machine's doing; a stretch of them is the node's
                stretch = windows >> _STRETCH_BITS
                slow = slow + 1 if stretch == since else 1
                since = stretch
                heavy = took if slow >= _SLOW_WINDOWS else None
            if stuck is not None:
                sent, pressure.felt = made, True
            elif heavy is None and not window.last:
                return
            over, halted = window.last, True
        channel.arrive = None
        channel.wake()

    channel.quiet_until = lambda: min(quiet_ns, fan.quiet_until()) if channel.arrive is not None else 0
    try:
        while True:
            while queue:
                batch = queue.popleft()
                if channel.sender is not None:
                    channel.made_room()
                arrive(batch)
                if halted:
                    break
            else:
                if channel.ended:
                    return None
                if can_arrive:
                    channel.arrive = arrive
                await channel.turn()
                channel.arrive = None
                channel.fullest = max(channel.fullest, len(queue))
            if failure is not None:
                raise failure
            if stuck is not None and sent is not None:
                for other in stuck:
                    await other.send(sent)
                stuck = sent = None
                halted = over or heavy is not None
            if over:
                return None
            if heavy is not None:
                return heavy
    finally:
        channel.arrive = None
