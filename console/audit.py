"""An audit: what happened in a run as JSON Lines, each with the hash of the one before. Checking asks no server.

Whoever changes, drops, adds or reorders a line breaks the chain at that line. Whoever rewrites everything from there on
does not: keep the last line's hash, which `audit` prints, where the file's keeper cannot reach it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

FORMAT = "breakwater-audit/1"
FIRST = "0" * 64
"""What the first line names as the hash of the one before."""


@dataclass(frozen=True)
class Checked:
    """What verifying a file found."""

    lines: int
    head: str
    """SHA-256 of the last good line."""
    broken: int | None = None
    """The first broken line, from 1."""
    why: str = ""


def chained(records: Iterable[Mapping[str, Any]]) -> Iterable[bytes]:
    """The records as lines of a file, the first of them saying what this is and the last how many there were."""
    previous, number = FIRST, 0
    for number, record in enumerate([{"type": "audit", "format": FORMAT}, *records], start=1):
        line = _line(number, previous, record)
        previous = digest(line)
        yield line
    yield _line(number + 1, previous, {"type": "end", "lines": number + 1})


def verify(lines: Iterable[bytes]) -> Checked:
    """Follow the chain to its end or to the first line that breaks it."""
    previous, number, last = FIRST, 0, ""
    for number, line in enumerate(lines, start=1):
        record, why = _read(line)
        if record is not None:
            if record.get("previous") != previous:
                why = "it does not follow from the line before"
            elif record.get("line") != number:
                why = f"it says it is line {record.get('line')}"
            elif number == 1 and record.get("format") != FORMAT:
                why = f"it is not the beginning of a {FORMAT} file"
            elif last == "end":
                why = "it comes after the end"
            elif record.get("type") == "end" and record.get("lines") != number:
                why = "it says the file has another length"
            last = str(record.get("type"))
        if why:
            return Checked(number - 1, previous, number, why)
        previous = digest(line)
    if last != "end":
        return Checked(number, previous, number + 1, "the file ends before its last line")
    return Checked(number, previous)


def digest(data: bytes | str) -> str:
    """SHA-256, in hexadecimal; of a line without its line break."""
    return hashlib.sha256((data.encode() if isinstance(data, str) else data).rstrip(b"\n")).hexdigest()


def _line(number: int, previous: str, record: Mapping[str, Any]) -> bytes:
    whole = {"line": number, "previous": previous, **record}
    return json.dumps(whole, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def _read(line: bytes) -> tuple[dict[str, Any] | None, str]:
    if not line.endswith(b"\n"):
        return None, "it is cut off"
    try:
        record = json.loads(line)
    except ValueError:
        return None, "it is not JSON"
    return (record, "") if isinstance(record, dict) else (None, "it is no record")
