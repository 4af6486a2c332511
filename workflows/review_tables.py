"""A compliance report as people read it: plain text for a terminal, Markdown for a file. Nothing is decided here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta

from workflows.reviews import Row

HEADINGS = ("domain", "status", "confidence", "issues", "reviewer", "model", "attempts", "time", "cost", "remark")
_MARKUP = re.compile(r"[\\`*_\[\]<>!|#~]|(?<=http)s?:(?=//)|(?<=www)\.")
"""Characters that mean something to Markdown, and what turns a bare address into a link."""


def as_text(title: str, rows: Sequence[Row], remarks: Sequence[str]) -> str:
    """A table with aligned columns, then every issue, then the remarks."""
    table = [HEADINGS, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(HEADINGS))]
    lines = [title, ""]
    lines += ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in table]
    if issues := _issues(rows):
        lines += [
            "",
            "issues",
            *(f"  {domain}  {code} ({severity}){place}: {words}" for domain, code, severity, place, words in issues),
        ]
    return "\n".join([*lines, *(f"\n{_line(remark)}" for remark in remarks)])


def as_markdown(title: str, rows: Sequence[Row], remarks: Sequence[str]) -> str:
    """The same as tables of Markdown."""
    lines = [f"## {title}", "", *_table(HEADINGS, [_cells(row) for row in rows])]
    if issues := _issues(rows):
        shown = [
            (domain, code, severity, place.removeprefix(" at "), words)
            for domain, code, severity, place, words in issues
        ]
        lines += ["", "### Issues", "", *_table(("domain", "code", "severity", "where", "evidence"), shown)]
    return "\n".join([*lines, *(f"\n{_escaped(_line(remark))}" for remark in remarks)]) + "\n"


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.domain + ("" if row.required else " (optional)"),
        row.status.replace("_", " "),
        "" if row.confidence is None else f"{row.confidence:.2f}",
        str(len(row.issues)),
        _line(row.reviewer or ""),
        row.model or "",
        str(row.attempts or ""),
        "" if row.duration is None else _seconds(row.duration),
        "" if row.cost_usd is None else f"${row.cost_usd:.4f}",
        _line(row.cause or ""),
    )


def _issues(rows: Sequence[Row]) -> list[tuple[str, str, str, str, str]]:
    return [
        (
            row.domain,
            _line(issue.code),
            issue.severity,
            f" at {_line(issue.where)}" if issue.where else "",
            _line(issue.evidence),
        )
        for row in rows
        for issue in row.issues
    ]


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(map(_escaped, cells)) + " |"

    return [line(headings), "|" + "---|" * len(headings), *map(line, rows)]


def _escaped(text: str) -> str:
    """Words that stay words in Markdown: a quoted transaction may not draw a table, load a picture or set a link."""
    return _MARKUP.sub(lambda found: f"\\{found[0]}", text.replace("&", "&amp;"))


def _line(text: str) -> str:
    """One printable line: what a model quotes may hold line breaks and a terminal's escapes."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())


def _seconds(length: timedelta) -> str:
    return f"{length.total_seconds():.1f} s"
