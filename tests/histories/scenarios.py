"""The runs that are recorded: one for each way a pipeline can go that leaves another history.

To add one: a row in SCENARIOS, then `python -m tests.histories.record ITS-NAME`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHandle

from activities.circuit.gate import Gate
from simulator import Simulator
from tests.pipelines.conftest import draft, evaluation, plan
from tests.pipelines.divided import answers, subtask
from tests.pipelines.divided import plan as division
from workflows.caps import BudgetRaise
from workflows.contracts import RunReport
from workflows.live_state import Put

SOON = 20
"""Seconds within which a run gets where somebody waits for it."""
DOWN = {"kind": "status", "status": 529}
SUSPICIOUS = '{"amount": 9800, "originator": {"name": "Ann Lee"}, "beneficiary": {"name": "Bo Dahl"}}'
"""Just below a threshold: the stand-in's reviewer for AML fails it, the others pass it."""
HARMLESS = '{"amount": 120, "originator": {"name": "Ann Lee"}, "beneficiary": {"name": "Bo Dahl"}}'

Handle = WorkflowHandle[Any, RunReport[Any]]


@dataclass(frozen=True)
class Stage:
    """What somebody needs who does something to a run while it goes on."""

    simulator: Simulator
    gate: Gate
    """The circuits of the workers."""
    circuit_of: Callable[[str], str]

    async def asked(self, handle: Handle, agent: str) -> None:
        """Wait until the API has a request of this agent."""
        async with asyncio.timeout(SOON):
            await self.simulator.journal.until(lambda journal: bool(journal.entries(run=handle.id, agent=agent)))


async def happened(handle: Handle, kind: EventType.ValueType) -> None:
    """Wait until a run's history has an event of this kind."""
    async with asyncio.timeout(SOON):
        async for event in handle.fetch_history_events(wait_new_event=True):
            if event.event_type == kind:
                return


async def left_alone(stage: Stage, handle: Handle) -> None:
    """Nothing happens to the run."""


async def cancelled_while_generating(stage: Stage, handle: Handle) -> None:
    """Somebody cancels it while the generator is at work."""
    await stage.asked(handle, "generator-1")
    await handle.cancel()


async def cancelled_below(stage: Stage, handle: Handle) -> None:
    """Somebody cancels it while an agent of a run below it is at work."""
    async with asyncio.timeout(SOON):
        await stage.simulator.journal.until(
            lambda journal: bool(journal.entries(run=f"{handle.id}.site", agent="specialist-2"))
        )
    await handle.cancel()


def told(update: str, *word: Any) -> Callable[[Stage, Handle], Awaitable[None]]:
    """It waits for a person, who says this."""

    async def said(stage: Stage, handle: Handle) -> None:
        await happened(handle, EventType.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED)
        await handle.execute_update(update, args=word)

    return said


async def written_to(stage: Stage, handle: Handle) -> None:
    """Somebody writes to its state while a reviewer is at work, in vain: the reviewer's own word is newer."""
    await stage.asked(handle, "reviewer-kyc-1")
    review = {"issues": [], "status": "pass", "confidence": 1.0}
    await handle.execute_update("put", Put(key="review/KYC", value=review, writer="an auditor"))


@dataclass(frozen=True)
class Scenario:
    """One run: what it is asked, what the API answers, what happens meanwhile, and how it must end."""

    name: str
    """Of the files; it begins with the pipeline's name and says what is special."""
    pipeline: str
    ends: str
    """Its stop reason: what is recorded has to be what the name says."""
    input: Mapping[str, Any] = field(default_factory=dict)
    rules: Sequence[Mapping[str, Any]] = ()
    """Of the stand-in, for this run alone unless one names a run."""
    meanwhile: Callable[[Stage, Handle], Awaitable[None]] = left_alone
    searchable: bool = True
    """The server knows our search attributes; without them no run may set any."""
    where: Literal["calm", "outage", "impatient"] = "calm"
    """`outage`: the API is down until the circuit has opened, and the run has the circuits to itself. `impatient`: the
    server soon calls a history long."""


def judged(*rounds: str) -> list[dict[str, Any]]:
    """Rules for a plan of one `must` that is judged so, round by round."""
    rules: list[dict[str, Any]] = [{"match": {"role": "planner"}, "answer": plan(C1="must")}]
    for number, verdict in enumerate(rounds, start=1):
        rules.append({"match": {"agent": f"generator-{number}"}, "answer": draft(f"version {number}")})
        rules.append({"match": {"agent": f"evaluator-{number}"}, "answer": evaluation(C1=verdict)})
    return rules


def pge(what: str, ends: str, **more: Any) -> Scenario:
    """A run of plan-generate-evaluate."""
    name = "plan-generate-evaluate"
    input = {"task": "Write a haiku about the sea.", **more.pop("input", {})}
    return Scenario(f"{name}-{what}", name, ends, input, **{"rules": judged("pass"), **more})


def review(what: str, ends: str, transaction: str, **more: Any) -> Scenario:
    """A run of compliance-review."""
    name = "compliance-review"
    return Scenario(f"{name}-{what}", name, ends, {"transaction": transaction, **more.pop("input", {})}, **more)


def divided(what: str, ends: str, *rules: Mapping[str, Any], **more: Any) -> Scenario:
    """A run of decompose-delegate-synthesize."""
    name = "decompose-delegate-synthesize"
    input = {"task": "Say whether to move.", **more.pop("input", {})}
    return Scenario(f"{name}-{what}", name, ends, input, rules, **more)


def below(what: str) -> Mapping[str, Any]:
    """The rule for the plan of the run that does the subtask `site` of a run of decompose-delegate-synthesize."""
    return answers(division(subtask("east"), subtask("west")), run=f"decompose-delegate-synthesize-{what}.site")


