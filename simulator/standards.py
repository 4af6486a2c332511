"""What tasks of a kind deserve whether or not they ask for it: the planner demands it, the generator shows it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from pydantic import JsonValue

ASKED = "The result delivers what was asked: "
"""How a criterion begins that comes from the task's own words."""

ASKED_AT_MOST = 2
CRITERIA_AT_MOST = 5


class Standard(NamedTuple):
    """A criterion, how to check it, and the passage with which a deliverable meets it."""

    suits: Literal["tool", "text", "any"]
    level: Literal["must", "should"]
    statement: str
    how_to_verify: str
    passage: str


STANDARDS: Sequence[Standard] = (
    Standard(
        "tool",
        "must",
        "The program is complete and runs with Python's standard library alone.",
        "Read the program from top to bottom: it parses, and it imports nothing that has to be installed.",
        "The program stands below in full. Every import in it comes with Python itself; nothing has to be installed.",
    ),
    Standard(
        "tool",
        "must",
        "Wrong or missing input is answered with a clear message.",
        "Find what happens with wrong or missing input, and quote it.",
        "Wrong or missing input ends with one clear line on standard error and an exit code other than 0.",
    ),
    Standard(
        "text",
        "must",
        "The main point stands in the first paragraph.",
        "Read only the first paragraph and say what the conclusion is.",
        "The main point comes first; whoever stops reading after the first paragraph has the conclusion.",
    ),
    Standard(
        "text",
        "must",
        "Every claim says what it rests on.",
        "Take three claims and look for their source or their reason.",
        "Each claim says what it rests on: a fact in the task, an assumption named below, or an example.",
    ),
    Standard(
        "any",
        "should",
        "A reader can start to use it within a minute.",
        "Look for the first step and an example.",
        "To start, follow the first example on this page; it takes less than a minute and needs no preparation.",
    ),
)

_TOOL = re.compile(r"\b(?:cli|command.line|tool|script|program|python|app)\b", re.I)

_REMARKS = (
    "Done as asked, and complete as it stands; nothing is left for later.",
    "Held throughout. Where there was a choice, the plainer way was taken.",
    "Checked against the wording of the task, not against a memory of it.",
)


def wants_tool(task: str) -> bool:
    """Whether the task is about something that runs."""
    return _TOOL.search(task) is not None


def clauses(task: str) -> list[str]:
    """The task in pieces small enough to check: sentences, and what follows a joining word."""
    pieces = re.split(r"[.;!?\n]+(?:\s+|$)|,?\s+(?:that|which|with|including)\s+", " ".join(task.split()))
    return [piece.strip(" ,:-") for piece in pieces if re.search(r"\w", piece)]


def criteria_for(task: str) -> list[JsonValue]:
    """Criteria from the task's own clauses first, then the standards that suit its subject."""
    suits = ("tool" if wants_tool(task) else "text", "any")
    asked = [
        (f"{ASKED}{part}", f"Find where the result does this: {part}", "must") for part in clauses(task)[:ASKED_AT_MOST]
    ]
    standard = [(each.statement, each.how_to_verify, each.level) for each in STANDARDS if each.suits in suits]
    return [
        {"id": f"C{number}", "statement": statement, "how_to_verify": how, "level": level}
        for number, (statement, how, level) in enumerate([*asked, *standard][:CRITERIA_AT_MOST], 1)
    ]


def passage(number: int, statement: str) -> str:
    """What a deliverable says about its criterion `number` (from 0)."""
    for standard in STANDARDS:
        if standard.statement == statement:
            return standard.passage
    return f"{_REMARKS[number % len(_REMARKS)]} This is the part for: {statement.removeprefix(ASKED)}"
