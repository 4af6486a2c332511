"""The port: where entries of the journal are kept. It knows no calls, only keys, bytes and when they end."""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol

from activities.stores.address import File, Server, parse_address

PATIENCE = timedelta(seconds=1)
"""The longest one step may wait. More than the circuit's: what is at stake is a paid answer, not a piece of advice."""


class Pages(Protocol):
    """Where entries are kept. Every method raises StoreUnavailable or StoreCorrupt, and nothing else."""

    async def get(self, key: str) -> bytes | None:
        """What is kept under a key; None if nothing is, or no longer."""
        ...

    async def put(self, key: str, entry: bytes, ttl: float) -> None:
        """Keep it for `ttl` seconds, instead of what was there. In doubt (no answer) it raises, and may have kept."""
        ...

    async def close(self) -> None:
        """Let go of connections and threads."""
        ...


def open_pages(place: File | Server, timeout: timedelta = PATIENCE) -> Pages:
    """The journal's pages in a file or a server. Opened by their first use. Raises StoreAddressInvalid."""
    if isinstance(place, File):
        from activities.journal.sqlite import SqlitePages

        return SqlitePages(place.path, timeout)
    from activities.journal.valkey import ValkeyPages

    return ValkeyPages(place.url, timeout)


def beside_the_circuits(url: str) -> File | Server:
    """Where the journal of a store is: on the same server, but in a file of its own.

    Answers are large where circuits are small, and a file has one writer at a time: a circuit must not wait for them,
    nor be damaged with them. Raises StoreAddressInvalid.
    """
    place = parse_address(url)
    return place.beside("journal") if isinstance(place, File) else place
