"""How divided tasks end that are not done in whole: what was paid is counted, what was done is kept, the rest named."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowFailureError

from tests.pipelines.conftest import Bench
from tests.pipelines.divided import answers, done, new_id, plan, report, result, roles, start, states, subtask
from workflows.contracts import RunReport

INITIATED = EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED
STALLED: dict[str, Any] = {"match": {"role": "specialist"}, "fault": {"kind": "stall"}}


async def test_a_deadline_with_nothing_done_is_a_deadline_and_names_everything(bench: Bench) -> None:
    """Specialists that were stopped for want of time have not failed, and nobody plans another way for them."""
    ended, _ = await done(bench, [answers(plan(subtask("a"), subtask("b"))), STALLED], deadline="PT6S")
    assert (ended.status, ended.stop_reason, ended.passed) == ("finished", "deadline", False)
    assert [each.id for each in result(ended).not_covered] == ["a", "b"]
    assert "Not covered" in result(ended).text()
    assert roles(ended).count("decomposer") == 1


async def test_a_simple_task_has_all_the_time_there_is(bench: Bench) -> None:
    """There is no synthesis to keep time for; a deadline that passes is called one."""
    simple = answers(plan(subtask("a"), complexity="simple"))
    slow = {"match": {"role": "specialist"}, "latency": 6}
    ended, _ = await done(bench, [simple, slow], deadline="PT10S")
    assert (ended.stop_reason, ended.passed) == ("satisfied", True)
    ended, _ = await done(bench, [simple, STALLED], deadline="PT2S")
    assert (ended.stop_reason, ended.passed) == ("deadline", False)


async def test_a_quorum_of_more_than_there_is_pays_for_none(bench: Bench) -> None:
    """Only the plan was asked for, and the message says which policy it could not meet."""
    ended, _ = await done(bench, [answers(plan(subtask("a"), subtask("b")))], require="quorum:3")
    assert (ended.stop_reason, ended.agents_started) == ("policy_not_met", 1)
    assert (ended.message or "").startswith("quorum:3 was not reached: 0 of 2 subtasks are done")
    assert set(states(ended).values()) == {"not_started"}


async def test_what_is_missing_is_named_where_nothing_was_done(bench: Bench) -> None:
    """A run that may start nobody but the decomposer still says what it would have taken."""
    ended, _ = await done(bench, [answers(plan(subtask("a"), subtask("b")))], max_agents=1)
    assert (ended.stop_reason, ended.passed) == ("budget_exceeded", False)
    assert [each.id for each in result(ended).not_covered] == ["a", "b"]


async def test_a_failure_below_that_nobody_can_avoid_is_not_planned_again(bench: Bench) -> None:
    """A missing credential is as incurable in a run below as it is here."""
    run = new_id()
    rules = [
        answers(plan(subtask("a", may_delegate=True), subtask("b"))),
        answers(plan(subtask("aa"), subtask("ab")), run=f"{run}.a"),
        {"match": {"run": f"{run}.a", "role": "specialist"}, "fault": {"kind": "status", "status": 401}},
    ]
    ended = await report(await start(bench, rules, run, early_stop=False))
    assert ended.stop_reason == "policy_not_met"
    assert states(ended) == {"a": "failed", "b": "passed"}
    assert "decomposer-2" not in {reply.agent for reply in ended.agents}


async def test_a_cancelled_tree_keeps_what_was_finished_below(bench: Bench) -> None:
    """A piece that a run below had done is in the root's result, though that run did not pass."""
    run = new_id()
    rules = [
        answers(plan(subtask("a", may_delegate=True), subtask("b"))),
        answers(plan(subtask("aa"), subtask("ab")), run=f"{run}.a"),
        {"match": {"run": run, "role": "specialist"}, "fault": {"kind": "stall"}},
        {"match": {"run": f"{run}.a", "agent": "specialist-2"}, "fault": {"kind": "stall"}},
    ]
    handle = await start(bench, rules, run)
    below = bench.client.get_workflow_handle(f"{run}.a")
    await bench.seen(f"{run}.a", "specialist-2")
    async with asyncio.timeout(20):
        while "result/aa" not in await below.query("state", {}):  # noqa: ASYNC110 - a query is all there is to ask
            await asyncio.sleep(0.02)
    await handle.cancel()
    with pytest.raises(WorkflowFailureError):
        await handle.result()
    kept = await handle.query("report")
    assert {row["id"]: row["state"] for row in kept["result"]["subtasks"]} == {"a": "failed", "b": "failed"}
    assert "Find out aa: done" in kept["result"]["content"]
    assert [each["why"] for each in kept["result"]["not_covered"]] == ["stopped: cancelled"] * 2


async def test_a_cancel_while_runs_are_being_started_loses_no_spend(bench: Bench) -> None:
    """A run that has been asked for will begin and spend, whenever the cancellation comes: its end is heard."""
    run = new_id()
    names = [f"s{number}" for number in range(10)]
    handle = await start(bench, [answers(plan(*(subtask(name, may_delegate=True) for name in names)))], run)
    async with asyncio.timeout(30):
        async for event in handle.fetch_history_events(wait_new_event=True):
            if event.event_type == INITIATED:
                break
    await handle.cancel()
    with pytest.raises(WorkflowFailureError):
        await handle.result()
    kept: RunReport[Any] = RunReport[Any].model_validate(await handle.query("report"))
    tree = {run: "", **{f"{run}.{name}": f"{name}/" for name in names}}
    asked = {f"{tree[each.run]}{each.agent}" for each in bench.simulator.journal.entries() if each.run in tree}
    assert asked <= {reply.agent for reply in kept.agents}
    assert len(asked) <= kept.agents_started
