"""Waiting for a configured server: a worker of a fleet is often there before its server, or before its namespace.

Only what may pass by itself is waited for: nothing listens yet, a name cannot be resolved yet, no answer, no namespace.
Wrong credentials or TLS settings end it at once: they do not get better.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from hosting.errors import Misconnected, NoNamespace, Unreachable, WaitEnded

AnswerT = TypeVar("AnswerT")

PAUSE = timedelta(seconds=1)
"""Between two attempts: a fleet that starts is 30 s on its way, and an attempt costs both sides next to nothing."""
REMINDER = timedelta(seconds=30)
"""How often it is said again that something is still waited for."""


@dataclass(frozen=True)
class Patience:
    """How long to wait, and what ends the waiting before that."""

    within: timedelta
    """None at all, if zero: the first failure counts."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when nobody wants the answer any more."""

    async def until_answered(
        self, attempt: Callable[[], Awaitable[AnswerT]], say: Callable[[str], None] = lambda _: None
    ) -> AnswerT:
        """What `attempt` returns once it does not fail any more; `say` is told what is waited for, and until when.

        Raises what `attempt` raised last when the time is over, at once what will not pass, and WaitEnded.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.within.total_seconds()
        until = datetime.now(UTC) + self.within
        said, said_at = "", 0.0
        while True:
            try:
                return await attempt()
            except Misconnected:
                raise
            except (Unreachable, NoNamespace) as error:
                if loop.time() + PAUSE.total_seconds() > deadline:
                    raise
                if error.what != said or loop.time() - said_at >= REMINDER.total_seconds():
                    said, said_at = error.what, loop.time()
                    say(f"{error.what}; waiting until {until:%H:%M:%S} UTC")
            if await self._ended_within(PAUSE):
                raise WaitEnded(f"{said}; no longer waited for")

    async def _ended_within(self, pause: timedelta) -> bool:
        try:
            async with asyncio.timeout(pause.total_seconds()):
                return await self.ended.wait()
        except TimeoutError:
            return False
