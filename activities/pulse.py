"""What a call tells Temporal while it lives, and how it learns that Temporal has given it up.

It beats from the loop, every few seconds, whether or not the stream says something: a call may think for minutes before
its first event, and a process that is stuck must fall silent even though its connection has still bytes to read. A beat
for each event would tell no more, for the SDK sends one in so many seconds anyway.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from temporalio import activity
from temporalio.client import AsyncActivityCancelledError
from temporalio.service import RPCError, RPCStatusCode

from activities.circuit.ticket import Ticket
from activities.claude import Meter
from workflows.contracts import HEARTBEAT_EVERY, CallProgress, Usage


def billed_before() -> Usage:
    """What earlier attempts of this activity were billed, from the heartbeat the last of them left."""
    details = activity.info().heartbeat_details
    return CallProgress.model_validate(details[0]).billed if details else Usage()


async def given_up(before: Usage) -> bool:
    """Whether this attempt began so late that another has taken its place: then nobody waits for what it would pay.

    A worker that is paused (a laptop that sleeps, a machine that is moved) goes on being given calls, which it finds
    when it wakes. The server is asked only if its time and ours say so, so that a clock that is wrong costs a question.
    """
    info = activity.info()
    if info.heartbeat_timeout is None or datetime.now(UTC) - info.started_time < info.heartbeat_timeout:
        return False
    handle = activity.client().get_async_activity_handle(task_token=info.task_token)
    progress = CallProgress(attempt=info.attempt, phase="connecting", billed=before)
    try:
        await handle.heartbeat(progress, rpc_timeout=HEARTBEAT_EVERY)
    except AsyncActivityCancelledError:
        return False  # cancelled is not given up: the worker hears of it and says how it ended
    except RPCError as error:
        return error.status is RPCStatusCode.NOT_FOUND
    return False


@asynccontextmanager
async def heartbeats(meter: Meter, before: Usage, ticket: Ticket) -> AsyncIterator[None]:
    """Heartbeat, to Temporal and to the circuit, while the body runs, from the same loop, so that a stuck process
    falls silent; once more at its end, so that the next attempt knows what this one used."""

    def beat() -> None:
        activity.heartbeat(
            CallProgress(
                attempt=activity.info().attempt,
                phase=meter.phase,
                output_tokens=meter.usage.output_tokens,
                billed=before + meter.usage,
            )
        )

    async def pulse() -> None:
        while True:
            beat()
            await ticket.renew()
            await asyncio.sleep(HEARTBEAT_EVERY.total_seconds())

    pulsing = asyncio.create_task(pulse())
    try:
        yield
    finally:
        pulsing.cancel()
        beat()
