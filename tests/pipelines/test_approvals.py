"""People in the loop, on a real server: nothing is done before they say so, and what they say is what is done."""

from __future__ import annotations

from typing import Any

import pytest
from temporalio.client import WorkflowFailureError, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.worker import Replayer

from tests.pipelines import divided
from tests.pipelines.conftest import Bench, Rules, evaluation, plan, report_of, seen
from workflows.contracts import RunReport
from workflows.pipelines.plan_generate_evaluate import Input, PlanGenerateEvaluate

Handle = WorkflowHandle[Any, RunReport[Any]]
PLANNED: Rules = [{"match": {"role": "planner"}, "answer": plan(C1="must", C2="should")}]


async def waiting(bench: Bench, rules: Rules = PLANNED, **input: Any) -> Handle:
    """A run that waits for its criteria to be approved."""
    handle = await bench.start(rules, **{"approve": "criteria", **input})
    await seen(handle, lambda view: view.waiting)
    return handle


async def refusal(handle: Handle, update: str, *arguments: Any) -> str:
    """What a run says to an update that it refuses."""
    with pytest.raises(WorkflowUpdateFailedError) as raised:
        await handle.execute_update(update, args=list(arguments))
    assert isinstance(raised.value.cause, ApplicationError)
    return raised.value.cause.message


async def test_nothing_is_generated_before_the_criteria_are_approved(bench: Bench) -> None:
    """The planner's plan waits, says what to type, and the generator gets it once a person has approved."""
    handle = await waiting(bench)
    view = await seen(handle, lambda view: view.waiting)
    assert view.waiting
    assert (view.waiting.status, view.waiting.why) == ("waiting_for_approval", "for your approval of the criteria")
    for command in ("proposal", "approve", "reject", "amend"):
        assert f"{command} {handle.id}" in view.waiting.todo
    proposed = await handle.query("waiting_for")
    assert [row["id"] for row in proposed["value"]["criteria"]] == ["C1", "C2"]
    details = str(await handle.query("__temporal_workflow_metadata"))
    assert "for your approval of the criteria" in details
    assert "statement of C2" in details
    assert {entry.agent for entry in bench.requests(handle.id)} == {"planner-1"}
    assert await handle.execute_update("approve") == "criteria"
    report = await report_of(handle)
    assert report.passed
    assert [(each.what, each.outcome) for each in report.decisions] == [("criteria", "approved")]
    assert await handle.query("waiting_for") is None


async def test_amended_criteria_are_the_ones_that_are_used(bench: Bench) -> None:
    """Generator and evaluator see the person's criteria, and the planner's nowhere."""
    rules: Rules = [*PLANNED, {"match": {"role": "evaluator"}, "answer": evaluation(P1="pass")}]
    handle = await waiting(bench, rules)
    proposed = (await handle.query("waiting_for"))["value"]
    mine = {"id": "P1", "statement": "It is mine.", "how_to_verify": "Read it.", "level": "must"}
    assert await handle.execute_update("amend", {**proposed, "goal": "Mine.", "criteria": [mine]}) == "criteria"
    report = await report_of(handle)
    assert report.passed
    assert report.result
    assert ([row.id for row in report.result.criteria], report.result.goal) == (["P1"], "Mine.")
    for agent in ("generator-1", "evaluator-1"):
        prompt = bench.requests(handle.id, agent)[0].prompt or ""
        assert "It is mine." in prompt
        assert "statement of C1" not in prompt
    assert report.decisions[0].outcome == "amended"
    replayer = Replayer(workflows=[PlanGenerateEvaluate], data_converter=bench.client.data_converter)
    await replayer.replay_workflow(await handle.fetch_history())


async def test_a_rejected_plan_ends_the_run_with_the_reason(bench: Bench) -> None:
    """Finished, not passed, and nothing more was spent."""
    handle = await waiting(bench, approve="plan")
    assert await handle.execute_update("reject", "it misses the point") == "plan"
    report = await report_of(handle)
    assert (report.status, report.stop_reason, report.passed) == ("finished", "rejected", False)
    assert report.message == "the plan was rejected: it misses the point"
    assert (report.decisions[0].outcome, report.decisions[0].reason) == ("rejected", "it misses the point")
    assert {entry.agent for entry in bench.requests(handle.id)} == {"planner-1"}


