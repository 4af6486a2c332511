"""More work than slots: whose turn it is, and that calls that hang take no slot from another model's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import WorkflowHandle

from benchmarks.rig import Rig, rig
from worker import Settings
from workflows.contracts import SUBAGENT_QUEUE, WORKFLOW_QUEUE
from workflows.models import LANES, SUBAGENT_QUEUES, TIERS, subagent_queue
from workflows.pipelines.plan_generate_evaluate import Input, PlanGenerateEvaluate

ONE_SLOT = Settings(worker_grace_period=0, max_concurrent_subagents=1, max_pollers=2)
OTHERS = TIERS["large"]


@pytest.fixture(scope="module")
async def narrow(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    """A worker with one slot for each queue of calls."""
    async with rig(tmp_path_factory.mktemp("narrow"), "narrow", settings=ONE_SLOT) as here:
        yield here


async def start(narrow: Rig, name: str, **input: Any) -> WorkflowHandle[Any, Any]:
    """A run, as the starter starts it."""
    given = Input(task="Write a haiku.", **input)
    run = await narrow.client.start_workflow(
        PlanGenerateEvaluate.run,
        given,
        id=f"{name}-{uuid4().hex[:8]}",
        task_queue=WORKFLOW_QUEUE,
        priority=given.place_in_line(),
    )
    return run


async def in_line(*runs: WorkflowHandle[Any, Any]) -> None:
    """Wait until the first call of each waits for a slot."""
    async with asyncio.timeout(30):
        for run in runs:
            while not (await run.describe()).raw_description.pending_activities:  # noqa: ASYNC110 - no event for us
                await asyncio.sleep(0.02)


async def plugged(narrow: Rig) -> WorkflowHandle[Any, Any]:
    """A run whose planner hangs, and holds the only slot of its model."""
    name = f"plug-{uuid4().hex[:8]}"
    narrow.simulator.rules([{"match": {"run": name, "role": "planner"}, "fault": {"kind": "hang"}}])
    given = Input(task="x")
    run = await narrow.client.start_workflow(PlanGenerateEvaluate.run, given, id=name, task_queue=WORKFLOW_QUEUE)
    async with asyncio.timeout(30):
        await narrow.simulator.journal.until(lambda journal: journal.in_flight == 1)
    return run


async def planned(narrow: Rig, runs: list[WorkflowHandle[Any, Any]]) -> list[str]:
    """Let them finish, and say in which order their first calls were made, by the run's name."""
    await asyncio.gather(*(run.result() for run in runs))
    entries = [entry for entry in narrow.simulator.journal.entries() if (entry.agent or "").startswith("planner")]
    names = [str(entry.run).rpartition("-")[0] for entry in entries]
    return [name for name in names if name != "plug"]


@pytest.fixture
def fresh(narrow: Rig) -> Rig:
    """As if nobody had asked anything yet."""
    narrow.simulator.journal.clear()
    return narrow


async def test_calls_that_hang_take_no_slot_from_another_model(fresh: Rig) -> None:
    """A model's every slot is held by calls that hang; a run on other models passes meanwhile."""
    plug = await plugged(fresh)
    other = await start(fresh, "other", planner_model=OTHERS, evaluator_model=OTHERS)
    async with asyncio.timeout(30):
        report = await other.result()
        assert report.passed
        await fresh.simulator.journal.until(lambda journal: journal.in_flight == 1)
    await plug.cancel()


async def test_a_tenant_with_much_does_not_hold_up_one_with_little(fresh: Rig) -> None:
    """Ten runs of one tenant wait for the slot, then two of another come: they take turns."""
    plug = await plugged(fresh)
    many = [await start(fresh, "many", tenant="many") for _ in range(10)]
    await in_line(*many)
    few = [await start(fresh, "few", tenant="few") for _ in range(2)]
    await in_line(*few)
    await plug.cancel()
    order = await planned(fresh, [*many, *few])
    assert len(order) == 12
    assert max(index for index, name in enumerate(order) if name == "few") < 8, order


async def test_a_priority_goes_first(fresh: Rig) -> None:
    """The last to come is the first to be served, if it was said to be more urgent."""
    plug = await plugged(fresh)
    later = [await start(fresh, "later", priority=5) for _ in range(4)]
    await in_line(*later)
    first = await start(fresh, "first", priority=1)
    await in_line(first)
    await plug.cancel()
    order = await planned(fresh, [*later, first])
    assert order.index("first") <= 1, order


def test_every_model_has_a_queue_that_is_served() -> None:
    """Each tier's model one of its own, all others one together."""
    assert len({subagent_queue(model) for model in TIERS.values()}) == len(TIERS)
    assert subagent_queue("somebody/elses-model") == SUBAGENT_QUEUE
    assert set(SUBAGENT_QUEUES) == {SUBAGENT_QUEUE, *LANES.values()}
