"""A divided task on a real server: who is asked what, and what the result says of what is not there."""

from __future__ import annotations

import json
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError

from tests.pipelines.conftest import Bench
from tests.pipelines.divided import (
    answers,
    asked,
    block,
    done,
    plan,
    report,
    result,
    roles,
    start,
    states,
    subtask,
    until_done,
)


def failing(agent: str, kind: str = "refusal", **more: Any) -> dict[str, Any]:
    """The rule by which one agent fails."""
    return {"match": {"agent": agent}, "fault": {"kind": kind, **more}}


async def test_a_task_is_divided_done_and_put_together(bench: Bench) -> None:
    """The stand-in's own plan: a decomposer, a specialist for each thing, a synthesizer, and nothing missing."""
    ended, _ = await done(bench, [], task="Compare tea, coffee and cocoa for a long night.")
    assert (ended.stop_reason, ended.passed) == ("satisfied", True)
    assert sorted(roles(ended)) == ["decomposer", "specialist", "specialist", "specialist", "synthesizer"]
    found = result(ended)
    assert (found.complexity, found.synthesized, found.not_covered) == ("comparison", True, [])
    assert "Not covered" not in found.text()


async def test_a_simple_task_is_one_specialist_who_sees_all_of_it(bench: Bench) -> None:
    """No fan-out and no synthesis, even if the decomposer divides what it calls simple."""
    ended, run = await done(bench, [answers(plan(subtask("a"), subtask("b"), complexity="simple"))])
    assert roles(ended) == ["decomposer", "specialist"]
    assert (ended.stop_reason, result(ended).synthesized) == ("satisfied", False)
    [prompt] = asked(bench, run, "specialist")
    assert block(prompt, "objective") == "Say whether we should move to the new office."


async def test_a_specialist_sees_its_subtask_and_what_it_depends_on_alone(bench: Bench) -> None:
    """Context isolation: not the task, not its siblings, not their results."""
    ended, run = await done(
        bench,
        [
            answers(plan(subtask("rent", inputs=["12 rooms"]), subtask("noise"), subtask("verdict", "rent"))),
            {"match": {"agent": "specialist-1"}, "answer": {"shape": "text", "content": "Rent is 900.", "gaps": []}},
            {"match": {"agent": "specialist-2"}, "answer": {"shape": "text", "content": "It is loud.", "gaps": []}},
        ],
    )
    assert ended.passed
    prompts = {block(prompt, "objective"): prompt for prompt in asked(bench, run, "specialist")}
    assert json.loads(block(prompts["Find out rent."], "inputs") or "") == ["12 rooms"]
    assert "new office" not in prompts["Find out rent."]
    assert "noise" not in prompts["Find out rent."]
    assert json.loads(block(prompts["Find out verdict."], "state") or "")["result/rent"]["content"] == "Rent is 900."
    assert "loud" not in prompts["Find out verdict."]
    assert "12 rooms" not in prompts["Find out verdict."]


async def test_the_whole_task_is_handed_over_where_the_plan_says_so(bench: Bench) -> None:
    """The single word `task` instead of a copy."""
    _, run = await done(bench, [answers(plan(subtask("a", inputs=["task", "and this"]), subtask("b")))])
    prompts = {block(prompt, "objective"): prompt for prompt in asked(bench, run, "specialist")}
    assert block(prompts["Find out a."], "task") == "Say whether we should move to the new office."
    assert json.loads(block(prompts["Find out a."], "inputs") or "") == ["and this"]
    assert block(prompts["Find out b."], "task") is None


async def test_each_form_of_answer_is_asked_for_and_kept(bench: Bench) -> None:
    """Text, findings, a table and a decision: validated, and in the state under the subtask's id."""
    shapes = ("text", "findings", "table", "decision")
    handle = await start(bench, [answers(plan(*(subtask(each, output=each) for each in shapes)))])
    ended = await report(handle)
    assert ended.passed
    state = await handle.query("state", {})
    assert {key: entry["value"]["shape"] for key, entry in state.items() if key.startswith("result/")} == {
        f"result/{each}": each for each in shapes
    }
    assert state["plan/1"]["value"]["complexity"] == "complex"
    assert state["synthesis/1"]["writer"] == "synthesizer-1"


