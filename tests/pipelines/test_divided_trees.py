"""Subtasks that are divided again: runs below runs, whose bounds, spend and endings belong to the whole tree."""

from __future__ import annotations

import json
from typing import Any

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError

from tests.pipelines.conftest import Bench
from tests.pipelines.divided import (
    answers,
    asked,
    block,
    new_id,
    plan,
    report,
    result,
    start,
    states,
    subtask,
)
from workflows.contracts import RunReport, Usage
from workflows.pipelines.decompose_delegate_synthesize import Result

INSATIABLE = "claude-haiku-4-5"
"""A decomposer on this model, which no other test uses, asks for fifty subtasks wherever it is in the tree."""


async def family(bench: Bench, run: str) -> dict[str, WorkflowExecutionStatus | None]:
    """Every workflow of a tree by id, with its status, from the histories: the server's list is a moment behind."""
    handle = bench.client.get_workflow_handle(run)
    found = {run: (await handle.describe()).status}
    async for event in handle.fetch_history_events():
        if event.HasField("child_workflow_execution_started_event_attributes"):
            child = event.child_workflow_execution_started_event_attributes.workflow_execution.workflow_id
            found |= await family(bench, child)
    return found


def total(ended: RunReport[Result]) -> Usage:
    """What all agents of a report used together."""
    return sum((reply.usage for reply in ended.agents), Usage())


def fifty(prefix: str = "s") -> dict[str, Any]:
    """A plan of fifty subtasks, each of which wants to be divided again."""
    return plan(*(subtask(f"{prefix}{n}", may_delegate=True) for n in range(50)))


async def test_a_subtask_that_may_delegate_is_a_run_of_its_own(bench: Bench) -> None:
    """Its own history under its own id, its task the objective, and what it was given for it; one answer comes back."""
    run = new_id()
    handle = await start(
        bench,
        [
            answers(
                plan(
                    subtask("rent", inputs=["12 rooms"]),
                    subtask("site", "rent", may_delegate=True, boundaries="no rents", acceptance="both named"),
                )
            ),
            {"match": {"agent": "specialist-1"}, "answer": {"shape": "text", "content": "Rent is 900.", "gaps": []}},
            answers(plan(subtask("east"), subtask("west")), run=f"{run}.site"),
        ],
        run,
    )
    ended = await report(handle)
    assert (ended.stop_reason, ended.passed) == ("satisfied", True)
    assert states(ended) == {"rent": "passed", "site": "passed"}
    [prompt] = asked(bench, f"{run}.site", "decomposer")
    assert block(prompt, "task") == "Find out site."
    given = json.loads(block(prompt, "given") or "")
    assert given == ["Result of rent:\n\nRent is 900.", "Leave to others: no rents", "It is done when: both named"]
    assert json.loads(block(prompt, "being_done_above") or "") == ["Say whether we should move to the new office."]
    assert len(asked(bench, f"{run}.site", "specialist")) == 2
    agents = {reply.agent for reply in ended.agents}
    assert {"specialist-1", "site/decomposer-1", "site/specialist-2", "site/synthesizer-1", "synthesizer-1"} <= agents
    state = await handle.query("state", {"key": "result/site"})
    assert state["result/site"]["writer"] == f"{run}.site"


async def test_without_depth_one_specialist_does_what_might_be_divided(bench: Bench) -> None:
    """`--max-depth 0` is no error of the plan."""
    handle = await start(bench, [answers(plan(subtask("a", may_delegate=True), subtask("b")))], max_depth=0)
    ended = await report(handle)
    assert ended.passed
    assert set(await family(bench, handle.id)) == {handle.id}


@pytest.mark.parametrize(("agents", "depth"), [(12, 1), (37, 1), (60, 2)])
async def test_however_much_is_asked_for_exactly_the_cap_is_started(bench: Bench, agents: int, depth: int) -> None:
    """Fifty subtasks that each ask for fifty: the whole tree starts as many agents as it may, not one more or less."""
    bench.simulator.rules([{"match": {"role": "decomposer", "model": INSATIABLE}, "answer": fifty()}], append=True)
    handle = await start(bench, [], max_agents=agents, max_depth=depth, decomposer_model=INSATIABLE)
    ended = await report(handle)
    runs = await family(bench, handle.id)
    seen = {(entry.run, entry.agent) for entry in bench.simulator.journal.entries() if entry.run in runs}
    assert len(seen) == ended.agents_started == agents
    assert not ended.passed
    assert total(ended) == ended.usage


async def test_the_usage_of_three_levels_adds_up_to_the_last_token(bench: Bench) -> None:
    """Failed calls and repairs included: what the API billed is what the root reports."""
    run = new_id()
    handle = await start(
        bench,
        [
            answers(plan(subtask("a", may_delegate=True), subtask("b"))),
            answers(plan(subtask("aa", may_delegate=True), subtask("ab")), run=f"{run}.a"),
            answers(plan(subtask("aaa"), subtask("aab")), run=f"{run}.a.aa"),
            {"match": {"run": f"{run}.a.aa", "agent": "specialist-1"}, "times": 1, "fault": {"kind": "apology"}},
            {"match": {"run": f"{run}.a", "agent": "specialist-1"}, "times": 1, "fault": {"kind": "truncation"}},
            {"match": {"run": f"{run}.a.aa", "agent": "synthesizer-1"}, "times": 1, "fault": {"kind": "fenced"}},
        ],
        run,
        max_depth=2,
    )
    ended = await report(handle)
    assert (ended.stop_reason, ended.passed) == ("satisfied", True)
    runs = await family(bench, run)
    assert set(runs) == {run, f"{run}.a", f"{run}.a.aa"}
    billed = [entry for entry in bench.simulator.journal.entries() if entry.run in runs]
    assert len(billed) > len(ended.agents)
    assert ended.usage == total(ended)
    assert ended.usage.input_tokens == sum(entry.input_tokens or 0 for entry in billed)
    assert ended.usage.output_tokens == sum(entry.output_tokens or 0 for entry in billed)
    assert ended.agents_started == len(ended.agents) == 10
    assert ended.cost_usd == pytest.approx(sum(reply.cost_usd or 0 for reply in ended.agents))


