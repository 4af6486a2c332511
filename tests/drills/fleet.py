"""The stage of a drill: a server, a store, the stand-in as the witness, and workers."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from hosting.home import HOME_VARIABLE, Home
from simulator import Journal, ServerOptions, Simulator
from tests.circuit.servers import ValkeyServer
from tests.cli.conftest import CLEARED
from tests.drills import quick_worker
from tests.drills.invariants import Disaster
from tests.drills.processes import SOON, Program, TemporalServer, start_worker
from workflows.contracts import HEARTBEAT_TIMEOUT

GRACE = timedelta(seconds=10)
"""What a worker gets at SIGTERM."""


@dataclass(frozen=True)
class Crew:
    """How workers are started, and after how long without a heartbeat their calls are given up."""

    program: Sequence[str]
    heartbeat_timeout: timedelta


REAL = Crew(("worker.py",), HEARTBEAT_TIMEOUT)
"""As a user has them."""
QUICK = Crew(("-m", "tests.drills.quick_worker"), quick_worker.HEARTBEAT_TIMEOUT)
"""The same, but less patient: for the short form."""


@dataclass
class Fleet:
    """Everything a drill has its hands on."""

    home: Home
    crew: Crew
    server: TemporalServer
    simulator: Simulator
    valkey: ValkeyServer
    client: Client
    latency: float
    born: float
    store: str | None = None
    """What the workers have: None is the default, files in their home."""
    workers: list[Program] = field(default_factory=list)
    gone: list[Program] = field(default_factory=list)
    disasters: list[Disaster] = field(default_factory=list)

    # --- workers --------------------------------------------------------------------------------------------------

    async def staffed(self, count: int, store: str | None) -> list[Program]:
        """Exactly so many living workers with this store."""
        if store != self.store:
            await self.kill(self.workers, "nobody at work")
            self.store = store
        await self.retire(self.workers[count:])
        await self.hire(count - len(self.workers))
        return self.workers

    async def hire(self, count: int) -> None:
        """So many workers more, ready."""
        self.workers += await asyncio.gather(
            *(start_worker(self.crew.program, self.environment()) for _ in range(count))
        )

    async def retire(self, workers: Sequence[Program]) -> list[int]:
        """Ask them to go, and see them gone; their exit codes."""
        leaving = list(workers)
        for worker in leaving:
            worker.send(signal.SIGTERM)
        codes = await asyncio.gather(*(worker.ended() for worker in leaving))
        self._forget(leaving)
        return codes

    async def kill(self, workers: Sequence[Program], what: str = "worker") -> None:
        """Kill -9, all in the same moment."""
        dying = list(workers)
        for worker in dying:
            worker.send(signal.SIGKILL)
        self.note(what)
        await asyncio.gather(*(worker.ended() for worker in dying))
        self._forget(dying)

    def said(self, word: str) -> list[str]:
        """The lines with this word of every worker there was."""
        return [line for worker in (*self.gone, *self.workers) for line in worker.said(word)]

    def environment(self) -> dict[str, str]:
        """What a worker is started with."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(CLEARED)} | {
            "TEMPORAL_ADDRESS": self.server.address,
            "ANTHROPIC_BASE_URL": self.simulator.url,
            "ANTHROPIC_API_KEY": "drill",
            "WORKER_GRACE_PERIOD": f"{GRACE.total_seconds():g}",
            HOME_VARIABLE: str(self.home.root),
        }
        return environment if self.store is None else environment | {"BREAKWATER_STORE": self.store}

    def _forget(self, workers: Sequence[Program]) -> None:
        self.workers = [worker for worker in self.workers if worker not in workers]
        self.gone += workers

    # --- the witness ----------------------------------------------------------------------------------------------

    def note(self, what: str, since: float | None = None) -> None:
        """Something is killed or cut off now; or it was paused since then."""
        now = self.now()
        self.disasters.append(Disaster(what, now if since is None else since, now))

    def now(self) -> float:
        """The API's clock."""
        return time.monotonic() - self.born

    async def sees(self, condition: Callable[[Journal], bool], within: timedelta = SOON) -> bool:
        """Wait until the API has seen this; False if it has not in time."""
        try:
            async with asyncio.timeout(within.total_seconds()):
                await self.simulator.journal.until(condition)
        except TimeoutError:
            return False
        return True

    async def random_moment(self, random: Random) -> None:
        """Wait until a few more requests have arrived, and for a part of the last one."""
        due = self.simulator.journal.requests + random.randint(1, 6)
        if not await self.sees(lambda journal: journal.requests >= due):
            raise RuntimeError(f"no run went on for {SOON}; the workers' last words: {self.last_words()}")
        await asyncio.sleep(random.random() * self.latency * 1.2)

    def last_words(self) -> list[str]:
        """Of every worker that lives."""
        return [line for worker in self.workers for line in worker.lines[-3:]]


@asynccontextmanager
async def fleet(folder: Path, crew: Crew, latency: float) -> AsyncIterator[Fleet]:
    """The stage, without workers yet; everything on it is gone at the end."""
    home = Home(folder / "home")
    server, valkey = TemporalServer(home), ValkeyServer(folder)
    valkey.start()
    born = time.monotonic()
    try:
        async with Simulator(ServerOptions()) as simulator:
            await server.start()
            client = await Client.connect(server.address, data_converter=pydantic_data_converter)
            stage = Fleet(home, crew, server, simulator, valkey, client, latency, born)
            try:
                yield stage
            finally:
                for worker in stage.workers:
                    await worker.kill()
                await server.kill()
    finally:
        valkey.kill()
