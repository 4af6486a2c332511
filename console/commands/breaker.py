"""The breaker's commands: look at the circuits, hold one open or closed, forget what they remember.

They go to the store itself and ask no server and no worker: they are for the hour in which those are in trouble.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from activities.circuit.gate import Gate
from activities.circuit.phases import IllegalMove, seen_at
from activities.circuit.state import Cause, Forced, Mode, Phase, Policy, State
from activities.circuit.store import StoreError, StoreUnavailable, open_store
from activities.stores.address import read_address
from activities.urls import without_login
from console.circuits import circuits
from console.errors import Exit, Stop
from console.render import clock, page, tell
from hosting.home import Home

PATIENCE = timedelta(seconds=2)
"""How long a person waits for the store: calls give up sooner, since they can do without it."""
SQLITE = "sqlite:///"
NONE_YET = "no circuits yet: one exists after its first counted failure"


@dataclass(frozen=True)
class Place:
    """Where the circuits are kept."""

    url: str
    home: Home | None
    """The home, if the store is the one in it."""

    @classmethod
    def locate(cls, environment: Mapping[str, str] = os.environ) -> Place:
        """What BREAKWATER_STORE names, else the home's, as workers find it."""
        try:
            given = read_address(environment)
        except StoreError as error:
            raise Stop(str(error), Exit.USAGE) from error
        home = Home.locate(environment)
        return cls(given, None) if given else cls(home.breaker_store, home)

    @property
    def name(self) -> str:
        """The address without a password."""
        return without_login(self.url)

    def exists(self) -> bool:
        """Whether there is a file to look into; a server has to be asked."""
        return not self.url.startswith(SQLITE) or Path(self.url.removeprefix(SQLITE)).exists()


async def show_circuits(key: str | None, as_json: bool) -> Exit:
    """One circuit or all of them, as the store has them now."""
    place = Place.locate()
    rows: list[dict[str, Any]] = []
    async with _gate(place) as gate:
        known = await gate.keys() if place.exists() else ()
        if key is not None and key not in known:
            raise Stop(f"there is no circuit {key!r}; {_names(known)}", Exit.USAGE)
        rows += [row(each, *await gate.look(each)) for each in (known if key is None else (key,))]
    if as_json:
        click.echo(json.dumps({"store": place.name, "circuits": rows}))
    elif rows:
        page().print(circuits(rows, place.name))
    else:
        page().print(f"{NONE_YET} ({place.name})", markup=False, highlight=False, soft_wrap=True)
    return Exit.PASSED


async def hold(mode: Mode, key: str | None, reason: str, lasting: timedelta | None, as_json: bool) -> Exit:
    """Hold a circuit, or all that are known, open or closed."""
    reason = " ".join(reason.split())
    if not reason:
        raise Stop("--reason is empty; say why, the next person reads it", Exit.USAGE)
    if lasting is not None and lasting <= timedelta(0):
        raise Stop("--for must be longer than nothing; leave it out to hold until `breaker reset`", Exit.USAGE)
    place, by = Place.locate(), whoami()
    rows: list[dict[str, Any]] = []
    async with _gate(place) as gate:
        known, chosen = await _chosen(gate, place, key)
        if place.home is not None:
            place.home.prepare()
        for each in chosen:
            state = await gate.force(each, mode, reason=reason, by=by, lasting=lasting)
            rows.append(row(each, state, state.as_of))
    for held in rows:
        unused = "" if held["key"] in known else "; no call has used it yet, it was made for this"
        end = "until `starter.py breaker reset`" if lasting is None else f"until {clock(held['forced']['until'])}"
        tell(f"held {mode} {end}: {held['key']} ({reason}){unused}")
    return _document(place, rows, as_json)


