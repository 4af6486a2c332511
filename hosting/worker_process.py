"""The worker as a process: beside a starter for as long as that lives, or on its own until `down`."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from hosting.child import Child, ending
from hosting.errors import HostingError
from hosting.home import HOME_VARIABLE, Home
from hosting.process import Record, stop

log = logging.getLogger(__name__)

PROGRAM = (sys.executable, "worker.py")
EXIT_WITH_STDIN = "--exit-with-stdin"
WORKER_READY = timedelta(seconds=60)
"""It loads the model's SDK, 2 s of CPU, and connects; this is for a machine that does something else."""
GRACE = timedelta(seconds=10)
"""How long calls under way may take to finish when a starter leaves; Temporal retries what is cut off."""
BACK_OFF = timedelta(milliseconds=200)
"""Before the first restart; doubled for each within RESTART_WINDOW."""
RESTARTS = 5
RESTART_WINDOW = timedelta(minutes=1)
"""More than RESTARTS deaths in this time are not bad luck any more."""


@dataclass(frozen=True)
class WorkerReady:
    """What a worker's ready line says."""

    pid: int
    simulated: bool
    """The stand-in answers instead of a model."""
    identity: str


class WorkerProcess:
    """A worker that lives as long as we do: its standard input is a pipe that we hold, and it ends when that ends."""

    def __init__(
        self,
        home: Home,
        *,
        program: Sequence[str] = PROGRAM,
        environment: Mapping[str, str] = os.environ,
        on_event: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Start it. `on_event` gets one line for a person when it died and was started again.

        Raises HostingError if there is nothing to start.
        """
        home.prepare()
        self._home = home
        self._command = (*program, EXIT_WITH_STDIN)
        self._environment = environment
        self._on_event = on_event
        self._stopping = asyncio.Event()
        self._child = self._spawn()

    @property
    def pid(self) -> int:
        """The process as it is now; a restart changes it."""
        return self._child.pid

    async def ready(self, within: timedelta = WORKER_READY) -> WorkerReady:
        """Wait for its ready line. Raises HostingError if it ends before, with its last line, or takes too long."""
        return await _ready(self._child, within)

    async def supervise(self) -> None:
        """Start it again whenever it dies, until `stop` is called.

        Raises HostingError if it dies before it was ever ready (then it always would), or more than RESTARTS times
        within RESTART_WINDOW.
        """
        loop = asyncio.get_running_loop()
        deaths: deque[float] = deque()
        ever_ready = False
        while True:
            died = self._child
            code = await died.ended()
            if self._stopping.is_set():
                return
            ever_ready = ever_ready or died.was_ready
            if not ever_ready:
                raise _too_early(died, code)
            now = loop.time()
            while deaths and deaths[0] < now - RESTART_WINDOW.total_seconds():
                deaths.popleft()
            deaths.append(now)
            if len(deaths) > RESTARTS:
                raise HostingError(
                    f"the worker died {len(deaths)} times within {RESTART_WINDOW.total_seconds():g} s, last of "
                    f"{ending(code)}: {died.last_words()} (log: {died.log})"
                )
            if await self._stopped_within(BACK_OFF * 2 ** (len(deaths) - 1)):
                return
            self._child = self._spawn()
            log.warning("worker.died pid=%s of=%s now=%s", died.pid, ending(code), self._child.pid)
            self._on_event(f"worker {died.pid} died ({ending(code)}); started {self._child.pid}")

    async def stop(self, grace: timedelta = GRACE) -> None:
        """Ask it to end, wait up to `grace` for what it has under way, then end it. A second call changes nothing.

        Cancelled meanwhile, it is ended at once: somebody is in a hurry.
        """
        self._stopping.set()
        self._child.terminate()
        try:
            async with asyncio.timeout(grace.total_seconds()):
                await self._child.ended()
        except TimeoutError:
            log.warning("worker.lingers pid=%s after=%s", self._child.pid, grace)
        finally:
            if self._child.code is None:
                self._child.kill()
            await self._child.ended()

    async def _stopped_within(self, pause: timedelta) -> bool:
        try:
            async with asyncio.timeout(pause.total_seconds()):
                return await self._stopping.wait()
        except TimeoutError:
            return False

    def _spawn(self) -> Child:
        return Child(
            self._command,
            log=self._home.logs / "worker.log",
            environment={**self._environment, HOME_VARIABLE: str(self._home.root)},
            reads_line=True,
            holds_stdin=True,
        )


async def start_detached(
    home: Home,
    *,
    program: Sequence[str] = PROGRAM,
    environment: Mapping[str, str] = os.environ,
    within: timedelta = WORKER_READY,
) -> WorkerReady:
    """Start a worker that stays when we leave, and wait until it is ready; `down` finds it by its record.

    Raises HostingError if it ends before, with its last line, or takes too long.
    """
    home.prepare()
    child = Child(
        program,
        log=home.logs / "worker.log",
        environment={**environment, HOME_VARIABLE: str(home.root)},
        reads_line=True,
    )
    record, file = Record.of(child.pid, child.command), home.workers / f"{child.pid}.json"
    # Before anything is awaited: nobody would know of it.
    record.write(file)
    try:
        return await _ready(child, within)
    except (HostingError, asyncio.CancelledError):
        await stop(record, GRACE)
        file.unlink(missing_ok=True)
        raise


async def _ready(child: Child, within: timedelta) -> WorkerReady:
    try:
        async with asyncio.timeout(within.total_seconds()):
            line = await child.first_line()
            if not line:
                raise _too_early(child, await child.ended())
    except TimeoutError as error:
        raise HostingError(
            f"the worker was not ready within {within.total_seconds():g} s (log: {child.log})"
        ) from error
    try:
        said = json.loads(line)
        return WorkerReady(int(said["pid"]), bool(said["simulated"]), str(said["identity"]))
    except (ValueError, KeyError, TypeError) as error:
        raise HostingError(f"the worker said {line[:200]!r} instead of being ready (log: {child.log})") from error


def _too_early(child: Child, code: int) -> HostingError:
    log.warning("worker.did_not_start pid=%s of=%s log=%s", child.pid, ending(code), child.log)
    # Its own words are an error only if it ended by itself; before a signal they were about something else.
    if code > 0 and child.said():
        return HostingError(child.last_words())
    return HostingError(f"the worker ended before it was ready ({ending(code)}); its log is {child.log}")
