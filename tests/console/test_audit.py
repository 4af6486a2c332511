"""The chain of an audit file: whole as written, and broken exactly where somebody touched it."""

from __future__ import annotations

import hashlib
import json

import pytest

from console.audit import FIRST, chained, digest, head, verify

RECORDS = [{"type": "call", "agent": f"reviewer-{name}-1", "note": "é|\u2028"} for name in ("aml", "kyc", "fatf")]
LINES = list(chained(RECORDS))


def test_a_file_as_written_is_whole_and_its_head_is_the_last_lines_hash() -> None:
    """The hash that is printed is the one to keep."""
    found = verify(LINES)
    assert (found.lines, found.broken, found.head) == (5, None, head(LINES[-1]))


def test_anybody_can_check_a_line_without_this_program() -> None:
    """`sha256` is the hash of the bytes before it; the next line carries it as `previous`."""
    previous = FIRST
    for line in LINES:
        body, _, seal = line.rpartition(b',"sha256":')
        record = json.loads(line)
        assert hashlib.sha256(body).hexdigest() == record["sha256"] == seal.strip(b'"}\n').decode()
        assert record["previous"] == previous
        previous = record["sha256"]


@pytest.mark.parametrize(
    ("lines", "broken", "why"),
    [
        ([*LINES[:2], LINES[2].replace(b"kyc", b"xyz"), *LINES[3:]], 3, "not as it was written"),
        ([*LINES[:4], LINES[4].replace(b"5", b"6", 1)], 5, "not as it was written"),
        ([LINES[0], LINES[2], LINES[1], *LINES[3:]], 2, "does not follow"),
        ([*LINES[:2], *LINES[3:]], 3, "does not follow"),
        ([*LINES[:2], LINES[1], *LINES[2:]], 3, "does not follow"),
        (LINES[:3], 4, "ends before its last line"),
        ([*LINES[:3], LINES[3][:40]], 4, "cut off"),
        ([*LINES, LINES[4]], 6, "does not follow"),
        (LINES[1:], 1, "does not follow"),
        ([], 1, "empty"),
        ([b"\x00\xff\xfe" * 9 + b"\n"], 1, "not JSON"),
        ([b"[" * 100_000 + b"\n"], 1, "not JSON"),
        ([b"7\n"], 1, "no record"),
        ([b'{"line":1}\n'], 1, "not as it was written"),
        (list(chained([]))[1:], 1, "does not follow"),
    ],
)
def test_the_first_broken_line_is_named(lines: list[bytes], broken: int, why: str) -> None:
    """Edited, swapped, dropped, doubled, appended, cut off, empty or no such file at all."""
    found = verify(lines)
    assert (found.broken, why in found.why) == (broken, True), found


def test_a_rewritten_line_breaks_the_next() -> None:
    """Whoever mends a line's own hash too is found one line later."""
    body = LINES[2].rpartition(b',"sha256":')[0].replace(b"kyc", b"xyz")
    forged = body + b',"sha256":"' + digest(body).encode() + b'"}\n'
    found = verify([*LINES[:2], forged, *LINES[3:]])
    assert (found.broken, "does not follow" in found.why) == (4, True)
