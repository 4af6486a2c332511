"""A store in a dictionary, whose clock and health a test sets. Held to the same contract as the real ones."""

from __future__ import annotations

import asyncio

from activities.circuit.store import Loaded, StoreUnavailable
from tests.circuit.rules import START


class MemoryStore:
    """Several gates may share one: each of them is then a process."""

    def __init__(self) -> None:
        self.now = START
        self.kept: dict[str, tuple[str, float | None]] = {}
        self.down = False
        self.asked = 0
        self.reads = 0
        self.writes = 0

    async def load(self, key: str) -> Loaded:
        await self._round_trip()
        self.reads += 1
        return Loaded(self._held(key), self.now)

    async def swap(self, key: str, text: str, expected: str | None, ttl: float | None) -> bool:
        await self._round_trip()
        if self._held(key) != expected:
            return False
        self.writes += 1
        self.kept[key] = (text, None if ttl is None else self.now + ttl)
        return True

    async def keys(self) -> tuple[str, ...]:
        await self._round_trip()
        return tuple(sorted(key for key in self.kept if self._held(key) is not None))

    async def close(self) -> None:
        """Nothing to let go of."""

    def _held(self, key: str) -> str | None:
        text, until = self.kept.get(key, (None, None))
        return None if until is not None and until <= self.now else text

    async def _round_trip(self) -> None:
        self.asked += 1
        await asyncio.sleep(0)
        if self.down:
            raise StoreUnavailable("the memory store is down")
