"""The processes of a drill: a Temporal server on a file, and workers; each can be killed, paused and asked to stop."""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from hosting.home import PROJECT, Home
from hosting.ports import LOOPBACK, Ports
from hosting.readiness import ready
from hosting.temporal_command import SILENT, server_command
from tests.quiet_ports import quiet_port

PR_SET_PDEATHSIG = 1
SOON = timedelta(seconds=60)
"""Within which a process starts or ends, whatever else the machine does."""
KEPT = 5_000
"""Lines kept of what a process says."""


def end_with_parent() -> None:
    """A drill that is killed takes its processes along, where the system can do that."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Program:
    """One process. What it says, on either output, is kept and can be waited for."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._more = asyncio.Event()
        self.lines: list[str] = []
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        environment: Mapping[str, str],
        folder: Path = PROJECT,
        *,
        holds_stdin: bool = False,
    ) -> Program:
        """Start it. With `holds_stdin` its standard input stays open for as long as we live."""
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=folder,
            env=dict(environment),
            stdin=PIPE if holds_stdin else DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            limit=2**20,
            preexec_fn=end_with_parent,
        )
        return cls(process)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    def send(self, number: signal.Signals) -> None:
        """Send a signal. One that has ended already gets none."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def kill(self) -> None:
        """As kill -9 does, paused or not, and see it gone."""
        self.send(signal.SIGKILL)
        await self.ended()

    async def ended(self) -> int:
        """Its exit status, once it has ended and all its words are here."""
        async with asyncio.timeout(SOON.total_seconds()):
            code = await self._process.wait()
            await self._listening
        if self._process.stdin is not None:
            self._process.stdin.close()
        return code

    async def says(self, word: str, within: timedelta = SOON) -> str:
        """The first line with this word, once it is there. Raises RuntimeError with its last words."""
        try:
            async with asyncio.timeout(within.total_seconds()):
                while True:
                    if line := self.said(word):
                        return line[0]
                    if not self.alive and self._listening.done():
                        break
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            pass
        raise RuntimeError(f"process {self.pid} did not say {word!r}; its last words: {self.lines[-5:]}")

    def said(self, word: str) -> list[str]:
        """Every line with this word."""
        return [line for line in self.lines if word in line]

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            self.lines.append(line.decode(errors="replace").rstrip())
            del self.lines[:-KEPT]
            self._more.set()
        await self._process.wait()
        self._more.set()


class TemporalServer:
    """A real server on a SQLite file in a folder, which comes back on the same file and the same ports."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._ports: Ports | None = None
        self.program: Program | None = None

    @property
    def address(self) -> str:
        """host:port."""
        assert self._ports is not None
        return f"{LOOPBACK}:{self._ports.grpc}"

    async def start(self) -> None:
        """Start it, or start it again, and wait until it can be used."""
        self._home.prepare()
        if self._ports is None:
            self._ports = Ports(quiet_port(), quiet_port())
        environment = {**os.environ, **SILENT}
        self.program = await Program.start(server_command(self._home, self._ports), environment, self._home.root)
        await ready(self.address, SOON)

    def pause(self) -> None:
        """It keeps its connections and says nothing."""
        self._running().send(signal.SIGSTOP)

    def resume(self) -> None:
        """It goes on where it stood."""
        self._running().send(signal.SIGCONT)

    async def kill(self) -> None:
        """As kill -9 does."""
        await self._running().kill()

    def _running(self) -> Program:
        assert self.program is not None
        return self.program


async def start_worker(program: Sequence[str], environment: Mapping[str, str]) -> Program:
    """A worker, ready; it ends when we do."""
    worker = await Program.start((sys.executable, *program, "--exit-with-stdin"), environment, holds_stdin=True)
    line = await worker.says('"worker.ready"')
    assert json.loads(line)["pid"] == worker.pid
    return worker
