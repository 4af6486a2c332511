"""The port: a place where the circuits of a fleet are kept. It knows no rules, only text, compare-and-swap and a clock.

What is swapped is compared with the text that was loaded, so there is no version to keep beside it: every changed state
carries the time of its change, no two are alike, and a store that was wiped meanwhile is noticed too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from activities.stores.address import (
    STORE_TIMEOUT,
    File,
    StoreAddressInvalid,
    StoreCorrupt,
    StoreError,
    StoreUnavailable,
    parse_address,
)

__all__ = [
    "STORE_TIMEOUT",
    "Loaded",
    "Store",
    "StoreAddressInvalid",
    "StoreCorrupt",
    "StoreError",
    "StoreUnavailable",
    "open_store",
]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What is kept under a key, None if nothing is, and what the store's clock reads."""

    text: str | None
    now: float


class Store(Protocol):
    """Where circuits are kept. Every method raises StoreUnavailable or StoreCorrupt, and nothing else."""

    async def load(self, key: str) -> Loaded:
        """Read one circuit and the clock, in one round trip."""
        ...

    async def swap(self, key: str, text: str, expected: str | None, ttl: float | None) -> bool:
        """Write `text` if the key still holds `expected` (None: if it holds nothing). `ttl` in seconds, None for ever.

        False if another was faster: nothing was written. In doubt (no answer) it raises, and may have written.
        """
        ...

    async def keys(self) -> tuple[str, ...]:
        """Every circuit there is, sorted."""
        ...

    async def close(self) -> None:
        """Let go of connections and threads."""
        ...


def open_store(url: str, timeout: timedelta = STORE_TIMEOUT) -> Store:
    """The store of an address, see parse_address. Opened by its first use. Raises StoreAddressInvalid."""
    place = parse_address(url)
    if isinstance(place, File):
        from activities.circuit.sqlite import SqliteStore

        return SqliteStore(place.path, timeout)
    from activities.circuit.valkey import ValkeyStore

    return ValkeyStore(place.url, timeout)
