"""A worker of the OpenAI Agents SDK on Temporal: an agent under `OpenAIAgentsPlugin`, as documented.

    python -m benchmarks.peers.openai_agents_worker SERVER

Started by benchmarks.storm in the peers' environment, with ANTHROPIC_BASE_URL and STORM_SCALE. Claude is reached the
usual way, through the SDK's LiteLLM provider.

What it does about a failed request, by its defaults: the model request is an activity of at most 60 s under Temporal's
own retry policy: 1 s before the first retry, doubled up to 100 s, no maximum of attempts. 408, 409, 429 and 5xx are
retried; other statuses, or `x-should-retry: false`, are not. A `retry-after` replaces the wait if the plugin sees it:
the errors LiteLLM makes of Anthropic's 429 and 529 carry no headers of the response, so here it does not. (It would
with OpenAI's own provider, which is not what reaches Claude.) LiteLLM makes a 500 of a 529, and retries nothing itself.

What is set here: the first wait is multiplied by STORM_SCALE, which is 1 in a measurement. It never gives up by
default, so nothing was changed for that. The SDK's traces, which go to OpenAI, are off.
"""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import timedelta

from temporalio import workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    from agents import Agent, Runner
    from agents.extensions.models.litellm_provider import LitellmProvider
    from temporalio.openai_agents import ModelActivityParameters, OpenAIAgentsPlugin

    from benchmarks.worker_process import ready_until_let_go

QUEUE = "storm-openai-agents"
MODEL = "anthropic/claude-haiku-4-5"
FIRST_DELAY = timedelta(seconds=1)
"""Before the first retry: Temporal's default. The longest wait is a hundred of it, also by default."""


@workflow.defn
class OpenAiAgentsRun:
    """One run of the agent: one model request."""

    @workflow.run
    async def run(self, prompt: str) -> str:
        planner = Agent(name="planner", instructions="Plan the work.", model=MODEL)
        return str((await Runner.run(planner, input=prompt)).final_output)


async def serve(server: str) -> None:
    """Work until standard input ends."""
    first_delay = FIRST_DELAY * float(os.environ["STORM_SCALE"])
    plugin = OpenAIAgentsPlugin(
        model_params=ModelActivityParameters(retry_policy=RetryPolicy(initial_interval=first_delay)),
        model_provider=LitellmProvider(),
    )
    client = await Client.connect(server, plugins=[plugin])
    async with Worker(client, task_queue=QUEUE, workflows=[OpenAiAgentsRun]):
        await ready_until_let_go()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
