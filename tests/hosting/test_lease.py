"""Who uses a home: told by locks that the system takes from the dead."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta

import psutil
import pytest

from hosting.errors import HostingError
from hosting.home import Home
from hosting.lease import Lease, is_kept, keep, start_lock, users
from tests.hosting.conftest import killed, line_of, python

HOLDER = """
from hosting.home import Home; from hosting.lease import Lease
lease = Lease(Home.locate()); print("held", flush=True); input()
"""
LOCKER = """
import asyncio
from hosting.home import Home; from hosting.lease import start_lock
async def main():
    async with start_lock(Home.locate()):
        print("locked", flush=True); input()
asyncio.run(main())
"""


async def test_a_lease_counts_until_it_is_released(home: Home) -> None:
    """Two of one process are one user; the last release ends it and leaves no file."""
    home.prepare()
    first, second = Lease(home), Lease(home)
    assert users(home) == [os.getpid()]
    first.release()
    assert users(home) == [os.getpid()]
    second.release()
    assert users(home) == []
    assert not list(home.users.iterdir())


async def test_a_holder_that_was_killed_does_not_count(home: Home) -> None:
    """kill -9 leaves the file, not the lock; the file is removed by whoever looks."""
    home.prepare()
    holder = await python(home, HOLDER)
    assert await line_of(holder) == "held"
    assert users(home) == [holder.pid]
    await killed(holder)
    assert list(home.users.iterdir())
    assert users(home) == []
    assert not list(home.users.iterdir())


async def test_one_at_a_time_starts_or_stops_something(home: Home) -> None:
    """Tasks of one process wait for each other as processes do."""
    home.prepare()
    inside = 0

    async def enter() -> None:
        nonlocal inside
        async with start_lock(home):
            inside += 1
            assert inside == 1
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(enter() for _ in range(5)))


async def test_who_waits_in_vain_learns_for_whom(home: Home) -> None:
    """The pid of the holder is in the line; when the holder is killed, the lock is free."""
    home.prepare()
    holder = await python(home, LOCKER)
    assert await line_of(holder) == "locked"
    with pytest.raises(HostingError, match=rf"waited 0.1 s for process {holder.pid}, .* end that process"):
        async with start_lock(home, timedelta(milliseconds=100)):
            pytest.fail("the lock was held")
    await killed(holder)
    async with start_lock(home, timedelta(seconds=1)):
        pass


async def test_keeping_lasts_until_the_machine_restarts(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """After that nothing runs that could be kept."""
    home.prepare()
    assert not is_kept(home)
    keep(home)
    assert is_kept(home)
    booted = psutil.boot_time()
    os.utime(home.kept, (booted - 60, booted - 60))
    assert not is_kept(home)
