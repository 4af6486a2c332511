"""Circuits in a SQLite file: for the processes of one host, which need no server. Not for a network file system.

The clock is the host's time since boot, which no correction moves, which goes on while it sleeps, and which all its
processes share. The file notes once per boot what to add so that it reads like the wall's: `now` looks like Unix time,
and a wall clock that jumps, in a worker or on the host, changes nothing until the next boot.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from activities.circuit.store import STORE_TIMEOUT, Loaded, StoreCorrupt, StoreUnavailable

APPLICATION_ID = 0x42574352
"""`BWCR` in the file's header: whose file this is. A file with other tables and without it is left alone."""
TABLES = """
CREATE TABLE IF NOT EXISTS circuit (key TEXT PRIMARY KEY, text TEXT NOT NULL, expires_at REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS clock (boot TEXT PRIMARY KEY, ahead REAL NOT NULL) WITHOUT ROWID;
"""
DAMAGED = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)
"""Primary result codes of a file that is there but is not ours to use; any other trouble may pass."""

ResultT = TypeVar("ResultT")


class SqliteStore:
    """One connection in one thread, so that no step of a call ever blocks the event loop."""

    def __init__(self, path: str, timeout: timedelta = STORE_TIMEOUT) -> None:
        self._timeout = timeout.total_seconds()
        self._path = Path(path).absolute()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="circuit-sqlite")
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._ahead = 0.0

    async def load(self, key: str) -> Loaded:
        """See Store."""

        def step(connection: sqlite3.Connection) -> Loaded:
            now = self._now()
            row = connection.execute("SELECT text, expires_at FROM circuit WHERE key = ?", (key,)).fetchone()
            if row is None or (row[1] is not None and row[1] <= now):
                return Loaded(None, now)
            return Loaded(_text(row[0], key, self._path), now)

        return await self._run(step)

    async def swap(self, key: str, text: str, expected: str | None, ttl: float | None) -> bool:
        """See Store. Each branch is one statement, so SQLite itself makes it atomic."""

        def step(connection: sqlite3.Connection) -> bool:
            now = self._now()
            expires_at = None if ttl is None else now + ttl
            if expected is None:
                cursor = connection.execute(
                    "INSERT INTO circuit VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET text = excluded.text,"
                    " expires_at = excluded.expires_at WHERE circuit.expires_at <= ?",
                    (key, text, expires_at, now),
                )
            else:
                cursor = connection.execute(
                    "UPDATE circuit SET text = ?, expires_at = ? WHERE key = ? AND text = ?"
                    " AND (expires_at IS NULL OR expires_at > ?)",
                    (text, expires_at, key, expected, now),
                )
            return cursor.rowcount == 1

        return await self._run(step)

    async def keys(self) -> tuple[str, ...]:
        """See Store."""

        def step(connection: sqlite3.Connection) -> tuple[str, ...]:
            rows = connection.execute(
                "SELECT key FROM circuit WHERE expires_at IS NULL OR expires_at > ? ORDER BY key", (self._now(),)
            )
            return tuple(row[0] for row in rows)

        return await self._run(step)

    async def close(self) -> None:
        """See Store."""
        if self._connection is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._forget)
        self._thread.shutdown(wait=False)

    async def _run(self, step: Callable[[sqlite3.Connection], ResultT]) -> ResultT:
        """Do one step in the thread; a thread stuck in the file system delays the call no longer than a lock would."""
        future = asyncio.get_running_loop().run_in_executor(self._thread, self._step, step)
        try:
            return await asyncio.wait_for(future, 2 * self._timeout)
        except TimeoutError:
            raise StoreUnavailable(f"the circuit's store {self._path} does not answer") from None

    def _step(self, step: Callable[[sqlite3.Connection], ResultT]) -> ResultT:
        try:
            return step(self._connected())
        except sqlite3.Error as error:
            self._forget()
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
            if code in DAMAGED:
                raise StoreCorrupt(f"{self._path} is not a store of Breakwater: {error}; move it away") from error
            raise StoreUnavailable(f"the circuit's store {self._path}: {error}") from error
        except OSError as error:
            self._forget()
            raise StoreUnavailable(f"the circuit's store {self._path}: {error}") from error

    def _connected(self) -> sqlite3.Connection:
        """The connection, made anew if the file under the name is no longer the one that was opened."""
        if self._connection is not None and self._file == _identity(self._path):
            return self._connection
        self._forget()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=self._timeout, isolation_level=None)
        try:
            self._ahead = _patiently(connection, self._path, self._timeout)
        except BaseException:
            connection.close()
            raise
        self._connection, self._file = connection, _identity(self._path)
        return connection

    def _forget(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _now(self) -> float:
        return _since_boot() + self._ahead


def _patiently(connection: sqlite3.Connection, path: Path, seconds: float) -> float:
    """Prepare the file. Switching it to WAL fails at once, whatever the busy timeout, while others do the same."""
    patience = time.monotonic() + seconds
    while True:
        try:
            return _prepared(connection, path)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > patience:
                raise
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            time.sleep(0.002)


def _prepared(connection: sqlite3.Connection, path: Path) -> float:
    """Make the file ours if it is new, refuse it if it is another's; say how far its clock is ahead of the boot's."""
    # In this order: another process may make the file ours between the two, tables and owner in one transaction.
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    if tables and owner != APPLICATION_ID:
        raise StoreCorrupt(f"{path} is a database of something else; point BREAKER_STORE at a file of its own")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    for table in filter(str.strip, TABLES.split(";")):
        connection.execute(table)
    boot = _boot()
    # A host that boots with a wrong clock may read less than before: the machine knows what to do with that.
    ahead = time.time() - _since_boot()
    connection.execute("INSERT INTO clock VALUES (?, ?) ON CONFLICT DO NOTHING", (boot, ahead))
    (noted,) = connection.execute("SELECT ahead FROM clock WHERE boot = ?", (boot,)).fetchone()
    connection.execute("DELETE FROM clock WHERE boot <> ?", (boot,))
    connection.execute("COMMIT")
    return float(noted)


def _since_boot() -> float:
    """Seconds since boot, sleep included where the system can tell (Linux)."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _boot() -> str:
    """What names this boot: another one starts another clock."""
    if sys.platform == "darwin":
        asked = subprocess.run(["sysctl", "-n", "kern.bootsessionuuid"], capture_output=True, text=True, check=True)
        return asked.stdout.strip()
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _text(value: object, key: str, path: Path) -> str:
    if not isinstance(value, str):
        raise StoreCorrupt(f"the circuit {key!r} in {path} is not text; it is left as it is")
    return value
