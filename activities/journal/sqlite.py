"""The journal in a SQLite file. A committed entry survives kill -9 of everybody, though not a power cut just after."""

from __future__ import annotations

import sqlite3
import time
from datetime import timedelta
from pathlib import Path

from activities.journal.pages import PATIENCE
from activities.stores.address import StoreCorrupt
from activities.stores.sqlite_file import SqliteFile

APPLICATION_ID = 0x42574A52
"""`BWJR` in the file's header."""
SWEPT = 16
"""Expired entries that each write removes: more than it adds, so the file stops growing, and few enough to be quick."""


class SqlitePages:
    """See SqliteFile for how it is opened, shared and lost."""

    def __init__(self, path: Path, timeout: timedelta = PATIENCE) -> None:
        self._file = SqliteFile(path, timeout, what="the journal", application_id=APPLICATION_ID, prepare=_prepare)

    async def get(self, key: str) -> bytes | None:
        """See Pages."""

        def step(connection: sqlite3.Connection) -> bytes | None:
            row = connection.execute(
                "SELECT entry FROM answer WHERE key = ? AND expires_at > ?", (key, time.time())
            ).fetchone()
            if row is not None and not isinstance(row[0], bytes):
                raise StoreCorrupt(f"an entry of the journal {self._file.path} is not bytes; it is left as it is")
            return None if row is None else row[0]

        return await self._file.run(step)

    async def put(self, key: str, entry: bytes, ttl: float) -> None:
        """See Pages. Sweeps a little: nobody else would."""

        def step(connection: sqlite3.Connection) -> None:
            now = time.time()
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT OR REPLACE INTO answer VALUES (?, ?, ?)", (key, entry, now + ttl))
            connection.execute(
                "DELETE FROM answer WHERE key IN (SELECT key FROM answer WHERE expires_at <= ? LIMIT ?)", (now, SWEPT)
            )
            connection.execute("COMMIT")

        await self._file.run(step)

    async def close(self) -> None:
        """See Pages."""
        await self._file.close()


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE IF NOT EXISTS answer (key TEXT PRIMARY KEY, entry BLOB NOT NULL, expires_at REAL NOT NULL)"
    )
    connection.execute("CREATE INDEX IF NOT EXISTS answer_expires ON answer (expires_at)")
