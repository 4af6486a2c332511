"""Temporal is away for longer than an activity may be silent, while twenty calls finish: each is paid once."""

from __future__ import annotations

import asyncio
from collections import Counter
from uuid import uuid4

import pytest

from tests.drills.fleet import Fleet
from workflows.contracts import WORKFLOW_QUEUE
from workflows.pipelines.plan_generate_evaluate import Input, PlanGenerateEvaluate

pytestmark = pytest.mark.xdist_group("drills")  # they share one stage

RUNS = 20
SERVICE_TIME = 3.0
"""Seconds of a call: twenty are under way at once, also on a machine that takes seconds to start them."""


@pytest.mark.parametrize("away", ["frozen", "killed"])
async def test_calls_that_finish_while_the_server_is_away_are_paid_once(stage: Fleet, away: str) -> None:
    """Their results are lost or refused; the next attempts find the answers in the journal, and every run passes."""
    await stage.staffed(2, stage.valkey.url)
    stage.simulator.rules([{"match": {"role": "generator"}, "latency": SERVICE_TIME}])
    runs = [f"{away}-{uuid4().hex[:8]}" for _ in range(RUNS)]
    handles = [
        await stage.client.start_workflow(
            PlanGenerateEvaluate.run, Input(task="A drill.", planner=False), id=run, task_queue=WORKFLOW_QUEUE
        )
        for run in runs
    ]
    assert await stage.sees(lambda journal: journal.in_flight == RUNS)

    if away == "frozen":
        stage.server.pause()
    else:
        await stage.server.kill()
    assert await stage.sees(lambda journal: journal.in_flight == 0)
    # The last heartbeat was before the last answer; from here on every call is overdue.
    await asyncio.sleep(stage.crew.heartbeat_timeout.total_seconds())
    if away == "frozen":
        stage.server.resume()
    else:
        await stage.server.start()

    reports = await asyncio.gather(*(handle.result() for handle in handles))
    assert all(report.passed for report in reports)
    seen = Counter((entry.run, entry.agent) for entry in stage.simulator.journal if entry.run in runs)
    assert seen == {(run, agent): 1 for run in runs for agent in ("generator-1", "evaluator-1")}
    tokens = sum(entry.output_tokens or 0 for entry in stage.simulator.journal if entry.run in runs)
    assert sum(report.usage.output_tokens for report in reports) == tokens
