"""The port: a place where the circuits of a fleet are kept. It knows no rules, only text, compare-and-swap and a clock.

What is swapped is compared with the text that was loaded, so there is no version to keep beside it: every changed state
carries the time of its change, no two are alike, and a store that was wiped meanwhile is noticed too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

STORE_TIMEOUT = timedelta(milliseconds=100)
"""The longest one step of a call may wait for the store: a healthy one answers in well under a millisecond."""


class StoreError(Exception):
    """The circuit's store cannot be used. The message says which store, and what to do."""


class StoreUnavailable(StoreError):
    """It does not answer, or not in time. It may again."""


class StoreCorrupt(StoreError):
    """It answers with what no Breakwater wrote. Nothing there is overwritten; a person has to look."""


class StoreAddressInvalid(StoreError):
    """BREAKER_STORE is not an address of a store."""


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
    """The store of an address: `sqlite:///relative`, `sqlite:////absolute`, `redis://`, `rediss://`, `valkey://`.

    Nothing is opened yet; the first use is. Raises StoreAddressInvalid.
    """
    scheme, separator, rest = url.partition("://")
    if separator and scheme == "sqlite" and rest.startswith("/") and rest.strip("/"):
        from activities.circuit.sqlite import SqliteStore

        return SqliteStore(rest[1:], timeout)
    if separator and scheme in ("redis", "rediss", "valkey", "valkeys") and rest:
        from activities.circuit.valkey import ValkeyStore

        return ValkeyStore(url, timeout)
    raise StoreAddressInvalid(
        f"BREAKER_STORE={url!r} is not a store: use sqlite:///path/to/file.db, redis://host:6379/0 or rediss://…"
    )
