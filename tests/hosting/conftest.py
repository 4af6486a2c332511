"""A home for each test, real processes in it, and nothing left behind."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from hosting import ports
from hosting.home import HOME_VARIABLE, PROJECT, Home
from hosting.process import Record
from hosting.temporal_server import ServerInfo, ensure_server
from tests.quiet_ports import quiet_port

CLEARED = ("ANTHROPIC_", "TEMPORAL_", "BREAKWATER_")


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The environment of a user who has configured nothing."""
    for name in list(os.environ):
        if name.startswith(CLEARED):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture(autouse=True)
def unusual_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other ports than everybody's: a server that comes back must find its own free, whoever else runs here."""
    monkeypatch.setattr(ports, "USUAL", (quiet_port(), quiet_port()))


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A home of its own; whatever a test leaves running in it is ended and fails the test unless it is recorded there.

    Recorded is what `down` would find: ending that gracefully takes a second each, and tests of `down` do it.
    """
    yield from _home(tmp_path / "home")


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """The home of a server that only answers questions, for a whole module."""
    yield from _home(tmp_path_factory.mktemp("shared") / "home")


@pytest.fixture(scope="module")
async def shared_server(shared_home: Home) -> ServerInfo:
    """The server in it."""
    return await ensure_server(shared_home)


def _home(root: Path) -> Iterator[Home]:
    here = Home(root)
    yield here
    files = (here.server_record, here.stand_in_record, *here.workers.glob("*.json"))
    recorded = {record.pid for file in files if (record := Record.read(file))}
    left = processes(here)
    for process in left:
        process.kill()
    psutil.wait_procs(left, timeout=10)
    strays = [process for process in left if process.pid not in recorded]
    assert not strays, f"left running without a record: {strays}"


def processes(home: Home) -> list[psutil.Process]:
    """Every process that runs for this home: told by its environment."""
    return [process for process in psutil.process_iter() if process.pid != os.getpid() and _runs_for(home, process)]


def _runs_for(home: Home, process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.status() != psutil.STATUS_ZOMBIE and process.environ().get(HOME_VARIABLE) == str(home.root)
    return False


async def until(what: Callable[[], object], why: str, seconds: float = 15) -> None:
    """Wait for something outside this process to become true; fails saying what it waited for."""
    try:
        async with asyncio.timeout(seconds):
            while not what():  # noqa: ASYNC110 - other processes have no event for us
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"waited {seconds:g} s for {why}")


async def python(home: Home, code: str, **environment: str) -> asyncio.subprocess.Process:
    """Another program that uses this home; both pipes are the test's."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        code,
        cwd=PROJECT,
        env={**os.environ, HOME_VARIABLE: str(home.root), **environment},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def line_of(process: asyncio.subprocess.Process) -> str:
    """The next line another program prints."""
    assert process.stdout
    async with asyncio.timeout(30):
        line = await process.stdout.readline()
    if not line:
        assert process.stderr
        pytest.fail((await process.stderr.read()).decode())
    return line.decode().strip()


async def killed(process: asyncio.subprocess.Process) -> None:
    """End a program as kill -9 does, and close its pipes."""
    process.kill()
    await process.communicate()
