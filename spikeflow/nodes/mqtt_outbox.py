"""MQTT: messages that wait on the disk while the broker is away."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict, Field

from spikeflow.errors import ConnectError, Problem, why
from spikeflow.nodes.paths import GraphPath
from spikeflow.units import Bytes

_BEGINNING = b"SQLite format 3\0"
_APPLICATION = 0x73706B66
"""Tells an outbox from other files of SQLite."""
_VERSION = 1
_OVERHEAD = 100
"""About what a message takes beside its topic and its payload (bytes)."""
_TABLE = (
    "CREATE TABLE IF NOT EXISTS messages "
    "(id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT, data BLOB, events INTEGER, run TEXT)"
)


class Sendable(Protocol):
    """A message that is to be sent."""

    @property
    def topic(self) -> str:
        """Where to."""

    @property
    def data(self) -> bytes:
        """Its bytes."""

    @property
    def events(self) -> int:
        """How many events it is made of."""

    @property
    def properties(self) -> Sequence[tuple[str, str]]:
        """User properties of MQTT 5, names and values; an outbox does not keep them."""


class Waiting(NamedTuple):
    """A message of an outbox.

    Attributes:
        id: its place in the order.
        run: which process put it in.
    """

    id: int
    topic: str
    data: bytes
    events: int
    run: str
    properties: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Given:
    """What was dropped for want of room.

    Attributes:
        messages: how many messages.
        events: how many events those of this run were.
        earlier: how many messages were of an earlier run.
        why: what kept them from being written, such as a full disk; empty where they only had no room.
    """

    messages: int = 0
    events: int = 0
    earlier: int = 0
    why: str = ""


class Outbox(BaseModel):
    """A file that holds messages while the broker is away: they are sent in order, before what is new."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: GraphPath = Field(description="the file; one for each sink")
    size: Annotated[Bytes, Field(ge=1000)] = Field(100_000_000, description="how much it may hold")
    overflow: Literal["drop_oldest", "drop_newest", "block"] = Field(
        "drop_oldest", description="what happens when it is full; `block` makes the graph wait"
    )

    def problems(self) -> Iterable[Problem]:
        """Why the file cannot be one; nothing is made."""
        if not self.path.parent.is_dir():
            yield Problem(("outbox", "path"), f"the folder {self.path.parent} does not exist", "make it first")
        elif self.path.is_dir():
            yield Problem(("outbox", "path"), f"{self.path} is a folder", "name a file in it")
        elif self.path.exists():
            try:
                with self.path.open("rb") as file:
                    head = file.read(len(_BEGINNING))
            except OSError as error:
                yield Problem(("outbox", "path"), f"{self.path} cannot be read: {why(error)}", "check who may read it")
                return
            if head and head != _BEGINNING:
                yield Problem(("outbox", "path"), f"{self.path} is there, and no outbox", "name another file")


