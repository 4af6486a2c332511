"""What a cancelled task owes: to hear how what it had begun has ended, for that is paid, and then to end itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")

STEPS = 3
"""Steps of the event loop until what ended in this very activation is seen to have ended."""


def being_cancelled() -> bool:
    """Whether this very task was cancelled, rather than only what it waits for (by an operator, say)."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def to_its_end(awaited: Awaitable[ResultT]) -> ResultT:
    """What an activity or a child run says, which is cancelled with this task, and waited for all the same.

    Whatever ends in the step in which the cancellation comes is heard too. It must not be cancelled then: Temporal's
    SDK would throw the result away, and with it what it cost.
    """
    begun = asyncio.ensure_future(awaited)
    while not begun.done():
        try:
            await _ended(begun)
        except asyncio.CancelledError:
            for _ in range(STEPS):
                with suppress(asyncio.CancelledError):  # once more, while it is being obeyed
                    await asyncio.sleep(0)
            if not begun.done():
                begun.cancel()
    return begun.result()


async def once_begun(beginning: Coroutine[Any, Any, ResultT]) -> tuple[ResultT, bool]:
    """What a beginning gives, and whether this task was cancelled meanwhile: what has been asked for will begin."""
    begun = asyncio.ensure_future(beginning)
    cancelled = False
    while not begun.done():
        try:
            await _ended(begun)
        except asyncio.CancelledError:
            cancelled = True
    return begun.result(), cancelled


async def _ended(begun: asyncio.Future[Any]) -> None:
    """Wait for an end without passing a cancellation on, as a shield would, and without a shield's complaints."""
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def tell(_: asyncio.Future[Any]) -> None:
        if not ended.done():
            ended.set_result(None)

    begun.add_done_callback(tell)
    try:
        await ended
    finally:
        begun.remove_done_callback(tell)
