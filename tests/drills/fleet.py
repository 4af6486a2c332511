"""The stage of a drill: a server, the stand-in as the witness, workers, and runs of twelve calls meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError

from hosting.home import HOME_VARIABLE, Home
from simulator import Journal, ServerOptions, Simulator
from tests.circuit.servers import ValkeyServer
from tests.cli.conftest import CLEARED
from tests.drills import quick_worker
from tests.drills.invariants import Disaster, Story
from tests.drills.processes import SOON, Program, TemporalServer, start_worker
from workflows.contracts import HEARTBEAT_TIMEOUT, WORKFLOW_QUEUE, RunReport
from workflows.pipelines.plan_generate_evaluate import Input, PlanGenerateEvaluate, Result
from workflows.subagents.planner import Criterion

SERVER_PAUSE = 0.1
"""Seconds before a server that is being killed is asked again: it comes back."""
ROUNDS = 6
"""Of generating and evaluating: twelve calls."""
AGENTS = tuple(f"{role}-{number}" for number in range(1, ROUNDS + 1) for role in ("generator", "evaluator"))
GRACE = timedelta(seconds=10)
"""What a worker gets at SIGTERM."""
ENDS_WITHIN = timedelta(minutes=10)
"""A run that is struck again and again; without that it takes seconds."""


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

    # --- runs -----------------------------------------------------------------------------------------------------

    async def begin(self, *, passes: bool = True) -> Story:
        """Start a run of twelve calls whose work passes at the end, or does not."""
        run = f"drill-{uuid4().hex[:12]}"
        last = evaluation(ROUNDS if passes else ROUNDS - 1)
        rule = {"match": {"run": run, "agent": f"evaluator-{ROUNDS}"}, "answer": last, "latency": self.latency}
        self.simulator.rules([rule], append=True)
        criteria = [
            Criterion(id=f"C{number}", statement=f"Point {number}.", how_to_verify="Read it.", level="must")
            for number in range(1, ROUNDS + 1)
        ]
        words = Input(task="A drill.", planner=False, criteria=criteria, max_revisions=ROUNDS - 1)
        while True:
            try:
                await self.client.start_workflow(PlanGenerateEvaluate.run, words, id=run, task_queue=WORKFLOW_QUEUE)
            except WorkflowAlreadyStartedError:
                # By the question before, whose answer died with the server.
                break
            except RPCError:
                await asyncio.sleep(SERVER_PAUSE)
            else:
                break
        return Story(run, AGENTS, passes, None, ())

    async def end(self, story: Story) -> Story:
        """The story to its end, or without a report if it has none in time."""
        report: RunReport[Result] | None = None
        with suppress(TimeoutError):
            async with asyncio.timeout(ENDS_WITHIN.total_seconds()):
                report = await self._report(story.id)
        entries = tuple(self.simulator.journal.entries(run=story.id))
        return Story(story.id, story.agents, story.passes, report, entries)

    async def _report(self, run: str) -> RunReport[Result]:
        handle: WorkflowHandle[Any, RunReport[Result]] = self.client.get_workflow_handle(
            run, result_type=RunReport[Result]
        )
        while True:
            try:
                return await handle.result()
            except WorkflowFailureError as error:
                if not isinstance(error.cause, ApplicationError) or not error.cause.details:
                    raise
                return RunReport[Result].model_validate(error.cause.details[0])
            except RPCError:
                await asyncio.sleep(SERVER_PAUSE)

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


def script(latency: float) -> list[dict[str, object]]:
    """Answers to every call but a run's last: each version mends one point more."""
    rules: list[dict[str, object]] = []
    for number in range(1, ROUNDS + 1):
        draft = {"approach": "One point after the other.", "content": f"Version {number}.\n" + "A line of work.\n" * 40}
        rules.append({"match": {"agent": f"generator-{number}"}, "answer": draft, "latency": latency})
        if number < ROUNDS:
            answer = evaluation(number)
            rules.append({"match": {"agent": f"evaluator-{number}"}, "answer": answer, "latency": latency})
    return rules


def evaluation(met: int) -> dict[str, object]:
    """An evaluator's answer: so many of the points are met."""
    return {
        "assessments": [
            {
                "id": f"C{number}",
                "evidence": "as it stands in the text",
                "verdict": "pass" if number <= met else "fail",
                "place": "" if number <= met else "line 1",
                "remedy": "" if number <= met else f"mend point {number}",
            }
            for number in range(1, ROUNDS + 1)
        ]
    }