class Store:
    """An outbox that is open. What was put in is there after a killed process, in order; it may then be sent twice.

    Attributes:
        count: messages in it.
        bytes: about how much they take.
        left: messages of earlier runs that were in it at the beginning.
    """

    def __init__(self, spec: Outbox) -> None:
        self.spec = spec
        self.count = self.bytes = self.left = 0
        self._gone_to = 0
        """The last message that has been taken out, also where that could not be written yet."""
        self._run = uuid.uuid4().hex
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spikeflow: outbox")
        self._file: sqlite3.Connection | None = None

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[Store]:
        """Open the file; it is closed afterwards.

        Raises:
            ConnectError: it is in use, or it is none.
        """
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._thread, self._open)
        except sqlite3.Error as error:
            self._thread.shutdown(wait=False)
            taken = "locked" in str(error)
            hint = "each sink of each process needs one of its own" if taken else "name another file"
            said = "is in use" if taken else f"cannot be used: {error}"
            raise ConnectError(f"the outbox {self.spec.path} {said} — {hint}") from None
        try:
            yield self
        finally:
            self._thread.submit(self._close)
            self._thread.shutdown(wait=False)

    async def put(self, messages: Sequence[Sendable], under_way: int = 0) -> Given:
        """Put messages in; what no longer fits is dropped by the rule, and all of them where nothing can be written.

        Args:
            under_way: the last message that is being sent: it and those before it are not dropped.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._put, messages, under_way)

    async def first(self, most: int) -> list[Waiting]:
        """The oldest messages."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._first, most)

    async def remove(self, messages: Sequence[Waiting]) -> None:
        """Take messages out, in whose place nothing need come."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._remove, messages)

    def has_room(self, message: Sendable) -> bool:
        """Whether a message fits; one that is larger than the outbox does where that is empty."""
        return not self.count or self.bytes + _size(message) <= self.spec.size

    # In the thread.

    def _open(self) -> None:
        file = self._file = sqlite3.connect(self.spec.path, timeout=0.2, isolation_level=None, check_same_thread=False)
        file.execute("PRAGMA locking_mode=EXCLUSIVE")
        file.execute("PRAGMA journal_mode=WAL")
        file.execute("PRAGMA synchronous=NORMAL")
        file.execute("BEGIN IMMEDIATE")
        mark, version = (file.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
        is_new = not file.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if not is_new and (mark, version) != (_APPLICATION, _VERSION):
            file.execute("ROLLBACK")
            raise sqlite3.DatabaseError("it is a file of another program")
        file.execute(f"PRAGMA application_id={_APPLICATION}")
        file.execute(f"PRAGMA user_version={_VERSION}")
        file.execute(_TABLE)
        file.execute("COMMIT")
        found = file.execute(
            "SELECT count(*), coalesce(sum(length(data) + length(CAST(topic AS BLOB)) + ?), 0) FROM messages",
            (_OVERHEAD,),
        ).fetchone()
        self.count, self.bytes = found
        self.left = self.count

    def _close(self) -> None:
        if self._file is not None:
            with contextlib.suppress(sqlite3.Error):
                self._file.close()

    def _put(self, messages: Sequence[Sendable], under_way: int) -> Given:
        before = self.count, self.bytes
        try:
            return self._put_all(messages, max(under_way, self._gone_to))
        except sqlite3.OperationalError as error:  # a full disk, and it may have room again
            self._undo()
            self.count, self.bytes = before
            return Given(len(messages), sum(message.events for message in messages), why=str(error))

    def _undo(self) -> None:
        assert self._file is not None
        if self._file.in_transaction:
            with contextlib.suppress(sqlite3.OperationalError):
                self._file.execute("ROLLBACK")

    def _put_all(self, messages: Sequence[Sendable], under_way: int) -> Given:
        assert self._file is not None
        dropped = events = earlier = 0
        self._file.execute("BEGIN")
        for message in messages:
            need = _size(message)
            while self.bytes + need > self.spec.size and self.spec.overflow == "drop_oldest":
                oldest = self._file.execute(
                    "SELECT id, topic, data, events, run FROM messages WHERE id > ? ORDER BY id LIMIT 1", (under_way,)
                ).fetchone()
                if oldest is None:
                    break
                gone = Waiting(*oldest)
                self._take_out((gone,))
                dropped += 1
                events += gone.events if gone.run == self._run else 0
                earlier += gone.run != self._run
            if self.bytes + need > self.spec.size and (self.count or self.spec.overflow != "block"):
                dropped += 1
                events += message.events
                continue
            self._file.execute(
                "INSERT INTO messages (topic, data, events, run) VALUES (?, ?, ?, ?)",
                (message.topic, message.data, message.events, self._run),
            )
            self.count += 1
            self.bytes += need
        self._file.execute("COMMIT")
        return Given(dropped, events, earlier)

    def _first(self, most: int) -> list[Waiting]:
        assert self._file is not None
        rows = self._file.execute(
            "SELECT id, topic, data, events, run FROM messages WHERE id > ? ORDER BY id LIMIT ?", (self._gone_to, most)
        )
        return [Waiting(*row) for row in rows]

    def _remove(self, messages: Sequence[Waiting]) -> None:
        assert self._file is not None
        if not messages:
            return
        self._gone_to = messages[-1].id
        self._forget(messages)
        try:
            self._file.execute("DELETE FROM messages WHERE id <= ?", (self._gone_to,))
        except sqlite3.OperationalError:  # a full disk; they go with the next ones
            self._undo()

    def _take_out(self, messages: Sequence[Waiting]) -> None:
        assert self._file is not None
        self._file.executemany("DELETE FROM messages WHERE id = ?", [(message.id,) for message in messages])
        self._forget(messages)

    def _forget(self, messages: Sequence[Waiting]) -> None:
        self.count -= len(messages)
        self.bytes -= sum(map(_size, messages))

    def is_own(self, message: Waiting) -> bool:
        """Whether this run has put a message in."""
        return message.run == self._run


def _size(message: Sendable) -> int:
    return len(message.data) + len(message.topic.encode()) + _OVERHEAD