async def test_what_will_not_do_is_refused_and_changes_nothing(bench: Bench) -> None:
    """A wrong amendment says what is wrong with it, a reason must be one, and the run still waits."""
    handle = await waiting(bench)
    proposed = (await handle.query("waiting_for"))["value"]
    assert "criteria: at least one criterion must be a `must`" in await refusal(
        handle, "amend", {**proposed, "criteria": [{**proposed["criteria"][1]}]}
    )
    assert "criteria.0.level" in await refusal(
        handle, "amend", {**proposed, "criteria": [{**proposed["criteria"][0], "level": "perhaps"}]}
    )
    assert "criteria.0.wieght: Extra inputs are not permitted" in await refusal(
        handle, "amend", {**proposed, "criteria": [{**proposed["criteria"][0], "wieght": 1}]}
    )
    assert "critera: Extra inputs are not permitted" in await refusal(handle, "amend", {**proposed, "critera": []})
    assert "this cannot be the criteria: " in await refusal(handle, "amend", "yes")
    assert "say why" in await refusal(handle, "reject", "  ")
    assert (await handle.query("waiting_for"))["value"] == proposed
    await handle.execute_update("approve")
    assert (await report_of(handle)).passed


async def test_a_run_that_proposes_nothing_refuses_a_decision(bench: Bench) -> None:
    """Whoever is too early, or too late, is told so."""
    handle = await bench.start([{"match": {"role": "planner"}, "latency": 0.5}])
    for update, *arguments in (("approve",), ("reject", "no"), ("amend", {})):
        assert f"nothing in {handle.id} waits for approval" in await refusal(handle, update, *arguments)
    assert (await report_of(handle)).passed


async def test_a_run_that_waits_for_approval_can_be_cancelled(bench: Bench) -> None:
    """It ends as cancelled, with what it had spent."""
    handle = await waiting(bench)
    await handle.cancel()
    with pytest.raises(WorkflowFailureError) as raised:
        await handle.result()
    assert isinstance(raised.value.cause, CancelledError)
    report = await handle.query("report")
    assert (report["status"], len(report["agents"])) == ("cancelled", 1)
    assert await handle.query("waiting_for") is None


async def test_the_deadline_ends_a_wait_for_approval(bench: Bench) -> None:
    """Nobody came in time."""
    report = await bench.run(PLANNED, approve="plan", deadline="PT2S")
    assert (report.status, report.stop_reason, report.passed) == ("finished", "deadline", False)


def test_without_a_planner_there_is_nothing_to_approve() -> None:
    """Criteria that a person has given need no approval by a person."""
    with pytest.raises(ValueError, match="nothing to approve"):
        Input(task="t", planner=False, approve="criteria")


# --- a divided task --------------------------------------------------------------------------------------------------


async def test_a_divided_task_starts_nobody_before_its_plan_is_approved(bench: Bench) -> None:
    """Only the decomposer is paid; no circle and not too many may be amended in; the run says whose plan it is."""
    handle = await divided.start(
        bench, [divided.answers(divided.plan(divided.subtask("a"), divided.subtask("b")))], approve="plan"
    )
    await seen(handle, lambda view: view.waiting)
    proposed = (await handle.query("waiting_for"))["value"]
    first, second = proposed["subtasks"]
    circle = [{**first, "depends_on": ["b"]}, {**second, "depends_on": ["a"]}]
    said = await refusal(handle, "amend", {**proposed, "subtasks": circle})
    assert said == "this cannot be the plan: these wait for one another in a circle: a, b"
    more = [{**first, "id": f"s{number}", "objective": f"Find out {number}."} for number in range(11)]
    said = await refusal(handle, "amend", {**proposed, "subtasks": more})
    assert said == "this cannot be the plan: a complex task has at most 10 subtasks here, the plan has 11"
    assert {entry.agent for entry in bench.requests(handle.id)} == {"decomposer-1"}
    await handle.execute_update("amend", {**proposed, "subtasks": [first, {**second, "id": "mine"}]})
    ended = await divided.report(handle)
    assert ended.passed
    assert divided.states(ended) == {"a": "passed", "mine": "passed"}
    events = await handle.query("events")
    assert next(event["writer"] for event in events if event["key"] == "plan/1") == "a person"


async def test_a_rejected_plan_of_a_divided_task_starts_nobody(bench: Bench) -> None:
    """As for any other pipeline."""
    handle = await divided.start(bench, [], approve="plan")
    await seen(handle, lambda view: view.waiting)
    await handle.execute_update("reject", "too much")
    ended = await divided.report(handle)
    assert (ended.status, ended.stop_reason) == ("finished", "rejected")
    assert {entry.agent for entry in bench.requests(handle.id)} == {"decomposer-1"}
