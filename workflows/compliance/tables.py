"""A compliance report as people read it: plain text for a terminal, Markdown for a file. Nothing is decided here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from workflows.compliance.reviews import Row
from workflows.markdown import escaped, one_line, table

HEADINGS = ("domain", "status", "confidence", "issues", "reviewer", "model", "attempts", "time", "cost", "remark")


def as_text(title: str, rows: Sequence[Row], remarks: Sequence[str]) -> str:
    """A table with aligned columns, then every issue, then the remarks."""
    cells = [HEADINGS, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEADINGS))]
    lines = [title, ""]
    lines += ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    if issues := _issues(rows):
        lines += [
            "",
            "issues",
            *(f"  {domain}  {code} ({severity}){place}: {words}" for domain, code, severity, place, words in issues),
        ]
    return "\n".join([*lines, *(f"\n{one_line(remark)}" for remark in remarks)])


def as_markdown(title: str, rows: Sequence[Row], remarks: Sequence[str]) -> str:
    """The same as tables of Markdown."""
    lines = [f"## {title}", "", *table(HEADINGS, [_cells(row) for row in rows])]
    if issues := _issues(rows):
        shown = [
            (domain, code, severity, place.removeprefix(" at "), words)
            for domain, code, severity, place, words in issues
        ]
        lines += ["", "### Issues", "", *table(("domain", "code", "severity", "where", "evidence"), shown)]
    return "\n".join([*lines, *(f"\n{escaped(one_line(remark))}" for remark in remarks)]) + "\n"


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.domain + ("" if row.required else " (optional)"),
        row.status.replace("_", " "),
        "" if row.confidence is None else f"{row.confidence:.2f}",
        str(len(row.issues)),
        one_line(row.reviewer or ""),
        row.model or "",
        str(row.attempts or ""),
        "" if row.duration is None else _seconds(row.duration),
        "" if row.cost_usd is None else f"${row.cost_usd:.4f}",
        one_line(row.cause or ""),
    )


def _issues(rows: Sequence[Row]) -> list[tuple[str, str, str, str, str]]:
    return [
        (
            row.domain,
            one_line(issue.code),
            issue.severity,
            f" at {one_line(issue.where)}" if issue.where else "",
            one_line(issue.evidence),
        )
        for row in rows
        for issue in row.issues
    ]


def _seconds(length: timedelta) -> str:
    return f"{length.total_seconds():.1f} s"
