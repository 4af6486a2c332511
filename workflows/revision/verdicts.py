"""From an evaluation to a verdict: computed, never believed. What is not shown to pass has not passed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel

from workflows.subagents.evaluator import Assessment, Evaluation
from workflows.subagents.planner import Criterion

Verdict = Literal["PASSED", "FAILED", "UNVERIFIED"]
Stall = Literal["no_progress", "oscillation"]

PATIENCE = 2
"""Revisions in a row that may leave the same criteria unmet before the run stops: the next would not do better."""


class Judged(BaseModel):
    """One frozen criterion with its assessment: exactly one row for each criterion that was asked for."""

    id: str
    statement: str
    level: Literal["must", "should"]
    verdict: Literal["pass", "fail", "unverified"]
    evidence: str
    place: str
    remedy: str


class Marks(BaseModel):
    """What every criterion got in one version, without the words: what a report keeps of each round."""

    revision: int
    """0 for the first version."""
    verdict: Verdict
    criteria: dict[str, Literal["pass", "fail", "unverified"]]
    """By the criterion's id; empty if nobody judged this version."""


class Round(BaseModel):
    """One deliverable and what was found about it; `judged` is empty while nobody has judged it."""

    revision: int
    """0 for the first version."""
    deliverable: str
    judged: list[Judged] = []

    @property
    def verdict(self) -> Verdict:
        """PASSED if every `must` passes, FAILED if one does not, UNVERIFIED if nobody judged."""
        if not self.judged:
            return "UNVERIFIED"
        return "FAILED" if self.unmet("must") else "PASSED"

    @property
    def marks(self) -> Marks:
        """The round without the words."""
        criteria = {row.id: row.verdict for row in self.judged}
        return Marks(revision=self.revision, verdict=self.verdict, criteria=criteria)

    def unmet(self, level: Literal["must", "should"]) -> frozenset[str]:
        """Ids of the criteria of this level that were not shown to pass."""
        return frozenset(row.id for row in self.judged if row.level == level and row.verdict != "pass")

    @property
    def faults(self) -> tuple[int, int, int, int]:
        """Less is better: judged first, then fewest unmet musts, then shoulds, then the earliest."""
        return (not self.judged, len(self.unmet("must")), len(self.unmet("should")), self.revision)


def assess(criteria: Sequence[Criterion], evaluation: Evaluation) -> list[Judged]:
    """One row per criterion. A missing assessment is `unverified`, a pass without evidence too; of several the worst
    counts; assessments of criteria that nobody asked for are dropped."""
    severity = {"fail": 0, "unverified": 1, "pass": 2}
    rows = []
    for criterion in criteria:
        found = [_sober(each) for each in evaluation.assessments if each.id == criterion.id]
        worst = min(found, key=lambda each: severity[each.verdict], default=None)
        rows.append(
            Judged(
                id=criterion.id,
                statement=criterion.statement,
                level=criterion.level,
                verdict=worst.verdict if worst else "unverified",
                evidence=worst.evidence if worst else "",
                place=worst.place if worst else "",
                remedy=worst.remedy if worst else "the evaluator did not assess this criterion",
            )
        )
    return rows


def _sober(assessment: Assessment) -> Assessment:
    if assessment.verdict == "pass" and not assessment.evidence.strip():
        return assessment.model_copy(update={"verdict": "unverified", "remedy": "passed without evidence"})
    return assessment


def best(rounds: Sequence[Round]) -> Round | None:
    """The round to keep: an improvement must be shown, so at a tie the earliest stays."""
    return min(rounds, key=lambda each: each.faults, default=None)


def repeats(rounds: Sequence[Round], deliverable: str) -> Stall | None:
    """Whether a new deliverable is an old one: the last (`no_progress`) or one before (`oscillation`)."""
    same = [each for each in rounds if _normal(each.deliverable) == _normal(deliverable)]
    if not same:
        return None
    return "no_progress" if same[-1] is rounds[-1] else "oscillation"


def stalls(rounds: Sequence[Round]) -> Stall | None:
    """Whether revising goes nowhere: the same criteria stay unmet (`no_progress`), or mending one
    set of criteria brings the other back (`oscillation`)."""
    unmet = [each.unmet("must") for each in rounds if each.judged]
    if len(unmet) > PATIENCE and len(set(unmet[-PATIENCE - 1 :])) == 1:
        return "no_progress"
    if len(unmet) > 2 and unmet[-1] == unmet[-3] != unmet[-2]:
        return "oscillation"
    return None


def _normal(text: str) -> list[str]:
    """The text without what nobody can see; indentation counts, it is meaning in some languages."""
    return [line.rstrip() for line in text.strip("\n").splitlines()]
