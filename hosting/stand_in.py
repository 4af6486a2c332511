"""The stand-in for the model as a process: one for each home, for everybody who has no API key."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from urllib.parse import urlsplit

from hosting.child import Child, ending, plain_environment
from hosting.errors import HostingError
from hosting.home import Home
from hosting.lease import start_lock
from hosting.ports import freed
from hosting.process import Record, stop

log = logging.getLogger(__name__)

PROGRAM = (sys.executable, "-m", "simulator")
SCRIPT_VARIABLE = "BREAKWATER_STAND_IN_SCRIPT"
LATENCY_VARIABLE = "BREAKWATER_STAND_IN_LATENCY"
STAND_IN_READY = timedelta(seconds=20)
"""It starts within 1 s; this is for a machine that does something else."""
STAND_IN_GRACE = timedelta(seconds=3)
"""It has nothing to lose: what it was answering is asked again."""
ANSWER = timedelta(seconds=5)
"""For a connection to one that runs."""


async def ensure_stand_in(home: Home, program: Sequence[str] = PROGRAM) -> str:
    """The URL of this home's stand-in; started if none runs, on the same port if it can, as its users know it.

    One that runs already keeps its script and latency. Raises HostingError, one line, if it cannot be started.
    """
    home.prepare()
    async with start_lock(home):
        url, _ = await _ensure(home, program)
        return url


async def revive_stand_in(home: Home, program: Sequence[str] = PROGRAM) -> tuple[str, bool] | None:
    """Its URL and whether this call has started it; None if it was stopped by somebody who meant it."""
    home.prepare()
    async with start_lock(home):
        return await _ensure(home, program) if Record.read(home.stand_in_record) else None


async def _ensure(home: Home, program: Sequence[str]) -> tuple[str, bool]:
    record = Record.read(home.stand_in_record)
    if record and record.is_alive():
        if await _listens(record.facts.get("url", "")):
            return record.facts["url"], False
        log.warning("stand_in.unresponsive pid=%s", record.pid)
        await stop(record, STAND_IN_GRACE)
    return await _start(home, program, _port(record.facts.get("url", "")) if record else None), True


async def _start(home: Home, program: Sequence[str], preferred: int | None) -> str:
    port = preferred if preferred and await freed(preferred) else 0
    command = [*program, "--port", str(port), "--journal", str(home.logs / "stand-in.jsonl"), *_asked_for()]
    file = home.logs / "stand-in.log"
    child = Child(command, log=file, environment=plain_environment(home), reads_line=True)
    record = Record.of(child.pid, child.command)
    record.write(home.stand_in_record)
    try:
        url = await _url(child)
    except HostingError:
        await stop(record, STAND_IN_GRACE)
        home.stand_in_record.unlink(missing_ok=True)
        raise
    record.with_facts(url=url).write(home.stand_in_record)
    log.info("stand_in.started url=%s pid=%s", url, child.pid)
    return url


async def _url(child: Child) -> str:
    """What its ready line says."""
    try:
        async with asyncio.timeout(STAND_IN_READY.total_seconds()):
            line = await child.first_line()
            if not line:
                code = await child.ended()
                raise HostingError(
                    f"the stand-in did not start ({ending(code)}): {child.last_words()} (log: {child.log})"
                )
    except TimeoutError as error:
        raise HostingError(
            f"the stand-in was not ready within {STAND_IN_READY.total_seconds():g} s (log: {child.log})"
        ) from error
    try:
        return str(json.loads(line)["url"])
    except (ValueError, KeyError, TypeError) as error:
        raise HostingError(f"the stand-in said {line[:200]!r} instead of its url (log: {child.log})") from error


async def _listens(url: str) -> bool:
    parts = urlsplit(url)
    if not (parts.hostname and parts.port):
        return False
    try:
        async with asyncio.timeout(ANSWER.total_seconds()):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def _port(url: str) -> int | None:
    try:
        return urlsplit(url).port
    except ValueError:
        return None


def _asked_for(environment: Mapping[str, str] = os.environ) -> list[str]:
    """The options a user asked for by the environment."""
    wanted = (("--script", SCRIPT_VARIABLE), ("--latency", LATENCY_VARIABLE))
    return [word for option, variable in wanted if (value := environment.get(variable)) for word in (option, value)]
