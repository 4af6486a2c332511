"""The embedded server: a real Temporal on an SQLite file, one for each home, shared by whoever comes next.

`ensure_server` finds the one that runs or starts one; a server that was killed comes back on the same file and, if it
can, on the same ports, so that its clients find it again by themselves.
"""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

import psutil

from hosting.child import Child, plain_environment
from hosting.errors import HostingError, Unreachable
from hosting.home import Home
from hosting.lease import is_kept, start_lock
from hosting.ports import GRPC_VARIABLE, LOOPBACK, UI_VARIABLE, Ports, choose, freed
from hosting.process import Record, stop
from hosting.readiness import ready
from hosting.temporal_command import SILENT, server_command, server_settings, temporal_binary

__all__ = [
    "SERVER_GRACE",
    "ServerInfo",
    "ensure_server",
    "revive_server",
    "running_server",
    "server_settings",
    "stray_server",
    "temporal_binary",
]

log = logging.getLogger(__name__)

READY = timedelta(seconds=30)
"""A start takes 0.2 s to 1 s; this is for a machine that does something else."""
HEALTHY = timedelta(seconds=10)
"""For the answers of a server that has been ready before."""
SERVER_GRACE = timedelta(seconds=5)
"""It stops within 1.1 s; then it is killed, which it survives without loss."""
PORT_ATTEMPTS = 5
"""Between finding a port free and the server's taking it, somebody else may."""
BUSY = "address already in use"
UNKNOWN = "unknown flag"
"""What a `temporal` says that is older than the options it is given; after that it explains all those it knows."""


@dataclass(frozen=True)
class ServerInfo:
    """The server of a home, ready to be used."""

    pid: int
    address: str
    """host:port of its gRPC service."""
    ui_url: str
    started_at: datetime
    version: str
    kept: bool
    """It stays up until `down`."""
    started: bool
    """This call has started it."""
    port_note: str | None
    """Why it does not listen where one would expect, one line for a person."""


async def ensure_server(home: Home) -> ServerInfo:
    """The server of this home; started if none runs, or none that answers.

    Raises HostingError, one line: the home cannot be used, the binary is missing, a fixed port is taken, the server
    ends early (its last line) or is not ready within 30 s (what was waited for).
    """
    home.prepare()
    async with start_lock(home):
        return await _ensure(home)


async def revive_server(home: Home) -> ServerInfo | None:
    """The server, started again if it has died; None if it was stopped by somebody who meant it."""
    home.prepare()
    async with start_lock(home):
        return await _ensure(home) if Record.read(home.server_record) else None


def running_server(home: Home) -> ServerInfo | None:
    """The server as its record shows it, if that process lives; it is not asked anything, and none is started."""
    record = Record.read(home.server_record)
    return _info(home, record, started=False) if record and record.is_alive() else None


def stray_server(home: Home) -> Record | None:
    """A server of ours in this home that no record tells of, told by its arguments and the folder it runs in."""
    if (known := Record.read(home.server_record)) and known.is_alive():
        return None
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
            if "start-dev" not in command or not os.path.samefile(process.cwd(), home.root):
                continue
        except (psutil.Error, OSError):
            # Gone meanwhile, or none of ours.
            continue
        log.warning("temporal.stray pid=%s", process.pid)
        options = dict(pairwise(command))
        return Record.of(
            process.pid,
            command,
            address=f"{LOOPBACK}:{options.get('--port', '')}",
            ui_url=f"http://{LOOPBACK}:{options.get('--ui-port', '')}",
        )
    return None


async def _ensure(home: Home) -> ServerInfo:
    record = Record.read(home.server_record)
    if record is None or not record.is_alive():
        if record:
            log.warning("temporal.died pid=%s", record.pid)
        # Two servers on one file would destroy it, so a lost record must not hide a living server.
        record = stray_server(home) or record
    if record and record.is_alive():
        if known := await _usable(record):
            known.write(home.server_record)
            return _info(home, known, started=False)
        log.warning("temporal.unresponsive pid=%s", record.pid)
        await stop(record, SERVER_GRACE)
    return _info(home, await _start(home, record), started=True)


