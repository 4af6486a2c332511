"""What a cancelled task owes: to hear how what it had begun has ended, for that is paid, and then to end itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

ResultT = TypeVar("ResultT")


def being_cancelled() -> bool:
    """Whether this very task was cancelled, rather than only what it waits for (by an operator, say)."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def to_its_end(awaited: Awaitable[ResultT]) -> ResultT:
    """What was awaited says, also if this task is cancelled in the very step in which it ended: that is paid."""
    ended = asyncio.ensure_future(awaited)
    try:
        return await ended
    except asyncio.CancelledError:
        if ended.done() and not ended.cancelled():
            return ended.result()
        raise


async def once_begun(beginning: Awaitable[ResultT]) -> tuple[ResultT, bool]:
    """What a beginning gives, and whether this task was cancelled meanwhile: what has been asked for will begin."""
    begun = asyncio.ensure_future(beginning)
    cancelled = False
    while not begun.done():
        try:
            await asyncio.shield(begun)
        except asyncio.CancelledError:
            cancelled = True
        except Exception:  # noqa: BLE001 - it is the beginning's own, and raised below
            break
    return begun.result(), cancelled
