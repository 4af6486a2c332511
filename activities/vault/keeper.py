"""A paid answer waits for its place: an activity does not end before its result is where it will be kept.

Without this, an answer whose place is full or gone would fail its activity, and the retry would pay for another one.
With it the activity stays, heartbeating, and tries again until there is room, or its time is over. What is stored here
the SDK then finds stored: the same value has the same bytes and the same name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import structlog
from temporalio import activity
from temporalio.converter import DataConverter
from temporalio.exceptions import ApplicationError
from temporalio.worker import (
    ActivityInboundInterceptor,
    ActivityOutboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
)

from activities.vault.errors import BlobsUnavailable

AGAIN = timedelta(seconds=1)
"""Between two tries; well within a heartbeat timeout."""

log = structlog.get_logger("vault")


class Keeper(Interceptor):
    """For the worker whose activities cost money."""

    def __init__(self, converter: DataConverter, again: timedelta = AGAIN) -> None:
        """`converter` is the one of the worker's client."""
        self._converter = converter
        self._again = again

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """One for each execution."""
        return _Keeping(next, self._converter, self._again)


class _Keeping(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, converter: DataConverter, again: timedelta) -> None:
        super().__init__(next)
        self._converter = converter
        self._again = again.total_seconds()
        self._said = _Said()

    def init(self, outbound: ActivityOutboundInterceptor) -> None:
        """Hear what the activity heartbeats."""
        self._said.next = outbound
        super().init(self._said)

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        """The activity's result, when it can be kept. Raises ApplicationError if it never can."""
        result = await super().execute_activity(input)
        waiting = False
        while True:
            try:
                await self._converter.encode([result])
            except BlobsUnavailable as error:
                if not waiting:
                    where = activity.info()
                    log.warning("vault.waits", run=where.workflow_id, activity=where.activity_id, why=str(error))
                waiting = True
                # What the activity said last stays: it holds what was billed.
                activity.heartbeat(*self._said.last)
                await asyncio.sleep(self._again)
            except Exception as error:
                name = type(error).__name__
                raise ApplicationError(f"the result cannot be kept: {name}", type=name, non_retryable=True) from error
            else:
                return result


class _Said(ActivityOutboundInterceptor):
    """Remembers the last heartbeat."""

    def __init__(self) -> None:
        self.last: Sequence[Any] = ()

    def heartbeat(self, *details: Any) -> None:
        self.last = details
        super().heartbeat(*details)