async def test_a_child_that_did_a_part_gives_that_part_and_does_not_pass(bench: Bench) -> None:
    """Its words are used, its gaps are named, and the root has not done all."""
    run = new_id()
    handle = await start(
        bench,
        [
            answers(plan(subtask("a", may_delegate=True), subtask("b"))),
            answers(plan(subtask("aa"), subtask("ab")), run=f"{run}.a"),
            {"match": {"run": f"{run}.a", "agent": "specialist-2"}, "fault": {"kind": "status", "status": 400}},
        ],
        run,
        early_stop=False,
        max_replans=0,
    )
    ended = await report(handle)
    assert (ended.stop_reason, ended.passed) == ("policy_not_met", False)
    assert states(ended) == {"a": "failed", "b": "passed"}
    assert "Find out aa" in result(ended).text()
    assert [each.id for each in result(ended).not_covered] == ["a"]


async def test_a_child_without_a_plan_is_a_failed_subtask_and_no_more(bench: Bench) -> None:
    """Its decomposer's calls are in the root's spend."""
    run = new_id()
    handle = await start(
        bench,
        [
            answers(plan(subtask("a", may_delegate=True), subtask("b"))),
            answers(plan(subtask("x", "x")), run=f"{run}.a"),
        ],
        run,
        require="best-effort",
        max_replans=0,
    )
    ended = await report(handle)
    assert (ended.stop_reason, ended.passed) == ("satisfied", True)
    assert states(ended) == {"a": "failed", "b": "passed"}
    assert "invalid_plan" in result(ended).text()
    assert total(ended) == ended.usage
    assert [reply.agent for reply in ended.agents if reply.agent.startswith("a/")] == [
        "a/decomposer-1",
        "a/decomposer-2",
    ]


async def test_children_cannot_spend_the_same_money(bench: Bench) -> None:
    """Five who each see a share: the whole tree stays under the one budget."""
    model_budget = 1.5
    children = plan(*(subtask(f"s{n}", may_delegate=True) for n in range(4)))
    run = new_id()
    below = [answers(plan(*(subtask(f"{n}{m}") for m in "abc")), run=f"{run}.s{n}") for n in range(4)]
    handle = await start(bench, [answers(children), *below], run, budget_usd=model_budget)
    ended = await report(handle)
    assert ended.cost_usd is not None
    assert ended.cost_usd <= model_budget
    assert len(await family(bench, run)) > 1
    assert total(ended) == ended.usage


async def test_a_name_that_another_run_has_costs_the_subtask_and_nothing_else(bench: Bench) -> None:
    """Another run has the id that a subtask's would have: it is left alone, the subtask says so, the rest goes on."""
    run = new_id()
    stalled = {"match": {"run": f"{run}.a", "role": "decomposer"}, "fault": {"kind": "stall"}}
    theirs = await start(bench, [stalled], f"{run}.a")
    await bench.seen(f"{run}.a", "decomposer-1")
    divided = plan(subtask("a", may_delegate=True), subtask("b"))
    handle = await start(bench, [answers(divided)], run, require="best-effort", max_replans=0)
    ended = await report(handle)
    assert states(ended) == {"a": "failed", "b": "passed"}
    assert f"a run named {run}.a is under way" in result(ended).text()
    assert total(ended) == ended.usage
    assert (await theirs.describe()).status == WorkflowExecutionStatus.RUNNING
    await theirs.terminate()


async def test_cancelling_the_root_cancels_the_tree_and_loses_no_spend(bench: Bench) -> None:
    """Children end as cancelled; what they had used and finished is in the root's report; nothing more is asked."""
    run = new_id()
    handle = await start(
        bench,
        [
            answers(plan(subtask("a", may_delegate=True), subtask("b"))),
            answers(plan(subtask("aa"), subtask("ab")), run=f"{run}.a"),
            {"match": {"run": f"{run}.a", "agent": "specialist-2"}, "fault": {"kind": "stall"}},
        ],
        run,
    )
    await bench.seen(f"{run}.a", "specialist-2")
    await bench.seen(f"{run}.a", "specialist-1")
    await bench.seen(run, "specialist-1")
    await handle.cancel()
    with pytest.raises(WorkflowFailureError):
        await handle.result()
    assert set((await family(bench, run)).values()) == {WorkflowExecutionStatus.CANCELED}
    kept: RunReport[Any] = RunReport[Any].model_validate(await handle.query("report"))
    assert (kept.status, kept.stop_reason) == ("cancelled", "cancelled")
    assert {"a/decomposer-1", "a/specialist-1", "a/specialist-2"} <= {reply.agent for reply in kept.agents}
    assert total(kept) == kept.usage
    assert kept.usage.input_tokens > 0