# --- plans that are not in order ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (plan(subtask("a", "b"), subtask("b", "a")), "these wait for one another in a circle: a, b"),
        (plan(subtask("a", "nowhere"), subtask("b")), "a depends on 'nowhere'"),
        (plan(subtask("a"), subtask("a", objective="Else.")), "two subtasks have the id a"),
        (plan(subtask("a", output="poem"), subtask("b")), "a asks for 'poem'"),
        (plan(), "the plan has no subtasks"),
        (plan(subtask("again", objective="Say whether we should move to the new office")), "every subtask repeats"),
    ],
    ids=["circle", "dangling", "same id", "form", "empty", "ancestor"],
)
async def test_a_plan_that_stays_wrong_starts_nobody(bench: Bench, wrong: dict[str, Any], reason: str) -> None:
    """One repair with the reasons; then the run ends by name, having paid for two plans and nothing else."""
    handle = await start(bench, [answers(wrong)])
    ended = await report(handle)
    assert (ended.status, ended.stop_reason, ended.passed) == ("finished", "invalid_plan", False)
    assert reason in (ended.message or "")
    assert {entry.agent for entry in bench.requests(handle.id)} == {"decomposer-1", "decomposer-2"}
    repair = asked(bench, handle.id, "decomposer")[1]
    assert reason in (block(repair, "why_refused") or "")
    assert json.loads(block(repair, "refused_plan") or "")["complexity"] == "complex"


async def test_a_plan_that_is_mended_is_carried_out(bench: Bench) -> None:
    """Another decomposer is asked once, which counts as an agent, and the run goes on as if nothing had been."""
    wrong, right = plan(subtask("a", "a")), plan(subtask("a"), subtask("b", "a"))
    ended, _ = await done(bench, [answers(wrong, nth=[1]), answers(right)])
    assert ended.passed
    assert sorted(states(ended)) == ["a", "b"]
    assert [reply.agent for reply in ended.agents if reply.role == "decomposer"] == ["decomposer-1", "decomposer-2"]
    assert ended.agents_started == len(ended.agents) == 5


async def test_siblings_that_do_the_same_work_are_done_once(bench: Bench) -> None:
    """The duplicate shares the result, and whoever depends on it gets it too."""
    twins = plan(
        subtask("a", objective="Find the rent."), subtask("b", objective="find the  RENT"), subtask("sum", "b")
    )
    ended, run = await done(bench, [answers(twins)])
    assert ended.passed
    assert states(ended) == {"a": "passed", "b": "shared", "sum": "passed"}
    assert len(asked(bench, run, "specialist")) == 2
    assert any("result/a" in (block(prompt, "state") or "") for prompt in asked(bench, run, "specialist"))


async def test_a_plan_that_insists_on_too_much_is_cut_and_says_so(bench: Bench) -> None:
    """Asked again once; then ten of twelve are done, two are named, and the run has not passed."""
    ended, run = await done(bench, [answers(plan(*(subtask(f"s{n}") for n in range(12))))])
    assert (ended.stop_reason, ended.passed) == ("plan_cut", False)
    assert len(asked(bench, run, "decomposer")) == 2
    assert len(asked(bench, run, "specialist")) == 10
    assert [each.id for each in result(ended).not_covered] == ["s10", "s11"]
    assert "## Not covered" in result(ended).text()


# --- when something fails ----------------------------------------------------------------------------------------


async def test_what_is_missing_is_told_to_the_synthesizer_and_appended_by_code(bench: Bench) -> None:
    """Under best-effort the run passes with what there is; the list is made by code, whatever the model wrote."""
    ended, run = await done(
        bench,
        [
            answers(plan(subtask("a"), subtask("b"), subtask("c", "b"))),
            failing("specialist-2"),
            {"match": {"role": "synthesizer"}, "answer": {"content": "All is well.", "conflicts": []}},
        ],
        require="best-effort",
        max_replans=0,
    )
    assert (ended.stop_reason, ended.passed) == ("satisfied", True)
    assert states(ended) == {"a": "passed", "b": "failed", "c": "not_started"}
    [prompt] = asked(bench, run, "synthesizer")
    missing = json.loads(block(prompt, "missing") or "")
    assert [(each["id"], each["why"].split(":")[0]) for each in missing] == [("b", "refused"), ("c", "not started")]
    assert result(ended).text().startswith("All is well.\n\n## Not covered\n\n- Find out b. (b): refused:")


