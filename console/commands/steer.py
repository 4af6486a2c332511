"""The commands by which a person lets a waiting run go on. Each is an update, which a worker has to take."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import click
from temporalio.client import WorkflowExecutionStatus, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from console.errors import Exit, Stop
from console.options import validated
from console.render import Progress, notes, progress
from console.runs import Handle, find
from console.session import session
from workflows.approvals import AMEND_UPDATE, APPROVE_UPDATE, REJECT_UPDATE, WAITING_QUERY, Proposal
from workflows.bounds import RAISE_UPDATE
from workflows.caps import BudgetRaise

PATIENCE = timedelta(seconds=60)
"""How long a worker may take to answer: its start, and the replay of a long run."""


async def raise_budget(id: str, usd: float | None, tokens: int | None, agents: int | None) -> Exit:
    """Raise bounds of a run to new totals; whoever waited for that goes on. Raises click.UsageError for a wrong one."""
    asked = validated(BudgetRaise, {"usd": usd, "tokens": tokens, "agents": agents})
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


async def show_proposal(id: str) -> Exit:
    """Print what the run wants approved, and nothing else, to standard output."""

    async def look(handle: Handle, shown: Progress) -> None:
        async with asyncio.timeout(PATIENCE.total_seconds()):
            said = await handle.query(WAITING_QUERY)
        if said is None:
            raise Stop(f"nothing in {id} waits for approval; `starter.py show {id}` shows where it stands", Exit.USAGE)
        click.echo(json.dumps(Proposal.model_validate(said).value, indent=2, ensure_ascii=False))

    return await _steer(id, look, f"`starter.py approve {id}`, or change it and `starter.py amend {id} @FILE`")


async def approve(id: str) -> Exit:
    """Let the run go on with what it proposes."""

    async def send(handle: Handle, shown: Progress) -> None:
        shown.say(f"approved the {await _update(handle, APPROVE_UPDATE)} of {id}")

    return await _steer(id, send)


async def reject(id: str, reason: str) -> Exit:
    """End the run, with a reason."""

    async def send(handle: Handle, shown: Progress) -> None:
        shown.say(f"rejected the {await _update(handle, REJECT_UPDATE, reason)} of {id}")

    return await _steer(id, send, f"`starter.py result {id}` shows how it ended")


async def amend(id: str, value: Any) -> Exit:
    """Let the run go on with something else than it proposes."""

    async def send(handle: Handle, shown: Progress) -> None:
        shown.say(f"amended the {await _update(handle, AMEND_UPDATE, value)} of {id}")

    return await _steer(id, send)


async def _steer(id: str, send: Callable[[Handle, Progress], Awaitable[None]], then: str | None = None) -> Exit:
    """Have a worker, find the run, send it what is to be sent, and say what to do `then`."""
    with progress(notes()) as shown:
        async with session(shown.say, worker=True) as here:
            handle, description = await find(here.client, id)
            if description.status != WorkflowExecutionStatus.RUNNING:
                raise Stop(f"{id} has ended already; `starter.py result {id}` shows how", Exit.USAGE)
            await send(handle, shown)
            shown.say(then or f"`starter.py watch {id}` shows how it goes on")
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
