"""Using what runs in a home, and leaving it as it should be left: the last one out turns off the light.

`embedded` is the server, `standing_in` the stand-in, for as long as one uses them; whichever dies meanwhile is started
again. `down` stops everything, whoever uses it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from hosting.errors import HostingError
from hosting.home import Home
from hosting.lease import Lease, is_kept, keep, start_lock, users
from hosting.process import Record, stop
from hosting.stand_in import PROGRAM, STAND_IN_GRACE, ensure_stand_in, revive_stand_in
from hosting.temporal_server import SERVER_GRACE, ServerInfo, ensure_server, revive_server, stray_server

Say = Callable[[str], None]
"""Gets one line for a person about something that happened meanwhile."""
Revive = Callable[[], Awaitable[str | None]]
"""Starts something again if it has died and nobody else did; returns what to tell a person."""

GUARD = timedelta(milliseconds=250)
"""How often the processes in use are looked at: 0.2 ms of CPU each time."""
GUARD_TROUBLE = timedelta(seconds=5)
"""How long after a failed start the next is tried."""
WORKER_GRACE = timedelta(seconds=35)
"""A detached worker lets calls under way finish for 30 s by default."""


@dataclass(frozen=True)
class TakenDown:
    """What `down` found."""

    stopped: list[str]
    """In words, `worker 123`, in the order they were stopped; empty if nothing ran."""
    users: list[int]
    """Pids of those who were using it and must do without now."""


@asynccontextmanager
async def embedded(home: Home, *, keep_up: bool = False, on_event: Say = lambda _: None) -> AsyncIterator[ServerInfo]:
    """The embedded server for as long as the block lasts; with `keep_up`, until `down`.

    If it dies meanwhile it is started again, and `on_event` gets a line. Raises HostingError as `ensure_server` does.
    """
    async with _using(home, keep_up):
        server = await ensure_server(home)

        async def revive() -> str | None:
            now = await revive_server(home)
            return f"the Temporal server died; {now.pid} took over at {now.address}" if now and now.started else None

        async with _guarded("the Temporal server", home.server_record, revive, on_event):
            yield server


@asynccontextmanager
async def standing_in(
    home: Home, *, on_event: Say = lambda _: None, program: Sequence[str] = PROGRAM
) -> AsyncIterator[str]:
    """The stand-in's URL for as long as the block lasts. Raises HostingError as `ensure_stand_in` does."""
    async with _using(home, keep_up=False):
        url = await ensure_stand_in(home, program)

        async def revive() -> str | None:
            now = await revive_stand_in(home, program)
            return f"the stand-in died; another took over at {now[0]}" if now and now[1] else None

        async with _guarded("the stand-in", home.stand_in_record, revive, on_event):
            yield url


async def down(home: Home, *, grace: timedelta = WORKER_GRACE) -> TakenDown:
    """Stop everything that runs in a home, whoever uses it; runs stay in the database and go on when it is up again.

    `grace` is for the calls that detached workers have under way. Stale records are removed. Raises HostingError if
    something cannot be stopped.
    """
    if not home.root.is_dir():
        return TakenDown([], [])
    home.prepare()
    # Without the lock: a worker that ends takes it to leave. They end first, while the server is there to be told.
    workers = [(path, record) for path in home.workers.glob("*.json") if (record := Record.read(path))]
    names = [f"worker {record.pid}" for _, record in workers if record.is_alive()]
    if stray := stray_server(home):
        stray.write(home.server_record)
    names += [f"{name} {record.pid}" for name, record, _ in _parts(home) if record.is_alive()]
    await asyncio.gather(*(stop(record, grace) for _, record in workers))
    async with start_lock(home):
        home.kept.unlink(missing_ok=True)
        await _stop_parts(home)
        for path in home.workers.glob("*.json"):
            if (record := Record.read(path)) is None or not record.is_alive():
                path.unlink(missing_ok=True)
        return TakenDown(names, [pid for pid in users(home) if pid != os.getpid()])


def detached_workers(home: Home) -> list[int]:
    """The pids of the workers that were started to stay and still run."""
    records = (Record.read(path) for path in home.workers.glob("*.json"))
    return [record.pid for record in records if record and record.is_alive()]


@asynccontextmanager
async def _using(home: Home, keep_up: bool) -> AsyncIterator[None]:
    home.prepare()
    async with start_lock(home):
        lease = Lease(home)
        if keep_up:
            keep(home)
    try:
        yield
    finally:
        async with start_lock(home):
            lease.release()
            if not users(home) and not is_kept(home):
                home.kept.unlink(missing_ok=True)
                await _stop_parts(home)


@asynccontextmanager
async def _guarded(name: str, record_file: Path, revive: Revive, say: Say) -> AsyncIterator[None]:
    guarding = asyncio.create_task(_guard(name, record_file, revive, say))
    try:
        yield
    finally:
        guarding.cancel()
        await asyncio.wait({guarding})
    if not guarding.cancelled():
        guarding.result()


async def _guard(name: str, record_file: Path, revive: Revive, say: Say) -> None:
    """Start a process again whenever it dies; if it was stopped on purpose its record is gone, and so it stays."""
    gone = False
    while True:
        await asyncio.sleep(GUARD.total_seconds())
        record = Record.read(record_file)
        if record is None and not gone:
            say(f"{name} was stopped by somebody else")
        gone = record is None
        if record is None or record.is_alive():
            continue
        try:
            if event := await revive():
                say(event)
        except HostingError as error:
            say(f"{name} died and does not come back: {error}")
            await asyncio.sleep(GUARD_TROUBLE.total_seconds())


def _parts(home: Home) -> list[tuple[str, Record, timedelta]]:
    """What is recorded here besides workers, in the order to stop it."""
    known = (
        ("stand-in", home.stand_in_record, STAND_IN_GRACE),
        ("Temporal server", home.server_record, SERVER_GRACE),
    )
    return [(name, record, grace) for name, path, grace in known if (record := Record.read(path))]


async def _stop_parts(home: Home) -> None:
    for _, record, grace in _parts(home):
        await stop(record, grace)
    home.stand_in_record.unlink(missing_ok=True)
    home.server_record.unlink(missing_ok=True)
