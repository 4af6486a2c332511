"""Many pieces and long histories: what a run keeps, what it carries over, and how large it becomes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.testing import WorkflowEnvironment

from benchmarks.rig import rig
from console.follow import events, snapshot
from hosting.connection import converter_of
from hosting.home import Home
from hosting.temporal_server import server_settings, temporal_binary
from simulator import ServerOptions
from tests.pipelines.conftest import Bench, seen
from tests.pipelines.divided import answers, new_id, plan, report, result, start, states, subtask
from workflows.contracts import Usage

LONG = 30
"""Events of a history that the server of these tests calls long: a few subtasks."""
ANSWER_BYTES = 20_000
EVENT_BYTES = 16_000
"""Of history per subtask: a third of 5 MB for a hundred, so 5 MB for three hundred."""


@pytest.fixture(scope="module")
async def impatient(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    """A server that soon suggests to continue as new, with a worker and the stand-in."""
    folder = tmp_path_factory.mktemp("home")
    settings = [*server_settings(), "--dynamic-config-value", f"limit.historyCount.suggestContinueAsNew={LONG}"]
    async with (
        await WorkflowEnvironment.start_local(
            dev_server_existing_path=str(temporal_binary()),
            dev_server_extra_args=settings,
            data_converter=converter_of(Home(folder), one_machine=True, environment={}),
        ) as server,
        rig(folder, "one", simulated=ServerOptions(journal_texts=True), server=server.client) as here,
    ):
        yield Bench(here.client, here.simulator, here.home)


async def test_a_long_history_is_continued_and_nothing_is_lost_or_done_twice(impatient: Bench) -> None:
    """State, ledger, replies, agenda and deadline go along; the run keeps its id, its names and its report."""
    run = new_id()
    pieces = [subtask(f"s{n}", *([f"s{n - 1}"] if n % 4 == 3 else [])) for n in range(12)]
    broken = {"match": {"agent": "specialist-5"}, "times": 1, "fault": {"kind": "apology"}}
    divided = subtask("deep", "s0", may_delegate=True)
    handle = await start(
        impatient,
        [answers(plan(*pieces, divided)), broken, answers(plan(subtask("x"), subtask("y")), run=f"{run}.deep")],
        run,
        parallel=3,
        max_subtasks=20,
        max_agents=30,
        budget_usd=5,
        deadline=timedelta(minutes=5),
        approve="plan",
    )
    await seen(handle, lambda view: view.waiting)
    await handle.execute_update("approve")
    ended = await report(handle)
    assert (ended.stop_reason, ended.passed) == ("satisfied", True)
    assert [each.outcome for each in ended.decisions] == ["approved"]
    assert set(states(ended).values()) == {"passed"}
    names = [reply.agent for reply in ended.agents]
    assert len(set(names)) == len(names) == ended.agents_started == 1 + 12 + 4 + 1
    assert sum((reply.usage for reply in ended.agents), Usage()) == ended.usage
    asked = {entry.agent for entry in impatient.requests(run)}
    assert len(asked) == 1 + 12 + 1, "nobody was asked under two names"
    executions = [
        each async for each in events(handle) if each.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED
    ]
    assert len(executions) > 2
    view = await snapshot(handle)
    assert (view.state, len(view.calls)) == ("finished", 1 + 12 + 1 + 1 + 1)
    assert view.usage == ended.usage
    assert all(call.ended for call in view.calls)
    state = await handle.query("state", {})
    assert {key for key in state if key.startswith("result/")} == {f"result/{id}" for id in states(ended)}


async def test_a_hundred_long_answers_leave_a_short_history(bench: Bench) -> None:
    """Large values are kept beside the history, no more than twenty calls are open at once, and all is put together."""
    words = {"shape": "text", "content": "word " * (ANSWER_BYTES // 5), "gaps": []}
    handle = await start(
        bench,
        [
            answers(plan(*(subtask(f"s{n}", effort={"tier": "small", "max_tokens": 8_000}) for n in range(100)))),
            {"match": {"role": "specialist"}, "answer": words},
        ],
        max_subtasks=100,
        max_agents=120,
    )
    ended = await report(handle)
    assert (ended.stop_reason, len(states(ended))) == ("satisfied", 100)
    assert result(ended).synthesized
    history = (await handle.describe()).raw_description.workflow_execution_info.history_size_bytes
    assert history < 100 * EVENT_BYTES
    open_, most = 0, 0
    async for event in events(handle):
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            open_ += 1
        elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
            open_ -= 1
        most = max(most, open_)
    assert most == 20
