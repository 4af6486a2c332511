"""What many subagents cost beside the same calls in a bare Temporal workflow.

    python -m benchmarks.scale

Two comparisons, each measured side by side in one process, on one real Temporal server with the embedded default's
settings. Both sides make the same activities (`claude.call`, with the same words to the stand-in), as many at once, in
the same sandbox; the bare workflow (benchmarks/bare.py) schedules them and adds nothing.

1. one run of 500 subagents and the decomposer and synthesizer around them, at most 100 at once;
2. 100 runs of 5 subagents (decomposer, three specialists, synthesizer), all started at once.

Prints a table, and with --json FILE writes the figures.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from uuid import uuid4

import click
from temporalio.client import Client
from temporalio.worker import Worker

from benchmarks.bare import AT_ONCE, Bare, Words
from benchmarks.rig import Rig, quiet, rig
from hosting.sandbox import sandbox
from workflows.contracts import WORKFLOW_QUEUE, RunReport, SubagentCall
from workflows.pipelines.decompose_delegate_synthesize import DecomposeDelegateSynthesize, Input, Result

TASK = "Say whether we should move to the new office."
BENCH_QUEUE = "benchmark"


def plan_of(pieces: int) -> dict[str, object]:
    """A decomposer's answer with so many subtasks that depend on nothing."""
    subtasks = [
        {
            "id": f"s{number}",
            "role": "researcher",
            "objective": f"Find out what speaks for and against room {number}.",
            "effort": {"tier": "small", "max_tokens": 2_000},
        }
        for number in range(pieces)
    ]
    return {"complexity": "complex", "reasoning": "", "subtasks": subtasks}


async def one_run(client: Client, pieces: int) -> str:
    """A run through Breakwater, checked; returns its id."""
    id = f"run-{uuid4()}"
    report: RunReport[Result] = await client.execute_workflow(
        DecomposeDelegateSynthesize.run,
        Input(task=TASK, parallel=AT_ONCE, max_subtasks=pieces, max_agents=pieces + 50),
        id=id,
        task_queue=WORKFLOW_QUEUE,
    )
    if not report.passed or report.agents_started != pieces + 2:
        raise RuntimeError(f"the measured run did not pass: {report.stop_reason}, {report.agents_started} agents")
    return id


async def words_of(here: Rig, run: str, pieces: int) -> Words:
    """What the subagents of a run were told."""
    calls: dict[str, SubagentCall] = {}
    async for event in here.client.get_workflow_handle(run).fetch_history_events():
        scheduled = event.activity_task_scheduled_event_attributes
        if scheduled.activity_type.name:
            (call,) = await here.client.data_converter.decode(scheduled.input.payloads, [SubagentCall])
            calls[call.role] = call
    return Words(first=calls["decomposer"], piece=calls["specialist"], last=calls["synthesizer"], pieces=pieces)


async def pairs(rounds: int, *what: Callable[[], Awaitable[object]]) -> list[list[float]]:
    """Seconds of each in turn, `rounds` times after one warm-up, so that all meet the same machine."""
    times: list[list[float]] = [[] for _ in what]
    for number in range(rounds + 1):
        for each, measured in zip(what, times, strict=True):
            started = perf_counter()
            await each()
            if number:
                measured.append(perf_counter() - started)
    return times


async def compared(here: Rig, pieces: int, runs: int, rounds: int, latency: float) -> dict[str, float]:
    """`runs` runs at once of so many pieces each, beside as many bare workflows."""
    here.simulator.rules(
        [{"match": {"role": "decomposer"}, "answer": plan_of(pieces), "latency": latency}, {"latency": latency}]
    )
    first = await one_run(here.client, pieces)
    words = await words_of(here, first, pieces)
    size = (await here.client.get_workflow_handle(first).describe()).raw_description.workflow_execution_info

    async def through_breakwater() -> None:
        await asyncio.gather(*(one_run(here.client, pieces) for _ in range(runs)))

    async def bare() -> None:
        await asyncio.gather(
            *(
                here.client.execute_workflow(Bare.run, words, id=f"bare-{uuid4()}", task_queue=BENCH_QUEUE)
                for _ in range(runs)
            )
        )

    ours, theirs = await pairs(rounds, through_breakwater, bare)
    return {
        "agents": runs * (pieces + 2),
        "breakwater_s": statistics.median(ours),
        "bare_s": statistics.median(theirs),
        "ratio": statistics.median(a / b for a, b in zip(ours, theirs, strict=True)),
        "history_events": size.history_length,
        "history_bytes": size.history_size_bytes,
    }


async def measure(agents: int, runs: int, latency: float, rounds: int) -> dict[str, dict[str, float]]:
    """All figures; times are seconds, ratios medians of pairs."""
    async with AsyncExitStack() as stack:
        home = Path(stack.enter_context(TemporaryDirectory()))
        here = await stack.enter_async_context(rig(home, "benchmark"))
        await stack.enter_async_context(
            Worker(here.client, task_queue=BENCH_QUEUE, workflows=[Bare], workflow_runner=sandbox())
        )
        wide = await compared(here, agents, 1, rounds, latency)
        many = await compared(here, 3, runs, rounds, latency)
    return {"one_wide_run": wide, "many_runs": many}


def rows(found: dict[str, dict[str, float]], agents: int, runs: int) -> Sequence[tuple[str, str, str]]:
    """The figures as a table: what, how long, and beside it the ratio."""
    wide, many = found["one_wide_run"], found["many_runs"]
    return [
        (f"{agents} subagents in a bare workflow", f"{wide['bare_s']:.2f} s", ""),
        ("the same in one run of Breakwater", f"{wide['breakwater_s']:.2f} s", f"ratio {wide['ratio']:.2f}"),
        ("its history", f"{wide['history_bytes'] / 1e6:.2f} MB", f"{wide['history_events']:.0f} events"),
        (f"{runs} bare workflows of 5 at once", f"{many['bare_s']:.2f} s", ""),
        (f"{runs} runs of 5 of Breakwater at once", f"{many['breakwater_s']:.2f} s", f"ratio {many['ratio']:.2f}"),
    ]


@click.command()
@click.option("--agents", default=500, show_default=True, help="Subagents of the one wide run.")
@click.option("--runs", default=100, show_default=True, help="Runs of five at once.")
@click.option("--latency", default=1.0, show_default=True, help="Seconds of model latency.")
@click.option("--rounds", default=5, show_default=True, help="Measured rounds of each, after one warm-up.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the figures to this file.")
def main(agents: int, runs: int, latency: float, rounds: int, file: Path | None) -> None:
    """Measure what many subagents cost beside the same calls in a bare Temporal workflow."""
    quiet()
    found = asyncio.run(measure(agents, runs, latency, rounds))
    for what, figure, note in rows(found, agents, runs):
        print(f"{what:<44}{figure:>10}  {note}")
    if file:
        file.write_text(json.dumps(found, indent=1) + "\n")
        print(f"written to {file}", file=sys.stderr)


if __name__ == "__main__":
    main()
