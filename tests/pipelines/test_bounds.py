"""Bounds on a real server: what is not started is named, who may wait waits, and a raised bound lets a run go on."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, Worker

from console.follow import snapshot
from tests.pipelines import divided
from tests.pipelines.conftest import Bench, report_of, seen
from tests.pipelines.fan_out import FanOut, Input, Latecomer, Result
from workflows.caps import BudgetRaise, Caps, Grant
from workflows.contracts import RunReport, Usage
from workflows.pipelines.compliance_review import ComplianceReview
from workflows.pipelines.compliance_review import Input as Reviewed
from workflows.pipelines.decompose_delegate_synthesize import DecomposeDelegateSynthesize

QUEUE = "tests-fan-out"
UPSERTS = {
    EventType.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED,
    EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES,
}
Handle = WorkflowHandle[Any, RunReport[Any]]
FanOutOf = Callable[..., Awaitable[WorkflowHandle[FanOut, RunReport[Result]]]]


async def refusal(handle: Handle, **asked: Any) -> str:
    """What a run says to a raise that it refuses."""
    with pytest.raises(WorkflowUpdateFailedError) as raised:
        await handle.execute_update("raise_budget", BudgetRaise(**asked))
    assert isinstance(raised.value.cause, ApplicationError)
    return raised.value.cause.message


@pytest.fixture
async def fan_out(bench: Bench) -> AsyncIterator[FanOutOf]:
    """Start a fan-out; its orchestrator has a queue of its own, its calls go to the bench's worker."""

    async def start(agents: int, **bounds: Any) -> WorkflowHandle[FanOut, RunReport[Result]]:
        return await bench.client.start_workflow(
            FanOut.run, Input(agents=agents, **bounds), id=f"test-{uuid4().hex[:12]}", task_queue=QUEUE
        )

    async with Worker(
        bench.client,
        task_queue=QUEUE,
        workflows=[FanOut, Latecomer],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        yield start


async def test_agents_started_equal_the_cap_exactly(bench: Bench, fan_out: FanOutOf) -> None:
    """Fifty ask at once, seven are started, the API sees seven, and the report names the other forty-three."""
    handle = await fan_out(50, max_agents=7)
    report = await handle.result()
    assert report.result
    assert (report.agents_started, report.result.answered, report.passed) == (7, 7, False)
    assert len({entry.agent for entry in bench.requests(handle.id)}) == 7
    assert report.not_started == [f"answerer-{number}" for number in range(8, 51)]
    assert {reply.error_kind for reply in report.agents} == {None, "budget_exceeded"}
    assert report.warnings == ["7 of 7 agents have been started"]


async def test_who_does_not_fit_now_waits_for_what_others_do_not_use(bench: Bench, fan_out: FanOutOf) -> None:
    """A dollar holds ten ten-cent calls at once; fifty that use far less are all made, and nobody had to wait long."""
    handle = await fan_out(50, budget_usd=1)
    report = await handle.result()
    assert (report.passed, report.agents_started, report.not_started) == (True, 50, [])
    assert report.cost_usd is not None
    assert 0 < report.cost_usd < 0.8
    assert len(bench.requests(handle.id)) == 50


async def test_who_waits_for_room_is_shown_with_what_it_waits_for_and_until_when(bench: Bench) -> None:
    """In `show`, in the UI's current details, and nowhere in the history: each waiter would be events of it."""
    asked = Reviewed(transaction="{}", format="text", budget_usd=0.1, deadline=timedelta(hours=1))
    slow = {"match": {"agent": "reviewer-aml-1"}, "latency": 3600}
    handle: Handle = await bench.begin(ComplianceReview.run, asked, [slow])
    await bench.seen(handle.id, "reviewer-aml-1")
    view = await snapshot(handle)
    words = "reviewer-kyc-1, reviewer-fatf-1 wait for room: the next call may cost "
    assert (view.room or "").startswith(words)
    assert " of the $0.1000 budget is left; what is under way holds it and gives back" in (view.room or "")
    assert re.search(r", until \d\d:\d\d:\d\d UTC at the latest$", view.room or "")
    assert words in str(await handle.query("__temporal_workflow_metadata"))
    assert not UPSERTS & {event.event_type async for event in handle.fetch_history_events()}
    await handle.cancel()
    with pytest.raises(WorkflowFailureError):
        await handle.result()
    assert words not in str(await handle.query("__temporal_workflow_metadata"))
    assert await handle.query("waits_for_room") is None


async def test_paused_branches_all_go_on_after_a_raise(bench: Bench, fan_out: FanOutOf) -> None:
    """Five of eight wait for more agents, in few events; six in all are not enough, eight are."""
    handle = await fan_out(8, max_agents=3, on_budget="pause")
    view = await seen(handle, lambda view: view.waiting and len(view.calls) == 3)
    assert view.waiting
    assert view.waiting.status == "waiting_for_budget"
    assert view.waiting.todo == f"starter.py budget {handle.id} --agents TOTAL"
    assert "all 3 agents" in view.waiting.why
    assert await handle.execute_update("raise_budget", BudgetRaise(agents=6)) == 5
    await seen(handle, lambda view: view.waiting and len(view.calls) == 6)
    assert await handle.execute_update("raise_budget", BudgetRaise(agents=8)) == 2
    report = await handle.result()
    assert (report.passed, report.agents_started, report.not_started) == (True, 8, [])
    history = await handle.fetch_history()
    assert Counter(event.event_type in UPSERTS for event in history.events)[True] <= 8


async def test_a_paused_run_goes_on_where_it_stood(bench: Bench) -> None:
    """The generator waits for money, a person raises the total, and nothing is paid twice."""
    handle = await bench.start(budget_usd=0.01, on_budget="pause")
    view = await seen(handle, lambda view: view.waiting)
    assert view.waiting
    assert view.waiting.todo == f"starter.py budget {handle.id} --usd TOTAL"
    assert "generator-1" in view.waiting.why
    assert re.search(r"; it takes at least \$0\.1\d+ in all$", view.waiting.why)
    details = str(await handle.query("__temporal_workflow_metadata"))
    assert view.waiting.todo in details
    assert "already: give the new total" in await refusal(handle, usd=0.005)
    assert "no bound on tokens" in await refusal(handle, tokens=1_000_000)
    assert "say what to raise" in await refusal(handle)
    assert await handle.execute_update("raise_budget", BudgetRaise(usd=5)) == 1
    report = await report_of(handle)
    assert (report.passed, report.stop_reason) == (True, "satisfied")
    assert [entry.agent for entry in bench.requests(handle.id)] == ["planner-1", "generator-1", "evaluator-1"]
    assert (await seen(handle, lambda view: view.ended)).waiting is None


async def test_the_deadline_ends_a_wait_for_money(bench: Bench) -> None:
    """Nobody raises anything: the run ends by its deadline, not as something that hangs."""
    handle = await bench.start(budget_usd=0.01, on_budget="pause", deadline="PT3S")
    report = await report_of(handle)
    assert (report.status, report.stop_reason) == ("finished", "deadline")
    assert {entry.agent for entry in bench.requests(handle.id)} <= {"planner-1"}


async def test_a_paused_run_can_be_cancelled(bench: Bench) -> None:
    """It ends as cancelled, and what was spent is known."""
    handle = await bench.start(budget_usd=0.01, on_budget="pause")
    await seen(handle, lambda view: view.waiting)
    await handle.cancel()
    with pytest.raises(WorkflowFailureError) as raised:
        await handle.result()
    assert isinstance(raised.value.cause, CancelledError)
    report = await handle.query("report")
    assert (report["status"], report["agents_started"]) == ("cancelled", 1)
    assert report["cost_usd"] > 0


async def test_a_token_cap_stops_before_it_is_passed(bench: Bench) -> None:
    """Input and output count together; the best that is there is kept."""
    report = await bench.run(max_tokens=8_000)
    assert (report.status, report.stop_reason, report.passed) == ("finished", "budget_exceeded", False)
    assert report.usage.total <= 8_000
    assert report.not_started == ["generator-1"]
    assert report.message
    assert "of 8,000 are left" in report.message
    assert "--on-budget pause" in report.message


async def test_the_agent_that_was_not_started_is_named_and_the_work_is_kept(bench: Bench) -> None:
    """Two agents are not enough to judge: the deliverable is there, unverified."""
    report = await bench.run(max_agents=2)
    assert (report.stop_reason, report.not_started, report.agents_started) == ("budget_exceeded", ["evaluator-1"], 2)
    assert report.result
    assert report.result.verdict == "UNVERIFIED"
    assert report.warnings == ["2 of 2 agents have been started"]


async def test_a_run_on_a_grant_returns_instead_of_pausing(bench: Bench) -> None:
    """Its bounds are the grant's, whatever else its input says, and only its parent can have more."""
    grant = Grant(number=1, caps=Caps(agents=1, depth=0))
    handle = await bench.start([{"latency": 0.5}], grant=grant, on_budget="pause", max_agents=50)
    assert "raise the budget of the run that started it" in await refusal(handle, agents=5)
    report = await report_of(handle)
    assert (report.stop_reason, report.agents_started, report.not_started) == ("budget_exceeded", 1, ["generator-1"])


@pytest.mark.parametrize("enough", [20, 6])
async def test_a_divided_task_waits_for_agents_and_is_put_together(bench: Bench, enough: int) -> None:
    """Three agents are a decomposer and two specialists; with more the others are done, and there is a synthesis."""
    five = divided.plan(*(divided.subtask(id) for id in "abcde"))
    handle = await divided.start(bench, [divided.answers(five)], max_agents=3, on_budget="pause")
    await seen(handle, lambda view: view.waiting)
    await handle.execute_update("raise_budget", BudgetRaise(agents=enough))
    if enough == 6:  # decomposer and specialists; the synthesizer is one too few
        await seen(handle, lambda view: view.waiting and "synthesizer-1" in view.waiting.why)
        await handle.execute_update("raise_budget", BudgetRaise(agents=7))
    ended = await divided.report(handle)
    assert (ended.stop_reason, ended.passed, ended.agents_started) == ("satisfied", True, 7)
    assert set(divided.states(ended).values()) == {"passed"}
    assert divided.result(ended).synthesized


async def deep(bench: Bench, run: str, **bounds: Any) -> Handle:
    """A run that waits for agents that a run below it lacks."""
    root = divided.plan(divided.subtask("a"), divided.subtask("deep", may_delegate=True))
    below = divided.plan(*(divided.subtask(id) for id in "vwxyz"))
    rules = [divided.answers(root), divided.answers(below, run=f"{run}.deep")]
    handle = await divided.start(bench, rules, run, max_agents=6, on_budget="pause", **bounds)
    view = await seen(handle, lambda view: view.waiting)
    assert view.waiting
    assert view.waiting.why.startswith("deep/")
    return handle


async def test_a_run_below_gets_more_when_a_person_gives_the_root_more(bench: Bench) -> None:
    """A grant that is used up is added to: the child asks, the root waits for a person, and nothing is done twice."""
    run = divided.new_id()
    handle = await deep(bench, run)
    child = bench.client.get_workflow_handle(f"{run}.deep")
    assert "raise the budget of the run that started it" in await refusal(child, agents=30)
    await handle.execute_update("raise_budget", BudgetRaise(agents=30))
    ended = await divided.report(handle)
    assert (ended.stop_reason, ended.passed) == ("satisfied", True)
    asked = [entry.agent for entry in (*bench.requests(run), *bench.requests(f"{run}.deep"))]
    assert len(asked) == len(ended.agents) == ended.agents_started
    assert sum((reply.usage for reply in ended.agents), Usage()) == ended.usage
    replayer = Replayer(workflows=[DecomposeDelegateSynthesize], data_converter=bench.client.data_converter)
    for each in (handle, child):
        await replayer.replay_workflow(await each.fetch_history())


async def test_a_tree_that_waits_for_a_person_can_be_cancelled(bench: Bench) -> None:
    """The run below ends with it, and what both had spent is in the root's report."""
    run = divided.new_id()
    handle = await deep(bench, run)
    await handle.cancel()
    with pytest.raises(WorkflowFailureError) as raised:
        await handle.result()
    assert isinstance(raised.value.cause, CancelledError)
    description = await bench.client.get_workflow_handle(f"{run}.deep").describe()
    assert description.status == WorkflowExecutionStatus.CANCELED
    kept = await handle.query("report")
    asked = [entry.agent for entry in (*bench.requests(run), *bench.requests(f"{run}.deep"))]
    assert kept["agents_started"] == len(asked)


async def test_the_deadline_ends_a_tree_that_waits_for_a_person(bench: Bench) -> None:
    """With what is done; the run below does not outlive it."""
    run = divided.new_id()
    handle = await deep(bench, run, deadline="PT6S")
    ended = await divided.report(handle)
    assert (ended.status, ended.passed) == ("finished", False)
    assert ended.stop_reason in {"deadline", "budget_exceeded"}
    description = await bench.client.get_workflow_handle(f"{run}.deep").describe()
    assert description.status == WorkflowExecutionStatus.COMPLETED


@pytest.mark.usefixtures("fan_out")
async def test_a_wait_that_begins_after_the_deadline_ends_at_once(bench: Bench) -> None:
    """A timer for a moment that has passed is never set: the run waited for ever."""
    input, run = Input(agents=1, deadline=timedelta(milliseconds=10)), f"test-{uuid4().hex[:12]}"
    handle = await bench.client.start_workflow(Latecomer.run, input, id=run, task_queue=QUEUE)
    async with asyncio.timeout(30):
        report = await handle.result()
    assert (report.status, report.stop_reason, report.passed) == ("finished", "deadline", False)
