"""The one setting that says where workers keep what they share, and the ways such a place can fail."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from activities.urls import without_login

VARIABLE = "BREAKWATER_STORE"
ALIAS = "BREAKER_STORE"
"""What the setting was called when only the circuits were kept there."""
NAMES = f"{VARIABLE} (or {ALIAS})"
"""As messages call it: nobody remembers which of the two they have set."""

STORE_TIMEOUT = timedelta(milliseconds=100)
"""The longest one step of a call may wait for the store: a healthy one answers in well under a millisecond."""


class StoreError(Exception):
    """A store cannot be used. The message says which store, and what to do."""


class StoreUnavailable(StoreError):
    """It does not answer, or not in time. It may again."""


class StoreCorrupt(StoreError):
    """It answers with what no Breakwater wrote. Nothing there is overwritten; a person has to look."""


class StoreAddressInvalid(StoreError):
    """BREAKWATER_STORE is not an address of a store."""


class File(NamedTuple):
    """A SQLite file, for the processes of one host."""

    path: Path

    def beside(self, word: str) -> File:
        """A file of its own for something else: `store.db` and `store.journal.db`."""
        return File(self.path.with_name(f"{self.path.stem}.{word}{self.path.suffix}"))


class Server(NamedTuple):
    """A Valkey or Redis server, for a fleet."""

    url: str


def read_address(environment: Mapping[str, str]) -> str | None:
    """What the environment names, None if nothing.

    Raises StoreAddressInvalid if its two names say two things.
    """
    given, older = environment.get(VARIABLE) or None, environment.get(ALIAS) or None
    if given and older and given != older:
        raise StoreAddressInvalid(
            f"{VARIABLE} and {ALIAS} are two names of one setting and say different things; unset {ALIAS}"
        )
    return given or older


def parse_address(url: str) -> File | Server:
    """The place of an address: `sqlite:///relative`, `sqlite:////absolute`, `redis://`, `rediss://`, `valkey://`.

    Raises StoreAddressInvalid.
    """
    scheme, separator, rest = url.partition("://")
    if separator and scheme == "sqlite" and rest.startswith("/") and rest.strip("/"):
        return File(Path(rest[1:]))
    if separator and scheme in ("redis", "rediss", "valkey", "valkeys") and rest:
        return Server(url)
    raise StoreAddressInvalid(
        f"{NAMES} is {without_login(url)!r}, which is not a store: use sqlite:///path/to/file.db, redis://host:6379/0 "
        "or rediss://…"
    )


def check_address(url: str) -> None:
    """Whether a store could be opened there, without opening it. Raises StoreAddressInvalid."""
    place = parse_address(url)
    if isinstance(place, Server):
        from activities.stores.valkey_server import ValkeyServer

        ValkeyServer(place.url, STORE_TIMEOUT, what="the store")
