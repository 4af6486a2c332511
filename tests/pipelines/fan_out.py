"""Workflows of the tests' own: so many equal agents, all asked for at once; and one that asks a person too late."""

from __future__ import annotations

import asyncio

from pydantic import BaseModel, Field
from temporalio import workflow

from workflows.contracts import RunReport
from workflows.delegate import delegate
from workflows.run import Outcome, Run, RunInput, RunResult
from workflows.subagents import Subagent


class Question(BaseModel):
    """What each is asked."""

    number: int


class Answer(BaseModel):
    """What each answers."""

    text: str = Field(min_length=1)


ANSWERER = Subagent(
    role="answerer",
    instructions="Answer the question of the block `number`.",
    request=Question,
    answer=Answer,
    tier="small",
    max_tokens=199_000,
    max_tokens_retry=199_000,
)
"""In its worst case it costs just under ten cents."""


class Input(RunInput):
    """How many."""

    agents: int


class Result(RunResult):
    """How many answered."""

    answered: int


@workflow.defn(name="fan-out")
class FanOut:
    """Asks so many agents at once and counts the answers."""

    @workflow.init
    def __init__(self, input: Input) -> None:
        self.bookkeeping = Run[Result](input)

    @workflow.run
    async def run(self, input: Input) -> RunReport[Result]:
        return await self.bookkeeping.conduct(self.story(input))

    async def story(self, input: Input) -> Outcome[Result]:
        asked = (delegate(self.bookkeeping, ANSWERER, Question(number=number)) for number in range(input.agents))
        answered = sum(reply.status == "success" for reply in await asyncio.gather(*asked))
        return Outcome("answered", answered == input.agents, Result(answered=answered))


@workflow.defn(name="latecomer")
class Latecomer(FanOut):
    """Asks for an approval when its deadline has passed, as a run does whose last call ended at that very moment."""

    @workflow.init
    def __init__(self, input: Input) -> None:
        super().__init__(input)

    @workflow.run
    async def run(self, input: Input) -> RunReport[Result]:
        return await super().run(input)

    async def story(self, input: Input) -> Outcome[Result]:
        assert input.deadline is not None
        await workflow.sleep(input.deadline * 2)
        await self.bookkeeping.approval("number", Question(number=input.agents))
        return Outcome("approved", True, None)
