"""The specialist does one subtask of a divided task and answers in the form that was asked for.

Whoever it is, it sees one subtask, what that subtask was given and the results it depends on: not the task, not its
siblings, not the plan.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, Discriminator, Field, RootModel, model_validator

from workflows.division.plans import Asked
from workflows.models import Tier
from workflows.subagents import Subagent, Text

INSTRUCTIONS = """
You do one piece of a larger piece of work. Others do the rest; somebody will put the results together. You see your
own piece and nothing else, and whoever reads your answer sees nothing else of you.

The block `objective` says what you are to find out, make or decide; the block `role` from which point of view. The
block `inputs` is what you are given for it. If there is a block `task`, it is the whole text that the work began with:
read it for what concerns your objective, and leave the rest of it to the others. If there are results of others that
yours builds on, they come last, by name; nobody has checked them but their makers, so if one contradicts what you know
say so. If there is a block `missing`, it lists results you would have been given, and why they are not there: do what
can be done without them. The block `boundaries` says what belongs to others: do not do it, even if it would be easy.
The block `acceptance` says how one will see that your piece is done: check your answer against it before you give it.

Say what you know and what it rests on. What you could not find out, could not check or had to leave open is not a
failure if you name it: put it into `gaps`, one sentence each. An answer that hides a gap is worse than one that has
it. If there are none, `gaps` is empty.
"""


Gaps = Annotated[
    list[str], Field(description="What the objective or the acceptance asks for and this answer does not have.")
]


SPECIALIST_ROLE = "specialist"


class TextAnswer(Asked):
    """Prose, or anything else that is one piece of text."""

    shape: Literal["text"] = "text"
    content: Text = Field(description="The whole answer, ready to use.")
    gaps: Gaps

    def markdown(self) -> str:
        """The answer for a reader who gets it as it is."""
        return self.content


class Finding(BaseModel):
    """One thing that was found, and what it rests on."""

    statement: Text
    evidence: Text = Field(description="What it rests on: the words, the figure or the source, not an opinion of it.")
    confidence: Literal["low", "medium", "high"]


class Findings(Asked):
    """A list of findings, each with its evidence. None is an answer too, if `gaps` says why."""

    shape: Literal["findings"] = "findings"
    findings: list[Finding]
    gaps: Gaps

    @model_validator(mode="after")
    def _not_silently_empty(self) -> Self:
        if not self.findings and not self.gaps:
            raise ValueError("there are no findings, and `gaps` does not say why")
        return self

    def markdown(self) -> str:
        """The answer for a reader who gets it as it is."""
        return "\n".join(
            f"- {each.statement} ({each.confidence} confidence: {each.evidence})" for each in self.findings
        )


class Table(Asked):
    """Rows that can be compared."""

    shape: Literal["table"] = "table"
    columns: list[Text] = Field(min_length=1)
    rows: list[list[str]] = Field(description="Each with exactly one cell for every column, in their order.")
    gaps: Gaps

    @model_validator(mode="after")
    def _rectangular(self) -> Self:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"every row needs {len(self.columns)} cells, one for each column")
        if not self.rows and not self.gaps:
            raise ValueError("there are no rows, and `gaps` does not say why")
        return self

    def markdown(self) -> str:
        """The answer for a reader who gets it as it is."""
        lines = [self.columns, ["---"] * len(self.columns), *self.rows]
        return "\n".join("| " + " | ".join(" ".join(cell.split()) for cell in line) + " |" for line in lines)


class Alternative(BaseModel):
    """What was not chosen."""

    option: Text
    why_not: Text


class Decision(Asked):
    """A choice. The order of the fields is the order of thought."""

    shape: Literal["decision"] = "decision"
    alternatives: list[Alternative]
    reasons: list[Text] = Field(min_length=1)
    decision: Text
    gaps: Gaps

    def markdown(self) -> str:
        """The answer for a reader who gets it as it is."""
        lines = [f"**{self.decision}**", "", *(f"- {reason}" for reason in self.reasons)]
        return "\n".join([*lines, *(f"- Not {each.option}: {each.why_not}" for each in self.alternatives)])


Answer = TextAnswer | Findings | Table | Decision
FORMS: dict[str, type[TextAnswer] | type[Findings] | type[Table] | type[Decision]] = {
    "text": TextAnswer,
    "findings": Findings,
    "table": Table,
    "decision": Decision,
}
"""The answer shapes by the names plans use."""


class Answered(RootModel[Annotated[Answer, Discriminator("shape")]]):
    """An answer of any shape, as the run's state keeps it."""


class WorkRequest(BaseModel):
    """What a specialist sees, beside the results it reads from the run's state."""

    role: str
    objective: str
    inputs: list[str]
    task: str | None
    boundaries: str
    acceptance: str
    missing: list[str] | None


def specialist(shape: str, tier: Tier, max_tokens: int) -> Subagent[WorkRequest, Answer]:
    """The specialist for a subtask of this shape and effort. Raises KeyError for an unknown shape."""
    return Subagent(
        role=SPECIALIST_ROLE,
        instructions=INSTRUCTIONS,
        request=WorkRequest,
        answer=FORMS[shape],
        tier=tier,
        max_tokens=max_tokens,
        max_tokens_retry=max_tokens * TRUNCATED_RETRY,
    )


TRUNCATED_RETRY = 2
"""How much longer an answer may be that was cut off at its cap: the plan's author set it too low, not absurdly."""
