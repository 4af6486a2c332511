"""What code adds to the words of a synthesizer, or puts in their place: the list of what is missing is never a model's.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from workflows.division.agenda import Missing
from workflows.division.plans import Subtask
from workflows.subagents.specialist import Answered

READING_BYTES = 400_000
"""Of answers that a synthesizer is given at once: half of what the smallest context window holds, in any script."""


def as_markdown(answer: JsonValue) -> str:
    """An answer of any shape, as the state keeps it, for a reader."""
    return Answered.model_validate(answer).root.markdown()


def put_together(subtasks: Sequence[Subtask], answers: Mapping[str, JsonValue]) -> str:
    """The answers one after another under their objectives: what there is without a synthesizer."""
    if len(subtasks) == 1:
        return as_markdown(answers[subtasks[0].id])
    return "\n\n".join(f"## {each.objective}\n\n{as_markdown(answers[each.id])}" for each in subtasks)


def not_covered(missing: Sequence[Missing]) -> str:
    """The section that says what is not there and why; empty if nothing is missing."""
    if not missing:
        return ""
    lines = (f"- {' '.join(each.objective.split())} ({each.id}): {' '.join(each.why.split())}" for each in missing)
    return "\n\n## Not covered\n\n" + "\n".join(lines)


def readings(sizes: Mapping[str, int], limit: int = READING_BYTES) -> list[list[str]]:
    """The keys of these values in groups that can be read at once, in their order; a value that is too large stands
    alone."""
    groups: list[list[str]] = []
    room = 0
    for key, size in sizes.items():
        if not groups or size > room:
            groups.append([])
            room = limit
        groups[-1].append(key)
        room -= size
    return groups
