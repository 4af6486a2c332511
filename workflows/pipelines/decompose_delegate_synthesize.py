"""Decompose, delegate, synthesise: one divides the task, many do the pieces, one puts them together."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Any, Literal, NoReturn

from pydantic import BaseModel, Field, StringConstraints
from temporalio import workflow
from temporalio.exceptions import is_cancelled_exception

from workflows.caps import Caps
from workflows.child_runs import ChildRuns, farewell
from workflows.contracts import Reply, RunReport
from workflows.division.agenda import Agenda, Item, Missing, State
from workflows.division.assembly import not_covered
from workflows.division.briefs import Brief, HandedDown
from workflows.division.conclusion import Concluded, Conclusion
from workflows.division.pieces import MOST_REPLANS, Pieces, Terms
from workflows.division.planning import InvalidPlan, Planning
from workflows.division.plans import COUNTS, Complexity, Criticality, Plan, Subtask
from workflows.failures import FAILURES, FailureKind
from workflows.models import Model
from workflows.policies import Policy, Require
from workflows.run import BOUNDS, Outcome, Run, RunInput, RunResult, SubagentFailed, stop_reason_of
from workflows.state import Slot
from workflows.subagents.decomposer import DECOMPOSER
from workflows.subagents.specialist import Answered, TextAnswer
from workflows.subagents.synthesizer import Synthesis

SUMMARY_LIMIT = 80
"""Characters of a subtask's objective in the UI's one-line summary of its run."""


class Progress(BaseModel):
    """How far a run has come whose workflow continues as new."""

    complexity: Complexity
    agenda: Agenda
    replans: int
    bound: FailureKind | None


class Input(RunInput):
    """What is to be done, and how far it may be divided."""

    task: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)] = Field(
        description="What to do, in your words."
    )
    require: Require = Field(
        default="all", description="What is enough: all (required subtasks), quorum:K, or best-effort."
    )
    early_stop: bool = Field(default=True, description="Stop paying as soon as that can no longer be reached.")
    parallel: int = Field(default=20, ge=1, le=500, description="Agents at work at once, in the whole run.")
    max_subtasks: int = Field(
        default=COUNTS["complex"], ge=1, le=500, description="Subtasks of a complex task, in each plan."
    )
    max_replans: int = Field(
        default=MOST_REPLANS, ge=0, le=MOST_REPLANS, description="Later plans for what has failed."
    )
    approve: Literal["plan"] | None = Field(
        default=None, description="Wait for a person to approve the plan before any of it is carried out."
    )
    decomposer_model: Model | None = Field(default=None, description="Model that divides the task.")
    specialist_model: Model | None = Field(default=None, description="Model of all specialists, whatever their tier.")
    synthesizer_model: Model | None = Field(default=None, description="Model that puts the results together.")
    handed_down: HandedDown | None = Field(
        default=None,
        description="In a run that does a subtask of another: what came with it.",
        json_schema_extra={"internal": True},
    )

    progress: Progress | None = Field(
        default=None,
        description="In a workflow that continues: how far it has come.",
        json_schema_extra={"internal": True},
    )

    def below(self, subtask: Subtask, handed_down: HandedDown, places: int) -> Input:
        """The input of a run that does a subtask of this one. Its bounds are its grant."""
        all_of_it = "all" if Policy.parse(self.require).kind == "quorum" else self.require
        changes = {"task": subtask.objective, "handed_down": handed_down, "parallel": places, "require": all_of_it}
        return self.model_copy(update={**changes, "carried": None, "progress": None, "approve": None})


class Row(BaseModel):
    """One subtask and what became of it."""

    id: str
    objective: str
    role: str
    criticality: Criticality
    state: State
    why: str | None

    @classmethod
    def of(cls, item: Item) -> Row:
        """The row of one item of the agenda."""
        subtask = item.subtask
        return cls(
            id=subtask.id,
            objective=subtask.objective,
            role=subtask.role,
            criticality=subtask.criticality,
            state=item.state,
            why=item.why,
        )


class Result(RunResult):
    """The answer to the task, what it is made of, and what is missing."""

    complexity: Complexity
    content: str = Field(description="The answer, and below it what it does not cover.")
    synthesized: bool = Field(description="A synthesizer wrote it; else it is the specialists' own words.")
    conflicts: list[str] = Field(description="Where the specialists contradict each other.")
    subtasks: list[Row]
    not_covered: list[Missing]
    plans: int = Field(description="How many plans were carried out.")

    def as_answer(self) -> TextAnswer | None:
        """The result as the answer to a subtask of another run; None if there is nothing in it."""
        words = self.content.removesuffix(not_covered(self.not_covered)).strip()
        gaps = [f"{each.objective} ({each.why})" for each in self.not_covered]
        return TextAnswer(content=words, gaps=gaps) if words else None

    def text(self) -> str:
        """The answer, with what it does not cover."""
        return self.content

    def markdown(self) -> str:
        """The same."""
        return self.content

    def summary(self) -> list[tuple[str, str, str]]:
        """Every subtask with what became of it."""
        words = {"passed": "pass", "failed": "fail"}
        return [
            (f"{row.id}: {row.objective}", words.get(row.state, row.state.replace("_", " ")), row.why or "")
            for row in self.subtasks
        ]


@workflow.defn(name="decompose-delegate-synthesize")
class DecomposeDelegateSynthesize:
    """Divides a task, has the pieces done by specialists in parallel, and puts the results together."""

    @workflow.init
    def __init__(self, input: Input) -> None:
        self.input = input
        self.bookkeeping = Run[Result](
            input, {"plan/*": Slot(Plan), "result/*": Slot(Answered), "synthesis/*": Slot(Synthesis)}
        )
        self.brief = Brief(task=input.task, handed_down=input.handed_down)
        self.policy = Policy.parse(input.require)
        self.agenda = input.progress.agenda if input.progress else Agenda()
        self.planning = Planning(self.bookkeeping, self.brief, self.agenda, input.max_subtasks)
        self.children = ChildRuns(self.bookkeeping, Result)
        terms = Terms(self.policy, input.early_stop, input.parallel, input.max_replans)
        self.conclusion = Conclusion(self.bookkeeping, self.brief.whole())
        self.pieces = Pieces(
            self.bookkeeping, self.brief, self.agenda, self.planning, self.conclusion, terms, self.descend
        )
        self.complexity: Complexity = "simple"
        if input.progress is not None:
            self.complexity = input.progress.complexity
            self.pieces.replans, self.pieces.bound = input.progress.replans, input.progress.bound
            if self.complexity != "simple":
                self.conclusion.resume(self.agenda)

    @workflow.run
    async def run(self, input: Input) -> RunReport[Result]:
        try:
            return await self.bookkeeping.conduct(self.story(input))
        except (asyncio.CancelledError, Exception) as error:
            if is_cancelled_exception(error):
                await farewell(self.bookkeeping.report())
            raise

    async def story(self, input: Input) -> Outcome[Result]:
        run = self.bookkeeping
        if input.progress is None:
            run.at("dividing the task")
            author = DECOMPOSER.role
            try:
                proposal = await self.planning.propose()
                if input.approve is not None:
                    run.at("waiting for approval of the plan")
                    proposal, author = await self.planning.approved(proposal)
            except InvalidPlan as reasons:
                return Outcome("invalid_plan", False, None, f"the plan cannot be carried out: {reasons}")
            self.complexity = proposal.plan.complexity
            self.planning.take_on(proposal, author)
            if self.complexity != "simple":
                self.conclusion.keep_room(proposal.checked.subtasks)
        try:
            if not await self.pieces.done():
                await self.continue_as_new()
        except asyncio.CancelledError:
            run.keep(self.as_it_is())
            raise
        run.keep(self.as_it_is())
        return await self.conclude()

    async def continue_as_new(self) -> NoReturn:
        """The same run in a new execution of its workflow, because its history has become long."""
        self.conclusion.give_room_back()
        progress = Progress(
            complexity=self.complexity, agenda=self.agenda, replans=self.pieces.replans, bound=self.pieces.bound
        )
        carried = await self.bookkeeping.carry()
        workflow.continue_as_new(self.input.model_copy(update={"progress": progress, "carried": carried}))

    async def descend(
        self, subtask: Subtask, handed_down: HandedDown, share: Caps, places: int, ends: datetime | None
    ) -> RunReport[Result] | None:
        """A run of this pipeline with this subtask as its task, a history of its own, and a share of what is left."""
        input = self.input.below(subtask, handed_down, places)
        return await self.children.start(subtask.id, input, share, ends, subtask.objective[:SUMMARY_LIMIT])

    # --- putting together -----------------------------------------------------------------------------------------

    async def conclude(self) -> Outcome[Result]:
        """One text of all there is. A model writes it unless too much has failed for that to be worth a call."""
        run, usable = self.bookkeeping, self.agenda.usable()
        reason = self.stop_reason()
        passed = reason == "satisfied" or (reason in BOUNDS and self.enough())
        if not usable and (lost := self.first_error()):
            raise SubagentFailed(lost)
        if self.complexity == "simple" or not usable or reason == "policy_not_met":
            self.conclusion.give_room_back()
            return Outcome(reason, passed, self.result(self.conclusion.by_code(usable)), self.message(reason))
        run.at("putting the results together")
        done = await self.conclusion.write(self.agenda)
        result = self.result(done.content, done)
        if done.error is not None:
            why = f"not put together: {done.error.agent}: {done.error.error_message}"
            return Outcome(stop_reason_of(done.error), False, result, why)
        if done.unpaid and len(usable) > 1:
            why = "no room was left for a synthesizer; the specialists' answers stand as they are"
            return Outcome(self.pieces.bound or "budget_exceeded", False, result, why)
        return Outcome(reason, passed, result, self.message(reason))

    def stop_reason(self) -> str:
        """Why nothing more is done: a bound, a policy that was not met, a plan that was cut, or that all is done."""
        if self.pieces.bound is not None:
            return self.pieces.bound
        if not self.policy.met(self.agenda.tally()):
            return "policy_not_met"
        return "satisfied" if self.enough() else "plan_cut"

    def enough(self) -> bool:
        """Whether what is done is what was declared to be enough; of a plan that was cut, not all is done."""
        return self.policy.met(self.agenda.tally()) and not (self.policy.kind == "all" and self.agenda.cut())

    def first_error(self) -> Reply[Any] | None:
        """The reply that says best why there is nothing at all."""
        aside = {*BOUNDS, "cancelled"}  # what a bound or a policy has stopped did not fail
        replies = self.bookkeeping.replies
        return next((each for each in replies if each.error_kind and each.error_kind not in aside), None)

    def message(self, reason: str) -> str | None:
        """One sentence for a person, if not everything went as it should."""
        tally = self.agenda.tally()
        words = f"{tally.passed} of {tally.total} subtasks are done"
        if self.agenda.missing():
            words += "; what is missing is named in the result"
        match reason:
            case "satisfied":
                return None
            case "plan_cut":
                return f"a part of the plan that is required was left out; {words}"
            case "policy_not_met":
                return f"{self.policy} was not reached: {words}"
            case "budget_exceeded" | "deadline" as bound:
                return f"{words}; {FAILURES[bound].advice}"
        return words

    def as_it_is(self) -> Result | None:
        """The result without a synthesizer; None if there is nothing to show."""
        usable = self.agenda.usable()
        return self.result(self.conclusion.by_code(usable)) if usable else None

    def result(self, content: str, done: Concluded | None = None) -> Result:
        """The run's result, with what code knows about it."""
        missing = self.agenda.missing()
        return Result(
            complexity=self.complexity,
            content=content + not_covered(missing),
            synthesized=done is not None and done.error is None and not done.unpaid,
            conflicts=done.conflicts if done else [],
            subtasks=[Row.of(item) for item in self.agenda.items.values()],
            not_covered=missing,
            plans=self.agenda.plans,
        )
