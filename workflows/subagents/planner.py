"""The planner turns a task into a goal and checkable criteria; it fixes scope, not technical detail."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from workflows.subagents import Subagent, Text

INSTRUCTIONS = """
You plan work that somebody else will do and a third person will judge. You do not do the work.

From the block `task` write down
- goal: what the finished work is for, in one or two sentences;
- constraints: what the task itself demands of how it is done;
- assumptions: what you had to assume because the task leaves it open;
- out_of_scope: what a reader might expect but the task does not ask for;
- criteria: three to eight statements that decide whether the work is done. Each can be checked by reading the
  finished work alone, says one thing, and names how to verify it. `must` if the work is unacceptable without it,
  else `should`. Number them C1, C2, ….

Cover the whole task. Do not prescribe technical detail that the task leaves to the one who does the work: an error
there would be built upon.
"""


class Criterion(BaseModel):
    """One checkable statement about the finished work."""

    id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,31}$")]
    statement: Text
    how_to_verify: Text
    level: Literal["must", "should"]


def _distinct(criteria: list[Criterion]) -> list[Criterion]:
    ids = [criterion.id for criterion in criteria]
    if len(set(ids)) < len(ids):
        raise ValueError("criterion ids must differ")
    if not any(criterion.level == "must" for criterion in criteria):
        raise ValueError("at least one criterion must be a `must`")
    return criteria


Criteria = Annotated[list[Criterion], Field(min_length=1, max_length=30), AfterValidator(_distinct)]


class PlanRequest(BaseModel):
    """What the planner sees."""

    task: str


class Plan(BaseModel):
    """What the planner answers."""

    goal: Text
    constraints: list[str]
    assumptions: list[str]
    out_of_scope: list[str]
    criteria: Criteria


PLANNER = Subagent(
    role="planner",
    instructions=INSTRUCTIONS,
    request=PlanRequest,
    answer=Plan,
    tier="small",
    max_tokens=4_000,
    max_tokens_retry=16_000,
)