TWO = division(subtask("rent"), subtask("site", "rent"))
TWO_LEVELS = division(subtask("rent"), subtask("site", may_delegate=True))
BROKEN = {"kind": "status", "status": 400}
STALL = {"kind": "stall"}

SCENARIOS = (
    pge("passed", "satisfied"),
    pge("passed-unsearchable", "satisfied", searchable=False),
    pge("without-planner", "satisfied", input={"planner": False}, rules=[]),
    pge("revised", "satisfied", rules=judged("fail", "pass")),
    pge("max-revisions", "max_revisions", input={"max_revisions": 0}, rules=judged("fail")),
    pge("no-progress", "no_progress", rules=judged("fail", "fail", "fail")),
    pge("refused", "refused", rules=[{"match": {"role": "planner"}, "fault": {"kind": "refusal"}}]),
    pge("not-judged", "evaluator_error", rules=[{"match": {"role": "evaluator"}, "fault": {**DOWN, "status": 400}}]),
    pge(
        "truncated-then-longer",
        "satisfied",
        rules=[{"match": {"role": "generator"}, "times": 1, "fault": {"kind": "truncation"}}, *judged("pass")],
    ),
    pge(
        "repaired",
        "satisfied",
        rules=[{"match": {"role": "planner"}, "times": 1, "fault": {"kind": "wrong_schema"}}, *judged("pass")],
    ),
    pge("retried", "satisfied", rules=[{"match": {"role": "planner"}, "times": 1, "fault": DOWN}, *judged("pass")]),
    pge("budget-exceeded", "budget_exceeded", input={"max_agents": 2}),
    pge(
        "budget-raised",
        "satisfied",
        input={"budget_usd": 0.01, "on_budget": "pause"},
        meanwhile=told("raise_budget", BudgetRaise(usd=5)),
    ),
    pge("approved", "satisfied", input={"approve": "plan"}, meanwhile=told("approve")),
    pge("rejected", "rejected", input={"approve": "criteria"}, meanwhile=told("reject", "It misses the point.")),
    pge("deadline", "deadline", input={"deadline": "PT4S"}, rules=[{"match": {"role": "generator"}, "latency": 30}]),
    pge(
        "cancelled",
        "cancelled",
        rules=[{"match": {"role": "generator"}, "latency": 30}],
        meanwhile=cancelled_while_generating,
    ),
    pge("circuit-waited", "satisfied", where="outage"),
    pge("circuit-not-waited-for", "planner_error", input={"on_open_circuit": "fail"}, where="outage"),
    review("passed", "reviewed", HARMLESS),
    review("failed-with-narrative", "reviewed", SUSPICIOUS, input={"narrative": True}),
    review(
        "stopped-early",
        "early_stop",
        SUSPICIOUS,
        input={"early_stop": True},
        rules=[{"match": {"role": "reviewer-kyc"}, "latency": 30}, {"match": {"role": "reviewer-fatf"}, "latency": 30}],
    ),
    review(
        "written-to",
        "reviewed",
        HARMLESS,
        rules=[{"match": {"role": "reviewer-kyc"}, "latency": 1}],
        meanwhile=written_to,
    ),
    divided("passed", "satisfied", answers(TWO)),
    divided("simple", "satisfied", answers(division(subtask("all"), complexity="simple"))),
    divided("plan-mended", "satisfied", answers(division(subtask("rent", "rent")), nth=[1]), answers(TWO)),
    divided("approved", "satisfied", answers(TWO), input={"approve": "plan"}, meanwhile=told("approve")),
    divided("plan-invalid", "invalid_plan", answers(division(subtask("rent", "rent")))),
    divided(
        "later-plan",
        "satisfied",
        answers(division(subtask("rent"), subtask("site")), nth=[1]),
        answers(division(subtask("ask", objective="Ask for a site.", replaces="site"))),
        {"match": {"agent": "specialist-2"}, "fault": {"kind": "refusal"}},
    ),
    divided(
        "siblings-stopped",
        "specialist_error",
        answers(division(subtask("rent"), subtask("site"), subtask("move", "site"))),
        {"match": {"agent": "specialist-1"}, "fault": STALL},
        {"match": {"agent": "specialist-2"}, "latency": 0.5, "fault": BROKEN},
    ),
    divided(
        "quorum",
        "satisfied",
        answers(division(subtask("rent"), subtask("site"), subtask("move"))),
        {"match": {"agent": "specialist-1"}, "fault": BROKEN},
        input={"require": "quorum:2"},
    ),
    divided(
        "budget-exceeded",
        "budget_exceeded",
        answers(division(*(subtask(f"s{number}") for number in range(3)))),
        input={"max_agents": 3},
    ),
    divided(
        "deadline",
        "deadline",
        answers(division(subtask("rent"), subtask("site"))),
        {"match": {"agent": "specialist-2"}, "fault": STALL},
        input={"deadline": "PT10S", "parallel": 1},
    ),
    divided("divided-again", "satisfied", answers(TWO_LEVELS), below("divided-again")),
    divided(
        "cancelled-below",
        "cancelled",
        answers(TWO_LEVELS),
        below("cancelled-below"),
        {
            "match": {"agent": "specialist-2", "run": "decompose-delegate-synthesize-cancelled-below.site"},
            "fault": STALL,
        },
        meanwhile=cancelled_below,
    ),
    divided(
        "continued",
        "satisfied",
        answers(division(*(subtask(f"s{number}") for number in range(6)))),
        input={"parallel": 1},
        where="impatient",
    ),
)
