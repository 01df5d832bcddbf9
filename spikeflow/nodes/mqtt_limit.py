"""MQTT: how many messages a broker sends ahead of their acknowledgement, and what holds a source up there."""

from __future__ import annotations

from spikeflow.node import Context
from spikeflow.nodes.once_a_minute import OnceAMinute

MOSQUITTO_INFLIGHT, V5_INFLIGHT = 20, 65_535
"""What mosquitto has for MQTT 3.1.1 unless told otherwise, and the most that MQTT 5 can ask for."""

_STRETCH = 100
"""Windows over which it is found out whether the broker's limit holds the source up."""


class Limit:
    """Finds out whether the broker is at its limit, and says what to do about it.

    Args:
        most: messages that the broker sends ahead of their acknowledgement; 0 for any number.
        is_known: whether that is so, and not assumed.
        hint: what raises it.
    """

    def __init__(self, context: Context, warn: OnceAMinute, most: int, is_known: bool, hint: str) -> None:
        self._most, self._is_known, self._hint = most, is_known, hint
        self._window_ns, self._clock, self._counters = context.grid.window_ns, context.clock, context.counters
        self._warn = warn
        self._since = self._full = self._full_window = 0

    def patience_s(self, waiting: int, awaited: int | None) -> float | None:
        """How long to wait for news before a window has to close; None where news come by themselves.

        At its limit the broker sends nothing until something is acknowledged. By payload, windows wait for what would
        come: one has to close. By arrival the clock closes them, and so many messages a window are the most there can
        be, which is said.

        Args:
            waiting: messages that have not been acknowledged.
            awaited: how many of them wait for a window that is open; None where the clock closes windows.
        """
        if not self._most or waiting < self._most:
            return None
        if waiting > self._most and not self._is_known:  # the broker's limit is another one, or there is none
            self._most = 0
            return None
        if awaited is None:
            self._note()
            return None
        if awaited < self._most:
            return None
        return 0.0 if self._is_known else self._window_ns / 1e9

    def say(self, what: str) -> None:
        """Say that the broker is at its limit, and what comes of it."""
        self._warn("limit", f"{self._most} messages wait to be acknowledged, the broker's limit: {what}; {self._hint}")

    def _note(self) -> None:
        """Count the windows in which the broker came to its limit; say so where it does in most of them."""
        number = self._clock.now_ns() // self._window_ns
        if number == self._full_window:
            return
        self._full_window = number
        self._full += 1
        self._counters.note("at_limit")
        if number - self._since > _STRETCH:
            if self._full > _STRETCH // 2:
                rate = self._most * 1e9 / self._window_ns
                self.say(f"{rate:.4g} messages a second are the most that can be at such windows")
            self._since, self._full = number, 0


__all__ = ["MOSQUITTO_INFLIGHT", "V5_INFLIGHT", "Limit"]
