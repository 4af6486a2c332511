"""How the simulator divides a task, does the pieces and puts them together: from the task's own words alone.

The pieces are the things a task lists, or its clauses; what a specialist says of one is its own objective, turned into
the form that was asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import JsonValue

from simulator.assignments import Assignment
from simulator.standards import clauses

MOST_PIECES = 4
_COMPARING = re.compile(r"\b(?:compare|comparison|versus|vs\.?|between|differences?)\b", re.I)
_LISTED = re.compile(r",\s*(?:and\s+|or\s+)?|\s+(?:and|or|versus|vs\.?)\s+", re.I)
_LIST = re.compile(
    r"(?:\b(?:compare|between|of|for|about)\b|:)\s+(?P<list>[^.;?!]*?(?:,|\band\b|\bversus\b|\bvs\b)[^.;?!]*)", re.I
)
_TRAILING = re.compile(r"\s+(?:for|in|as|by|with|when|that|which|so|to)\s.*$", re.I)
_LONGEST_THING = 60
_LONGEST_QUOTE = 400
"""Characters of an answer that a synthesis repeats."""
_SIGNED = "Written by Breakwater's simulator, not by a model."


def decompose(assignment: Assignment) -> JsonValue:
    """A plan: a piece for each thing or clause, none for a task of one; a repair or a later plan comes out smaller."""
    task = assignment.text("task")
    if not task:
        return None
    if failed := assignment.records("failed"):
        return _plan("complex", "Another way for what did not work out.", [_again(each) for each in failed])
    things, comparing = _things(task), _COMPARING.search(task) is not None
    if len(things) < 2:
        return _plan("simple", "One person can do it in one go.", [])
    shape = "table" if comparing else "findings"
    pieces = [_piece(each, task, things, shape) for each in things]
    return _plan("comparison" if comparing else "complex", "One piece for each thing the task names.", pieces)


def specialise(assignment: Assignment) -> JsonValue:
    """The objective, answered in the form that the answer's members ask for."""
    objective = assignment.text("objective")
    if not objective:
        return None
    subject = objective.rstrip(".")
    built_on = assignment.value("state")
    base = f" It builds on {', '.join(built_on)}." if isinstance(built_on, dict) and built_on else ""
    forms: Mapping[str, dict[str, JsonValue]] = {
        "content": {
            "shape": "text",
            "content": f"{subject}: done, as far as a simulator can. {_SIGNED}{base}",
        },
        "findings": {
            "shape": "findings",
            "findings": [
                {
                    "statement": f"{subject}: the plain case is covered.",
                    "evidence": "the objective",
                    "confidence": "high",
                },
                {"statement": f"{subject}: exceptions were not found.{base}", "evidence": _SIGNED, "confidence": "low"},
            ],
        },
        "rows": {
            "shape": "table",
            "columns": ["question", "answer", "rests on"],
            "rows": [[subject, "covered", "the objective"], ["exceptions", "none found", _SIGNED]],
        },
        "decision": {
            "shape": "decision",
            "alternatives": [{"option": "Wait", "why_not": "Nothing in the objective asks to."}],
            "reasons": ["It is the plainest way to reach the objective."],
            "decision": f"Go ahead: {subject}",
        },
    }
    form = next((forms[member] for member in forms if member in assignment.asked_for), None)
    return None if form is None else {**form, "gaps": []}


def synthesise(assignment: Assignment) -> JsonValue:
    """A section for each subtask, in its own words, and a sentence for what is missing."""
    pieces, task = assignment.records("subtasks"), assignment.text("task")
    results = assignment.value("state")
    if not pieces or not isinstance(results, dict):
        return None
    title = " ".join(task.split())[:80]
    parts = [f"# {title}", f"{len(pieces)} pieces were put together. {_SIGNED}"]
    parts += [f"## {each.get('objective')}\n\n{_said(results.get(str(each.get('result'))))}" for each in pieces]
    if missing := assignment.records("missing"):
        parts.append("Open, because it is missing: " + ", ".join(str(each.get("id")) for each in missing) + ".")
    return {"content": "\n\n".join(parts), "conflicts": []}


def _things(task: str) -> list[str]:
    """What the task lists, or else its clauses; at most a handful."""
    listed = _LIST.search(task)
    words = _TRAILING.sub("", listed["list"]) if listed else ""
    things = [each.strip(" :-") for each in _LISTED.split(words)]
    things = [each for each in things if re.search(r"\w", each) and len(each) <= _LONGEST_THING]
    return (things if len(things) > 1 else clauses(task))[:MOST_PIECES]


def _piece(thing: str, task: str, things: list[str], shape: str) -> dict[str, JsonValue]:
    others = ", ".join(each for each in things if each != thing)
    return {
        "id": _id(thing, things),
        "role": "researcher",
        "objective": f"Find out what the task needs to know about: {thing}.",
        "inputs": ["task"],
        "boundaries": f"Leave to others: {others}.",
        "output": shape,
        "effort": {"tier": "small", "max_tokens": 2_000},
        "depends_on": [],
        "criticality": "required",
        "acceptance": f"Everything the task asks about {thing} is answered or named as a gap.",
        "may_delegate": False,
        "replaces": None,
    }


def _again(failed: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The same question, asked in a plainer way."""
    id, objective = str(failed.get("id")), str(failed.get("objective"))
    piece = _piece(objective, objective, [objective], "text")
    return {**piece, "id": f"{id[:29]}-2", "objective": f"In plain words: {objective}", "replaces": id}


def _plan(complexity: str, reasoning: str, subtasks: list[dict[str, JsonValue]]) -> JsonValue:
    return {"complexity": complexity, "reasoning": reasoning, "subtasks": [*subtasks]}


def _id(thing: str, things: list[str]) -> str:
    """The first words of a thing, with its number so that two cannot clash."""
    words = re.findall(r"[a-z0-9]+", thing.lower())[:3]
    return "-".join([*words, str(things.index(thing) + 1)])[:32]


def _said(answer: JsonValue) -> str:
    """The main words of an answer of any form, as far as they go."""
    words = _words(answer)
    return words if len(words) <= _LONGEST_QUOTE else words[:_LONGEST_QUOTE].rstrip() + " …"


def _words(answer: JsonValue) -> str:
    if not isinstance(answer, dict):
        return str(answer)
    listed = answer.get("findings") or answer.get("rows")
    if isinstance(listed, list):
        return "\n".join(f"- {_in_a_line(each)}" for each in listed)
    return str(answer.get("content") or answer.get("decision"))


def _in_a_line(entry: JsonValue) -> str:
    if isinstance(entry, list):
        return ": ".join(map(str, entry))
    return str(entry.get("statement") if isinstance(entry, dict) else entry)
