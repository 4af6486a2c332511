"""What became of each criterion from version to version, as a matrix: Markdown for a file or a page."""

from __future__ import annotations

from collections.abc import Sequence

from workflows.markdown import escaped, fenced, one_line, table
from workflows.revision.verdicts import Judged, Marks

SIGNS = {"pass": "✓ pass", "fail": "✗ fail", "unverified": "○ unverified"}
NOT_JUDGED = "not judged"


def matrix(criteria: Sequence[Judged], rounds: Sequence[Marks], kept: int) -> list[str]:
    """A row for each criterion, a column for each version; the one that was kept says so."""
    headings = ["criterion", "level", *(_version(each.revision, kept) for each in rounds)]
    rows = [
        [
            f"{row.id}: {one_line(row.statement)}",
            row.level,
            *(SIGNS.get(each.criteria.get(row.id, ""), NOT_JUDGED) for each in rounds),
        ]
        for row in criteria
    ]
    verdicts = [each.verdict.lower() if each.criteria else NOT_JUDGED for each in rounds]
    return table(headings, [*rows, ["all of them", "", *verdicts]])


def found(criteria: Sequence[Judged]) -> list[str]:
    """What was found about the version that was kept: the evidence, and what is still to be mended."""
    lines = []
    for row in criteria:
        words = f"- **{escaped(row.id)}** {SIGNS[row.verdict]}: {escaped(one_line(row.evidence)) or 'no evidence'}"
        if row.verdict != "pass":
            place = f" at {escaped(one_line(row.place))}" if row.place else ""
            words += f"; to mend{place}: {escaped(one_line(row.remedy))}"
        lines.append(words)
    return lines


def as_markdown(
    goal: str | None, criteria: Sequence[Judged], rounds: Sequence[Marks], kept: int, deliverable: str
) -> str:
    """The goal, the matrix, what was found, and the deliverable word for word."""
    lines = [f"**Goal:** {escaped(one_line(goal))}", ""] if goal else []
    if criteria:
        lines += ["## Criteria by version", "", *matrix(criteria, rounds, kept), ""]
        lines += [f"## What was found in version {kept + 1}", "", *found(criteria), ""]
    else:
        lines += [f"Version {kept + 1} of {len(rounds)}; nobody has judged it.", ""]
    return "\n".join([*lines, "## Deliverable", "", *fenced(deliverable)]) + "\n"


def _version(revision: int, kept: int) -> str:
    return f"version {revision + 1}" + (" (kept)" if revision == kept else "")
