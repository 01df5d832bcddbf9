"""What a node has to say again and again, said once a minute."""

from __future__ import annotations

from spikeflow.context import Context

_MINUTE_NS = 60_000_000_000


class OnceAMinute:
    """Puts warnings into the run's log, of each kind one a minute."""

    def __init__(self, context: Context) -> None:
        self._clock, self._log = context.clock, context.log
        self._said_ns: dict[str, int] = {}

    def __call__(self, kind: str, text: str) -> None:
        """Say something, unless something of its kind was said within a minute."""
        now = self._clock.now_ns()
        if kind not in self._said_ns or now - self._said_ns[kind] >= _MINUTE_NS:
            self._said_ns[kind] = now
            self._log("warning", text)


__all__ = ["OnceAMinute"]
