"""A plan: how a task is divided into subtasks, as a decomposer writes it and a person may amend it.

The form is checked by pydantic when an answer is judged; whether the plan makes sense is checked in `plan_checks`,
where every fault has a name and a sentence for the one repair.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from workflows.models import Tier
from workflows.subagents import Text

Complexity = Literal["simple", "comparison", "complex"]
Criticality = Literal["required", "optional"]

SHAPES = ("text", "findings", "table", "decision")
"""The answer shapes a subtask may ask for; `subagents.specialist` has the models of the same names."""

COUNTS: dict[Complexity, int] = {"simple": 1, "comparison": 4, "complex": 10}
"""Subtasks a plan may have: more agents on a simple task cost more and answer no better."""

WHOLE_TASK = "task"
"""As an input of a subtask: the whole text of the task, word for word, instead of a copy of parts of it."""

LEAST_TOKENS = 1_000
"""Of an answer; less cuts it off and pays a second call."""
MOST_TOKENS = 32_000


def _all_required(schema: dict[str, Any]) -> None:
    schema["required"] = list(schema["properties"])


class Asked(BaseModel):
    """A model is asked for every field; a person who writes one may leave out what has a default."""

    model_config = ConfigDict(json_schema_extra=_all_required)


class Effort(Asked):
    """What a subtask is worth: the model that does it and how long its answer may be."""

    tier: Tier = "medium"
    max_tokens: int = Field(default=8_000, ge=1)

    @property
    def tokens(self) -> int:
        """The cap that is used: what was asked for, within reason."""
        return min(max(self.max_tokens, LEAST_TOKENS), MOST_TOKENS)


class Subtask(Asked):
    """One piece of the task, complete in itself: whoever does it sees this and nothing else of the task."""

    id: str
    role: str = "specialist"
    """Who should do it, in two or three words: the point of view it is done from."""
    objective: Text
    inputs: list[str] = []
    """What it needs to be given: facts and passages of the task, or `task` for the whole of it."""
    boundaries: str = ""
    """What it must leave to its siblings."""
    output: Annotated[str, Field(json_schema_extra={"enum": [*SHAPES]})] = "text"
    effort: Effort = Effort()
    depends_on: list[str] = []
    """Ids of subtasks whose results it is given."""
    criticality: Criticality = "required"
    acceptance: str = ""
    """How one sees that it is done."""
    may_delegate: bool = False
    """It is large enough to be divided again."""
    replaces: str | None = None
    """In a later plan: the id of the subtask that failed and that this one does in another way."""

    @property
    def same_work(self) -> tuple[str, str, tuple[str, ...], tuple[str, ...]]:
        """Equal for two subtasks exactly if doing both would be doing the same thing twice."""
        return (
            normal(self.role),
            normal(self.objective),
            tuple(sorted({normal(each) for each in self.inputs})),
            tuple(sorted(set(self.depends_on))),
        )


class Plan(Asked):
    """What the decomposer answers."""

    complexity: Complexity
    reasoning: str = ""
    """Why it is divided like this, in a few sentences: for the person who approves it."""
    subtasks: list[Subtask] = Field(max_length=1_000)


def normal(text: str) -> str:
    """The words of a text: two objectives with the same words are the same objective."""
    return " ".join(re.findall(r"\w+", text.casefold()))
