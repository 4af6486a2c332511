"""A real Temporal server, a real worker and the stand-in, shared by all pipeline tests; runs are told apart by id."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError

import worker
from benchmarks.rig import Rig, rig
from console.view import RunView, with_event
from hosting.home import Home
from simulator import Entry, ServerOptions, Simulator
from workflows.contracts import WORKFLOW_QUEUE, RunReport
from workflows.pipelines.plan_generate_evaluate import Input, PlanGenerateEvaluate, Result
from workflows.run import RunInput

SILENCE = timedelta(seconds=3)
"""Short, so that a hung call is soon found out; longer than a busy machine keeps a good one waiting."""

Rules = Sequence[dict[str, Any]]


@dataclass(frozen=True)
class Bench:
    """What a test needs: start a run under rules of its own, and see what the API saw of it."""

    client: Client
    simulator: Simulator
    home: Home

    async def start(self, rules: Rules = (), **input: Any) -> WorkflowHandle[PlanGenerateEvaluate, RunReport[Result]]:
        """Start a run of plan-generate-evaluate; each rule applies to this run alone."""
        asked = Input(**{"task": "Write a haiku about the sea.", **input})
        return await self.begin(PlanGenerateEvaluate.run, asked, rules)

    async def begin(self, pipeline: Any, input: RunInput, rules: Rules = ()) -> WorkflowHandle[Any, Any]:
        """Start a run of any pipeline, by its run method; each rule applies to this run alone."""
        run = f"test-{uuid4().hex[:12]}"
        mine = [{**rule, "match": {**rule.get("match", {}), "run": run}} for rule in rules]
        self.simulator.rules(mine, append=True)
        handle: WorkflowHandle[Any, Any] = await self.client.start_workflow(
            pipeline, input, id=run, task_queue=WORKFLOW_QUEUE
        )
        return handle

    async def run(self, rules: Rules = (), **input: Any) -> RunReport[Result]:
        """Start a run and return its report, however it ended."""
        return await report_of(await self.start(rules, **input))

    async def seen(self, run: str, agent: str) -> None:
        """Wait until the API has got a request of this agent, 20 s at most."""
        async with asyncio.timeout(20):
            await self.simulator.journal.until(lambda journal: bool(journal.entries(run=run, agent=agent)))

    def requests(self, run: str, agent: str | None = None) -> list[Entry]:
        """What the API saw of a run, in order."""
        return list(self.simulator.journal.entries(run=run, agent=agent))


async def report_of(handle: WorkflowHandle[Any, RunReport[Result]]) -> RunReport[Result]:
    """The report of a run that finished or failed; a failed one names its stop reason as the failure's type."""
    try:
        return await handle.result()
    except WorkflowFailureError as error:
        if not isinstance(error.cause, ApplicationError):
            raise
        report = RunReport[Result].model_validate(error.cause.details[0])
        return report if report.stop_reason == error.cause.type else pytest.fail(f"{error.cause.type} != {report}")


async def seen(handle: WorkflowHandle[Any, Any], what: Callable[[RunView], Any]) -> RunView:
    """The run's view, as the CLI has it without a worker, as soon as `what` is there."""
    view = RunView()
    async for event in handle.fetch_history_events(wait_new_event=True):
        view = await with_event(view, event, handle._client.data_converter)
        if what(view):
            return view
    pytest.fail(f"the run ended without it: {view}")


@pytest.fixture(scope="session")
async def bench(tmp_path_factory: pytest.TempPathFactory, standing: list[Rig]) -> AsyncIterator[Bench]:
    """One server, one stand-in, one worker for the whole session."""
    # Tests of every failure share this worker, so its circuit must not open: it has tests of its own.
    settings = worker.Settings(
        worker_grace_period=0, breaker_failure_threshold=10_000, breaker_failure_rate=1, breaker_window=1_000
    )
    home, seen = tmp_path_factory.mktemp("home"), ServerOptions(journal_texts=True)
    async with rig(home, "tests", settings=settings, simulated=seen, silence=SILENCE) as here:
        standing.append(here)
        yield Bench(here.client, here.simulator, here.home)


@pytest.fixture(scope="session")
def standing() -> list[Rig]:
    """The rig of the session, once a test has asked for it."""
    return []


@pytest.fixture(autouse=True)
async def forgotten(standing: list[Rig]) -> None:
    """What its circuits know of the test before: a 429 there made the next failure, here, one of a probe."""
    for crew in (crew for here in standing for crew in here.crews):
        for key in await crew.gate.keys():
            await crew.gate.reset(key)


@pytest.fixture
def two_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Temporal gives up after two attempts, so that a lasting failure can be seen to its end."""
    monkeypatch.setattr("workflows.delegate.MAX_ATTEMPTS", 2)


def evaluation(**verdicts: str) -> dict[str, Any]:
    """An evaluator's answer: C1="fail" and so on."""
    return {
        "assessments": [
            {
                "id": id,
                "evidence": "as it stands in the text",
                "verdict": verdict,
                "place": "" if verdict == "pass" else "line 1",
                "remedy": "" if verdict == "pass" else f"mend {id}",
            }
            for id, verdict in verdicts.items()
        ]
    }


def plan(**levels: str) -> dict[str, Any]:
    """A planner's answer with these criteria: C1="must" and so on."""
    return {
        "goal": "A haiku.",
        "constraints": [],
        "assumptions": [],
        "out_of_scope": [],
        "criteria": [
            {"id": id, "statement": f"statement of {id}", "how_to_verify": "read it", "level": level}
            for id, level in levels.items()
        ],
    }


def draft(content: str, approach: str = "straight away") -> dict[str, Any]:
    """A generator's answer."""
    return {"approach": approach, "content": content}
