"""What every place for the journal promises, and what each refuses to touch."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import time
from datetime import timedelta
from pathlib import Path

import pytest
from redis.asyncio import Redis

from activities.journal.pages import Pages, beside_the_circuits, open_pages
from activities.journal.sqlite import SWEPT, SqlitePages
from activities.journal.valkey import PREFIX, ValkeyPages
from activities.stores.address import File, Server, StoreCorrupt, StoreUnavailable
from tests.circuit.rules import PATIENT
from tests.circuit.servers import ValkeyServer


async def test_nothing_is_kept_at_first(pages: Pages, key: str) -> None:
    """And asking makes nothing."""
    assert await pages.get(key) is None
    assert await pages.get(key) is None


async def test_what_was_put_is_there_byte_for_byte(pages: Pages, key: str) -> None:
    """Zeros, bytes that are no text, and three megabytes of them."""
    for entry in (b"", b"\x00\xff\xfe", bytes(range(256)) * 12_000):
        await pages.put(key, entry, 60)
        assert await pages.get(key) == entry


async def test_the_later_entry_is_the_one_that_is_kept(pages: Pages, key: str) -> None:
    """It knows more: what it holds of the bill is the sum so far."""
    await pages.put(key, b"one", 60)
    await pages.put(key, b"two", 60)
    assert await pages.get(key) == b"two"


async def test_an_entry_ends_with_its_time(pages: Pages, key: str) -> None:
    """After that it was never there, and the place can be taken again."""
    await pages.put(key, b"one", 0.05)
    await asyncio.sleep(0.08)
    assert await pages.get(key) is None
    await pages.put(key, b"two", 60)
    assert await pages.get(key) == b"two"


async def test_one_process_reads_what_another_wrote(pages: Pages, place: File | Server, key: str) -> None:
    """That is what it is for."""
    await pages.put(key, b"one", 60)
    other = open_pages(place, PATIENT)
    assert await other.get(key) == b"one"
    await other.close()


async def test_many_writers_at_once_lose_nothing(pages: Pages, place: File | Server, key: str) -> None:
    """Four processes' worth, a hundred answers."""
    others = [open_pages(place, PATIENT) for _ in range(3)]
    writers = [pages, *others]
    await asyncio.gather(*(writers[n % 4].put(f"{key}-{n}", f"{n}".encode(), 60) for n in range(100)))
    assert [await pages.get(f"{key}-{n}") for n in range(100)] == [f"{n}".encode() for n in range(100)]
    for other in others:
        await other.close()


async def test_a_file_does_not_grow_for_ever(tmp_path: Path) -> None:
    """Each write takes a few expired entries away."""
    pages = SqlitePages(tmp_path / "journal.db", PATIENT)
    for number in range(SWEPT):
        await pages.put(f"old {number}", b"x", 0.001)
    await asyncio.sleep(0.01)
    await pages.put("new", b"x", 60)
    await pages.close()
    connection = sqlite3.connect(tmp_path / "journal.db")
    assert connection.execute("SELECT key FROM answer").fetchall() == [("new",)]
    connection.close()


async def test_a_file_is_its_owners_alone(tmp_path: Path) -> None:
    """Answers are in it, wherever somebody has put it."""
    pages = SqlitePages(tmp_path / "journal.db", PATIENT)
    await pages.put("a", b"x", 60)
    modes = {name: stat.S_IMODE(os.stat(tmp_path / name).st_mode) for name in os.listdir(tmp_path)}
    assert set(modes.values()) == {0o600}, modes
    await pages.close()


def test_the_journal_of_a_store_is_beside_its_circuits() -> None:
    """A file of its own, whose name SQLite gives to nothing; the same server."""
    assert beside_the_circuits("sqlite:////srv/store.db") == File(Path("/srv/store.journal.db"))
    assert beside_the_circuits("redis://host:6379/0") == Server("redis://host:6379/0")


async def test_pages_that_cannot_be_had_say_so(tmp_path: Path) -> None:
    """A directory where the file should be, a port where nobody listens."""
    for pages in (SqlitePages(tmp_path), ValkeyPages("redis://127.0.0.1:1/0")):
        with pytest.raises(StoreUnavailable, match="the journal"):
            await pages.get("a")
        with pytest.raises(StoreUnavailable, match="the journal"):
            await pages.put("a", b"x", 60)
        await pages.close()


async def test_what_is_somebody_elses_is_refused_and_left_alone(tmp_path: Path, valkey: ValkeyServer, key: str) -> None:
    """A text file, a database of circuits, a list under our prefix."""
    diary = tmp_path / "diary.db"
    diary.write_bytes(b"Dear diary, this is not a database. " * 100)
    places = tmp_path / "places.db"
    connection = sqlite3.connect(places)
    connection.execute("CREATE TABLE places (url TEXT)")
    connection.close()
    for path in (diary, places):
        before = path.read_bytes()
        pages: Pages = SqlitePages(path, PATIENT)
        for ask in (pages.get("a"), pages.put("a", b"x", 60)):
            with pytest.raises(StoreCorrupt):
                await ask
        await pages.close()
        assert path.read_bytes() == before
    client = Redis.from_url(valkey.url)
    await client.rpush(PREFIX + key, "one", "two")
    pages = ValkeyPages(valkey.url, PATIENT)
    with pytest.raises(StoreCorrupt, match="is not a string"):
        await pages.get(key)
    assert await client.llen(PREFIX + key) == 2
    await pages.close()
    await client.aclose()


async def test_a_place_that_does_not_answer_costs_its_timeout_and_no_more(tmp_path: Path) -> None:
    """A server that accepts and says nothing; a file that somebody holds in a transaction of their own."""
    server = ValkeyServer(tmp_path)
    server.start()
    hung = ValkeyPages(server.url, timedelta(milliseconds=100))
    await hung.get("a")
    server.hang()
    locked = SqlitePages(tmp_path / "journal.db", timedelta(milliseconds=100))
    assert await locked.get("a") is None
    greedy = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
    greedy.execute("BEGIN IMMEDIATE")
    for pages in (hung, locked):
        started = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await pages.put("a", b"x", 60)
        assert time.monotonic() - started < 5
    greedy.close()
    server.wake()
    await locked.put("a", b"x", 60)
    for pages in (hung, locked):
        await pages.close()
    server.kill()
