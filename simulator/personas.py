"""Who answers: for a few roles somebody who read the request, for all others any value that fits the schema.

A persona is one function from an assignment to an answer, or None when the assignment makes no sense to it.
To add one: write the function and put `@persona("role")` above it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from pydantic import JsonValue

from simulator.answers import any_answer, as_text, prose
from simulator.assignments import Assignment
from simulator.calls import Call
from simulator.compliance import narrate, review
from simulator.decomposition import decompose, specialise, synthesise
from simulator.deliverables import deliverable
from simulator.schemas import fits, properties_of, resolve
from simulator.standards import clauses, criteria_for

Persona = Callable[[Assignment], JsonValue]

_PERSONAS: dict[str, Persona] = {
    "reviewer": review,
    "narrator": narrate,
    "decomposer": decompose,
    "specialist": specialise,
    "synthesizer": synthesise,
}

_CONSTRAINTS_END = 4
_LONGEST_QUOTE = 120


def persona(role: str) -> Callable[[Persona], Persona]:
    """Register the function that answers for `role`."""

    def register(function: Persona) -> Persona:
        _PERSONAS[role] = function
        return function

    return register


def answer_text(call: Call) -> str:
    """The words of a good answer to `call`. Raises ApiError 400 when its schema is broken."""
    if call.schema is None:
        return prose(call.seed, call.prompt)
    role = max((each for each in _PERSONAS if call.caller.plays(each)), key=len, default=None)
    if role is not None:
        asked_for = properties_of(resolve(call.schema, call.schema))
        answer = _PERSONAS[role](Assignment.of(call.prompt, asked_for))
        if answer is not None and fits(answer, call.schema, call.schema):
            return as_text(answer)
    return as_text(any_answer(call.schema, call.seed))


@persona("planner")
def plan(assignment: Assignment) -> JsonValue:
    """A goal in the task's own words, and criteria that can be checked."""
    task = assignment.text("task")
    parts = clauses(task)
    if not parts:
        return None
    return {
        "goal": f"Deliver, complete and ready to use: {parts[0]}",
        "constraints": [*parts[1:_CONSTRAINTS_END]],
        "assumptions": ["One person uses the result.", "What the task leaves open stays as simple as possible."],
        "out_of_scope": ["Packaging, publication and maintenance."],
        "criteria": criteria_for(task),
    }


@persona("generator")
def generate(assignment: Assignment) -> JsonValue:
    """A deliverable with a section for each criterion; a second round answers the feedback point by point."""
    task = assignment.text("task") or assignment.text("goal")
    criteria = assignment.criteria()
    if not task or not criteria:
        return None
    return {
        "approach": (
            f"One section for each of the {len(criteria)} criteria, so that each can be checked on its own. "
            "Written by Breakwater's simulator, not by a model."
        ),
        "content": deliverable(task, criteria, _points(assignment)),
    }


@persona("evaluator")
def evaluate(assignment: Assignment) -> JsonValue:
    """For each criterion the line of the deliverable that speaks most of it, quoted, and a pass."""
    lines = _lines(assignment.blocks.get("deliverable", ""))
    criteria = assignment.criteria()
    if not lines or not criteria:
        return None
    assessments: list[JsonValue] = []
    for key, statement in criteria:
        own, wanted = _words(key), _words(statement)
        line = max(lines, key=lambda line: (bool(own & line.heading), len(wanted & line.words)))
        assessments.append(
            {
                "id": key,
                "evidence": line.text[:_LONGEST_QUOTE].rstrip(),
                "verdict": "pass",
                "place": f"line {line.number}",
                "remedy": "",
            }
        )
    return {"assessments": assessments}


class _Line(NamedTuple):
    """A line that can be quoted, and the words of the heading it stands under."""

    number: int
    text: str
    words: set[str]
    heading: set[str]


def _lines(deliverable: str) -> list[_Line]:
    lines: list[_Line] = []
    heading: set[str] = set()
    for number, line in enumerate(deliverable.splitlines(), 1):
        if line.startswith("#"):
            heading = _words(line)
        elif line.strip():
            lines.append(_Line(number, line.strip(), _words(line), heading))
    return lines


def _points(assignment: Assignment) -> list[str]:
    """The feedback as sentences, whatever form each point came in."""
    feedback = assignment.value("feedback")
    if not isinstance(feedback, list):
        text = assignment.text("feedback")
        return [text] if text else []
    return [_point(each) for each in feedback]


def _point(feedback: JsonValue) -> str:
    if isinstance(feedback, Mapping):
        return "; ".join(f"{name}: {value}" for name, value in feedback.items() if value)
    return str(feedback)


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w{2,}", text.lower()))
