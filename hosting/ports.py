"""Which ports the embedded server gets: exactly those that were asked for, the usual ones if free, or others."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from hosting.errors import HostingError

LOOPBACK = "127.0.0.1"
USUAL = (7233, 8233)
"""Temporal's own defaults: gRPC and UI."""
GRPC_VARIABLE = "BREAKWATER_TEMPORAL_PORT"
UI_VARIABLE = "BREAKWATER_UI_PORT"
FREED = timedelta(seconds=1)
"""How long a port is waited for that should be free."""
LOOK = timedelta(milliseconds=20)
"""Between two looks at it."""


@dataclass(frozen=True)
class Ports:
    """Where a server is going to listen."""

    grpc: int
    ui: int
    note: str | None = None
    """Why these are not the usual ports, for a person."""


def asked_for(variable: str, environment: Mapping[str, str] = os.environ) -> int | None:
    """The port a variable fixes, None if it is not set. Raises HostingError if it is no port."""
    given = environment.get(variable)
    if not given:
        return None
    if not (given.isdecimal() and given.isascii() and 0 < int(given) < 65536):
        raise HostingError(f"{variable} is {given!r}; set it to a port, 1 to 65535, or unset it")
    return int(given)


def choose(preferred: tuple[int, int] | None = None, environment: Mapping[str, str] = os.environ) -> Ports:
    """Two free ports. `preferred` are those of a server that died: its users still look for it there.

    Free is a fact of this moment: the server must be ready to find one taken. Raises HostingError if a port that the
    environment fixes is taken.
    """
    fixed = asked_for(GRPC_VARIABLE, environment), asked_for(UI_VARIABLE, environment)
    if fixed[0] is not None and fixed[0] == fixed[1]:
        raise HostingError(f"{GRPC_VARIABLE} and {UI_VARIABLE} are both {fixed[0]}; set them to different ports")
    chosen: list[int] = []
    for variable, port, usual in zip((GRPC_VARIABLE, UI_VARIABLE), fixed, preferred or USUAL, strict=True):
        if port is not None and not is_free(port):
            raise taken(variable, port)
        # The other port may be fixed to what is usual here.
        avoid = {*chosen, *(each for each in fixed if each is not None)}
        chosen.append(port or (usual if usual not in avoid and is_free(usual) else _any_free(avoid)))
    grpc, ui = chosen
    moved = [
        (usual, now) for usual, now, port in zip(USUAL, chosen, fixed, strict=True) if port is None and now != usual
    ]
    note = ", ".join(f"port {usual} is in use, {now} is used instead" for usual, now in moved)
    return Ports(grpc, ui, note or None)


def taken(variable: str, port: int) -> HostingError:
    """The error for a fixed port that somebody else has."""
    return HostingError(f"port {port} ({variable}) is in use; stop what listens there, set another or unset it")


def is_free(port: int) -> bool:
    """Nobody listens on this loopback port, and we may."""
    with socket.socket() as probe:
        # Some systems let two listen on one port if one of them asked for every address, so ask for an answer first.
        probe.settimeout(0.2)
        if probe.connect_ex((LOOPBACK, port)) == 0:
            return False
    with socket.socket() as listener:
        # As the server does: connections of its predecessor that are still closing are no obstacle.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


async def freed(port: int, within: timedelta = FREED) -> bool:
    """The port is free, or becomes so: a process that was killed lets go of it a moment after it counts as dead."""
    try:
        async with asyncio.timeout(within.total_seconds()):
            while not is_free(port):  # noqa: ASYNC110 - the system has no event for it
                await asyncio.sleep(LOOK.total_seconds())
    except TimeoutError:
        return False
    return True


def _any_free(avoid: set[int]) -> int:
    while True:
        with socket.socket() as listener:
            listener.bind((LOOPBACK, 0))
            port: int = listener.getsockname()[1]
        if port not in avoid:
            return port
