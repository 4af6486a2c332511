"""Processes we start: what they may know, what we hear of them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hosting import child
from hosting.child import Child, ending, plain_environment
from hosting.errors import HostingError
from hosting.home import Home


def start(home: Home, code: str, *, reads_line: bool = True) -> Child:
    """A Python program with this code."""
    home.prepare()
    command = [sys.executable, "-c", code]
    return Child(command, log=home.logs / "x.log", environment=plain_environment(home), reads_line=reads_line)


async def test_its_first_line_and_its_end_are_events_for_everybody(home: Home) -> None:
    """Asked twice, told twice."""
    process = start(home, "print('ready'); raise SystemExit(3)")
    assert [await process.first_line(), await process.first_line()] == [b"ready\n", b"ready\n"]
    assert [await process.ended(), await process.ended(), process.code] == [3, 3, 3]


async def test_an_end_without_a_line_is_an_empty_line(home: Home) -> None:
    """Nobody waits for a line that cannot come."""
    process = start(home, "raise SystemExit('no\\n\\x1b[31mred herring\\x1b[0m\\n')")
    assert await process.first_line() == b""
    assert not process.was_ready
    await process.ended()
    assert process.last_words() == "red herring"


async def test_only_what_this_start_said_counts(home: Home) -> None:
    """The log goes on, the reason of an earlier end is not ours."""
    await start(home, "raise SystemExit('first')").ended()
    second = start(home, "")
    await second.ended()
    assert (home.logs / "x.log").read_text() == "first\n"
    assert second.last_words() == "it said nothing"


async def test_a_log_that_has_grown_is_put_aside(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise it would fill the disk one day."""
    monkeypatch.setattr(child, "LOG_LIMIT", 3)
    await start(home, "raise SystemExit('first')").ended()
    await start(home, "raise SystemExit('second')").ended()
    assert (home.logs / "x.log").read_text() == "second\n"
    assert (home.logs / "x.log.1").read_text() == "first\n"


async def test_keys_stay_with_us(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Server and stand-in learn where things are, and no secret."""
    for name in ("ANTHROPIC_API_KEY", "TEMPORAL_API_KEY", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN"):
        monkeypatch.setenv(name, "sesame")
    process = start(home, "import os; print(sorted(os.environ.items()))")
    said = (await process.first_line()).decode()
    assert "sesame" not in said
    assert str(home.root) in said
    assert "'PATH'" in said
    await process.ended()


async def test_a_program_that_is_not_there_is_one_line(home: Home) -> None:
    """Named, with what the system says."""
    home.prepare()
    missing = str(home.root / "missing")
    with pytest.raises(HostingError, match=r"cannot start .*missing: No such file"):
        Child([missing], log=home.logs / "x.log", environment={})


async def test_a_log_that_cannot_be_written_is_one_line(home: Home, tmp_path: Path) -> None:
    """Nothing is started that could not say why it failed."""
    with pytest.raises(HostingError, match=r"cannot start .*No such file.*nowhere"):
        Child([sys.executable, "-c", ""], log=tmp_path / "nowhere" / "x.log", environment={})


@pytest.mark.parametrize(
    ("code", "words"), [(0, "exit code 0"), (3, "exit code 3"), (-9, "SIGKILL"), (-250, "signal 250")]
)
def test_an_end_has_a_name(code: int, words: str) -> None:
    """Signals by theirs."""
    assert ending(code) == words
