"""Plan, generate, evaluate: somebody says what "done" means, somebody does it, somebody else judges it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator
from temporalio import workflow

from workflows.contracts import RunReport
from workflows.delegate import delegate
from workflows.models import Model
from workflows.revision.tables import as_markdown
from workflows.revision.verdicts import Judged, Marks, Round, Verdict, assess, best, repeats, stalls
from workflows.run import Outcome, Run, RunInput, RunResult, require, stop_reason_of
from workflows.state import Slot
from workflows.subagents.evaluator import EVALUATOR, EvaluateRequest
from workflows.subagents.generator import GENERATOR, Finding, GenerateRequest
from workflows.subagents.planner import PLANNER, Criteria, Criterion, Plan, PlanRequest

RUBRIC = [
    Criterion(
        id="R1",
        statement="The work does everything the task asks for.",
        how_to_verify="List what the task asks for and find each in the work.",
        level="must",
    ),
    Criterion(
        id="R2",
        statement="The work is correct: nothing in it is wrong or contradicts itself.",
        how_to_verify="Look for one statement, line of code or figure that is wrong.",
        level="must",
    ),
    Criterion(
        id="R3",
        statement="The work can be used as it is, without asking its maker.",
        how_to_verify="Look for placeholders, omissions and steps left to the reader.",
        level="should",
    ),
]
"""What is asked of any work when there is no planner and the user names no criteria."""


class Input(RunInput):
    """What a run is asked to do."""

    task: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)] = Field(
        description="What to do, in your words."
    )
    planner: bool = Field(
        default=True,
        description="Let a planner set the criteria; without it they are --criteria or a fixed rubric.",
    )
    criteria: Criteria | None = Field(
        default=None, description="Your own criteria, a JSON list of {id, statement, how_to_verify, level}."
    )
    approve: Literal["plan", "criteria"] | None = Field(
        default=None, description="Wait for a person to approve the plan, its criteria first of all, before any work."
    )
    max_revisions: int = Field(default=3, ge=0, le=10, description="How often the work may be revised.")
    planner_model: Model | None = Field(default=None, description="Model that plans.")
    generator_model: Model | None = Field(default=None, description="Model that does the work.")
    evaluator_model: Model | None = Field(default=None, description="Model that judges.")

    @model_validator(mode="after")
    def _criteria_have_one_author(self) -> Self:
        if self.planner and self.criteria is not None:
            raise ValueError("criteria are set by the planner or by you: add --no-planner to use your own")
        if not self.planner and self.approve is not None:
            raise ValueError("without a planner there is nothing to approve: drop --approve or --no-planner")
        return self


class Result(RunResult):
    """The best deliverable of the run and what is known about it."""

    verdict: Verdict
    deliverable: str
    revision: int = Field(description="Which version this is; 0 is the first.")
    versions: int = Field(description="How many versions were made.")
    goal: str | None
    criteria: list[Judged] = Field(description="One row per criterion; empty if nobody judged this version.")
    rounds: list[Marks] = Field(default=[], description="What each criterion got in each version.")

    def text(self) -> str:
        """The deliverable itself."""
        return self.deliverable

    def markdown(self) -> str:
        """The criteria by version, what was found, and the deliverable."""
        return as_markdown(self.goal, self.criteria, self.rounds, self.revision, self.deliverable)

    def summary(self) -> list[tuple[str, str, str]]:
        """The criteria, each with what was found."""
        return [
            (f"{row.id} {row.level}: {row.statement}", row.verdict, row.remedy or row.evidence) for row in self.criteria
        ]


@workflow.defn(name="plan-generate-evaluate")
class PlanGenerateEvaluate:
    """A planner sets criteria, a generator does the work, an evaluator judges it until every `must` passes."""

    @workflow.init
    def __init__(self, input: Input) -> None:
        self.bookkeeping = Run[Result](input, {"brief/frozen": Slot(Plan), "round/*": Slot(Round)})
        self.goal: str | None = None
        self.rounds: list[Round] = []

    @workflow.run
    async def run(self, input: Input) -> RunReport[Result]:
        return await self.bookkeeping.conduct(self.story(input))

    async def story(self, input: Input) -> Outcome[Result]:
        run = self.bookkeeping
        brief = await self.brief(input)
        run.state.write("brief/frozen", brief, writer="planner" if input.planner else "user")
        for revision in range(input.max_revisions + 1):
            run.at(f"generating version {revision + 1}")
            draft = require(await delegate(run, GENERATOR, self.assignment(input, brief)))
            if stall := repeats(self.rounds, draft.content):
                return self.stopped(stall, "the generator handed in a version it had handed in before")
            self.rounds.append(Round(revision=revision, deliverable=draft.content))
            self.write(self.rounds[-1])
            run.keep(self.result())

            run.at(f"evaluating version {revision + 1}")
            request = EvaluateRequest(task=input.task, criteria=brief.criteria, deliverable=draft.content)
            reply = await delegate(run, EVALUATOR, request)
            if reply.answer is None:
                return self.stopped(stop_reason_of(reply), f"not judged: {reply.agent}: {reply.error_message}")
            self.rounds[-1] = self.rounds[-1].model_copy(update={"judged": assess(brief.criteria, reply.answer)})
            self.write(self.rounds[-1])
            run.keep(self.result())
            if self.rounds[-1].verdict == "PASSED":
                return Outcome("satisfied", True, self.result())
            if stall := stalls(self.rounds):
                return self.stopped(stall, "revising did not bring the work nearer to its criteria")
        return self.stopped("max_revisions", "criteria are still unmet; see them in the result")

    async def brief(self, input: Input) -> Plan:
        """The goal and the criteria, frozen from here on: generator and evaluator get the same ones."""
        if not input.planner:
            criteria = input.criteria or RUBRIC
            return Plan(goal=input.task, constraints=[], assumptions=[], out_of_scope=[], criteria=criteria)
        self.bookkeeping.at("planning")
        plan = require(await delegate(self.bookkeeping, PLANNER, PlanRequest(task=input.task)))
        if input.approve is not None:
            self.bookkeeping.at(f"waiting for approval of the {input.approve}")
            plan = await self.bookkeeping.approval(input.approve, plan)
        self.goal = plan.goal
        return plan

    def assignment(self, input: Input, brief: Plan) -> GenerateRequest:
        """What the generator is asked: the brief, and on a revision its last version with what was found."""
        last = self.rounds[-1] if self.rounds else None
        return GenerateRequest(
            task=input.task,
            goal=self.goal,
            constraints=brief.constraints,
            assumptions=brief.assumptions,
            out_of_scope=brief.out_of_scope,
            criteria=brief.criteria,
            previous=last.deliverable if last else None,
            feedback=_findings(last) if last else None,
        )

    def result(self) -> Result | None:
        """The best round so far, as the run's result."""
        kept = best(self.rounds)
        if kept is None:
            return None
        return Result(
            verdict=kept.verdict,
            deliverable=kept.deliverable,
            revision=kept.revision,
            versions=len(self.rounds),
            goal=self.goal,
            criteria=kept.judged,
            rounds=[each.marks for each in self.rounds],
        )

    def write(self, round: Round) -> None:
        """Show a round in the run's state: as a draft, then as it was judged."""
        self.bookkeeping.state.write(f"round/{round.revision + 1}", round, writer="run")

    def stopped(self, stop_reason: str, message: str) -> Outcome[Result]:
        """A run that ends without satisfying its criteria; its best version is kept."""
        return Outcome(stop_reason, False, self.result(), message)


def _findings(round: Round) -> list[Finding]:
    """The feedback: every criterion that was not shown to pass, with its place and remedy."""
    return [
        Finding(
            criterion=f"{row.id}: {row.statement}",
            found=f"{row.verdict}: {row.evidence}",
            place=row.place,
            remedy=row.remedy,
        )
        for row in round.judged
        if row.verdict != "pass"
    ]
