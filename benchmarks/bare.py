"""The same calls as a run that divides its task, in a bare workflow: no plan, no ledger, no state, no report.

In a file of its own, because a worker loads it into the sandbox for every run, as it does any pipeline.
"""

from __future__ import annotations

import asyncio

from pydantic import BaseModel
from temporalio import workflow

from workflows.contracts import (
    CALL_RETRY,
    CALL_SUBAGENT,
    HEARTBEAT_TIMEOUT,
    START_TO_CLOSE,
    SUBAGENT_QUEUE,
    CallOutcome,
    SubagentCall,
)

AT_ONCE = 100
"""Calls under way in one run: what one worker makes at once by default."""


class Words(BaseModel):
    """What a bare workflow says: word for word what Breakwater's subagents were told."""

    first: SubagentCall
    piece: SubagentCall
    last: SubagentCall
    pieces: int


@workflow.defn
class Bare:
    """The same activities in the same order, as many at once, with nothing around them."""

    @workflow.run
    async def run(self, words: Words) -> int:
        await self.call(words.first)
        places = asyncio.Semaphore(AT_ONCE)

        async def piece(number: int) -> CallOutcome:
            async with places:
                return await self.call(words.piece.model_copy(update={"agent": f"specialist-{number}"}))

        outcomes = await asyncio.gather(*(piece(number) for number in range(words.pieces)))
        await self.call(words.last)
        return len(outcomes)

    async def call(self, call: SubagentCall) -> CallOutcome:
        outcome: CallOutcome = await workflow.execute_activity(
            CALL_SUBAGENT,
            call,
            result_type=CallOutcome,
            task_queue=SUBAGENT_QUEUE,
            start_to_close_timeout=START_TO_CLOSE,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=CALL_RETRY,
        )
        return outcome
