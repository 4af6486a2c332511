"""Getting a plan that can be carried out: ask, check, have it mended once, and no more than that.

Nothing is dispatched here. A plan that is still wrong after its repair is given up, with every reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from workflows.delegate import delegate
from workflows.division.agenda import Agenda
from workflows.division.briefs import Brief, limits
from workflows.division.plan_checks import Checked, Surroundings, check
from workflows.division.plans import Complexity, Plan, normal
from workflows.run import Run, require
from workflows.subagents import Subagent
from workflows.subagents.decomposer import DECOMPOSER, DecomposeRequest
from workflows.subagents.specialist import SPECIALIST_ROLE

PERSON = "a person"
"""Who wrote a plan that was amended."""


TOKENS_PER_SUBTASK = 200
"""Of a plan: an objective, its boundaries and the rest of the form."""
MOST_PLAN_TOKENS = 64_000
"""The largest cap that any subagent asks for."""


class InvalidPlan(Exception):
    """No plan came that can be carried out. `str()` names every reason against the last one."""

    def __init__(self, checked: Checked) -> None:
        super().__init__("; ".join(problem.words for problem in checked.problems))


@dataclass(frozen=True)
class Proposal:
    """A plan that can be carried out, and what would be run of it."""

    plan: Plan
    checked: Checked


class Planning:
    """The plans of one run."""

    def __init__(self, run: Run[Any], brief: Brief, agenda: Agenda, most_subtasks: int) -> None:
        self._run, self._brief, self._agenda = run, brief, agenda
        self._most_subtasks = most_subtasks

    async def propose(self) -> Proposal:
        """A plan for the task, or later for what of it has failed. Raises InvalidPlan, or SubagentFailed."""
        left = self._run.ledger.left
        request = self._brief.to_decompose(limits(self._most_subtasks, left.agents, left.depth != 0), self._agenda)
        proposal = await self._ask(request)
        if self._is_worth_a_repair(proposal):
            reasons = [problem.words for problem in proposal.checked.problems]
            again = {"refused_plan": proposal.plan, "why_refused": reasons}
            proposal = await self._ask(request.model_copy(update=again))
        return self.accepted(proposal.plan)

    def accepted(self, plan: Plan) -> Proposal:
        """The plan as it would be carried out, whoever wrote it. Raises InvalidPlan."""
        checked = check(plan, self._surroundings(plan.complexity))
        if not checked.sound:
            raise InvalidPlan(checked)
        return Proposal(plan, checked)

    async def approved(self, proposal: Proposal) -> tuple[Proposal, str]:
        """The plan that a person lets the run go on with, and who wrote it. Raises Rejected, or BoundExceeded.

        An amended plan is taken as it is or not at all: nobody finds out later that it has a circle, or was cut.
        """
        plan = await self._run.approval("plan", proposal.plan, self._refuse)
        return self.accepted(plan), DECOMPOSER.role if plan == proposal.plan else PERSON

    def _refuse(self, plan: Plan) -> None:
        if (checked := check(plan, self._surroundings(plan.complexity))).problems:
            raise ValueError(str(InvalidPlan(checked)))

    def take_on(self, proposal: Proposal, author: str) -> None:
        """This is the plan now: in the state for all to see, and on the agenda."""
        self._run.state.write(f"plan/{self._agenda.plans + 1}", proposal.plan, writer=author)
        self._agenda.take(proposal.plan, proposal.checked)

    async def _ask(self, request: DecomposeRequest) -> Proposal:
        plan = require(await delegate(self._run, _decomposer(self._most_subtasks), request))
        if self._agenda.plans:
            plan = plan.model_copy(update={"complexity": "complex"})  # what is left of a task is not judged anew
        elif plan.complexity == "simple":
            plan = self._brief.undivided(plan)
        return Proposal(plan, check(plan, self._surroundings(plan.complexity)))

    def _is_worth_a_repair(self, proposal: Proposal) -> bool:
        """Whether to ask again: not for a plan that is only too large if agents are so few that it is cut anyway."""
        if not proposal.checked.problems:
            return False
        left = self._run.ledger.left.agents
        return not proposal.checked.sound or left is None or left > len(proposal.plan.subtasks)

    def _surroundings(self, complexity: Complexity) -> Surroundings:
        agenda, run = self._agenda, self._run
        ancestors: Sequence[str] = [] if complexity == "simple" else self._brief.ancestors
        return Surroundings(
            known={id: item.subtask for id, item in agenda.items.items()},
            finished=frozenset(each.id for each in agenda.finished()),
            unfinished=frozenset(item.subtask.id for item in agenda.unmet()),
            ancestors=frozenset(map(normal, ancestors)),
            most_subtasks=self._most_subtasks,
            left_nano=run.ledger.left.nano_usd,
            model_of=lambda tier: run.model_of(SPECIALIST_ROLE, tier),
        )


def _decomposer(most_subtasks: int) -> Subagent[DecomposeRequest, Plan]:
    """The decomposer with a cap that a plan of so many subtasks fits in."""
    cap = max(DECOMPOSER.max_tokens, min(most_subtasks * TOKENS_PER_SUBTASK, MOST_PLAN_TOKENS))
    return replace(DECOMPOSER, max_tokens=cap, max_tokens_retry=max(DECOMPOSER.max_tokens_retry, MOST_PLAN_TOKENS))
