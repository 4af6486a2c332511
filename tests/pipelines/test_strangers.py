"""Workflows that are not ours, and reports of another version: told apart, and one line each."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from console.errors import Exit, Stop
from console.runs import ended, find
from tests.pipelines.conftest import Bench
from workflows.contracts import RunReport

QUEUE = "strangers"


@workflow.defn(name="stranger")
class Stranger:
    """Somebody else's workflow."""

    @workflow.run
    async def run(self) -> str:
        return "something else"


async def test_a_workflow_of_somebody_else_is_left_alone(bench: Bench) -> None:
    """No command shows, cancels or waits for it; the line says what it is and what to use."""
    id = f"stranger-{uuid4().hex[:8]}"
    await bench.client.start_workflow("stranger", id=id, task_queue="nobody-listens")
    with pytest.raises(Stop, match=rf"{id} is no run of Breakwater's but a workflow of type stranger") as caught:
        await find(bench.client, id)
    assert caught.value.code == Exit.USAGE
    await bench.client.get_workflow_handle(id).terminate()


async def test_a_report_of_another_version_is_one_line(bench: Bench) -> None:
    """A result that does not fit is not a traceback."""
    id = f"stranger-{uuid4().hex[:8]}"
    async with Worker(
        bench.client, task_queue=QUEUE, workflows=[Stranger], workflow_runner=UnsandboxedWorkflowRunner()
    ):
        await bench.client.execute_workflow("stranger", id=id, task_queue=QUEUE)
    handle = bench.client.get_workflow_handle(id, result_type=RunReport[Any])
    with pytest.raises(Stop, match="of another version"):
        await ended(handle, await handle.describe())