async def test_gaps_that_a_specialist_names_reach_the_reader(bench: Bench) -> None:
    """It passed, but not everything is there."""
    partly = {"shape": "text", "content": "Rent is 900.", "gaps": ["no figures for 2027"]}
    ended, _ = await done(
        bench, [answers(plan(subtask("a"), subtask("b"))), {"match": {"agent": "specialist-1"}, "answer": partly}]
    )
    assert ended.passed
    assert "no figures for 2027" in result(ended).text()


async def test_siblings_are_stopped_when_the_policy_is_lost(bench: Bench) -> None:
    """The one under way is cancelled, its spend counts, nobody else is started, and no synthesis is paid."""
    handle = await start(
        bench,
        [
            answers(plan(subtask("a"), subtask("b"), subtask("c", "b"))),
            {"match": {"agent": "specialist-1"}, "fault": {"kind": "stall"}},
            {"match": {"agent": "specialist-2"}, "latency": 0.3, "fault": {"kind": "status", "status": 400}},
        ],
    )
    ended = await report(handle)
    assert (ended.status, ended.stop_reason, ended.passed) == ("failed", "specialist_error", False)
    assert {reply.agent: reply.error_kind for reply in ended.agents if reply.error_kind} == {
        "specialist-1": "cancelled",
        "specialist-2": "request",
    }
    assert next(reply for reply in ended.agents if reply.agent == "specialist-1").usage.input_tokens > 0
    assert not asked(bench, handle.id, "synthesizer")


async def test_a_quorum_is_enough_and_a_lost_one_is_not(bench: Bench) -> None:
    """Two of three, whichever they are."""
    three = answers(plan(subtask("a"), subtask("b"), subtask("c")))
    broken = {"kind": "status", "status": 400}
    one = {"match": {"agent": "specialist-1"}, "fault": broken}
    two = {"match": {"agent": "specialist-2"}, "fault": broken}
    enough, _ = await done(bench, [three, one], require="quorum:2")
    assert (enough.stop_reason, enough.passed) == ("satisfied", True)
    lost, _ = await done(bench, [three, one, two], require="quorum:2", early_stop=False)
    assert (lost.stop_reason, lost.passed) == ("policy_not_met", False)
    assert "## Not covered" in result(lost).text()
    assert not result(lost).synthesized


async def test_a_later_plan_does_what_failed_in_another_way(bench: Bench) -> None:
    """It sees what is finished, cannot redo it, and what waited for the failed one goes on with the replacement."""
    later = plan(subtask("again", objective="Find out a."), subtask("b2", objective="Ask b otherwise.", replaces="b"))
    ended, run = await done(
        bench,
        [
            answers(plan(subtask("a"), subtask("b"), subtask("c", "b")), nth=[1]),
            answers(later),
            failing("specialist-2"),
        ],
    )
    assert (ended.stop_reason, ended.passed) == ("satisfied", True)
    assert states(ended) == {"a": "passed", "b": "failed", "c": "passed", "again": "shared", "b2": "passed"}
    assert result(ended).not_covered == []
    assert result(ended).plans == 2
    second = asked(bench, run, "decomposer")[1]
    assert [each["id"] for each in json.loads(block(second, "finished") or "")] == ["a"]
    assert [each["id"] for each in json.loads(block(second, "failed") or "")] == ["b"]


async def test_there_are_at_most_two_later_plans(bench: Bench) -> None:
    """Then the run says what it has, without a synthesis of what is not enough."""

    def way(number: int) -> dict[str, Any]:
        return plan(subtask(f"b{number}", objective=f"Way {number}.", replaces=f"b{number - 1}" if number else None))

    first = plan(subtask("a"), subtask("b0", objective="Way 0."))
    handle = await start(
        bench,
        [
            answers(first, nth=[1]),
            answers(way(1), nth=[2]),
            answers(plan(subtask("b2", objective="Way 2.", replaces="b0")), nth=[3]),
            *(failing(f"specialist-{number}") for number in (2, 3, 4)),
        ],
    )
    ended = await report(handle)
    assert (ended.stop_reason, ended.passed) == ("policy_not_met", False)
    assert len(asked(bench, handle.id, "decomposer")) == 3
    assert states(ended) == {"a": "passed", "b0": "failed", "b1": "failed", "b2": "failed"}


