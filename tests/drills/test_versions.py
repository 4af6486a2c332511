"""A second version is deployed while runs of the first are in flight: real worker processes, and code that differs."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import shutil
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHandle

from activities.circuit.gate import Gate
from activities.circuit.store import open_store
from benchmarks.rig import Rig, address, rig
from hosting.home import HOME_VARIABLE, PROJECT, Home
from hosting.temporal_server import temporal_binary
from tests.cli.conftest import CLEARED
from tests.pipelines.divided import answers, subtask
from tests.pipelines.divided import plan as division
from workflows.contracts import WORKFLOW_QUEUE, RunReport
from workflows.models import TIERS
from workflows.pipelines.decompose_delegate_synthesize import DecomposeDelegateSynthesize
from workflows.pipelines.decompose_delegate_synthesize import Input as DivideInput
from workflows.pipelines.plan_generate_evaluate import Input, PlanGenerateEvaluate, Result
from workflows.subagents.generator import GENERATOR

IN_FLIGHT = 10
NEW = 3
SOON = 60
"""Seconds within which a worker starts or a command ends, whatever else the machine does."""
ROOMS = ("activities", "hosting", "workflows", "worker.py")
"""What a worker is made of."""

Handles = list[WorkflowHandle[PlanGenerateEvaluate, RunReport[Result]]]


@pytest.fixture(scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    """A server and the stand-in; the workers are processes of the test's own."""
    async with rig(tmp_path_factory.mktemp("versions")) as here:
        yield here


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout whose pipeline has no planner any more: its code cannot go on with a run that has called one."""
    checkout = tmp_path_factory.mktemp("second") / "checkout"
    checkout.mkdir()
    for room in ROOMS:
        ours = PROJECT / room
        if ours.is_dir():
            shutil.copytree(ours, checkout / room, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ours, checkout / room)
    pipeline = checkout / "workflows" / "pipelines" / "plan_generate_evaluate.py"
    code = pipeline.read_text()
    assert code.count("if not input.planner:") == 1
    pipeline.write_text(code.replace("if not input.planner:", "if True:"))
    return checkout


@asynccontextmanager
async def worker_process(
    here: Rig, home: Path, checkout: Path = PROJECT, **version: str
) -> AsyncIterator[tuple[Process, Path]]:
    """A worker as an operator starts it, ready; and its log. It drains when this is left."""
    log = home / f"worker-{version.get('BREAKWATER_BUILD_ID', 'none')}.log"
    clean = {name: value for name, value in os.environ.items() if not name.startswith(CLEARED)}
    environment = clean | version | {
        HOME_VARIABLE: str(home),
        "TEMPORAL_ADDRESS": address(here.client),
        "BREAKWATER_STAND_IN_URL": here.simulator.url,
    }  # fmt: skip
    with log.open("wb") as written:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "worker.py", "--exit-with-stdin"),
            stdin=PIPE, stdout=PIPE, stderr=written, cwd=checkout, env=environment,
        )  # fmt: skip
    assert process.stdin
    assert process.stdout
    try:
        line = await asyncio.wait_for(process.stdout.readline(), SOON)
        assert line, log.read_text()
        assert json.loads(line)["event"] == "worker.ready"
        yield process, log
    finally:
        process.stdin.close()
        await asyncio.wait_for(process.wait(), SOON)


def told_command(log: Path) -> list[str]:
    """The command that a worker's log says makes its version current."""
    (line,) = (line for line in log.read_text().splitlines() if "To make it current: " in line)
    words = shlex.split(line.partition("To make it current: ")[2].split("'")[0].split('"')[0])
    assert words[0] == "temporal"
    return words[1:]


async def temporal(*arguments: str) -> None:
    """Run Temporal's own command, as an operator does."""
    process = await asyncio.create_subprocess_exec(
        str(temporal_binary()), *arguments, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(b"y\n"), SOON)
    assert process.returncode == 0, (out + err).decode()


async def start(here: Rig, count: int, what: str) -> Handles:
    """So many runs."""
    return [
        await here.client.start_workflow(
            PlanGenerateEvaluate.run, Input(task="A drill."), id=f"{what}-{number}", task_queue=WORKFLOW_QUEUE
        )
        for number in range(count)
    ]


async def divide(here: Rig) -> WorkflowHandle[Any, RunReport[Any]]:
    """A run that waits for its plan, and then starts another below it."""
    rules = [
        answers(division(subtask("rent"), subtask("site", may_delegate=True)), run="divided"),
        answers(division(subtask("east"), subtask("west")), run="divided.site"),
    ]
    here.simulator.rules(rules)
    handle = await here.client.start_workflow(
        DecomposeDelegateSynthesize.run, DivideInput(task="A drill."), id="divided", task_queue=WORKFLOW_QUEUE
    )
    async with asyncio.timeout(SOON):
        async for event in handle.fetch_history_events(wait_new_event=True):
            if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
                break
    return handle


async def builds(handle: WorkflowHandle[Any, Any]) -> set[str]:
    """The build ids that a run's workflow tasks were done by."""
    history = await handle.fetch_history()
    done = (event.workflow_task_completed_event_attributes for event in history.events)
    return {each.deployment_version.build_id for each in done if each.started_event_id}


async def test_runs_in_flight_end_on_the_code_they_began_on(stage: Rig, second: Path, tmp_path: Path) -> None:
    """Ten runs wait between planner and generator while a version without a planner becomes current: all pass."""
    version = {"BREAKWATER_DEPLOYMENT": "drill", "BREAKWATER_BUILD_ID": "1"}
    home = Home(tmp_path)
    home.prepare()
    # With the patience of a person: workers go on by themselves if the store is slow, the drill could not.
    gate = Gate(open_store(home.breaker_store, timedelta(seconds=SOON)), worker="drill")
    circuit = stage.model.circuit_of(TIERS[GENERATOR.tier])
    await gate.force(circuit, "open", reason="a version is being deployed", by="a drill")
    async with AsyncExitStack() as stack:
        stack.push_async_callback(gate.close)
        await stack.enter_async_context(worker_process(stage, tmp_path, PROJECT, **version))
        old = await start(stage, IN_FLIGHT, "old")
        divided = await divide(stage)
        async with asyncio.timeout(SOON):
            await stage.simulator.journal.until(
                lambda journal: len([each for each in journal if each.outcome == "answered"]) == IN_FLIGHT
            )
        _, log = await stack.enter_async_context(
            worker_process(stage, tmp_path, second, **version | {"BREAKWATER_BUILD_ID": "2"})
        )
        await temporal(*told_command(log))
        new = await start(stage, NEW, "new")
        await gate.reset(circuit)
        async with asyncio.timeout(SOON):
            reports = await asyncio.gather(*(handle.result() for handle in old + new))
            assert (await divided.result()).passed
    assert all(report.passed for report in reports)
    roles = [tuple(reply.role for reply in report.agents) for report in reports]
    assert roles[:IN_FLIGHT] == [("planner", "generator", "evaluator")] * IN_FLIGHT
    assert roles[IN_FLIGHT:] == [("generator", "evaluator")] * NEW
    assert [await builds(handle) for handle in old + new] == [{"1"}] * IN_FLIGHT + [{"2"}] * NEW
    below = stage.client.get_workflow_handle(f"{divided.id}.site")
    assert [await builds(divided), await builds(below)] == [{"1"}] * 2, "a run below one stays with it"
