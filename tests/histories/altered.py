"""Plan, generate, evaluate, as somebody might change it without a thought for the runs in flight. For a test."""

from __future__ import annotations

from temporalio import workflow

from workflows.contracts import RunReport
from workflows.delegate import delegate
from workflows.pipelines.plan_generate_evaluate import Input, PlanGenerateEvaluate, Result
from workflows.run import Outcome
from workflows.subagents.planner import PLANNER, Plan, PlanRequest


@workflow.defn(name="plan-generate-evaluate")
class SecondOpinion(PlanGenerateEvaluate):
    """Two planners are asked, and the first is believed."""

    @workflow.init
    def __init__(self, input: Input) -> None:
        super().__init__(input)

    @workflow.run
    async def run(self, input: Input) -> RunReport[Result]:
        return await super().run(input)

    async def story(self, input: Input) -> Outcome[Result]:
        return await super().story(input)

    async def brief(self, input: Input) -> Plan:
        plan = await super().brief(input)
        await delegate(self.bookkeeping, PLANNER, PlanRequest(task=input.task))
        return plan


@workflow.defn(name="plan-generate-evaluate")
class PatchedSecondOpinion(SecondOpinion):
    """The same, for new runs only."""

    @workflow.init
    def __init__(self, input: Input) -> None:
        super().__init__(input)

    @workflow.run
    async def run(self, input: Input) -> RunReport[Result]:
        return await super().run(input)

    async def brief(self, input: Input) -> Plan:
        if workflow.patched("second-opinion"):
            return await super().brief(input)
        return await PlanGenerateEvaluate.brief(self, input)
