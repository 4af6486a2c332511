"""What every store promises, the fake of the other tests included; and what each refuses to touch."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from datetime import timedelta
from pathlib import Path

import pytest
from redis.asyncio import Redis

from activities.circuit.gate import Gate
from activities.circuit.sqlite import SqliteStore
from activities.circuit.store import Store, StoreAddressInvalid, StoreCorrupt, StoreError, StoreUnavailable, open_store
from activities.circuit.valkey import PREFIX, ValkeyStore
from tests.circuit.memory import MemoryStore
from tests.circuit.rules import PATIENT
from tests.circuit.servers import ValkeyServer


async def test_nothing_is_kept_at_first(store: Store, key: str) -> None:
    """And the clock reads all the same."""
    loaded = await store.load(key)
    assert loaded.text is None
    assert loaded.now > 0


async def test_what_was_swapped_in_is_loaded(store: Store, key: str) -> None:
    """Byte for byte."""
    text = '{"grund":"Wartung – ☂"}'
    assert await store.swap(key, text, None, 60)
    assert (await store.load(key)).text == text


async def test_a_swap_against_another_text_writes_nothing(store: Store, key: str) -> None:
    """Whoever loaded first and writes second has lost."""
    assert not await store.swap(key, "one", "never there", 60)
    assert await store.swap(key, "one", None, 60)
    assert not await store.swap(key, "two", None, 60)
    assert not await store.swap(key, "two", "other", 60)
    assert (await store.load(key)).text == "one"
    assert await store.swap(key, "two", "one", None)
    assert (await store.load(key)).text == "two"


async def test_a_record_ends_with_its_time(store: Store, key: str) -> None:
    """After that it was never there: neither read, nor listed, nor swapped against."""
    assert await store.swap(key, "one", None, 0.05)
    if isinstance(store, MemoryStore):
        store.now += 0.05
    else:
        await asyncio.sleep(0.08)
    assert (await store.load(key)).text is None
    assert key not in await store.keys()
    assert not await store.swap(key, "two", "one", 60)
    assert await store.swap(key, "three", None, 60)


async def test_keys_are_listed_sorted(store: Store, key: str) -> None:
    """Whatever characters a model's name has."""
    mine = [f"{key} {model}" for model in ("b/model:1", "a model", "ç")]
    for each in mine:
        assert await store.swap(each, "text", None, 60)
    assert [each for each in await store.keys() if each in mine] == sorted(mine)


async def test_the_clock_goes_forward_and_reads_like_a_clock(store: Store, key: str) -> None:
    """Seconds, with fractions."""
    readings = [(await store.load(key)).now for _ in range(20)]
    assert readings == sorted(readings)
    if not isinstance(store, MemoryStore):
        assert readings[-1] > readings[0]
        assert abs(readings[-1] - time.time()) < 60


async def test_of_many_swaps_at_once_one_wins(store: Store, key: str) -> None:
    """Every round has one winner, so no count is lost."""
    assert await store.swap(key, "0", None, 60)

    async def count(times: int) -> None:
        while times:
            text = (await store.load(key)).text
            assert text is not None
            times -= await store.swap(key, str(int(text) + 1), text, 60)

    await asyncio.gather(*(count(25) for _ in range(8)))
    assert (await store.load(key)).text == "200"


@pytest.mark.parametrize(
    "address",
    ["", "redis", "sqlite://", "sqlite:///", "sqlite://host/file", "http://x", "redis://", "redis://host:port/0"],
)
def test_a_malformed_address_is_one_clear_error(address: str) -> None:
    """Before anything is opened."""
    with pytest.raises(StoreAddressInvalid, match="BREAKWATER_STORE"):
        open_store(address)


async def test_addresses_open_their_stores(tmp_path: Path) -> None:
    """Three slashes and a relative path, four and an absolute one; Redis by any of its names."""
    for address in ("redis://localhost", "rediss://localhost:1/0", "valkey://u:p@localhost:6379/2", "valkeys://x"):
        store = open_store(address)
        assert isinstance(store, ValkeyStore)
        await store.close()
    absolute = open_store(f"sqlite:///{tmp_path}/new/file.db")
    assert isinstance(absolute, SqliteStore)
    assert (await absolute.load("a")).text is None
    assert (tmp_path / "new" / "file.db").exists()
    await absolute.close()


async def _refuses(store: Store, key: str, says: str) -> None:
    with pytest.raises(StoreCorrupt, match=says):
        await store.load(key)
    await store.close()


async def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    """Not a byte of it changes."""
    path = tmp_path / "notes.db"
    path.write_bytes(b"Dear diary, this is not a database. " * 100)
    before = path.read_bytes()
    await _refuses(SqliteStore(str(path)), "a", "is not a store of Breakwater")
    assert path.read_bytes() == before


async def test_a_database_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    """Not a table is added."""
    path = tmp_path / "places.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE places (url TEXT)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    await _refuses(SqliteStore(str(path)), "a", "database of something else")
    assert path.read_bytes() == before


