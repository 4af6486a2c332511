"""What Breakwater costs on top of the calls themselves.

    python -m benchmarks.overhead

Two comparisons, each measured side by side in one run, on one real Temporal server with the embedded default's
settings:

1. the same three calls (planner, generator, evaluator) through Breakwater and through a plain asyncio script that
   calls the SDK, at one second of model latency: the ratio of the end-to-end times;
2. one subagent call in a row of many through Breakwater, beside a bare Temporal activity that makes the same SDK call,
   and beside a bare activity that does nothing, without model latency: the ratio of the times per call.

Prints a table, and with --json FILE writes the figures.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from uuid import uuid4

import click
from temporalio import activity, workflow
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.claude import Claude, Meter
from benchmarks.rig import Rig, quiet, rig
from workflows.contracts import SUBAGENT_QUEUE, WORKFLOW_QUEUE, RunReport, SubagentCall
from workflows.delegate import delegate
from workflows.pipelines.plan_generate_evaluate import Input, PlanGenerateEvaluate, Result
from workflows.run import Outcome, Run, RunInput, RunResult, require
from workflows.subagents.planner import PLANNER, PlanRequest

TASK = "Design and implement a simple to-do management CLI tool in Python."
BENCH_QUEUE = "benchmark"
CALLS_IN_A_ROW = 20


class Chain(RunResult):
    """The result of a benchmark run: nothing."""


@workflow.defn
class DelegatedChain:
    """Calls one after another, through `delegate`."""

    @workflow.run
    async def run(self, input: RunInput) -> RunReport[Chain]:
        run = Run[Chain](input)

        async def story() -> Outcome[Chain]:
            for _ in range(CALLS_IN_A_ROW):
                require(await delegate(run, PLANNER, PlanRequest(task=TASK)))
            return Outcome("done", True, None)

        return await run.conduct(story())


@workflow.defn
class BareChain:
    """The same number of activities one after another, with nothing around them."""

    @workflow.run
    async def run(self, activity_name: str, call: SubagentCall) -> None:
        for _ in range(CALLS_IN_A_ROW):
            await workflow.execute_activity(
                activity_name,
                call,
                result_type=str,
                task_queue=SUBAGENT_QUEUE + "-bare",
                start_to_close_timeout=timedelta(minutes=1),
            )


class BareActivities:
    """An activity that makes the same SDK call, and one that does nothing."""

    def __init__(self, model: Claude) -> None:
        self._model = model

    @activity.defn
    async def same_call(self, call: SubagentCall) -> str:
        """The request and nothing else."""
        return await said(self._model, call)

    @activity.defn
    async def nothing(self, call: SubagentCall) -> str:
        """What Temporal itself costs."""
        return call.prompt


async def said(model: Claude, call: SubagentCall) -> str:
    """One SDK call: its text."""
    meter = Meter()
    await model.ask(call, {"x-breakwater-agent": call.agent, "x-breakwater-run": "bare"}, meter)
    return "".join(meter.text)


@asynccontextmanager
async def bench() -> AsyncIterator[Rig]:
    """A server with the embedded settings, the stand-in, Breakwater's workers and the bare ones."""
    async with AsyncExitStack() as stack:
        home = Path(stack.enter_context(TemporaryDirectory()))
        here = await stack.enter_async_context(rig(home, "benchmark"))
        bare = BareActivities(here.model)
        for each in (
            Worker(
                here.client,
                task_queue=BENCH_QUEUE,
                workflows=[DelegatedChain, BareChain],
                workflow_runner=UnsandboxedWorkflowRunner(),
            ),
            Worker(
                here.client,
                task_queue=SUBAGENT_QUEUE + "-bare",
                activities=[bare.same_call, bare.nothing],
            ),
        ):
            await stack.enter_async_context(each)
        yield here


async def timed(what: Callable[[], Awaitable[object]]) -> float:
    """Seconds of one execution."""
    started = perf_counter()
    await what()
    return perf_counter() - started


async def side_by_side(rounds: int, *what: Callable[[], Awaitable[object]]) -> list[list[float]]:
    """Each in turn, `rounds` times after one warm-up, so that all meet the same machine."""
    times: list[list[float]] = [[] for _ in what]
    for number in range(rounds + 1):
        for each, measured in zip(what, times, strict=True):
            took = await timed(each)
            if number:
                measured.append(took)
    return times


