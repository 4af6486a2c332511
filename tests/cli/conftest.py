"""`starter.py` and `worker.py` as a user starts them: real processes, a home of their own, nothing left behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
CLEARED = (
    "ANTHROPIC_",
    "TEMPORAL_",
    "BREAKWATER_",
    "BREAKER_",
    "METRICS_",
    "HEALTH_",
    "LOG_FORMAT",
    "OTEL_",
    "MAX_",
    "SUBAGENT_",
    "WORKER_",
)


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as exactly one JSON document."""
        return json.loads(self.out)


@dataclass
class Shell:
    """A terminal with a home of its own."""

    home: Path
    root: Path = ROOT
    environment: dict[str, str] = field(default_factory=dict)
    started: list[Process] = field(default_factory=list)

    def variables(self, **extra: str) -> dict[str, str]:
        """The environment of a user who has configured nothing but this home."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(CLEARED)}
        return {
            **clean,
            "BREAKWATER_HOME": str(self.home),
            "BREAKWATER_STAND_IN_LATENCY": "0",
            "COLUMNS": "200",
            **self.environment,
            **extra,
        }

    async def start(self, *arguments: str, program: str = "starter.py", **extra: str) -> Process:
        """Start a command and leave it running."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            program,
            *arguments,
            cwd=self.root,
            env=self.variables(**extra),
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
        )
        self.started.append(process)
        return process

    async def __call__(self, *arguments: str, typed: bytes = b"", **extra: str) -> Said:
        """Run a command to its end, 90 s at most."""
        process = await self.start(*arguments, **extra)
        async with asyncio.timeout(90):
            out, err = await process.communicate(typed)
        assert process.returncode is not None
        return Said(process.returncode, out.decode(), err.decode())

    def processes(self) -> list[psutil.Process]:
        """Every process that runs for this home: told by its environment."""
        return [each for each in psutil.process_iter() if self._mine(each)]

    def _mine(self, process: psutil.Process) -> bool:
        with suppress(psutil.Error):
            return process.environ().get("BREAKWATER_HOME") == str(self.home) and process.is_running()
        return False

    def running(self, word: str) -> list[psutil.Process]:
        """Those of this home's processes whose command line has this word."""
        found = []
        for each in self.processes():
            with suppress(psutil.Error):
                if any(word in part for part in each.cmdline()):
                    found.append(each)
        return found

    async def up(self, *command: str, **extra: str) -> tuple[Process, str]:
        """A command that stays up, and what it said until it was."""
        process = await self.start(*command, **extra)
        assert process.stderr is not None
        said = b""
        while not (line := await process.stderr.readline()).startswith(b"up;"):
            assert line, said.decode()
            said += line
        return process, said.decode()


@pytest.fixture
async def shell(tmp_path: Path) -> AsyncIterator[Shell]:
    """A terminal; at the end `down` is enough to leave nothing running."""
    async with terminal(tmp_path / "home") as opened:
        yield opened


@asynccontextmanager
async def terminal(home: Path) -> AsyncIterator[Shell]:
    """A terminal for as long as this is open."""
    terminal = Shell(home)
    try:
        yield terminal
    finally:
        await _closed(terminal)


async def _closed(terminal: Shell) -> None:
    for process in terminal.started:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
            async with asyncio.timeout(60):
                await process.communicate()
    if terminal.processes():
        await terminal("down")
    left = terminal.processes()
    for each in left:
        with suppress(psutil.Error):
            each.kill()
    assert not left, f"left running: {left}"


async def until(what: Callable[[], Any], why: str, seconds: float = 30) -> Any:
    """Wait for something outside this process to become true; fails saying what it waited for."""
    try:
        async with asyncio.timeout(seconds):
            while not (found := what()):  # noqa: ASYNC110 - other processes have no event for us
                await asyncio.sleep(0.02)
            return found
    except TimeoutError:
        pytest.fail(f"waited {seconds:g} s for {why}")


def seen(shell: Shell, agent: str) -> bool:
    """Whether the stand-in of this home has a call of this agent, finished or under way."""
    try:
        url = json.loads((shell.home / "stand-in.json").read_text())["facts"]["url"]
        with urlopen(f"{url}/admin/journal?agent={agent}", timeout=5) as answer:
            return bool(json.load(answer))
    except (OSError, ValueError, KeyError):
        return False  # not started yet


def journal(shell: Shell) -> list[dict[str, Any]]:
    """What the stand-in of this home has answered: its journal file survives everything."""
    file = shell.home / "logs" / "stand-in.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
