"""An audit: what happened in a run as JSON Lines, each with its hash and that of the one before. It is checked offline.

The hash of a line, `sha256`, is its last member and made of the bytes before it: a changed line is found by its own
hash, a dropped, added or moved one by the hash of the one before, which it carries as `previous`. Whoever rewrites
everything from there on breaks nothing: keep the last line's hash, which `audit` prints, where the file's keeper cannot
reach it.
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
_SEAL = b',"sha256":"%b"}\n'
_SEAL_LENGTH = len(_SEAL % FIRST.encode())


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
        line, previous = _line(number, previous, record)
        yield line
    yield _line(number + 1, previous, {"type": "end", "lines": number + 1})[0]


def verify(lines: Iterable[bytes]) -> Checked:
    """Follow the chain to its end or to the first line that breaks it."""
    previous, number, last = FIRST, 0, ""
    for number, line in enumerate(lines, start=1):
        record, found, why = _read(line)
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
        previous = found
    if last != "end":
        return Checked(number, previous, number + 1, "the file ends before its last line" if number else "it is empty")
    return Checked(number, previous)


def head(line: bytes) -> str:
    """The hash a line carries."""
    return _read(line)[1]


def digest(data: bytes | str) -> str:
    """SHA-256, in hexadecimal."""
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()


def _line(number: int, previous: str, record: Mapping[str, Any]) -> tuple[bytes, str]:
    """A line and its hash."""
    whole = {"line": number, "previous": previous, **record}
    body = json.dumps(whole, separators=(",", ":"), ensure_ascii=False).encode()[:-1]
    return body + _SEAL % digest(body).encode(), digest(body)


def _read(line: bytes) -> tuple[dict[str, Any] | None, str, str]:
    """What a line says, its hash, and what is wrong with it."""
    if not line.endswith(b"\n"):
        return None, "", "it is cut off"
    body, seal = line[:-_SEAL_LENGTH], line[-_SEAL_LENGTH:]
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None, "", "it is not JSON"
    if not isinstance(record, dict):
        return None, "", "it is no record"
    if seal != _SEAL % digest(body).encode():
        return None, "", "it is not as it was written: its hash is another"
    return record, digest(body), ""
