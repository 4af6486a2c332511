"""The synthesizer puts the results of all specialists together into the answer to the task."""

from __future__ import annotations

from pydantic import BaseModel

from workflows.division.agenda import Missing
from workflows.subagents import Subagent, Text

INSTRUCTIONS = """
A task was divided, and specialists who did not see each other's work did the pieces. You write the result for somebody
who has read the block `task` and will read nothing else.

The specialists' answers come last, by name; the block `subtasks` says what each of them was asked. That is all there is
to build on: add no facts of your own. The block `missing` lists what is not there, and why. Do not fill it in, and do
not write around it as if it were not needed: where the result would rest on it, say in a few words that this is open.
Somebody else adds a list of it below your text, so do not write one.

- content: the result, whole and ready to use. Answer the task as it was asked: if it asks for a decision begin with the
  decision, if it asks for a list give a list. Keep the figures, names and sources of the answers exactly as they are,
  and the confidence they were given with. Where two answers contradict each other say so at that point, with both and
  what speaks for each; do not settle it by a vote and do not leave one of them out. Do not tell how the work was
  divided.
- conflicts: where answers contradict each other, one sentence each; empty if they do not.

If there is a block `part`, the answers are too many for one reading and you are given only some of them. Then do not
answer the task yet: as content write down everything in these answers that the task needs, with figures and sources, as
short as that allows.
"""


class Piece(BaseModel):
    """A subtask that has a result."""

    id: str
    objective: str
    result: str
    """Its name in `state`."""


class SynthesisRequest(BaseModel):
    """What the synthesizer sees, beside the results it reads from the run's state."""

    task: str
    subtasks: list[Piece]
    missing: list[Missing]
    part: str | None = None


class Synthesis(BaseModel):
    """What the synthesizer answers."""

    content: Text
    conflicts: list[str]


SYNTHESIZER = Subagent(
    role="synthesizer",
    instructions=INSTRUCTIONS,
    request=SynthesisRequest,
    answer=Synthesis,
    tier="medium",
    max_tokens=16_000,
    max_tokens_retry=32_000,
)
