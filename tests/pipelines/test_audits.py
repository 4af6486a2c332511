"""Audits of whole trees: what runs below a run did is part of what it did."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

from temporalio.api.common.v1 import WorkflowExecution

from console.commands.audit import audit_lines, calls_below
from tests.pipelines.conftest import Bench
from tests.pipelines.divided import Divided, answers, new_id, plan, report, start, subtask
from workflows.contracts import RunReport


async def audited(bench: Bench, handle: Divided, ended: RunReport[Any]) -> list[dict[str, Any]]:
    """The records of a run's audit."""
    return [json.loads(line) for line in await audit_lines(bench.client, handle, ended)]


async def test_the_calls_of_runs_below_are_in_the_audit_each_with_its_run(bench: Bench) -> None:
    """Two levels down, every request that the API saw is a line, and the same each time."""
    run = new_id()
    rules = [
        answers(plan(subtask("rent"), subtask("site", may_delegate=True))),
        answers(plan(subtask("east"), subtask("west", may_delegate=True)), run=f"{run}.site"),
        answers(plan(subtask("low"), subtask("high")), run=f"{run}.site.west"),
    ]
    handle = await start(bench, rules, run, max_depth=2)
    ended = await report(handle)
    tree = [run, f"{run}.site", f"{run}.site.west"]

    records = await audited(bench, handle, ended)
    assert [(each["run_id"], each.get("parent")) for each in records if each["type"] == "started"] == [
        (run, None),
        (tree[1], run),
        (tree[2], tree[1]),
    ]
    calls = sorted((each["run_id"], each["agent"]) for each in records if each["type"] == "call")
    assert calls == sorted((each, entry.agent) for each in tree for entry in bench.requests(each))
    assert len(calls) == ended.agents_started
    assert records == await audited(bench, handle, ended)


async def test_a_run_below_that_the_server_has_removed_is_named(bench: Bench) -> None:
    """It ended before the run above it and is removed before it: the audit says what is missing from it."""
    gone = WorkflowExecution(workflow_id="gone.site", run_id=str(uuid4()))
    [record] = [each async for each in calls_below(bench.client, gone)]
    assert (record["type"], record["run_id"]) == ("unread", "gone.site")
    assert "does not keep its history" in record["why"]


async def test_a_run_below_that_goes_on_is_said_to(bench: Bench) -> None:
    """A run that was ended from outside leaves runs below it, whose story is not over when the audit is written."""
    handle = await start(bench, [{"match": {"role": "decomposer"}, "latency": 3600}])
    await bench.seen(handle.id, "decomposer-1")
    execution = WorkflowExecution(workflow_id=handle.id, run_id=handle.result_run_id or "")
    call, last = [each async for each in calls_below(bench.client, execution)][1:]
    assert (call["agent"], call["error"]) == ("decomposer-1", last["why"])
    assert last["type"] == "unread"
    await handle.cancel()
