"""A command's session: connected, and with somebody there to do the work if the server is the embedded one."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from temporalio.client import Client
from temporalio.service import RPCError

from console.errors import HURRY, Exit, Stop
from console.render import SIMULATED
from hosting.connection import Connection, connect, how_to_add, missing_search_attributes, pollers, run_url
from hosting.errors import Unreachable
from hosting.home import Home
from hosting.tracing import tracing
from hosting.versions import nobody_for_new_runs
from hosting.worker_process import WorkerProcess, start_detached
from workflows.contracts import STAND_IN_MARK, SUBAGENT_QUEUE, WORKFLOW_QUEUE

Say = Callable[[str], None]

LOOK = timedelta(seconds=1)
"""How often it is checked that a worker which belongs to somebody else is still there."""
PATIENCE = timedelta(seconds=60)
"""How long a command waits for a server that went away; the run itself waits as long as it takes."""
RETRY = timedelta(milliseconds=250)


@dataclass
class Session:
    """What a command works with."""

    connection: Connection
    searchable: bool
    """The server knows our search attributes."""
    _home: Home
    _say: Say
    _keep_up: bool
    _staffing: asyncio.Task[None] | None = None
    _away_since: float | None = None
    _command: asyncio.Task[object] | None = field(default_factory=asyncio.current_task)

    @property
    def client(self) -> Client:
        """The connected client."""
        return self.connection.client

    def url(self, run_id: str) -> str | None:
        """Where a run can be looked at."""
        return run_url(self.connection, run_id)

    async def worker(self) -> None:
        """See to it that a worker is there, from now to the end of the session; a configured server has its own.

        Raises HostingError if one has to be started and cannot be.
        """
        if self._staffing is not None:
            return
        at_work = await pollers(self.connection, SUBAGENT_QUEUE)
        if any(STAND_IN_MARK in identity for identity in at_work):
            self._say(SIMULATED)
        if not self.connection.embedded:
            if not at_work:
                self._say(
                    f"no worker is listening on {SUBAGENT_QUEUE!r} at {self.connection.address}; a run waits for one: "
                    "start it with `python worker.py` in this environment"
                )
            return
        if self._keep_up:
            if not at_work:
                ready = await start_detached(self._home)
                self._say(f"started worker {ready.pid}; it stays up until `starter.py down`")
                if ready.simulated:
                    self._say(SIMULATED)
            return
        own = None if at_work else await self._start()
        self._staffing = asyncio.create_task(self._staff(own), name=HURRY)
        self._staffing.add_done_callback(self._staffing_ended)

    async def say_if_nobody_gets_new_runs(self) -> None:
        """Workers of a version that is not current would let a run wait without a word."""
        here = self.connection.embedded
        if line := await nobody_for_new_runs(self.client, WORKFLOW_QUEUE, on_this_machine=here):
            self._say(line)

    async def lost(self, error: RPCError) -> None:
        """The server did not answer: wait a moment, or give up after PATIENCE. Raises Stop then."""
        now = asyncio.get_running_loop().time()
        if self._away_since is None or now - self._away_since > 2 * PATIENCE.total_seconds():
            self._away_since = now
            self._say(
                f"Temporal at {self.connection.address} does not answer; waiting up to {PATIENCE.seconds} s for it"
            )
        if now - self._away_since > PATIENCE.total_seconds():
            raise Stop(
                f"Temporal at {self.connection.address} has not answered for {PATIENCE.seconds} s; the run is kept and "
                "goes on when it is back: `starter.py watch ID`",
                Exit.UNREACHABLE,
            ) from error
        await asyncio.sleep(RETRY.total_seconds())

    def found(self) -> None:
        """The server answers again."""
        self._away_since = None

    async def close(self) -> None:
        """Stop the worker that was started for this session. Raises what made the staffing fail, if it did.

        Its end is waited for even if we are cancelled: as long as it lives it uses the embedded server, which would be
        left running.
        """
        if self._staffing is None:
            return
        self._staffing.cancel()
        try:
            await asyncio.wait({self._staffing})
        except asyncio.CancelledError:
            await asyncio.wait({self._staffing})
            raise
        if not self._staffing.cancelled() and (error := self._staffing.exception()):
            raise error

    async def _start(self) -> WorkerProcess:
        own = WorkerProcess(self._home, on_event=self._say)
        try:
            ready = await own.ready()
        except BaseException:
            await own.stop()
            raise
        self._say(f"no worker was listening: started worker {ready.pid}, which stops with this command")
        if ready.simulated:
            self._say(SIMULATED)
        return own

    async def _staff(self, own: WorkerProcess | None) -> None:
        """Keep our own worker going; if we use somebody else's, start one of our own when that has gone."""
        while own is None:
            await asyncio.sleep(LOOK.total_seconds())
            try:
                at_work = await pollers(self.connection, SUBAGENT_QUEUE)
            except Unreachable:
                continue
            own = None if at_work else await self._start()
        try:
            await own.supervise()
        finally:
            await own.stop()

    def _staffing_ended(self, staffing: asyncio.Task[None]) -> None:
        """Nobody is left to do the work, so the command must not wait for it any longer."""
        if not staffing.cancelled() and staffing.exception() and self._command:
            self._command.cancel()


@asynccontextmanager
async def session(say: Say, *, keep_up: bool = False, worker: bool) -> AsyncIterator[Session]:
    """Connected for as long as the block lasts, with a worker at once or when the command asks for one.

    Raises Unreachable or HostingError, one line each.
    """
    home = Home.locate()
    identity = f"starter {os.getpid()}@{socket.gethostname()}"
    with tracing("breakwater-starter") as plugins:
        async with connect(home, identity=identity, keep_up=keep_up, on_event=say, plugins=plugins) as connection:
            if connection.server and connection.server.started:
                say(f"started Temporal {connection.server.version} at {connection.address}, UI {connection.ui_url}")
                if connection.server.port_note:
                    say(connection.server.port_note)
            missing = await missing_search_attributes(connection.client) if worker else []
            if missing:
                say(how_to_add(missing, connection.address, connection.namespace))
            here = Session(connection, not missing, home, say, keep_up)
            try:
                if worker:
                    await here.worker()
                    await here.say_if_nobody_gets_new_runs()
                yield here
            finally:
                await here.close()
