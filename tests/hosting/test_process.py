"""Who a process is: never by its pid alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from hosting.errors import HostingError
from hosting.process import Record, stop
from tests.hosting.conftest import until

SLEEPS = (sys.executable, "-c", "import time; print(flush=True); time.sleep(600)")
DEAF = (
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)",
)
SHORT = timedelta(milliseconds=100)
LONG = timedelta(seconds=20)


class Sleeper:
    """A process that waits to be ended."""

    def __init__(self, command: tuple[str, ...]) -> None:
        self.popen = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self.popen.stdout
        self.popen.stdout.readline()
        self.record = Record.of(self.popen.pid, command, url="http://127.0.0.1:1")

    def end(self) -> None:
        """End it for certain."""
        self.popen.kill()
        self.popen.wait()
        assert self.popen.stdout
        self.popen.stdout.close()


@pytest.fixture
def sleeper() -> Iterator[Sleeper]:
    """One that ends when it is asked to."""
    process = Sleeper(SLEEPS)
    yield process
    process.end()


@pytest.fixture
def deaf() -> Iterator[Sleeper]:
    """One that ignores SIGTERM."""
    process = Sleeper(DEAF)
    yield process
    process.end()


def test_a_record_survives_its_file(sleeper: Sleeper, tmp_path: Path) -> None:
    """What is written is what is read, and no draft is left beside it."""
    sleeper.record.write(tmp_path / "record.json")
    assert Record.read(tmp_path / "record.json") == sleeper.record
    assert [file.name for file in tmp_path.iterdir()] == ["record.json"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"pid": 1}', b"\xff\xfe", b'{"pid": "x"}'])
def test_a_damaged_record_counts_as_none(tmp_path: Path, content: bytes) -> None:
    """A crash while writing, or a curious editor, stops nobody."""
    (tmp_path / "record.json").write_bytes(content)
    assert Record.read(tmp_path / "record.json") is None
    assert Record.read(tmp_path / "missing.json") is None


def test_a_record_that_may_not_be_read_is_one_line(tmp_path: Path) -> None:
    """To take it for none would start a second server on the same file."""
    (tmp_path / "record.json").mkdir()
    with pytest.raises(HostingError, match=r"cannot read .*record\.json"):
        Record.read(tmp_path / "record.json")


async def test_only_the_process_that_was_recorded_is_stopped(sleeper: Sleeper) -> None:
    """Its pid with another creation time or other arguments is somebody else, who is left alone."""
    record = sleeper.record
    assert record.is_alive()
    for other in (
        replace(record, created=record.created - 60),
        replace(record, command=("temporal", "server", "start-dev")),
    ):
        assert not other.is_alive()
        assert not await stop(other, LONG)
    assert sleeper.popen.poll() is None
    assert await stop(record, LONG)
    assert sleeper.popen.wait() == -15


async def test_a_script_is_known_behind_its_interpreter(tmp_path: Path) -> None:
    """The system shows `python script arguments` for what was started as `script arguments`."""
    script = tmp_path / "script"
    script.write_text(f"#!{sys.executable}\n{SLEEPS[2]}\n")
    script.chmod(0o700)
    process = Sleeper((str(script), "one", "two"))
    assert process.record.is_alive()
    process.end()


async def test_a_process_that_ignores_the_request_is_killed(deaf: Sleeper) -> None:
    """After its grace, not before."""
    assert await stop(deaf.record, SHORT)
    assert deaf.popen.wait() == -9


async def test_a_dead_process_that_nobody_has_buried_is_dead(sleeper: Sleeper) -> None:
    """A zombie has pid and creation time, and serves nobody."""
    sleeper.popen.kill()
    await until(lambda: not sleeper.record.is_alive(), "the zombie to count as dead")
    assert sleeper.popen.returncode is None, "still unburied"


def test_the_record_of_a_process_that_is_gone_already_can_be_made(sleeper: Sleeper) -> None:
    """It ended between its start and our look: that is found out later, in one place."""
    sleeper.end()
    assert not Record.of(sleeper.popen.pid, SLEEPS).is_alive()


def test_we_are_alive() -> None:
    """The test's own process, by its own arguments."""
    command = Path(f"/proc/{os.getpid()}/cmdline")
    if not command.exists():
        pytest.skip("no /proc here")
    assert Record.of(os.getpid(), command.read_bytes().decode().split("\0")[:-1]).is_alive()