async def calls_of_one_run(here: Rig) -> tuple[list[SubagentCall], int]:
    """The three calls a passing run makes, word for word, and how many events its history has."""
    handle = await here.client.start_workflow(
        PlanGenerateEvaluate.run, Input(task=TASK), id=f"words-{uuid4()}", task_queue=WORKFLOW_QUEUE
    )
    await handle.result()
    history = await handle.fetch_history()
    calls = [
        (await here.client.data_converter.decode(scheduled.input.payloads, [SubagentCall]))[0]
        for event in history.events
        if (scheduled := event.activity_task_scheduled_event_attributes).activity_type.name
    ]
    return calls, len(history.events)


async def measure(latency: float, rounds: int) -> dict[str, float]:
    """All figures; times are seconds, ratios medians of pairs."""
    async with bench() as here:
        calls, events = await calls_of_one_run(here)

        async def through_breakwater() -> None:
            report: RunReport[Result] = await here.client.execute_workflow(
                PlanGenerateEvaluate.run, Input(task=TASK), id=f"run-{uuid4()}", task_queue=WORKFLOW_QUEUE
            )
            if not report.passed or len(report.agents) != len(calls):
                raise RuntimeError(f"the measured run did not pass: {report.stop_reason}")

        async def plain_script() -> None:
            for call in calls:
                await said(here.model, call)

        here.simulator.rules([{"latency": latency}])
        breakwater, plain = await side_by_side(rounds, through_breakwater, plain_script)
        here.simulator.rules([])

        async def delegated() -> None:
            await here.client.execute_workflow(
                DelegatedChain.run, RunInput(), id=f"chain-{uuid4()}", task_queue=BENCH_QUEUE
            )

        def bare(name: str) -> Callable[[], Awaitable[None]]:
            async def chain() -> None:
                await here.client.execute_workflow(
                    BareChain.run, args=[name, calls[0]], id=f"bare-{uuid4()}", task_queue=BENCH_QUEUE
                )

            return chain

        ours, same, nothing = await side_by_side(rounds, delegated, bare("same_call"), bare("nothing"))

    def ratio(one: list[float], other: list[float]) -> float:
        return statistics.median(a / b for a, b in zip(one, other, strict=True))

    def per_call(times: list[float]) -> float:
        return statistics.median(times) / CALLS_IN_A_ROW * 1000

    return {
        "run_breakwater_s": statistics.median(breakwater),
        "run_plain_s": statistics.median(plain),
        "run_ratio": ratio(breakwater, plain),
        "call_breakwater_ms": per_call(ours),
        "call_bare_same_request_ms": per_call(same),
        "call_bare_nothing_ms": per_call(nothing),
        "call_ratio_same_request": ratio(ours, same),
        "call_ratio_nothing": ratio(ours, nothing),
        "history_events": events,
    }


@click.command()
@click.option("--latency", default=1.0, show_default=True, help="Seconds of model latency of the end-to-end runs.")
@click.option("--rounds", default=7, show_default=True, help="Measured rounds of each, after one warm-up.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the figures to this file.")
def main(latency: float, rounds: int, file: Path | None) -> None:
    """Measure what Breakwater costs on top of the calls themselves."""
    quiet()
    found = asyncio.run(measure(latency, rounds))
    rows = [
        (f"three calls at {latency:g} s latency, plain asyncio", f"{found['run_plain_s']:.3f} s", ""),
        ("the same through Breakwater", f"{found['run_breakwater_s']:.3f} s", f"ratio {found['run_ratio']:.3f}"),
        ("one call, bare activity that does nothing", f"{found['call_bare_nothing_ms']:.1f} ms", ""),
        ("one call, bare activity, same request", f"{found['call_bare_same_request_ms']:.1f} ms", ""),
        (
            "one call through Breakwater",
            f"{found['call_breakwater_ms']:.1f} ms",
            f"ratio {found['call_ratio_same_request']:.2f} ({found['call_ratio_nothing']:.2f} to nothing)",
        ),
        ("events in the history of a run that passes", f"{found['history_events']:.0f}", ""),
    ]
    for what, figure, note in rows:
        print(f"{what:<52}{figure:>10}  {note}")
    if file:
        file.write_text(json.dumps(found, indent=1) + "\n")
        print(f"written to {file}", file=sys.stderr)


if __name__ == "__main__":
    main()
