"""The runs of a drill: twelve calls one after another, or six at once; what must come of them is known beforehand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar
from uuid import uuid4

from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError

from tests.drills.fleet import Fleet
from tests.drills.invariants import Story
from workflows.compliance.domains import Domain
from workflows.contracts import WORKFLOW_QUEUE, RunReport
from workflows.live_state import EVENTS_QUERY, STATE_QUERY, StateQuestion
from workflows.pipelines import compliance_review, plan_generate_evaluate
from workflows.run import RunInput
from workflows.state import Entry, Event
from workflows.subagents.planner import Criterion

ROUNDS = 6
"""Of generating and evaluating: twelve calls."""
ROUNDS_AGENTS = tuple(f"{role}-{number}" for number in range(1, ROUNDS + 1) for role in ("generator", "evaluator"))
DOMAINS = tuple(f"D{number}" for number in range(1, 7))
"""Of a review: six calls at once, each written to the run's state."""
REVIEWERS = tuple(f"reviewer-{name.lower()}-1" for name in DOMAINS)
LAST_CALLS = (ROUNDS_AGENTS[-1], *REVIEWERS)
"""After these a run may have nothing more to ask."""
ENDS_WITHIN = timedelta(minutes=10)
"""A run that is struck again and again; without that it takes seconds."""
SERVER_PAUSE = 0.1
"""Seconds before a server that is being killed is asked again: it comes back."""

AnswerT = TypeVar("AnswerT")


async def begin_rounds(fleet: Fleet, passes: bool) -> Story:
    """Start a run of twelve calls, one after another, whose work passes at the end, or does not."""
    run = f"rounds-{uuid4().hex[:12]}"
    last = evaluation(ROUNDS if passes else ROUNDS - 1)
    rule = {"match": {"run": run, "agent": ROUNDS_AGENTS[-1]}, "answer": last, "latency": fleet.latency}
    fleet.simulator.rules([rule], append=True)
    criteria = [
        Criterion(id=f"C{number}", statement=f"Point {number}.", how_to_verify="Read it.", level="must")
        for number in range(1, ROUNDS + 1)
    ]
    words = plan_generate_evaluate.Input(task="A drill.", planner=False, criteria=criteria, max_revisions=ROUNDS - 1)
    await _start(fleet, "plan-generate-evaluate", words, run)
    drafted_and_judged = {f"round/{number}": 2 for number in range(1, ROUNDS + 1)}
    return Story(run, ROUNDS_AGENTS, passes, keys={"brief/frozen": 1, **drafted_and_judged})


async def begin_review(fleet: Fleet, passes: bool) -> Story:
    """Start a review of six calls at once, one of which finds something, or does not."""
    run = f"review-{uuid4().hex[:12]}"
    last: dict[str, object] = {"issues": [], "status": "pass" if passes else "fail", "confidence": 0.9}
    rule = {"match": {"run": run, "agent": REVIEWERS[-1]}, "answer": last, "latency": fleet.latency}
    fleet.simulator.rules([rule], append=True)
    domains = [Domain(name=name, instructions="Look.") for name in DOMAINS]
    words = compliance_review.Input(transaction='{"amount": 5}', domains=domains)
    await _start(fleet, "compliance-review", words, run)
    keys = dict.fromkeys((compliance_review.TRANSACTION, *(f"review/{name}" for name in DOMAINS)), 1)
    return Story(run, REVIEWERS, passes, keys=keys)


async def end(fleet: Fleet, story: Story) -> Story:
    """The story to its end, or without a report if it has none in time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(ENDS_WITHIN.total_seconds()):
            handle = fleet.client.get_workflow_handle(story.id, result_type=RunReport[Any])
            story = replace(story, report=await _patiently(lambda: _report(handle.result())))
            log = await _patiently(lambda: handle.query(EVENTS_QUERY, result_type=list[Event]))
            state = await _patiently(lambda: handle.query(STATE_QUERY, StateQuestion(), result_type=dict[str, Entry]))
            story = replace(story, log=tuple(log), state=state)
    return replace(story, entries=tuple(fleet.simulator.journal.entries(run=story.id)))


async def _start(fleet: Fleet, pipeline: str, words: RunInput, run: str) -> None:
    async def start() -> None:
        # If it has started already, it was by the question before, whose answer died with the server.
        with suppress(WorkflowAlreadyStartedError):
            await fleet.client.start_workflow(pipeline, words, id=run, task_queue=WORKFLOW_QUEUE)

    await _patiently(start)


async def _report(result: Awaitable[RunReport[Any]]) -> RunReport[Any]:
    try:
        return await result
    except WorkflowFailureError as error:
        if not isinstance(error.cause, ApplicationError) or not error.cause.details:
            raise
        return RunReport[Any].model_validate(error.cause.details[0])


async def _patiently(ask: Callable[[], Awaitable[AnswerT]]) -> AnswerT:
    """An answer of the server, or of a worker through it, though either may be killed meanwhile."""
    while True:
        try:
            return await ask()
        except RPCError:
            await asyncio.sleep(SERVER_PAUSE)


def script(latency: float) -> list[dict[str, object]]:
    """Answers to every call but a run's last: each version mends one point more, and reviewers find nothing."""
    rules: list[dict[str, object]] = []
    for number in range(1, ROUNDS + 1):
        draft = {"approach": "One point after the other.", "content": f"Version {number}.\n" + "A line of work.\n" * 40}
        rules.append({"match": {"agent": f"generator-{number}"}, "answer": draft, "latency": latency})
        if number < ROUNDS:
            answer = evaluation(number)
            rules.append({"match": {"agent": f"evaluator-{number}"}, "answer": answer, "latency": latency})
    for reviewer in REVIEWERS[:-1]:
        found = {"issues": [], "status": "pass", "confidence": 0.9}
        rules.append({"match": {"agent": reviewer}, "answer": found, "latency": latency})
    return rules


def evaluation(met: int) -> dict[str, object]:
    """An evaluator's answer: so many of the points are met."""
    return {
        "assessments": [
            {
                "id": f"C{number}",
                "evidence": "as it stands in the text",
                "verdict": "pass" if number <= met else "fail",
                "place": "" if number <= met else "line 1",
                "remedy": "" if number <= met else f"mend point {number}",
            }
            for number in range(1, ROUNDS + 1)
        ]
    }
