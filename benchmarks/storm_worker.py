"""One worker process of the storm benchmark: Breakwater's own workers, and a pipeline of one call.

    python -m benchmarks.storm_worker SERVER STAND_IN NAME

Started by benchmarks.storm. BREAKWATER_HOME and BREAKER_… are read as worker.py reads them; it says `ready` on standard
output and stops when its standard input ends.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from datetime import timedelta

import click
from temporalio import workflow
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

import worker
from activities.claude import claude
from activities.logs import log_to_stderr
from benchmarks.worker_process import ready_until_let_go
from hosting.home import Home
from workflows.contracts import RunReport
from workflows.delegate import delegate
from workflows.run import Outcome, Run, RunInput, RunResult, require
from workflows.subagents.planner import PLANNER, PlanRequest

STORM_QUEUE = "storm"
TASK = "Design and implement a simple to-do management CLI tool in Python."
SILENCE = timedelta(seconds=60)


class Answered(RunResult):
    """The result of a benchmark run: nothing."""


@workflow.defn
class OneCall:
    """A run of one subagent call, through `delegate`: the real gate and the real wait for an open circuit."""

    @workflow.run
    async def run(self, input: RunInput) -> RunReport[Answered]:
        run = Run[Answered](input)

        async def story() -> Outcome[Answered]:
            require(await delegate(run, PLANNER, PlanRequest(task=TASK)))
            return Outcome("done", True, None)

        return await run.conduct(story())


async def serve(server: str, stand_in: str, name: str) -> None:
    """Work until standard input ends."""
    settings = worker.Settings.read(os.environ)
    async with AsyncExitStack() as stack:
        client = await Client.connect(server, data_converter=pydantic_data_converter, identity=name)
        model = await stack.enter_async_context(claude(SILENCE, stand_in))
        home = Home.locate()
        gate, journal = worker.breaker(settings, home, name), worker.answers(settings, home)
        stack.push_async_callback(gate.close)
        stack.push_async_callback(journal.close)
        runs = Worker(client, task_queue=STORM_QUEUE, workflows=[OneCall], workflow_runner=UnsandboxedWorkflowRunner())
        for each in (*worker.workers(client, model, gate, journal, settings), runs):
            await stack.enter_async_context(each)
        await ready_until_let_go()


@click.command()
@click.argument("server")
@click.argument("stand_in")
@click.argument("name")
def main(server: str, stand_in: str, name: str) -> None:
    """Run one worker process of the storm benchmark."""
    log_to_stderr(discreetly=False)
    asyncio.run(serve(server, stand_in, name))


if __name__ == "__main__":
    main()
