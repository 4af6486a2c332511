"""Who meets the storm: each contender is made ready, and yields how to make each of its runs."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from temporalio.client import Client

from activities.claude import Claude, Meter
from benchmarks.gate import valkey
from benchmarks.peers import frameworks
from benchmarks.peers.usual import ArticleBreaker, Call, plain_temporal, retried
from benchmarks.rig import address
from benchmarks.storm_figures import RECOVERY_TIMEOUT, THRESHOLD, WORKERS, Scenario
from benchmarks.storm_worker import STORM_QUEUE, TASK, OneCall
from benchmarks.worker_process import READY_WITHIN, worker_process
from hosting.home import HOME_VARIABLE, Home
from workflows.contracts import SubagentCall
from workflows.models import TIERS
from workflows.run import RunInput
from workflows.subagents.planner import PLANNER, Plan

NOT_INHERITED = ("ANTHROPIC_", "TEMPORAL_", "BREAKER_", "BREAKWATER_", "WORKER_", "SUBAGENT_", "MAX_CONCURRENT_")
"""Variables a benchmark must not inherit."""


@dataclass(frozen=True)
class Bench:
    """What every contender gets."""

    client: Client
    scenario: Scenario
    runs: int
    scale: float
    refusal: float
    store: str
    folder: Path

    def log(self, name: str) -> Path:
        """Where a worker process of this scenario writes."""
        return self.folder / f"{self.scenario.name}-{name}.log"


def clean_environment() -> dict[str, str]:
    """This process's, without what a benchmark must not inherit."""
    return {name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)}


@asynccontextmanager
async def breakwater(bench: Bench, stand_in: str, model: Claude) -> AsyncIterator[list[Call]]:
    """Two worker processes with one store; a run is a workflow."""
    async with AsyncExitStack() as stack:
        home = Home(Path(stack.enter_context(TemporaryDirectory())))
        home.prepare()
        environment = clean_environment() | {
            HOME_VARIABLE: str(home.root),
            "BREAKER_RECOVERY_TIMEOUT": str(RECOVERY_TIMEOUT * bench.scale),
            "BREAKER_FAILURE_THRESHOLD": str(THRESHOLD),
            "WORKER_GRACE_PERIOD": "0",
        }
        if bench.store == "valkey":
            environment["BREAKWATER_STORE"] = await stack.enter_async_context(valkey(home.root))
        await asyncio.gather(
            *(
                stack.enter_async_context(
                    worker_process(
                        [sys.executable, "-m", "benchmarks.storm_worker", address(bench.client), stand_in, name],
                        bench.log(name),
                        environment,
                    )
                )
                for name in (f"worker-{number + 1}" for number in range(WORKERS))
            )
        )

        async def run() -> None:
            report = await bench.client.execute_workflow(
                OneCall.run, RunInput(), id=f"storm-{uuid4()}", task_queue=STORM_QUEUE
            )
            if not report.passed:
                raise RuntimeError(report.message)

        yield [run] * bench.runs


@asynccontextmanager
async def article(
    bench: Bench, stand_in: str, model: Claude, *, heeds_breaker: bool = False
) -> AsyncIterator[list[Call]]:
    """Two breakers that do not know of each other, each with half the callers."""
    breakers = [ArticleBreaker(THRESHOLD, RECOVERY_TIMEOUT * bench.scale) for _ in range(WORKERS)]
    call = one_call(model)

    def through(breaker: ArticleBreaker) -> Call:
        return lambda: retried(lambda: breaker.call(call), bench.scale, heeds_breaker=heeds_breaker)

    yield [through(breakers[number % WORKERS]) for number in range(bench.runs)]


@asynccontextmanager
async def temporal(bench: Bench, stand_in: str, model: Claude) -> AsyncIterator[list[Call]]:
    """A workflow with one activity, retried by Temporal."""
    async with plain_temporal(bench.client, one_call(model), bench.scale) as run:
        yield [run] * bench.runs


@asynccontextmanager
async def no_breaker(bench: Bench, stand_in: str, model: Claude) -> AsyncIterator[list[Call]]:
    """A coroutine that tries again."""
    call = one_call(model)
    yield [lambda: retried(call, bench.scale)] * bench.runs


@asynccontextmanager
async def framework(bench: Bench, stand_in: str, model: Claude, *, name: str) -> AsyncIterator[list[Call]]:
    """A framework's worker in a process of its own, warmed up by one run; a run is a workflow."""
    peer = frameworks.FRAMEWORKS[name]

    async def run() -> None:
        await bench.client.execute_workflow(peer.workflow, TASK, id=f"{name}-{uuid4()}", task_queue=peer.queue)

    environment = frameworks.settings(clean_environment(), stand_in, bench.scale)
    async with worker_process(frameworks.command(name, address(bench.client)), bench.log(name), environment):
        await asyncio.wait_for(run(), READY_WITHIN)
        yield [run] * bench.runs


CONTENDERS: dict[str, Callable[[Bench, str, Claude], AbstractAsyncContextManager[list[Call]]]] = {
    "breakwater": breakwater,
    "article": article,
    "waiting": partial(article, heeds_breaker=True),
    "temporal": temporal,
    "asyncio": no_breaker,
    **{name: partial(framework, name=name) for name in frameworks.FRAMEWORKS},
}
TOGETHER = (
    ("breakwater",),
    ("article", "waiting", "temporal", "asyncio"),
    *((name,) for name in frameworks.FRAMEWORKS),
)
"""Who is measured beside whom: those that leave the machine idle between their calls, beside each other."""


def one_call(model: Claude) -> Call:
    """The same request as Breakwater's, through the same client, and nothing around it."""
    words = SubagentCall(
        agent="planner-1",
        role="planner",
        model=TIERS[PLANNER.tier],
        instructions="Plan the work.",
        prompt=TASK,
        answer_schema=Plan.model_json_schema(),
        max_tokens=PLANNER.max_tokens,
    )

    async def call() -> None:
        await model.ask(words, {"x-breakwater-agent": words.agent, "x-breakwater-run": "storm"}, Meter())

    return call
