"""Usual ways to meet an API that is down, each as it is usually written.

None gives up: with the usual three or five attempts every run would have failed long before the API was back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from uuid import uuid4

import anthropic
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

PLAIN_QUEUE = "storm-plain"
FIRST_DELAY = 1.0
"""Seconds before the first retry; doubled for each."""
LONGEST_DELAY = 60.0

Call = Callable[[], Awaitable[None]]


class BreakerOpen(Exception):
    """The article's breaker lets nothing through, for so many seconds."""

    def __init__(self, retry_in: float) -> None:
        super().__init__(f"the breaker is open for {retry_in:.1f} s")
        self.retry_in = retry_in


class ArticleBreaker:
    """The breaker of the article: a count, a time and three words, for one process.

    It admits everyone while it is closed and everyone once the recovery timeout is over; the first result decides.
    """

    def __init__(self, threshold: int, recovery_timeout: float) -> None:
        self._threshold = threshold
        self._recovery_timeout = recovery_timeout
        self._failures = 0
        self._opened_at = 0.0
        self._state = "closed"

    async def call(self, call: Call) -> None:
        """Make the call, or raise BreakerOpen."""
        if self._state == "open":
            left = self._opened_at + self._recovery_timeout - monotonic()
            if left > 0:
                raise BreakerOpen(left)
            self._state = "half_open"
        try:
            await call()
        except Exception:
            self._failures += 1
            if self._failures >= self._threshold or self._state == "half_open":
                self._state, self._opened_at = "open", monotonic()
            raise
        self._failures, self._state = 0, "closed"


def exponential(attempt: int, scale: float) -> float:
    """Seconds before the attempt after number `attempt`, which counts from 0: 1, 2, 4, … 60. Without jitter."""
    return min(FIRST_DELAY * 2.0 ** min(attempt, 16), LONGEST_DELAY) * scale


async def retried(call: Call, scale: float, *, heeds_breaker: bool = False) -> None:
    """Call until it works. An open breaker counts as one more failure, or is waited for as long as it says."""
    attempt = 0
    while True:
        try:
            return await call()
        except (anthropic.APIStatusError, BreakerOpen) as error:
            if heeds_breaker and isinstance(error, BreakerOpen):
                await asyncio.sleep(error.retry_in)
                continue
            await asyncio.sleep(exponential(attempt, scale))
            attempt += 1


class PlainCall:
    """An activity that makes the same SDK call and raises what the SDK raises."""

    def __init__(self, call: Call) -> None:
        self._call = call

    @activity.defn(name="plain")
    async def plain(self) -> None:
        """The request and nothing else."""
        await self._call()


@dataclass
class Patience:
    """How a plain run retries: seconds."""

    first: float
    longest: float


@workflow.defn
class PlainRun:
    """One activity with Temporal's own retries."""

    @workflow.run
    async def run(self, patience: Patience) -> None:
        await workflow.execute_activity(
            "plain",
            start_to_close_timeout=timedelta(minutes=30),
            retry_policy=RetryPolicy(
                initial_interval=timedelta(seconds=patience.first),
                backoff_coefficient=2.0,
                maximum_interval=timedelta(seconds=patience.longest),
            ),
        )


@asynccontextmanager
async def plain_temporal(client: Client, call: Call, scale: float) -> AsyncIterator[Call]:
    """A worker for plain runs; what is yielded is one run."""
    patience = Patience(FIRST_DELAY * scale, LONGEST_DELAY * scale)

    async def run() -> None:
        await client.execute_workflow(PlainRun.run, patience, id=f"plain-{uuid4()}", task_queue=PLAIN_QUEUE)

    async with Worker(
        client,
        task_queue=PLAIN_QUEUE,
        workflows=[PlainRun],
        activities=[PlainCall(call).plain],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        yield run
