"""What a worker's log may say when values are sealed: facts, names and places, never words that may be somebody's.

A log lies beside the database in plain text. With encryption on, an error's message, which may quote a prompt or an
answer, stays out of it: the failure's kind is there, and `starter.py show ID` has the words for whoever has the key.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any

UNSAID = "not logged while values are encrypted: see `starter.py show`"
WORDS = ("why", "error", "message")
"""Fields of our own events that carry an error's message."""
OWN_WORDS = ("vault.", "model.", "worker.", "circuit.", "journal.lost")
"""Events whose words we have written ourselves, about places and settings; a call's are whatever an API answers."""
OURS = ("hosting",)
"""Loggers of the standard library whose words are all ours; anybody else's may hold an argument or an exception."""

Event = MutableMapping[str, Any]


def discreet(_logger: Any, _method: str, event: Event) -> Event:
    """A processor, while the event still has its record."""
    record = event.get("_record")
    if event.get("_from_structlog"):
        if not str(event["event"]).startswith(OWN_WORDS):
            event.update({name: UNSAID for name in WORDS if name in event})
    elif isinstance(record, logging.LogRecord) and not record.name.startswith(OURS):
        event["event"] = f"{record.name} {record.funcName}:{record.lineno}"
        for name in [name for name in event if not name.startswith("_") and name not in _KEPT]:
            del event[name]
    if raised := _raised(event.pop("exc_info", None)):
        event["exception"] = outline(raised)
    return event


_KEPT = {"event", "level", "timestamp", "exc_info"}


def outline(error: BaseException) -> str:
    """A traceback without the messages: where, and of which classes."""
    lines: list[str] = []
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        lines += traceback.format_tb(each.__traceback__)
        lines.append(f"{type(each).__module__}.{type(each).__qualname__}\n")
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)
    return "".join(lines).rstrip()


def _raised(exc_info: BaseException | bool | tuple[Any, BaseException | None, TracebackType | None] | None) -> Any:
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        return exc_info[1]
    return sys.exc_info()[1] if exc_info else None
