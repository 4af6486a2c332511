"""Sixty runs of one call meet an API that is down: what each way of retrying sends to it, and when the runs are done.

    python -m benchmarks.storm                              # both scenarios and the gate's own cost, about 6 minutes
    python -m benchmarks.storm --scale 0.1 --plot storm.png # every duration a tenth: a quick look, no measurement

Scenarios, against the stand-in, through the real SDK, on one real Temporal server with the embedded settings:

    outage      the API answers 529 for 70 s, then serves each call in 0.2 s
    throttle    it answers 429 with `retry-after: 12` for 30 s, then serves each call in 0.2 s

Contenders, each with a stand-in of its own and the same starts, spread over the first second:

    breakwater  2 worker processes that share one circuit store; runs wait for an open circuit
    article     the article's breaker, per process, 2 × 30 callers, with the same recovery timeout; exponential retries,
                a denial backs off like a failure
    waiting     the same, but a denied caller waits for as long as the breaker says
    temporal    one activity per run with Temporal's own retries
    asyncio     exponential retries, no breaker

None of them gives up. Breakwater is measured alone; the others share the machine, which they leave idle.
Everything listens on loopback, and nothing is left running.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from subprocess import PIPE
from tempfile import TemporaryDirectory
from time import monotonic
from uuid import uuid4

import click
from temporalio.client import Client, WorkflowFailureError

from activities.claude import Claude, Meter, claude
from benchmarks.gate import GATE_CALLS, gate_costs, valkey
from benchmarks.peers import ArticleBreaker, Call, plain_temporal, retried
from benchmarks.rig import address, temporal_server
from benchmarks.storm_figures import (
    RECOVERY_TIMEOUT,
    SCENARIOS,
    SERVICE_TIME,
    SPREAD_OF_STARTS,
    THRESHOLD,
    WORKERS,
    Figures,
    Scenario,
    figures,
    plot,
    table,
)
from benchmarks.storm_worker import SILENCE, STORM_QUEUE, TASK, OneCall
from hosting.home import HOME_VARIABLE, PROJECT, Home
from simulator import ServerOptions, Simulator
from workflows.contracts import SubagentCall
from workflows.models import TIERS
from workflows.run import RunInput
from workflows.subagents.planner import PLANNER, Plan

STOP_WITHIN = 15.0
"""Seconds a worker process gets to leave."""
OURS = ("ANTHROPIC_", "TEMPORAL_", "BREAKER_", "BREAKWATER_", "WORKER_", "SUBAGENT_", "MAX_CONCURRENT_")
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


# --- the contenders: each yields how to make one run ----------------------------------------------------------------


@asynccontextmanager
async def breakwater(bench: Bench, stand_in: str, model: Claude) -> AsyncIterator[list[Call]]:
    """Two worker processes with one store; a run is a workflow."""
    async with AsyncExitStack() as stack:
        home = Home(Path(stack.enter_context(TemporaryDirectory())))
        home.prepare()
        environment = {name: value for name, value in os.environ.items() if not name.startswith(OURS)} | {
            HOME_VARIABLE: str(home.root),
            "BREAKER_RECOVERY_TIMEOUT": str(RECOVERY_TIMEOUT * bench.scale),
            "BREAKER_FAILURE_THRESHOLD": str(THRESHOLD),
            "WORKER_GRACE_PERIOD": "0",
        }
        if bench.store == "valkey":
            environment["BREAKWATER_STORE"] = await stack.enter_async_context(valkey(home.root))
        await asyncio.gather(
            *(
                stack.enter_async_context(worker_process(bench, stand_in, f"worker-{number + 1}", environment))
                for number in range(WORKERS)
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
async def worker_process(bench: Bench, stand_in: str, name: str, environment: dict[str, str]) -> AsyncIterator[None]:
    """One Breakwater worker, ready; its log is in the bench's folder. It ends when the pipe to it does."""
    with (bench.folder / f"{bench.scenario.name}-{name}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.storm_worker", address(bench.client), stand_in, name),
            stdin=PIPE,
            stdout=PIPE,
            stderr=log,
            cwd=PROJECT,
            env=environment,
        )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if await asyncio.wait_for(process.stdout.readline(), 60) != b"ready\n":
            raise RuntimeError(f"{name} did not start; see {log.name}")
        yield
    finally:
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), STOP_WITHIN)
        except TimeoutError:
            process.kill()
            await process.wait()


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


CONTENDERS: dict[str, Callable[[Bench, str, Claude], AbstractAsyncContextManager[list[Call]]]] = {
    "breakwater": breakwater,
    "article": article,
    "waiting": partial(article, heeds_breaker=True),
    "temporal": temporal,
    "asyncio": no_breaker,
}


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


async def warm_up() -> None:
    """One call: what the SDK loads for its first would hold up every contender of this process."""
    async with Simulator() as simulator, claude(SILENCE, simulator.url) as model:
        await one_call(model)()


