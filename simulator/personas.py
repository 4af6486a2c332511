"""Who answers: for a few roles somebody who read the request, for all others any value that fits the schema.

A persona is one function from an assignment to an answer, or None when the assignment makes no sense to it.
To add one: write the function and put `@persona("role")` above it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from pydantic import JsonValue

from simulator.answers import any_answer, as_text, prose
from simulator.assignments import Assignment
from simulator.calls import Call
from simulator.deliverables import deliverable
from simulator.schemas import fits

Persona = Callable[[Assignment], JsonValue]

_PERSONAS: dict[str, Persona] = {}


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
        answer = _PERSONAS[role](Assignment.of(call.prompt))
        if answer is not None and fits(answer, call.schema, call.schema):
            return as_text(answer)
    return as_text(any_answer(call.schema, call.seed))


class _Standard(NamedTuple):
    """A criterion that tasks of a kind deserve whether or not they ask for it."""

    about: re.Pattern[str]
    statement: str
    how_to_verify: str
    level: str


def _about(*words: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(words)})\b", re.I)


_STANDARDS: Sequence[_Standard] = (
    _Standard(
        _about("cli", "command.line", "tool", "script", "program", "python", "app"),
        "The program is complete and runs with Python's standard library alone.",
        "Read the program from top to bottom: it parses, and it imports nothing that has to be installed.",
        "must",
    ),
    _Standard(
        _about("report", "summary", "summari[sz]e", "article", "essay", "letter", "email", "analysis", "compare"),
        "The main point stands in the first paragraph.",
        "Read only the first paragraph and say what the conclusion is.",
        "must",
    ),
    _Standard(
        re.compile(""),
        "Wrong or missing input is answered with a clear message.",
        "Find what happens with wrong or missing input, and quote it.",
        "must",
    ),
    _Standard(
        re.compile(""),
        "Every assumption that was made is named.",
        "Look for what the task leaves open; each point is either asked for or named as an assumption.",
        "must",
    ),
    _Standard(
        re.compile(""),
        "A reader can start to use it within a minute.",
        "Look for the first step and an example.",
        "should",
    ),
)

_MOST_CRITERIA = 5
_LONGEST_QUOTE = 120


@persona("planner")
def plan(assignment: Assignment) -> JsonValue:
    """Criteria from the task's own clauses first, then the standards that fit its subject."""
    parts = _clauses(assignment.text("task"))
    if not parts:
        return None
    asked = [
        (f"The result delivers what was asked: {part}", f"Find where the result does this: {part}", "must")
        for part in parts[:2]
    ]
    fitting = [each for each in _STANDARDS if each.about.search(assignment.text("task"))]
    *musts, finish = [(each.statement, each.how_to_verify, each.level) for each in fitting]
    criteria = [*[*asked, *musts][: _MOST_CRITERIA - 1], finish]
    constraints: list[JsonValue] = [*parts[1:4]]
    return {
        "goal": f"Deliver, complete and ready to use: {parts[0]}",
        "constraints": constraints,
        "assumptions": ["One person uses the result.", "Nothing has to be installed for it."],
        "out_of_scope": ["Packaging, publication and maintenance."],
        "criteria": [
            {"id": f"C{number}", "statement": statement, "how_to_verify": how, "level": level}
            for number, (statement, how, level) in enumerate(criteria, 1)
        ],
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
    lines = [
        (number, line.strip(), _words(line))
        for number, line in enumerate(assignment.blocks.get("deliverable", "").splitlines(), 1)
        if line.strip()
    ]
    criteria = assignment.criteria()
    if not lines or not criteria:
        return None
    assessments: list[JsonValue] = []
    for key, statement in criteria:
        wanted = _words(f"{key} {statement}")
        number, line, _ = max(lines, key=lambda line: len(line[2] & wanted))
        assessments.append(
            {
                "id": key,
                "evidence": line[:_LONGEST_QUOTE].rstrip(),
                "verdict": "pass",
                "place": f"line {number}",
                "remedy": "",
            }
        )
    return {"assessments": assessments}


def _clauses(task: str) -> list[str]:
    """The task in pieces small enough to check: sentences, and what follows a joining word."""
    pieces = re.split(r"[.;!?\n]+(?:\s+|$)|,?\s+(?:that|which|with|including)\s+", " ".join(task.split()))
    return [piece.strip(" ,:-") for piece in pieces if re.search(r"\w", piece)]


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
