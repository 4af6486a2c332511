"""The decomposer divides a task into pieces that people who never talk to each other can do."""

from __future__ import annotations

from pydantic import BaseModel

from workflows.division.plans import Plan
from workflows.subagents import Subagent

INSTRUCTIONS = """
You divide the task in the block `task` among specialists. You do not do it. Each specialist sees its own subtask and
nothing else: not the task, not your plan, not the other subtasks. They cannot ask. At the end somebody who sees all
their answers writes the result.

- complexity: most tasks need less than one thinks.
  `simple`: one person can do it in one go, or each step needs the one before. No subtasks: one specialist is given the
  whole task. A chain of dependent steps is simple; divided, it comes out worse.
  `comparison`: a few like things are looked at side by side. Two to four subtasks, one for each thing.
  `complex`: several different questions that can be worked on at the same time. Up to ten subtasks.
  The block `limits` says how many subtasks this run allows; a plan with more is cut.
- reasoning: why you divide it like this, in two or three sentences.
- subtasks: the pieces, each with these fields:
  `id`: a short name of letters, digits and dashes, each its own.
  `role`: two or three words for the point of view it is done from.
  `objective`: what to find out, make or decide; one thing, complete in itself, with the names and figures it is about.
  Never "as above" or "the second one".
  `inputs`: facts and passages of the task that it needs, copied word for word. If it needs most of the task, the single
  word `task` hands it the whole text. Nothing that only another subtask needs.
  `boundaries`: what its siblings do, so that it does not do it too. Two subtasks must not overlap.
  `output`: `findings` for facts with evidence, `table` for things in rows and columns, `decision` for a choice, `text`
  for everything else.
  `effort`: its tier is `small` to look up or rewrite, `medium` as a rule, `large` only where judgement is hard; its
  max_tokens caps the answer: 2000 for a few findings, 8000 for a long text.
  `depends_on`: ids whose results it must be given. As few as possible: what depends on nothing starts at once.
  `criticality`: `required` if the result is no answer to the task without it, else `optional`.
  `acceptance`: how one sees that it is done.
  `may_delegate`: true only for a subtask that is itself complex and far too large for one specialist.
  `replaces`: nothing, except as said below.

No subtask writes the overall result, sums up the others or checks them all: that is done afterwards. No subtask repeats
the task as a whole, or anything in the block `being_done_above`. If there is a block `given`, it is what the task was
handed on with: it binds you, and what a specialist needs of it must be among its inputs.

If there is a block `why_refused`, your plan in the block `refused_plan` could not be used for the reasons given: answer
with a whole new plan in which they are mended.

If there is a block `finished`, an earlier plan has been carried out in part. It lists what has a result, which your
subtasks may depend on; do not plan it again. The block `failed` lists what did not work out, and why. Plan only other
ways of getting what failed: new ids, and in `replaces` the id of the one it stands for. Whatever waits for the failed
ones goes on by itself once you replace them.
"""


class Limits(BaseModel):
    """What the run allows, in the decomposer's words."""

    comparison_subtasks: int
    complex_subtasks: int
    agents_left: int | None
    """Subagents that may still be started; None if there is no cap."""
    may_delegate: bool
    """Whether a subtask may be divided again."""


class Done(BaseModel):
    """A subtask that has a result."""

    id: str
    objective: str


class Failed(BaseModel):
    """A subtask that has none."""

    id: str
    objective: str
    why: str


class DecomposeRequest(BaseModel):
    """What the decomposer sees."""

    task: str
    given: list[str] | None
    """In a child: what its subtask was given, its boundaries and how one sees that it is done."""
    limits: Limits
    being_done_above: list[str] | None
    refused_plan: Plan | None = None
    why_refused: list[str] | None = None
    finished: list[Done] | None = None
    failed: list[Failed] | None = None


DECOMPOSER = Subagent(
    role="decomposer",
    instructions=INSTRUCTIONS,
    request=DecomposeRequest,
    answer=Plan,
    tier="medium",
    max_tokens=8_000,
    max_tokens_retry=32_000,
    headline="complexity",
)