# --- measuring ------------------------------------------------------------------------------------------------------


async def measure(bench: Bench, contender: str, all_ready: asyncio.Barrier) -> Figures:
    """One contender through one scenario, with a stand-in of its own, from when all beside it are ready."""
    async with AsyncExitStack() as stack:
        born = monotonic()
        simulator = await stack.enter_async_context(Simulator(ServerOptions(latency=SERVICE_TIME * bench.scale)))
        model = await stack.enter_async_context(claude(SILENCE, simulator.url))
        runs = await stack.enter_async_context(CONTENDERS[contender](bench, simulator.url, model))
        await all_ready.wait()
        simulator.rules(bench.scenario.rules(bench.scale, bench.refusal))
        started = monotonic()

        async def one(number: int, run: Call) -> float | None:
            await asyncio.sleep(SPREAD_OF_STARTS * bench.scale * number / len(runs))
            try:
                await run()
            except (WorkflowFailureError, RuntimeError) as error:
                click.echo(f"{contender}: run {number} failed: {error.__cause__ or error}", err=True)
                return None
            return monotonic() - started

        done = await asyncio.gather(*(one(number, run) for number, run in enumerate(runs)))
        entries = simulator.journal.entries()
        (bench.folder / f"{bench.scenario.name}-{contender}.jsonl").write_text(
            "".join(json.dumps(asdict(entry)) + "\n" for entry in entries)
        )
    return figures(bench.scenario, bench.scale, contender, entries, started - born, done)


async def storm(
    scenarios: Sequence[Scenario],
    contenders: Sequence[str],
    *,
    runs: int,
    scale: float,
    refusal: float,
    store: str,
    folder: Path,
) -> list[Figures]:
    """Every contender through every scenario; Breakwater first and alone, the others beside each other."""
    found: list[Figures] = []
    await warm_up()
    async with temporal_server(Home(folder)) as client:
        for scenario in scenarios:
            bench = Bench(client, scenario, runs, scale, refusal, store, folder)
            alone = [name for name in contenders if name == "breakwater"]
            for group in (alone, [name for name in contenders if name not in alone]):
                if not group:
                    continue
                click.echo(f"{scenario.name}: {', '.join(group)} …", err=True)
                all_ready = asyncio.Barrier(len(group))
                found += await asyncio.gather(*(measure(bench, name, all_ready) for name in group))
    return found


@click.command()
@click.option("--scenario", type=click.Choice([*SCENARIOS, "both"]), default="both", show_default=True)
@click.option("--contender", "contenders", type=click.Choice(list(CONTENDERS)), multiple=True, help="Only these.")
@click.option("--runs", default=60, show_default=True, help="Runs of one call.")
@click.option("--scale", default=1.0, show_default=True, help="Multiply every duration: 0.1 for a quick look.")
@click.option("--refusal", default=0.0, show_default=True, help="Seconds a 529 or 429 takes; at once by default.")
@click.option("--store", type=click.Choice(["sqlite", "valkey"]), default="sqlite", show_default=True)
@click.option("--gate/--no-gate", default=True, show_default=True, help="Measure the gate's cost on the healthy path.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the figures to this file.")
@click.option("--plot", "picture", type=click.Path(path_type=Path), help="Draw requests per second to this file.")
@click.option("--logs", type=click.Path(path_type=Path), help="Keep worker logs and journals in this folder.")
def main(
    scenario: str,
    contenders: tuple[str, ...],
    runs: int,
    scale: float,
    refusal: float,
    store: str,
    gate: bool,
    file: Path | None,
    picture: Path | None,
    logs: Path | None,
) -> None:
    """Measure what a retry storm becomes."""
    # A plain activity raises what the SDK raises; its traceback for each attempt is not what is measured here.
    logging.getLogger("temporalio.activity").setLevel(logging.CRITICAL)
    chosen = list(SCENARIOS.values()) if scenario == "both" else [SCENARIOS[scenario]]
    with TemporaryDirectory() as temporary:
        folder = logs or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        found = asyncio.run(
            storm(
                chosen,
                contenders or list(CONTENDERS),
                runs=runs,
                scale=scale,
                refusal=refusal,
                store=store,
                folder=folder,
            )
        )
    print(table(found, scale, store, refusal))
    costs = asyncio.run(gate_costs()) if gate else {}
    if costs:
        print()
    for name, cost in costs.items():
        print(f"healthy path, gate overhead per call, {name:<10}{cost:>8.3f} ms (median of {GATE_CALLS})")
    if file:
        figures = {
            "scale": scale,
            "refusal_s": refusal,
            "store": store,
            "gate_ms": costs,
            "contenders": [asdict(each) for each in found],
        }
        file.write_text(json.dumps(figures, indent=1) + "\n")
        print(f"written to {file}", file=sys.stderr)
    if picture:
        plot(found, scale, picture)
        print(f"drawn to {picture}", file=sys.stderr)


if __name__ == "__main__":
    main()
