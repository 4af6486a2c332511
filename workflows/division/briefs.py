"""What the subagents of a divided task are told, each no more than it needs. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, JsonValue

from workflows.division.agenda import Agenda, Missing
from workflows.division.assembly import as_markdown
from workflows.division.plans import COUNTS, WHOLE_TASK, Plan, Subtask
from workflows.subagents.decomposer import DecomposeRequest, Done, Failed, Limits
from workflows.subagents.specialist import WorkRequest


class HandedDown(BaseModel):
    """What a run that does a subtask of another is given with it, beside the objective, which is its task."""

    given: list[str]
    """What the subtask was given, what it must leave to others, and how one sees that it is done."""
    ancestors: list[str]
    """The objectives of everything that is being done above it, the whole task first."""


class Brief(BaseModel):
    """The task of one run, with what came with it."""

    task: str
    handed_down: HandedDown | None

    @property
    def ancestors(self) -> list[str]:
        """What no subtask may repeat."""
        return [*(self.handed_down.ancestors if self.handed_down else []), self.task]

    def whole(self) -> str:
        """The task's text for a specialist who needs all of it."""
        given = self.handed_down.given if self.handed_down else []
        return "\n\n".join([self.task, *given])

    def to_decompose(self, limits: Limits, agenda: Agenda) -> DecomposeRequest:
        """What the decomposer sees: at first the task, later also what has been done and what has failed."""
        again = agenda.plans > 0
        return DecomposeRequest(
            task=self.task,
            given=self.handed_down.given if self.handed_down else None,
            limits=limits,
            being_done_above=self.handed_down.ancestors if self.handed_down else None,
            finished=[Done(id=each.id, objective=each.objective) for each in agenda.finished()] if again else None,
            failed=[
                Failed(id=item.subtask.id, objective=item.subtask.objective, why=item.why or "")
                for item in agenda.unmet()
            ]
            if again
            else None,
        )

    def undivided(self, plan: Plan) -> Plan:
        """A plan for a simple task: one specialist, who is given all of it."""
        hint = plan.subtasks[0] if plan.subtasks else Subtask(id="whole", objective=self.task)
        whole = Subtask(
            id="whole",
            role=hint.role,
            objective=self.task,
            inputs=self.handed_down.given if self.handed_down else [],
            output=hint.output,
            effort=hint.effort,
            acceptance=hint.acceptance,
        )
        return plan.model_copy(update={"subtasks": [whole]})

    def to_work(self, subtask: Subtask, missing: Sequence[Missing]) -> WorkRequest:
        """What a specialist sees, beside the results it reads from the state."""
        return WorkRequest(
            role=subtask.role,
            objective=subtask.objective,
            inputs=[each for each in subtask.inputs if each != WHOLE_TASK],
            task=self.whole() if WHOLE_TASK in subtask.inputs else None,
            boundaries=subtask.boundaries,
            acceptance=subtask.acceptance,
            missing=[f"{each.objective} ({each.id}): {each.why}" for each in missing] or None,
        )

    def to_hand_down(
        self, subtask: Subtask, results: Mapping[str, JsonValue], missing: Sequence[Missing]
    ) -> HandedDown:
        """What a run is given that does a subtask as a task of its own."""
        given = [self.whole() if each == WHOLE_TASK else each for each in subtask.inputs]
        given += [f"Result of {id}:\n\n{as_markdown(answer)}" for id, answer in results.items()]
        given += [f"Missing: {each.objective} ({each.id}): {each.why}" for each in missing]
        if subtask.boundaries:
            given.append(f"Leave to others: {subtask.boundaries}")
        if subtask.acceptance:
            given.append(f"It is done when: {subtask.acceptance}")
        return HandedDown(given=given, ancestors=self.ancestors)


def limits(most_subtasks: int, agents_left: int | None, may_delegate: bool) -> Limits:
    """What the run allows, in the decomposer's words."""
    return Limits(
        comparison_subtasks=min(COUNTS["comparison"], most_subtasks),
        complex_subtasks=most_subtasks,
        agents_left=None if agents_left is None else max(agents_left - 1, 0),
        may_delegate=may_delegate,
    )
