"""A SQLite file that the processes of one host share without a server. Not for a network file system."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from activities.stores.address import StoreCorrupt, StoreUnavailable

DAMAGED = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)
"""Primary result codes of a file that is there but is not ours to use; any other trouble may pass."""
PRIVATE = 0o600
"""A new file is for its owner only: answers are in it, and names of models."""

ResultT = TypeVar("ResultT")


class SqliteFile:
    """One connection in one thread, so that no step of a call ever blocks the event loop."""

    def __init__(
        self,
        path: Path,
        timeout: timedelta,
        *,
        what: str,
        application_id: int,
        prepare: Callable[[sqlite3.Connection], None],
    ) -> None:
        """`what` is what messages call it. `application_id` in the file's header says whose it is: a file with tables
        and without it is left alone. `prepare` makes the tables, in a transaction of its own, at every connection."""
        self.path = path.absolute()
        self._timeout = timeout.total_seconds()
        self._what = what
        self._application_id = application_id
        self._prepare = prepare
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite-file")
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None

    async def run(self, step: Callable[[sqlite3.Connection], ResultT]) -> ResultT:
        """Do one step in the thread; a thread stuck in the file system delays the call no longer than a lock would.

        Raises StoreUnavailable or StoreCorrupt.
        """
        future = asyncio.get_running_loop().run_in_executor(self._thread, self._step, step)
        try:
            return await asyncio.wait_for(future, 2 * self._timeout)
        except TimeoutError:
            raise StoreUnavailable(f"{self._what} {self.path} does not answer") from None

    async def close(self) -> None:
        """Let go of the connection and the thread."""
        if self._connection is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._forget)
        self._thread.shutdown(wait=False)

    def _step(self, step: Callable[[sqlite3.Connection], ResultT]) -> ResultT:
        try:
            return step(self._connected())
        except sqlite3.Error as error:
            self._forget()
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
            if code in DAMAGED:
                raise StoreCorrupt(f"{self.path} is not a store of Breakwater: {error}; move it away") from error
            raise StoreUnavailable(f"{self._what} {self.path}: {error}") from error
        except OSError as error:
            self._forget()
            raise StoreUnavailable(f"{self._what} {self.path}: {error}") from error

    def _connected(self) -> sqlite3.Connection:
        """The connection, made anew if the file under the name is no longer the one that was opened."""
        if self._connection is not None and self._file == _identity(self.path):
            return self._connection
        self._forget()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            # Only a new file: closing a descriptor of one that is in use would drop this process's locks on it.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, PRIVATE))
        connection = sqlite3.connect(self.path, timeout=self._timeout, isolation_level=None)
        try:
            self._patiently(connection)
        except BaseException:
            connection.close()
            raise
        self._connection, self._file = connection, _identity(self.path)
        return connection

    def _forget(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _patiently(self, connection: sqlite3.Connection) -> None:
        """Open the file. Switching it to WAL fails at once, whatever the busy timeout, while others do the same."""
        patience = time.monotonic() + self._timeout
        while True:
            try:
                return self._opened(connection)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > patience:
                    raise
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                time.sleep(0.002)

    def _opened(self, connection: sqlite3.Connection) -> None:
        """Make the file ours if it is new, refuse it if it is another's."""
        # In this order: another process may make the file ours between the two.
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        (owner,) = connection.execute("PRAGMA application_id").fetchone()
        if tables and owner != self._application_id:
            raise StoreCorrupt(f"{self.path} is a database of something else; point BREAKWATER_STORE elsewhere")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(f"PRAGMA application_id = {self._application_id}")
        self._prepare(connection)
        connection.execute("COMMIT")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
