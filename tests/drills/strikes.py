"""The drills: what is struck, again and again at random moments, while runs go on; and what each strike must show."""

from __future__ import annotations

import asyncio
import resource
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

from simulator import Entry, Journal
from tests.drills.fleet import GRACE, Fleet
from tests.drills.invariants import Findings, Story, check
from tests.drills.processes import Program
from tests.drills.runs import LAST_CALLS, begin_review, begin_rounds, end, script

FULL = 4096
"""Bytes a file may have while the disk is full: none of a store's can grow then."""
DOOMED = 4
"""Every so many runs the work does not pass: a drill in which everything passes could not show a false success."""

SWALLOWED = 12
"""Heartbeat timeouts until a paused worker's five polls have taken a call each, with the pauses between attempts."""
TRIES = 10
"""A worker that is paused may have no call in flight, or only one that nobody would miss soon."""

Strike = Callable[[Fleet, Random], Awaitable[None]]
Begin = Callable[[Fleet, bool], Awaitable[Story]]


@dataclass(frozen=True)
class Drill:
    """What is struck, how many workers there are, and whether their store is the server or the default."""

    name: str
    strike: Strike
    workers: int
    valkey: bool

    async def run(
        self, fleet: Fleet, *, strikes: int, at_once: int, random: Random, told: Callable[[], None]
    ) -> Findings:
        """Strike so many times while so many runs and a review go on, let them end, check. `told` after each strike."""
        fleet.simulator.rules(script(fleet.latency))
        await fleet.staffed(self.workers, fleet.valkey.url if self.valkey else None)
        before, over = len(fleet.disasters), asyncio.Event()
        async with asyncio.TaskGroup() as group:
            flows = [group.create_task(_flow(fleet, begin_rounds, number, over)) for number in range(at_once)]
            flows.append(group.create_task(_flow(fleet, begin_review, 0, over)))
            for _ in range(strikes):
                await fleet.random_moment(random)
                await self.strike(fleet, random)
                told()
            over.set()
        stories = [story for flow in flows for story in flow.result()]
        return check(stories, fleet.disasters[before:])


async def _flow(fleet: Fleet, begin: Begin, number: int, over: asyncio.Event) -> list[Story]:
    """One run after the other, until it is over."""
    stories: list[Story] = []
    while not stories or not over.is_set():
        passes = (number + len(stories)) % DOOMED != DOOMED - 1
        stories.append(await end(fleet, await begin(fleet, passes)))
        if stories[-1].report is None:
            break
    return stories


async def a_worker(fleet: Fleet, random: Random) -> None:
    """Kill -9 one of the workers; another takes its place."""
    await fleet.kill([random.choice(fleet.workers)])
    await fleet.hire(1)


async def all_workers(fleet: Fleet, random: Random) -> None:
    """Kill -9 all of them at once; others come later."""
    count = len(fleet.workers)
    await fleet.kill(fleet.workers, "all workers")
    await fleet.hire(count)


async def the_server(fleet: Fleet, random: Random) -> None:
    """Kill -9 Temporal and start it on the same file; the same workers find it again."""
    fleet.note("server")
    await fleet.server.kill()
    await fleet.server.start()


async def the_store(fleet: Fleet, random: Random) -> None:
    """Kill -9 the store with everything in it, and bring an empty one back a moment later."""
    fleet.note("store")
    fleet.valkey.kill()
    await fleet.random_moment(random)
    await asyncio.to_thread(fleet.valkey.start)


async def a_drain(fleet: Fleet, random: Random) -> None:
    """SIGTERM to a worker: its calls finish, and then it is gone, within the grace period."""
    (code,) = await asyncio.wait_for(fleet.retire([random.choice(fleet.workers)]), GRACE.total_seconds() + 5)
    if code != 0:
        raise RuntimeError(f"a worker that was asked to stop ended with {code}")
    await fleet.hire(1)


async def a_zombie(fleet: Fleet, random: Random) -> None:
    """Pause a worker until another has made one of its calls, then let it go on: it comes too late.

    A paused worker's open polls go on taking calls, which lie there for a heartbeat timeout each; the others get what
    comes after those.
    """
    overtaken = SWALLOWED * fleet.crew.heartbeat_timeout
    for _ in range(TRIES):
        await fleet.random_moment(random)
        worker, since = random.choice(fleet.workers), fleet.now()
        worker.send(signal.SIGSTOP)
        left = [
            entry for entry in fleet.simulator.journal if entry.outcome == "in_flight" and entry.agent not in LAST_CALLS
        ]
        known = await fleet.sees(partial(_is_known, left), overtaken)
        worker.send(signal.SIGCONT)
        fleet.note("zombie", since)
        if known and any(_made_again(entry, fleet.simulator.journal) for entry in left):
            return
    raise RuntimeError(f"no call of a paused worker was made by another, in {TRIES} tries")


def _is_known(left: Sequence[Entry], journal: Journal) -> bool:
    """Whether one of these calls was made again, or every one of their runs has gone on to the next."""
    return any(_made_again(entry, journal) for entry in left) or all(_went_on(entry, journal) for entry in left)


def _went_on(entry: Entry, journal: Journal) -> bool:
    return any(entry.at < other.at and entry.agent != other.agent for other in journal.entries(run=entry.run))


def _made_again(entry: Entry, journal: Journal) -> bool:
    return any(
        (entry.attempt or 0) < (again.attempt or 0) for again in journal.entries(run=entry.run, agent=entry.agent)
    )


async def a_full_disk(fleet: Fleet, random: Random) -> None:
    """For a while no file of the workers' can grow: neither the circuits' nor the journal's."""
    fleet.note("disk")
    for worker in fleet.workers:
        limit_files(worker, FULL)
    for _ in range(3):
        await fleet.random_moment(random)
    for worker in fleet.workers:
        limit_files(worker, resource.RLIM_INFINITY)


def limit_files(worker: Program, size: int) -> None:
    """Let no file of a running process grow beyond so many bytes: a full disk for that process alone."""
    if sys.platform == "linux":  # mypy and macOS know no prlimit; the drill is not run there
        _, hard = resource.prlimit(worker.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (size, hard))


A_WORKER = Drill("a worker", a_worker, workers=2, valkey=False)
ALL_WORKERS = Drill("all workers", all_workers, workers=2, valkey=True)
SERVER = Drill("the server", the_server, workers=2, valkey=True)
STORE = Drill("the store", the_store, workers=2, valkey=True)
DRAIN = Drill("SIGTERM", a_drain, workers=2, valkey=True)
ZOMBIE = Drill("a zombie", a_zombie, workers=2, valkey=True)
DISK = Drill("a full disk", a_full_disk, workers=2, valkey=False)
DRILLS: Sequence[Drill] = (A_WORKER, ALL_WORKERS, SERVER, STORE, DRAIN, ZOMBIE, DISK)
