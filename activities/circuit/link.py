"""The store as calls see it: after it failed once, nobody asks for a second, and its loss is told once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import TypeVar

import structlog

from activities.circuit.store import Loaded, Store, StoreUnavailable

BACK_OFF = timedelta(seconds=1)
"""How long a store that failed is left alone: one call a second pays its timeout, the others nothing."""

Report = Callable[[str, Mapping[str, object]], None]
"""Takes an event: its dotted name and its fields."""

WARNINGS = frozenset({"circuit.opened", "circuit.store_lost", "circuit.store_corrupt", "circuit.forced_open"})
log = structlog.get_logger("circuit")

ResultT = TypeVar("ResultT")


def log_event(name: str, fields: Mapping[str, object]) -> None:
    """The default report: one line in the log."""
    (log.warning if name in WARNINGS else log.info)(name, **fields)


class Link:
    """Passes through to the store; StoreUnavailable at once while backing off."""

    def __init__(self, store: Store, report: Report, clock: Callable[[], float]) -> None:
        self.store = store
        self._report = report
        self._clock = clock
        self._again_at = float("-inf")
        self._lost_at: float | None = None
        self._why = ""

    async def load(self, key: str) -> Loaded:
        """See Store."""
        return await self._through(lambda: self.store.load(key))

    async def swap(self, key: str, text: str, expected: str | None, ttl: float | None) -> bool:
        """See Store."""
        return await self._through(lambda: self.store.swap(key, text, expected, ttl))

    async def _through(self, ask: Callable[[], Awaitable[ResultT]]) -> ResultT:
        if self._clock() < self._again_at:
            raise StoreUnavailable(self._why)
        try:
            answer = await ask()
        except StoreUnavailable as error:
            self._why = str(error)
            self._again_at = self._clock() + BACK_OFF.total_seconds()
            if self._lost_at is None:
                self._lost_at = self._clock()
                self._report("circuit.store_lost", {"why": self._why})
            raise
        if self._lost_at is not None:
            self._report("circuit.store_back", {"after": round(self._clock() - self._lost_at, 3)})
            self._lost_at = None
        return answer
