"""A worker of pydantic-ai's durable mode: an agent with `TemporalDurability`, set up as its documentation shows.

    python -m benchmarks.peers.pydantic_ai_worker SERVER

Started by benchmarks.storm in the peers' environment, with ANTHROPIC_BASE_URL and STORM_SCALE.

What it does about a failed request, by its defaults: the model request is an activity of at most 60 s that heartbeats
(lost after 30 s) under Temporal's own retry policy: 1 s before the first retry, doubled up to 100 s, no maximum of
attempts. A `retry-after` replaces that wait, up to the 100 s. 529 and 429 are retried; a request that was rejected, or
passed its deadline, or whose quota is exhausted is not. The `anthropic` client underneath would retry twice by itself.

What is set here: that client's retries are off, as the documentation advises for Temporal; and the first wait is
multiplied by STORM_SCALE, which is 1 in a measurement. It never gives up by default, so nothing was changed for that.
"""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import timedelta

from anthropic import AsyncAnthropic
from pydantic_ai import Agent
from pydantic_ai.durable_exec.temporal import PydanticAIPlugin, TemporalDurability
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from temporalio import workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.worker import Worker
from temporalio.workflow import ActivityConfig

with workflow.unsafe.imports_passed_through():
    from benchmarks.worker_process import ready_until_let_go

QUEUE = "storm-pydantic-ai"
MODEL = "claude-haiku-4-5"
FIRST_DELAY = timedelta(seconds=1) * float(os.environ["STORM_SCALE"])
"""Before the first retry: Temporal's default, scaled. The longest wait is a hundred of it, also by default."""

planner = Agent(
    AnthropicModel(MODEL, provider=AnthropicProvider(anthropic_client=AsyncAnthropic(max_retries=0))),
    instructions="Plan the work.",
    name="planner",
    capabilities=[
        TemporalDurability(
            model_activity_config=ActivityConfig(retry_policy=RetryPolicy(initial_interval=FIRST_DELAY)),
        )
    ],
)


@workflow.defn
class PydanticAiRun:
    """One run of the agent: one model request."""

    __pydantic_ai_agents__ = (planner,)

    @workflow.run
    async def run(self, prompt: str) -> str:
        return str((await planner.run(prompt)).output)


async def serve(server: str) -> None:
    """Work until standard input ends."""
    client = await Client.connect(server, plugins=[PydanticAIPlugin()])
    async with Worker(client, task_queue=QUEUE, workflows=[PydanticAiRun]):
        await ready_until_let_go()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
