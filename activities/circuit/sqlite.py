"""Circuits in a SQLite file: for the processes of one host, which need no server.

The clock is the host's time since boot, which no correction moves, which goes on while it sleeps, and which all its
processes share. The file notes once per boot what to add so that it reads like the wall's: `now` looks like Unix time,
and a wall clock that jumps, in a worker or on the host, changes nothing until the next boot.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

from activities.circuit.store import STORE_TIMEOUT, Loaded, StoreCorrupt
from activities.stores.sqlite_file import SqliteFile

APPLICATION_ID = 0x42574352
"""`BWCR` in the file's header: whose file this is. A file with other tables and without it is left alone."""
TABLES = """
CREATE TABLE IF NOT EXISTS circuit (key TEXT PRIMARY KEY, text TEXT NOT NULL, expires_at REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS clock (boot TEXT PRIMARY KEY, ahead REAL NOT NULL) WITHOUT ROWID;
"""


class SqliteStore:
    """See SqliteFile for how it is opened, shared and lost."""

    def __init__(self, path: str | Path, timeout: timedelta = STORE_TIMEOUT) -> None:
        self._file = SqliteFile(
            Path(path), timeout, what="the circuit's store", application_id=APPLICATION_ID, prepare=self._prepare
        )
        self._ahead = 0.0

    async def load(self, key: str) -> Loaded:
        """See Store."""

        def step(connection: sqlite3.Connection) -> Loaded:
            now = self._now()
            row = connection.execute("SELECT text, expires_at FROM circuit WHERE key = ?", (key,)).fetchone()
            if row is None or (row[1] is not None and row[1] <= now):
                return Loaded(None, now)
            return Loaded(_text(row[0], key, self._file.path), now)

        return await self._file.run(step)

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

        return await self._file.run(step)

    async def keys(self) -> tuple[str, ...]:
        """See Store."""

        def step(connection: sqlite3.Connection) -> tuple[str, ...]:
            rows = connection.execute(
                "SELECT key FROM circuit WHERE expires_at IS NULL OR expires_at > ? ORDER BY key", (self._now(),)
            )
            return tuple(row[0] for row in rows)

        return await self._file.run(step)

    async def close(self) -> None:
        """See Store."""
        await self._file.close()

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """The tables, and how far the file's clock is ahead of the boot's."""
        for table in filter(str.strip, TABLES.split(";")):
            connection.execute(table)
        boot = _boot()
        # A host that boots with a wrong clock may read less than before: the machine knows what to do with that.
        ahead = time.time() - _since_boot()
        connection.execute("INSERT INTO clock VALUES (?, ?) ON CONFLICT DO NOTHING", (boot, ahead))
        (noted,) = connection.execute("SELECT ahead FROM clock WHERE boot = ?", (boot,)).fetchone()
        connection.execute("DELETE FROM clock WHERE boot <> ?", (boot,))
        self._ahead = float(noted)

    def _now(self) -> float:
        return _since_boot() + self._ahead


def _since_boot() -> float:
    """Seconds since boot, sleep included where the system can tell (Linux)."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _boot() -> str:
    """What names this boot: another one starts another clock."""
    if sys.platform == "darwin":
        asked = subprocess.run(["sysctl", "-n", "kern.bootsessionuuid"], capture_output=True, text=True, check=True)
        return asked.stdout.strip()
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _text(value: object, key: str, path: Path) -> str:
    if not isinstance(value, str):
        raise StoreCorrupt(f"the circuit {key!r} in {path} is not text; it is left as it is")
    return value