async def _usable(record: Record) -> Record | None:
    """The record, completed, if the server answers. One that was never ready may still be starting."""
    try:
        version = await ready(record.facts["address"], HEALTHY if "version" in record.facts else READY)
    except (Unreachable, KeyError):
        return None
    return record.with_facts(version=version)


async def _start(home: Home, died: Record | None) -> Record:
    if preferred := _ports_of(died):
        await asyncio.gather(*map(freed, preferred))
    for _ in range(PORT_ATTEMPTS):
        ports = choose(preferred)
        if record := await _start_on(home, ports):
            return record
        log.warning("temporal.ports_taken grpc=%s ui=%s", ports.grpc, ports.ui)
    raise HostingError(f"found no free ports in {PORT_ATTEMPTS} attempts; set {GRPC_VARIABLE} and {UI_VARIABLE}")


async def _start_on(home: Home, ports: Ports) -> Record | None:
    """A ready server on these ports; None if somebody else was faster at one of them."""
    log_file = home.logs / "temporal.log"
    _close_to_others(home)
    child = Child(
        server_command(home, ports), log=log_file, environment=plain_environment(home, **SILENT), folder=home.root
    )
    facts = {"address": f"{LOOPBACK}:{ports.grpc}", "ui_url": f"http://{LOOPBACK}:{ports.ui}"}
    if ports.note:
        facts["port_note"] = ports.note
    record = Record.of(child.pid, child.command, **facts)
    # Before anything is awaited: a server without a record would be nobody's.
    record.write(home.server_record)
    answering = asyncio.create_task(ready(facts["address"], READY))
    ending = asyncio.create_task(child.ended())
    try:
        await asyncio.wait({answering, ending}, return_when=asyncio.FIRST_COMPLETED)
        if ending.done():
            home.server_record.unlink(missing_ok=True)
            if any(BUSY in line for line in child.said()):
                return None
            if unknown := next((line for line in child.said() if UNKNOWN in line), None):
                raise HostingError(
                    f"the embedded server did not start: {child.command[0]} is too old ({unknown}); "
                    "run `pip install -r requirements.txt`"
                )
            raise HostingError(f"the embedded server did not start: {child.last_words()} (log: {log_file})")
        record = record.with_facts(version=answering.result())
    except Unreachable as error:
        await stop(record, SERVER_GRACE)
        home.server_record.unlink(missing_ok=True)
        raise HostingError(f"the embedded server did not start: {error} (log: {log_file})") from error
    finally:
        answering.cancel()
        ending.cancel()
        await asyncio.wait({answering, ending})
    record.write(home.server_record)
    log.info("temporal.started address=%s pid=%s version=%s", facts["address"], record.pid, record.facts["version"])
    return record


def _close_to_others(home: Home) -> None:
    """A database that an earlier version made in a home that others may enter."""
    for end in ("", "-wal", "-shm"):
        with suppress(OSError):
            home.database.with_name(f"{home.database.name}{end}").chmod(0o600)


def _ports_of(record: Record | None) -> tuple[int, int] | None:
    """Where the users of a server that died still look for it."""
    if record is None:
        return None
    try:
        grpc, ui = (int(record.facts[name].rpartition(":")[2]) for name in ("address", "ui_url"))
    except (KeyError, ValueError):
        return None
    return grpc, ui


def _info(home: Home, record: Record, *, started: bool) -> ServerInfo:
    return ServerInfo(
        pid=record.pid,
        address=record.facts["address"],
        ui_url=record.facts["ui_url"],
        started_at=record.started_at,
        version=record.facts.get("version", "unknown"),
        kept=is_kept(home),
        started=started,
        port_note=record.facts.get("port_note"),
    )