async def reset(key: str | None, reason: str | None, as_json: bool) -> Exit:
    """Let a circuit, or all that are known, go, and forget what was counted."""
    place = Place.locate()
    rows: list[dict[str, Any]] = []
    async with _gate(place) as gate:
        known, chosen = await _chosen(gate, place, key)
        if key is not None and key not in known:
            raise Stop(f"there is no circuit {key!r}; {_names(known)}", Exit.USAGE)
        for each in chosen:
            state = await gate.reset(each)
            rows.append(row(each, state, state.as_of))
    for let_go in rows:
        tell(f"reset, closed: {let_go['key']}" + (f" ({' '.join(reason.split())})" if reason else ""))
    return _document(place, rows, as_json)


def row(key: str, state: State, now: float) -> dict[str, Any]:
    """A circuit as it reads at `now`, the store's time: what `--json` prints and the table shows."""
    seen = seen_at(state, now)
    fresh = now - Policy().window_age
    recent = [failed for at, failed in seen.window if at > fresh]
    return {
        "key": key,
        "state": seen.phase.value,
        "since": _moment(seen.since),
        "cause": _because(seen.cause, seen.tripped_by) if seen.phase is Phase.OPEN else None,
        "forced": None if seen.forced is None else _forced(seen.forced),
        "failures_in_a_row": sum(at > fresh for at in seen.streak),
        "window": {"failed": sum(recent), "total": len(recent)},
        "generation": seen.generation,
        "retry_at": _moment(seen.retry_at),
        "retry_in": _left(seen.retry_at, now),
        "hold_until": _moment(seen.hold_until),
        "hold_in": _left(seen.hold_until, now),
        "probes": [
            {"holder": token.rpartition("#")[0] or token, "lease_left": _left(until, now)}
            for token, until in seen.probes
        ],
        "openings": seen.openings,
        "failures": seen.failures,
    }


def whoami() -> str:
    """Who holds a circuit: the name others can ask."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"


@asynccontextmanager
async def _gate(place: Place) -> AsyncIterator[Gate]:
    """The circuits of a store; its errors become one line. What is done here is told here, so nothing is logged."""
    try:
        gate = Gate(open_store(place.url, PATIENCE), worker=whoami(), report=lambda name, fields: None)
        try:
            yield gate
        finally:
            await gate.close()
    except StoreUnavailable as error:
        raise Stop(str(error), Exit.UNREACHABLE) from error
    except (StoreError, IllegalMove) as error:
        raise Stop(str(error), Exit.USAGE) from error


async def _chosen(gate: Gate, place: Place, key: str | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The circuits that are known, and those that are meant."""
    known = await gate.keys() if place.exists() else ()
    if key is None:
        if not known:
            raise Stop(f'{NONE_YET}; to hold one before that, give KEY as "host model"', Exit.USAGE)
        return known, known
    if key not in known and (len(key.split(" ")) != 2 or not key.isprintable() or not all(key.split(" "))):
        raise Stop(f'KEY {key!r} is not "host model", as in "api.anthropic.com claude-haiku-4-5"', Exit.USAGE)
    return known, (key,)


def _document(place: Place, rows: list[dict[str, Any]], as_json: bool) -> Exit:
    if as_json:
        click.echo(json.dumps({"store": place.name, "circuits": rows}))
    return Exit.PASSED


def _names(known: tuple[str, ...]) -> str:
    return "there are: " + ", ".join(map(repr, known)) if known else NONE_YET


def _forced(forced: Forced) -> dict[str, Any]:
    return {
        "mode": forced.mode,
        "reason": forced.reason,
        "by": forced.by,
        "since": _moment(forced.since),
        "until": _moment(forced.until),
    }


def _because(cause: Cause, count: int) -> str:
    words: dict[Cause, str] = {
        "consecutive": f"{count} failure{'s' if count != 1 else ''} in a row",
        "rate": f"{count} failures in the window",
        "probe": "a probe failed",
        "unreachable": f"{count} worker{'s' if count != 1 else ''} could not reach it",
        "forced": "a person held it open",
    }
    return words.get(cause, "")


def _moment(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat()


def _left(at: float | None, now: float) -> float | None:
    return None if at is None else round(max(0.0, at - now), 3)
