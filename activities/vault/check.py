"""Whether this process can read the runs that wait for it: asked before it takes any work."""

from __future__ import annotations

import structlog
from temporalio.client import Client
from temporalio.service import RPCError

from activities.vault.errors import Forged, KeyMissing

log = structlog.get_logger("vault")

LOOK_AT = 100
"""The latest open runs: their memos come with the list, so this is one question."""


async def check_keys(client: Client, task_queue: str) -> None:
    """Raises KeyMissing if an open run of this queue is sealed with a key that is not here.

    A worker that took its tasks anyway would fail them: the run would wait, but its calls have a number of attempts.
    A server that does not let us ask is no reason not to work.
    """
    query = f"TaskQueue = '{task_queue}' AND ExecutionStatus = 'Running'"
    try:
        async for run in client.list_workflows(query, limit=LOOK_AT):
            try:
                await run.memo()
            except (KeyMissing, Forged) as error:
                raise KeyMissing(f"run {run.id} is open and cannot be read: {error}") from None
    except RPCError as error:
        log.warning("vault.keys_not_checked", why=error.status.name)
