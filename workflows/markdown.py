"""Words in Markdown that stay words: what a model wrote draws no table, loads no picture and sets no link."""

from __future__ import annotations

import re
from collections.abc import Sequence

_MARKUP = re.compile(r"[\\`*_\[\]<>!|#~]|(?<=http)s?:(?=//)|(?<=www)\.")
"""Characters that mean something to Markdown, and what turns a bare address into a link."""


def escaped(text: str) -> str:
    """The text as Markdown that shows it."""
    return _MARKUP.sub(lambda found: f"\\{found[0]}", text.replace("&", "&amp;"))


def one_line(text: str) -> str:
    """One printable line: what a model quotes may hold line breaks and a terminal's escapes."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table; what the cells say is shown as it is."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(map(escaped, cells)) + " |"

    return [line(headings), "|" + "---|" * len(headings), *map(line, rows)]


def fenced(text: str) -> list[str]:
    """A text of many lines as it is, behind a fence that it does not contain."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}text", *text.splitlines(), fence]