async def test_a_synthesizer_that_fails_costs_the_words_and_not_the_work(bench: Bench) -> None:
    """The specialists' answers stand one after another, and the run says why."""
    ended, _ = await done(
        bench,
        [
            answers(plan(subtask("a"), subtask("b"))),
            {"match": {"role": "synthesizer"}, "fault": {"kind": "status", "status": 400}},
        ],
    )
    assert (ended.status, ended.stop_reason, ended.passed) == ("finished", "synthesizer_error", False)
    assert not result(ended).synthesized
    assert [line for line in result(ended).text().splitlines() if line.startswith("## ")] == [
        "## Find out a.",
        "## Find out b.",
    ]


async def test_a_run_without_any_result_has_failed_by_name(bench: Bench) -> None:
    """A missing credential is not a policy that was not met."""
    broken = {"match": {"role": "specialist"}, "fault": {"kind": "status", "status": 401}}
    ended, _ = await done(bench, [answers(plan(subtask("a"), subtask("b"))), broken])
    assert (ended.status, ended.stop_reason) == ("failed", "specialist_error")
    assert "ANTHROPIC_API_KEY" in (ended.message or "")


# --- order and bounds --------------------------------------------------------------------------------------------


async def test_no_more_agents_work_at_once_than_allowed(bench: Bench) -> None:
    """With one place, one after another, the next as soon as the one before has ended."""
    handle = await start(bench, [answers(plan(*(subtask(f"s{n}") for n in range(4))))], parallel=1)
    assert (await report(handle)).passed
    entries = [each for each in bench.requests(handle.id) if (each.agent or "").startswith("specialist")]
    assert [each.agent for each in entries] == [f"specialist-{n}" for n in range(1, 5)]


async def test_agents_that_are_not_left_are_not_started_and_named(bench: Bench) -> None:
    """The one for the synthesis is kept back, and what could not be done stands in the result."""
    ended, _ = await done(bench, [answers(plan(*(subtask(f"s{n}") for n in range(5))))], max_agents=5)
    assert (ended.stop_reason, ended.passed) == ("budget_exceeded", False)
    assert ended.agents_started == 5
    assert sorted(roles(ended)) == ["decomposer", "specialist", "specialist", "specialist", "synthesizer"]
    assert [each.id for each in result(ended).not_covered] == ["s3", "s4"]


async def test_money_is_never_passed_and_the_synthesis_is_paid_first(bench: Bench) -> None:
    """A budget for a few of ten: what fits is done and put together, the rest is named."""
    dear = [subtask(f"s{n}", effort={"tier": "large", "max_tokens": 8_000}) for n in range(10)]
    ended, _ = await done(bench, [answers(plan(*dear))], budget_usd=0.7)
    assert ended.cost_usd is not None
    assert ended.cost_usd <= 0.7
    assert result(ended).synthesized
    assert ended.passed == (not result(ended).not_covered)


async def test_a_deadline_leaves_time_to_put_together_what_there_is(bench: Bench) -> None:
    """The one that hangs is stopped in time; the other's answer is in the result."""
    handle = await start(
        bench,
        [answers(plan(subtask("a"), subtask("b"))), {"match": {"agent": "specialist-2"}, "fault": {"kind": "stall"}}],
        deadline="PT6S",
    )
    ended = await report(handle)
    assert (ended.stop_reason, ended.passed) == ("deadline", False)
    assert result(ended).synthesized
    assert states(ended) == {"a": "passed", "b": "failed"}


async def test_a_cancelled_run_keeps_what_was_finished_and_asks_for_nothing_more(bench: Bench) -> None:
    """Temporal shows Canceled; the report with the partial result and the spend answers the query."""
    handle = await start(
        bench,
        [
            answers(plan(subtask("a"), subtask("b"), subtask("c", "b"))),
            {"match": {"agent": "specialist-2"}, "fault": {"kind": "stall"}},
        ],
        parallel=2,
    )
    await bench.seen(handle.id, "specialist-2")
    await until_done(handle, 1)
    await handle.cancel()
    with pytest.raises(WorkflowFailureError):
        await handle.result()
    kept = await handle.query("report")
    assert (kept["status"], kept["stop_reason"]) == ("cancelled", "cancelled")
    assert [row["state"] for row in kept["result"]["subtasks"]] == ["passed", "failed", "waiting"]
    assert kept["result"]["content"]
    assert {reply["agent"] for reply in kept["agents"]} == {"decomposer-1", "specialist-1", "specialist-2"}
    assert {entry.agent for entry in bench.requests(handle.id)} == {"decomposer-1", "specialist-1", "specialist-2"}
