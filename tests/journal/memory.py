"""Pages in a dictionary whose health a test sets, an answer to keep, and a call it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from activities.journal.journal import Journal, Page, Seal
from activities.stores.address import StoreUnavailable
from workflows.contracts import CallOutcome, SubagentCall, Usage


class MemoryPages:
    """Several journals may share them: each of them is then a process."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.trouble: Exception | None = None
        self.asked = 0

    def lose(self) -> None:
        """From now on nobody answers."""
        self.trouble = StoreUnavailable("the memory is gone")

    async def get(self, key: str) -> bytes | None:
        await self._round_trip()
        return self.kept.get(key)

    async def put(self, key: str, entry: bytes, ttl: float) -> None:
        await self._round_trip()
        self.kept[key] = entry

    async def close(self) -> None:
        """Nothing to let go of."""

    async def _round_trip(self) -> None:
        self.asked += 1
        await asyncio.sleep(0)
        if self.trouble is not None:
            raise self.trouble


class Desk:
    """A journal on pages in memory, the time it reads, and what it told."""

    def __init__(self, pages: MemoryPages | None = None, seal: Seal | None = None) -> None:
        self.pages = pages or MemoryPages()
        self.now = 0.0
        self.told: list[tuple[str, Mapping[str, object]]] = []
        self.journal = Journal(
            self.pages,
            timedelta(days=1),
            seal=seal,
            report=lambda name, fields: self.told.append((name, fields)),
            clock=lambda: self.now,
        )

    def events(self) -> list[str]:
        """The names of what it told."""
        return [name for name, _ in self.told]


def call(**other: Any) -> SubagentCall:
    """A call, with whatever a test says about it."""
    words: dict[str, Any] = {
        "agent": "planner-1",
        "role": "planner",
        "model": "claude-haiku-5-5",
        "instructions": "Plan.",
        "prompt": "A poem.",
        "answer_schema": {"type": "object"},
        "max_tokens": 10,
    }
    return SubagentCall(**{**words, **other})


def page(words: SubagentCall | None = None, **other: str) -> Page:
    """The page of a call in some run."""
    where = {"workflow_id": "run-1", "run_id": "first", "activity_id": "planner-1", **other}
    return Page.of(words or call(), **where)


def answer(**other: Any) -> CallOutcome:
    """What the API said."""
    said: dict[str, Any] = {
        "text": '{"goal": "a poem about the SEA"}',
        "stop_reason": "end_turn",
        "usage": Usage(input_tokens=7, output_tokens=5),
        "model": "claude-haiku-5-5",
        "request_id": "req_1",
        "attempts": 1,
        "simulated": False,
        "started_at": datetime(2026, 11, 24, tzinfo=UTC),
        "duration": timedelta(seconds=2),
    }
    return CallOutcome(**{**said, **other})
