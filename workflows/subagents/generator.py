"""The generator does the work, and does it again with the evaluator's feedback in hand."""

from __future__ import annotations

from pydantic import BaseModel

from workflows.subagents import Subagent, Text
from workflows.subagents.planner import Criterion

INSTRUCTIONS = """
You do the work described in the block `task`, completely, so that it meets every criterion in `criteria`. Somebody
else will judge it by those criteria, reading the finished work and nothing else.

- approach: how you went about it, in a few sentences. The judge never sees this.
- content: the finished work itself, whole and ready to use. No placeholders, no "the rest stays the same", no
  remarks about what you would do next.

If there is a block `previous`, it is the version judged before, and `feedback` says what was found wanting, where,
and how to mend it. Write the whole work again with those points mended and nothing else made worse.
"""


class Finding(BaseModel):
    """What the last evaluation found wanting about one criterion."""

    criterion: str
    found: str
    place: str
    remedy: str


class GenerateRequest(BaseModel):
    """What the generator sees: the brief, and on a revision its own last version with what was found."""

    task: str
    goal: str | None
    constraints: list[str]
    assumptions: list[str]
    out_of_scope: list[str]
    criteria: list[Criterion]
    previous: str | None = None
    feedback: list[Finding] | None = None


class Draft(BaseModel):
    """What the generator answers. Only `content` is judged."""

    approach: str
    content: Text


GENERATOR = Subagent(
    role="generator",
    instructions=INSTRUCTIONS,
    request=GenerateRequest,
    answer=Draft,
    tier="medium",
    max_tokens=16_000,
    max_tokens_retry=64_000,
)
