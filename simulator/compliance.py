"""What the simulated reviewers find in a transaction: a few plain signs, the same every time. Not advice to anybody."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pydantic import JsonValue

from simulator.assignments import Assignment

THRESHOLD = 10_000
"""Amounts just below it look as if somebody had split a larger one."""
NEAR = 0.9
WATCHED = frozenset({"KP", "IR", "MM", "NORTH KOREA", "IRAN", "MYANMAR"})
"""Jurisdictions under a call for action, as the simulator remembers them."""
_AMOUNT = re.compile(r"\b\d{1,3}(?:[,.]\d{3})+(?:\.\d+)?\b|\b\d+(?:\.\d+)?\b")


class _Sign(NamedTuple):
    code: str
    severity: str
    evidence: str
    where: str


def review(assignment: Assignment) -> JsonValue:
    """The signs of the domain that was asked for: a severe one fails the transaction, a slight one leaves it open."""
    state = assignment.value("state")
    content = next(iter(state.values())) if isinstance(state, dict) and state else None
    content = content.get("content") if isinstance(content, dict) else content
    if not content:
        return None
    facts = dict(_facts(content, ""))
    own = _SIGNS.get(assignment.text("domain").upper())
    signs = [*(own(facts) if own else ()), *_general(facts)]
    severe = any(sign.severity in ("high", "critical") for sign in signs)
    return {
        "issues": [sign._asdict() for sign in signs],
        "status": "fail" if severe else "inconclusive" if signs else "pass",
        "confidence": 0.6 if signs and not severe else 0.9,
    }


def narrate(assignment: Assignment) -> JsonValue:
    """The table in sentences, without a figure."""
    rows = assignment.records("rows")
    if not rows:
        return None
    sentences = [f"{row.get('domain')}: {str(row.get('status')).replace('_', ' ')}." for row in rows]
    return {
        "narrative": "Written by Breakwater's simulator, not by a model. " + " ".join(sentences),
        "claims": [{"domain": str(row.get("domain")), "status": str(row.get("status"))} for row in rows],
    }


def _facts(value: JsonValue, place: str) -> Iterator[tuple[str, str]]:
    """Every leaf of the transaction with its place; a text is one leaf."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from _facts(each, f"{place}.{name}".lstrip("."))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _facts(each, f"{place}[{number}]")
    else:
        yield place or "text", "" if value is None else str(value)


def _laundering(facts: Mapping[str, str]) -> Iterator[_Sign]:
    for place, fact in facts.items():
        if place != "text" and "amount" not in place.lower():
            continue
        for amount in _AMOUNT.findall(fact):
            if NEAR * THRESHOLD <= float(amount.replace(",", "")) < THRESHOLD:
                yield _Sign("STRUCTURING", "high", amount, place)


def _identity(facts: Mapping[str, str]) -> Iterator[_Sign]:
    for place, fact in facts.items():
        if place.lower().endswith(("name", "address", "id_document")) and not fact.strip():
            yield _Sign("MISSING-IDENTITY", "medium", f"{place} is empty", place)
        if fact == "False" and "verified" in place.lower():
            yield _Sign("UNVERIFIED", "high", f"{place} is false", place)


def _travel_rule(facts: Mapping[str, str]) -> Iterator[_Sign]:
    for place, fact in facts.items():
        if any(re.search(rf"\b{country}\b", fact.upper()) for country in WATCHED) and len(fact) < THRESHOLD:
            yield _Sign("R19-JURISDICTION", "critical", fact[:80], place)


def _general(facts: Mapping[str, str]) -> Iterator[_Sign]:
    for place, fact in facts.items():
        if "ignore the rules" in fact.lower():
            yield _Sign("INSTRUCTION", "medium", "the transaction tells its reviewer what to do", place)


_SIGNS = {"AML": _laundering, "KYC": _identity, "FATF": _travel_rule}
