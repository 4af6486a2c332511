"""The commands by which a person lets a waiting run go on. Each is an update, which a worker has to take."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from temporalio.client import WorkflowExecutionStatus, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from console.errors import Exit, Stop
from console.render import Progress, notes, progress
from console.runs import Handle, find
from console.session import session
from workflows.bounds import RAISE_UPDATE
from workflows.caps import BudgetRaise

PATIENCE = timedelta(seconds=60)
"""How long a worker may take to answer: its start, and the replay of a long run."""


async def raise_budget(id: str, usd: float | None, tokens: int | None, agents: int | None) -> Exit:
    """Raise bounds of a run to new totals; whoever waited for that goes on."""
    asked = BudgetRaise(usd=usd, tokens=tokens, agents=agents)
    totals = [
        *([f"${usd:.2f}"] if usd is not None else []),
        *([f"{tokens:,} tokens"] if tokens is not None else []),
        *([f"{agents:,} agents"] if agents is not None else []),
    ]

    async def send(handle: Handle, shown: Progress) -> None:
        waited = await _update(handle, RAISE_UPDATE, asked)
        who = f"; {waited} waiting agent{' tries' if waited == 1 else 's try'} again" if waited else ""
        shown.say(f"{id} may now use {', '.join(totals)} in all{who}")

    return await _steer(id, send)


async def _steer(id: str, send: Any) -> Exit:
    """Have a worker, find the run, send it what is to be sent, and say how to go on."""
    with progress(notes()) as shown:
        async with session(shown.say, worker=True) as here:
            handle, description = await find(here.client, id)
            if description.status != WorkflowExecutionStatus.RUNNING:
                raise Stop(f"{id} has ended already; `starter.py result {id}` shows how", Exit.USAGE)
            await send(handle, shown)
            shown.say(f"`starter.py watch {id}` shows how it goes on")
    return Exit.PASSED


async def _update(handle: Handle, name: str, *arguments: Any) -> Any:
    """Send an update and return its answer. Raises Stop with the run's own words if it refuses."""
    try:
        async with asyncio.timeout(PATIENCE.total_seconds()):
            return await handle.execute_update(name, args=list(arguments))
    except WorkflowUpdateFailedError as error:
        cause = error.cause
        raise Stop(cause.message if isinstance(cause, ApplicationError) else str(cause), Exit.USAGE) from error
    except TimeoutError as error:
        raise Stop(
            f"no worker has answered for {PATIENCE.seconds} s; start one with `python worker.py` and send it again: "
            "sent twice it counts once",
            Exit.UNREACHABLE,
        ) from error
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        raise Stop(f"{handle.id} has just ended; `starter.py result {handle.id}` shows how", Exit.USAGE) from error
