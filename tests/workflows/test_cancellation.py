"""A call that ends in the very step in which its run is cancelled is paid, and what it said is kept."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from workflows.cancellation import to_its_end
from workflows.contracts import CallOutcome, Usage

OUTCOME = CallOutcome(
    text="{}",
    stop_reason="end_turn",
    usage=Usage(output_tokens=7),
    model="claude-haiku-5-5",
    request_id=None,
    attempts=1,
    simulated=True,
    started_at=datetime(2026, 11, 1, tzinfo=UTC),
    duration=timedelta(0),
)


async def waiting() -> tuple[asyncio.Future[CallOutcome], asyncio.Task[CallOutcome]]:
    """An activity under way, and the task that waits for it."""
    activity: asyncio.Future[CallOutcome] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(to_its_end(activity))
    await asyncio.sleep(0)
    return activity, task


async def test_an_answer_that_comes_with_the_cancellation_is_kept_and_the_cancellation_is_not_lost() -> None:
    """Whoever delegates sees both: the outcome, and that its task is being cancelled."""
    activity, task = await waiting()
    activity.set_result(OUTCOME)
    task.cancel()
    assert await task == OUTCOME
    assert task.cancelling() == 1


async def test_a_failure_that_comes_with_the_cancellation_is_raised_as_itself() -> None:
    """It says what was billed, which a cancellation does not."""
    activity, task = await waiting()
    activity.set_exception(RuntimeError("as it ended"))
    task.cancel()
    with pytest.raises(RuntimeError, match="as it ended"):
        await task


async def test_an_answer_that_the_sdk_would_throw_away_is_kept() -> None:
    """As Temporal's handle does: cancelled after its result has come, and before it has passed it on, it loses it."""
    result: asyncio.Future[CallOutcome] = asyncio.get_running_loop().create_future()

    async def passed_on() -> CallOutcome:
        return await asyncio.shield(result)

    task = asyncio.create_task(to_its_end(asyncio.create_task(passed_on())))
    await asyncio.sleep(0.01)
    result.set_result(OUTCOME)
    task.cancel()
    assert await task == OUTCOME
    assert task.cancelling() == 1


async def test_a_cancellation_before_the_end_is_one() -> None:
    """Nothing was said yet."""
    activity, task = await waiting()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert activity.cancelled()
