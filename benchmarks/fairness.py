"""Five runs of one tenant beside five hundred of another: how much longer do they take than alone?

    python -m benchmarks.fairness                       # about a minute and a half
    python -m benchmarks.fairness --many 100            # a quick look, no measurement

One worker, one real Temporal server with the embedded settings, the stand-in; a run is one call. First the five alone,
several times. Then the five hundred are started and, while they wait for the worker's slots, the five: without a
tenant, so that all wait in one line, and with. What counts is the time from a run's start to its result.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from uuid import uuid4

import click
from temporalio.client import WorkflowHandle
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from benchmarks.rig import Rig, connected, quiet, rig
from benchmarks.storm_worker import STORM_QUEUE, Answered, OneCall
from simulator import ServerOptions
from worker import Settings
from workflows.contracts import RunReport
from workflows.run import RunInput

ROUNDS = 4
"""Five runs have no p95 of their own: twenty do. In one line one round is enough: it lasts as long as the line."""
STARTS = 20
"""Starts under way at once: what is measured is the line for calls, not a server that drowns in starts."""
PROMISED = 2.0
"""Times alone, at most, for the p95 of the tenant with few runs."""


@dataclass(frozen=True)
class Figures:
    """Seconds from a run's start to its result."""

    few: int
    many: int
    slots: int
    latency_s: float
    alone_p95_s: float
    one_line_p95_s: float
    taking_turns_p95_s: float
    many_done_s: float
    """When the last of the many was done, beside the few."""

    @property
    def ratio(self) -> float:
        """How much longer than alone, beside the many, as tenants."""
        return self.taking_turns_p95_s / self.alone_p95_s


def p95(seconds: Sequence[float]) -> float:
    """The time that 95 in 100 stay below; of fewer than twenty, the longest."""
    return max(seconds) if len(seconds) < 20 else statistics.quantiles(seconds, n=20)[-1]


async def started(here: Rig, tenant: str | None) -> WorkflowHandle[OneCall, RunReport[Answered]]:
    """One run of one call, on its way."""
    input = RunInput(tenant=tenant)
    return await here.client.start_workflow(
        OneCall.run, input, id=f"fair-{uuid4()}", task_queue=STORM_QUEUE, priority=input.place_in_line()
    )


async def run(here: Rig, tenant: str | None) -> float:
    """One run of one call; returns how long it took."""
    began = monotonic()
    report = await (await started(here, tenant)).result()
    if not report.passed:
        raise RuntimeError(report.message)
    return monotonic() - began


async def rounds(here: Rig, few: int, times: int, tenant: str | None) -> float:
    """The p95 of a few runs at once, several times over."""
    return p95([took for _ in range(times) for took in await asyncio.gather(*(run(here, tenant) for _ in range(few)))])


async def beside(
    here: Rig, few: int, many: int, times: int, tenants: tuple[str | None, str | None]
) -> tuple[float, float]:
    """The few's p95, if they come when the many have all been started, and when the last of the many was done."""
    began = monotonic()
    at_once = asyncio.Semaphore(STARTS)

    async def start() -> WorkflowHandle[OneCall, RunReport[Answered]]:
        async with at_once:
            return await started(here, tenants[0])

    crowd = await asyncio.gather(*(start() for _ in range(many)))
    found = await rounds(here, few, times, tenants[1])
    await asyncio.gather(*(each.result() for each in crowd))
    return found, monotonic() - began


async def measure(few: int, many: int, slots: int, latency: float) -> Figures:
    """All three, one after another, on one rig."""
    settings = Settings(worker_grace_period=0, max_concurrent_subagents=slots)
    with TemporaryDirectory() as folder:
        async with rig(Path(folder), "one", settings=settings, simulated=ServerOptions(latency=latency)) as here:
            client = await connected(here.client)
            runs = Worker(
                client, task_queue=STORM_QUEUE, workflows=[OneCall], workflow_runner=UnsandboxedWorkflowRunner()
            )
            async with runs:
                await run(here, None)  # everybody is warm
                alone = await rounds(here, few, ROUNDS, "few")
                one_line, _ = await beside(here, few, many, 1, (None, None))
                turns, done = await beside(here, few, many, ROUNDS, ("many", "few"))
    return Figures(few, many, slots, latency, alone, one_line, turns, done)


def table(found: Figures) -> str:
    """The figures, ratios first."""
    rows = [
        ("alone", found.alone_p95_s),
        (f"beside {found.many} runs, as tenants", found.taking_turns_p95_s),
        (f"beside {found.many} runs, in one line with them", found.one_line_p95_s),
    ]
    lines = [f"p95 of {found.few} runs of one call ({found.latency_s:g} s), one worker with {found.slots} slots"]
    lines += [f"  {what:<44}{seconds / found.alone_p95_s:>6.2f} ×{seconds:>9.2f} s" for what, seconds in rows]
    return "\n".join([*lines, f"  the {found.many} were done after {found.many_done_s:.1f} s"])


@click.command()
@click.option("--few", default=5, show_default=True, help="Runs of the tenant that is measured.")
@click.option("--many", default=500, show_default=True, help="Runs of the other tenant.")
@click.option("--slots", default=50, show_default=True, help="Calls at once of the worker.")
@click.option("--latency", default=2.0, show_default=True, help="Seconds of model latency of a call.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the figures to this file.")
def main(few: int, many: int, slots: int, latency: float, file: Path | None) -> None:
    """Measure whether a tenant with much holds up one with little. Exits 1 if it does."""
    quiet()
    found = asyncio.run(measure(few, many, slots, latency))
    print(table(found))
    if file:
        file.write_text(json.dumps({**asdict(found), "ratio": found.ratio}, indent=1) + "\n")
        print(f"written to {file}", file=sys.stderr)
    if found.ratio > PROMISED:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
