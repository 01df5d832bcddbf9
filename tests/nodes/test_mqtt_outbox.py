"""The outbox of a sink: in order, bounded, counted, and there after a killed process."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeflow.errors import ConnectError
from spikeflow.nodes.mqtt_outbox import Given, Outbox, Store


class Message(NamedTuple):
    topic: str
    data: bytes
    events: int = 1
    properties: tuple[tuple[str, str], ...] = ()


def outbox(path: Path, **fields: Any) -> Store:
    return Store(Outbox(path=path, **fields))


async def held(store: Store) -> list[bytes]:
    return [message.data for message in await store.first(1000)]


async def test_what_was_put_in_comes_out_in_order_and_again_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "out.db"
    sent = [Message("t", b"%d" % number, number) for number in range(10)]
    async with outbox(path).opened() as store:
        assert await store.put(sent[:6]) == Given()
        assert await store.put(sent[6:]) == Given()
        some = await store.first(4)
        assert [Message(one.topic, one.data, one.events) for one in some] == sent[:4]
        await store.remove(some)
        assert store.count == 6
    async with outbox(path).opened() as store:
        assert (store.left, store.count) == (6, 6)
        await store.put([Message("t", b"new")])
        first = await store.first(7)
        assert [one.data for one in first] == [b"%d" % number for number in range(4, 10)] + [b"new"]
        assert [store.is_own(one) for one in first] == [False] * 6 + [True]


async def test_the_oldest_are_dropped_where_it_is_full_but_none_that_is_under_way(tmp_path: Path) -> None:
    async with outbox(tmp_path / "out.db", size=1000).opened() as store:  # nine messages of a byte
        assert await store.put([Message("t", b"%d" % number, 2) for number in range(9)]) == Given()
        assert await store.put([Message("t", b"x", 2)]) == Given(1, 2, 0)
        assert await held(store) == [*(b"%d" % number for number in range(1, 9)), b"x"]
        under_way = (await store.first(2))[-1].id
        assert await store.put([Message("t", b"y", 2)], under_way) == Given(1, 2, 0)
        assert (await held(store))[:3] == [b"1", b"2", b"4"]
        assert await store.put([Message("t", b"z" * 2000, 5)]) == Given(10, 9 * 2 + 5, 0)  # never fits


async def test_the_newest_are_dropped_where_that_is_the_rule(tmp_path: Path) -> None:
    async with outbox(tmp_path / "out.db", size=1000, overflow="drop_newest").opened() as store:
        sent = [Message("t", b"%x" % number, 2) for number in range(12)]
        assert await store.put(sent) == Given(3, 6, 0)
        assert await held(store) == [b"%x" % number for number in range(9)]


async def test_what_an_earlier_run_left_is_counted_apart_when_it_is_dropped(tmp_path: Path) -> None:
    async with outbox(tmp_path / "out.db", size=1000).opened() as store:
        await store.put([Message("t", b"1", 2)] * 9)
    async with outbox(tmp_path / "out.db", size=1000).opened() as store:
        assert await store.put([Message("t", b"2", 2)] * 10) == Given(10, 2, 9)


@settings(max_examples=25)
@given(
    rule=st.sampled_from(["drop_oldest", "drop_newest"]),
    steps=st.lists(st.one_of(st.lists(st.binary(max_size=900), max_size=5), st.integers(1, 4)), max_size=12),
)
def test_messages_are_sent_dropped_or_held_whatever_happens(rule: Any, steps: list[Any], tmp_path_factory: Any) -> None:
    async def run() -> None:
        path = tmp_path_factory.mktemp("outbox") / "out.db"
        put = sent = dropped = 0
        store = outbox(path, size=2000, overflow=rule)
        async with store.opened():
            for step in steps:
                if isinstance(step, int):
                    some = await store.first(step)
                    await store.remove(some)
                    sent += len(some)
                else:
                    dropped += (await store.put([Message("t", data) for data in step])).messages
                    put += len(step)
                assert store.bytes <= 2000
        again = outbox(path, size=2000)
        async with again.opened():
            assert (again.count, again.bytes) == (store.count, store.bytes)
            assert put == sent + dropped + again.count

    asyncio.run(run())


async def test_an_outbox_that_is_in_use_or_somebody_elses_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "out.db"
    async with outbox(path).opened():
        with pytest.raises(ConnectError) as error:
            await outbox(path).opened().__aenter__()
    assert str(error.value) == f"the outbox {path} is in use — each sink of each process needs one of its own"
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as file:
        file.execute("CREATE TABLE precious (x)")
    file.close()
    with pytest.raises(ConnectError) as error:
        await outbox(other).opened().__aenter__()
    assert str(error.value) == (
        f"the outbox {other} cannot be used: it is a file of another program — name another file"
    )


def test_a_file_that_cannot_be_an_outbox_is_told_at_check(tmp_path: Path) -> None:
    def said(path: Path) -> list[str]:
        return [problem.found.replace(f"{tmp_path}", "…") for problem in Outbox(path=path).problems()]

    (tmp_path / "text").write_text("a diary")
    assert said(tmp_path / "text") == ["…/text is there, and no outbox"]
    assert said(tmp_path) == ["… is a folder"]
    assert said(tmp_path / "no" / "out.db") == ["the folder …/no does not exist"]
    assert said(tmp_path / "out.db") == []
    assert not (tmp_path / "out.db").exists()


async def test_a_full_disk_drops_what_cannot_be_written_and_forgets_nothing_else(tmp_path: Path) -> None:
    large = [Message("t", bytes(100_000), 3)]
    async with outbox(tmp_path / "out.db").opened() as store:
        assert await store.put([Message("t", b"%d" % number) for number in range(3)]) == Given()
        before = store.count, store.bytes
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
        try:
            given = await store.put(large)
            assert (given.messages, given.events) == (1, 3) and given.why
            assert (store.count, store.bytes) == before
            assert await held(store) == [b"0", b"1", b"2"]
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert await store.put(large) == Given()
        assert [len(data) for data in await held(store)] == [1, 1, 1, 100_000]


async def test_what_could_not_be_taken_out_for_a_full_disk_is_not_sent_again(tmp_path: Path) -> None:
    async with outbox(tmp_path / "out.db").opened() as store:
        await store.put([Message("t", b"%d" % number) for number in range(4)])
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
        try:
            await store.remove(await store.first(2))
            assert await held(store) == [b"2", b"3"]
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        await store.remove(await store.first(1))
        assert (store.count, await held(store)) == (1, [b"3"])
    async with outbox(tmp_path / "out.db").opened() as store:
        assert await held(store) == [b"3"]
