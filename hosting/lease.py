"""Who uses a home, and who may change what runs there.

A lease is a lock on a file of one's own, so the system itself ends it, however its holder dies. Whoever starts or stops
something, comes or goes, holds the one start lock meanwhile: nobody can leave with the server just when another has
seen that it is there.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from filelock import AsyncFileLock, FileLock, Timeout

from hosting.errors import HostingError
from hosting.home import Home

LOCK_PATIENCE = timedelta(seconds=60)
"""Longer than a start (30 s at most) and the stop before it (10 s) take together."""


@asynccontextmanager
async def start_lock(home: Home, patience: timedelta = LOCK_PATIENCE) -> AsyncIterator[None]:
    """Be the only one who starts or stops something in this home.

    Raises HostingError if somebody else is still at it after `patience`.
    """
    lock = AsyncFileLock(home.start_lock, timeout=patience.total_seconds(), fallback_to_soft=False)
    try:
        await lock.acquire()
    except Timeout as error:
        raise HostingError(
            f"waited {patience.total_seconds():g} s for process {_holder(home)}, which is starting or stopping "
            f"something in {home.root}; end that process and try again"
        ) from error
    except (OSError, NotImplementedError) as error:
        raise _no_locks(home, error) from error
    try:
        home.start_lock.write_text(str(os.getpid()))
        yield
    finally:
        await lock.release()


class Lease:
    """The word that this process uses what runs in a home."""

    def __init__(self, home: Home) -> None:
        """Take it; the start lock must be held. Raises HostingError if the home's file system has no locks."""
        self.path = home.users / f"{os.getpid()}-{secrets.token_hex(4)}.lock"
        self._lock = _lock(self.path)
        try:
            self._lock.acquire(timeout=0)
        except (OSError, NotImplementedError, Timeout) as error:
            raise _no_locks(home, error) from error

    def release(self) -> None:
        """Give it back; the start lock must be held, so that nobody looks at the file meanwhile."""
        self.path.unlink(missing_ok=True)
        self._lock.release()


def users(home: Home) -> list[int]:
    """The pids of those who hold a lease, each once. Leases of the dead are removed; the start lock must be held."""
    return sorted({int(path.name.partition("-")[0]) for path in home.users.glob("*-*.lock") if _is_held(path)})


def keep(home: Home) -> None:
    """From now on everything here stays up until `down`, whoever leaves."""
    home.kept.touch()


def is_kept(home: Home) -> bool:
    """Somebody asked for that, and the machine has not been restarted since: then nothing was left to keep."""
    import psutil

    try:
        return home.kept.stat().st_mtime >= psutil.boot_time()
    except FileNotFoundError:
        return False


def _lock(path: Path) -> FileLock:
    # A lock by marker file, the library's fallback, would outlive its holder. Any thread of ours may give it back.
    return FileLock(path, thread_local=False, fallback_to_soft=False)


def _is_held(path: Path) -> bool:
    lock = _lock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    path.unlink(missing_ok=True)
    lock.release()
    return False


def _holder(home: Home) -> str:
    try:
        return home.start_lock.read_text().strip() or "unknown"
    except OSError:
        return "unknown"


def _no_locks(home: Home, error: Exception) -> HostingError:
    why = getattr(error, "strerror", None) or error
    return HostingError(f"cannot lock files in {home.root} ({why}); set BREAKWATER_HOME to a folder on a local disk")
