"""What may be submitted for review: a JSON object or text that reaches a reviewer exactly as it was written.

JSON leaves room for documents that two readers read differently: a name given twice, a number no machine keeps. Such a
document is refused and not guessed at: whoever reviews must see what was signed. Pure.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Literal

from pydantic import JsonValue
from pydantic_core import to_json

Format = Literal["auto", "json", "text"]

MOST_BYTES = 400_000
"""Of a transaction as a call carries it: what 200,000 tokens of context hold, and well inside Temporal's 2 MiB."""
MOST_BYTES_TOGETHER = 2_500_000
"""Of all calls of a review: they are scheduled in one message, and the server takes 4 MB."""

DEEPEST = 100
"""Objects within objects: pydantic reads no more than about twice as many."""
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters (line breaks and tabs are text) and halves of surrogate pairs."""


def read(text: str, format: Format) -> JsonValue:
    """The transaction as a JSON object, or as text. Raises ValueError, one line, if it is not what it promises."""
    if len(text) > MOST_BYTES:
        raise ValueError(_too_large(len(text), MOST_BYTES))  # before anything is parsed
    if found := _unprintable(text):
        raise ValueError(f"the transaction contains {found}; remove it")
    if format == "text" or (format == "auto" and not text.startswith("{")):
        return text
    try:
        content = _loaded(text)
    except RecursionError as error:
        raise ValueError("the transaction is nested too deeply; submit it with --format text") from error
    except ValueError as error:
        raise ValueError(f"the transaction is not JSON ({error}); mend it or say --format text") from error
    if not isinstance(content, dict) or not content:
        raise ValueError("the transaction is JSON but no object with members; mend it or say --format text")
    return content


def fits(content: JsonValue, reviewers: int) -> None:
    """Raises ValueError if so many reviewers cannot each be given this."""
    size = len(to_json(to_json(content, indent=1).decode()))
    most = min(MOST_BYTES, MOST_BYTES_TOGETHER // max(reviewers, 1))
    if size > most:
        raise ValueError(_too_large(size, most))


def _too_large(size: int, most: int) -> str:
    return f"the transaction takes {size:,} bytes, and each reviewer can be given {most:,}; submit what matters of it"


def _loaded(text: str) -> JsonValue:
    content: JsonValue = json.loads(
        text, object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_float, parse_int=_int
    )
    if found := next(filter(None, map(_unprintable, list(_strings(content)))), None):
        raise ValueError(f"{found} behind an escape")
    return content


def _object(members: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    found = dict(members)
    if len(found) < len(members):
        names = [name for name, _ in members]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"it says {twice[:40]!r} twice in one object")
    return found


def _no_constant(name: str) -> JsonValue:
    raise ValueError(f"{name} is no number of JSON")


def _float(digits: str) -> float:
    number = float(digits)
    try:
        kept = math.isfinite(number) and Decimal(repr(number)) == Decimal(digits)
    except ArithmeticError:  # an exponent that is itself too long
        kept = False
    if not kept:
        raise ValueError(_too_long(digits))
    return number


def _int(digits: str) -> int:
    try:
        return int(digits)
    except ValueError:
        raise ValueError(_too_long(digits)) from None


def _too_long(digits: str) -> str:
    shown = digits if len(digits) <= 40 else f"{digits[:40]}…"
    return f"the number {shown} has more digits than a JSON number keeps, so write it as a string"


def _strings(value: JsonValue, depth: int = 0) -> Iterator[str]:
    if depth > DEEPEST:
        raise RecursionError
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, each in value.items():
            yield name
            yield from _strings(each, depth + 1)
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each, depth + 1)


def _unprintable(text: str) -> str | None:
    """What nobody types on purpose, by its number."""
    found = _UNPRINTABLE.search(text)
    return f"the control character U+{ord(found[0]):04X}" if found else None
