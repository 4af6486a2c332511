"""The stand-in as a process: one for each home."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from hosting import stand_in
from hosting.errors import HostingError
from hosting.home import Home
from hosting.process import Record
from hosting.stand_in import ensure_stand_in, revive_stand_in
from tests.hosting.conftest import processes, until


def fake(code: str) -> tuple[str, ...]:
    """A program in the stand-in's place."""
    return (sys.executable, "-c", code)


def running(home: Home) -> psutil.Process:
    """The stand-in's process."""
    record = Record.read(home.stand_in_record)
    assert record
    process = record.process()
    assert process
    return process


async def get(url: str) -> bytes:
    """The first line of its answer to a request."""
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    line = await reader.readline()
    writer.close()
    return line


async def test_those_who_come_at_once_share_one(home: Home) -> None:
    """One process, one url, and it answers."""
    one, two = await asyncio.gather(ensure_stand_in(home), ensure_stand_in(home))
    assert one == two
    assert (await get(one)).startswith(b"HTTP/1.1 ")
    assert len(processes(home)) == 1
    assert (home.logs / "stand-in.jsonl").exists()


async def test_killed_it_comes_back_where_its_users_look(home: Home) -> None:
    """On the same port, so that a worker needs not be told."""
    url = await ensure_stand_in(home)
    before = running(home)
    os.kill(before.pid, signal.SIGKILL)
    await until(lambda: not before.is_running() or before.status() == psutil.STATUS_ZOMBIE, "its death")
    assert await ensure_stand_in(home) == url
    assert running(home).pid != before.pid


async def test_reviving_starts_what_died_and_not_what_was_stopped(home: Home) -> None:
    """Stopped on purpose leaves no record."""
    assert await revive_stand_in(home) is None
    url = await ensure_stand_in(home)
    assert await revive_stand_in(home) == (url, False)
    running(home).kill()
    await until(lambda: len(processes(home)) == 0, "its death")
    assert await revive_stand_in(home) == (url, True)


async def test_script_and_latency_come_from_the_environment(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the user set them when it was started."""
    script = tmp_path / "faults.json"
    script.write_text(json.dumps([{"fault": {"kind": "status", "status": 529}}]))
    monkeypatch.setenv("BREAKWATER_STAND_IN_SCRIPT", str(script))
    monkeypatch.setenv("BREAKWATER_STAND_IN_LATENCY", "0")
    await ensure_stand_in(home)
    assert running(home).cmdline()[-4:] == ["--script", str(script), "--latency", "0"]


async def test_a_script_it_cannot_use_is_its_own_line(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the stand-in says about it, and where the log is; nothing is left."""
    monkeypatch.setenv("BREAKWATER_STAND_IN_SCRIPT", "/nowhere.json")
    with pytest.raises(
        HostingError, match=r"the stand-in did not start \(exit code 2\): .*/nowhere\.json.*log: "
    ) as caught:
        await ensure_stand_in(home)
    assert "\n" not in str(caught.value)
    assert not home.stand_in_record.exists()


@pytest.mark.parametrize("line", ["hello", "[]", "{}"])
async def test_a_line_without_a_url_is_quoted(home: Home, line: str) -> None:
    """Somebody else's program, or somebody else's version; it is ended."""
    with pytest.raises(HostingError, match=r"instead of its url"):
        await ensure_stand_in(home, fake(f"print({line!r}, flush=True); import time; time.sleep(600)"))
    assert not processes(home)


async def test_one_that_is_never_ready_is_ended(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says nothing: the deadline is in the line."""
    monkeypatch.setattr(stand_in, "STAND_IN_READY", timedelta(milliseconds=200))
    with pytest.raises(HostingError, match=r"not ready within 0\.2 s"):
        await ensure_stand_in(home, fake("import time; time.sleep(600)"))
    assert not processes(home)


async def test_one_that_hangs_is_replaced(home: Home) -> None:
    """It lives, and nobody listens at its url."""
    url = "http://127.0.0.1:1"
    hung = fake(f'print(\'{{"url": "{url}"}}\', flush=True); import time; time.sleep(600)')
    assert await ensure_stand_in(home, hung) == url
    assert (await get(await ensure_stand_in(home))).startswith(b"HTTP/1.1 ")
    assert len(processes(home)) == 1