async def test_a_key_that_holds_something_else_is_refused_and_left_alone(valkey: ValkeyServer, key: str) -> None:
    """A list under our prefix, and bytes that are not text."""
    client = Redis.from_url(valkey.url)
    await client.rpush(PREFIX + key, "one", "two")
    await _refuses(open_store(valkey.url, PATIENT), key, "is not a string")
    assert await client.llen(PREFIX + key) == 2
    await client.set(PREFIX + key, b"\xff\xfe")
    await _refuses(open_store(valkey.url, PATIENT), key, "is not text")
    assert await client.get(PREFIX + key) == b"\xff\xfe"
    await client.aclose()


@pytest.mark.parametrize("foreign", ["hello", "{}", '{"breakwater.circuit":99}'])
async def test_a_foreign_text_is_refused_by_people_and_survived_by_calls(store: Store, key: str, foreign: str) -> None:
    """Calls go on under the process's own rules, with one warning; nothing is overwritten, not even by a reset."""
    await store.swap(key, foreign, None, 60)
    told: list[str] = []
    gate = Gate(store, worker="w", report=lambda name, _: told.append(name))
    for _ in range(3):
        ticket = await gate.enter(key)
        await ticket.succeeded()
    for ask in (gate.look, gate.reset):
        with pytest.raises(StoreCorrupt, match=r"cannot be used"):
            await ask(key)
    assert told == ["circuit.store_corrupt"]
    assert (await store.load(key)).text == foreign


async def test_a_store_that_cannot_be_had_says_so(tmp_path: Path) -> None:
    """A directory where the file should be, a port where nobody listens."""
    for store in (SqliteStore(str(tmp_path)), open_store("redis://127.0.0.1:1/0")):
        with pytest.raises(StoreUnavailable, match="the circuit's store"):
            await store.load("a")
        await store.close()


async def test_a_hung_store_costs_a_call_its_timeout_and_no_more(mortal: ValkeyServer) -> None:
    """It accepts connections and says nothing."""
    store = open_store(mortal.url)
    await store.keys()
    mortal.hang()
    started = time.monotonic()
    with pytest.raises(StoreUnavailable, match="does not answer"):
        await store.load("a")
    assert time.monotonic() - started < 1
    mortal.wake()
    await store.close()


async def test_a_locked_file_costs_a_call_its_timeout_and_no_more(tmp_path: Path) -> None:
    """Someone holds the file in a transaction of their own."""
    store = SqliteStore(str(tmp_path / "a.db"), timedelta(seconds=0.5))
    assert await store.swap("a", "one", None, 60)
    greedy = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    greedy.execute("BEGIN IMMEDIATE")
    assert (await store.load("a")).text == "one", "readers do not wait"
    with pytest.raises(StoreError):
        await store.swap("a", "two", "one", 60)
    greedy.execute("COMMIT")
    greedy.close()
    assert await store.swap("a", "two", "one", 60)
    await store.close()


async def test_a_file_that_was_replaced_is_noticed(tmp_path: Path) -> None:
    """Otherwise two workers would each write to a file of their own."""
    path = tmp_path / "a.db"
    store = SqliteStore(str(path), PATIENT)
    assert await store.swap("a", "one", None, 60)
    for name in ("a.db", "a.db-wal", "a.db-shm"):
        os.remove(tmp_path / name)
    other = SqliteStore(str(path), PATIENT)
    assert await other.swap("a", "two", None, 60)
    assert (await store.load("a")).text == "two"
    await store.close()
    await other.close()


@pytest.mark.parametrize("moment", range(1, 6))
def test_a_file_that_another_process_makes_ours_meanwhile_is_ours(tmp_path: Path, moment: int) -> None:
    """Before any of the statements that look at a new file and take it, another process may be through with all."""
    ours, theirs = (SqliteStore(tmp_path / "a.db") for _ in range(2))
    mine, other = (sqlite3.connect(tmp_path / "a.db", timeout=0, isolation_level=None) for _ in range(2))
    said: list[str] = []

    def before(statement: str) -> None:
        said.append(statement)
        if len(said) == moment:
            theirs._file._opened(other)

    mine.set_trace_callback(before)
    ours._file._opened(mine)
    assert ours._ahead == theirs._ahead != 0
    for connection in (mine, other):
        connection.close()


async def test_a_wall_clock_that_jumps_does_not_move_the_files_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes, one of them convinced that it is tomorrow: they read the same time."""
    store = SqliteStore(str(tmp_path / "a.db"), PATIENT)
    before = (await store.load("a")).now
    wall = time.time()
    monkeypatch.setattr(time, "time", lambda: wall + 86_400)
    other = SqliteStore(str(tmp_path / "a.db"), PATIENT)
    assert 0 <= (await other.load("a")).now - before < 60
    assert 0 <= (await store.load("a")).now - before < 60
    await store.close()
    await other.close()
