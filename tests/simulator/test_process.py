"""The simulator as a process: what it prints, how it stops, and how it refuses to start."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from anthropic import APIConnectionError, AsyncAnthropic, OverloadedError
from click.testing import CliRunner

from simulator.__main__ import main
from tests.simulator.support import ask

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "simulator"]
PATIENCE = 20
"""Seconds for a process to start or stop on a busy machine; none of the tests needs it on a quiet one."""


@contextmanager
def running(*arguments: str, **more: Any) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A simulator process and its ready line; killed if a test leaves it running."""
    with subprocess.Popen(
        [*COMMAND, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more
    ) as process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())
        finally:
            if process.poll() is None:
                process.kill()


def refused(*arguments: str) -> tuple[int, str]:
    """Exit code and the one line on stderr of a simulator that does not start."""
    result = CliRunner().invoke(main, arguments)
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    return result.exit_code, result.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_says_where_it_listens_and_stops_when_told_even_with_a_hanging_call(
    sdk: AsyncAnthropic, tmp_path: Path, number: signal.Signals
) -> None:
    """One JSON line on stdout, a call that would hang for ever, a signal, and a clean end."""
    script = tmp_path / "rules.json"
    script.write_text(
        json.dumps(
            [
                {"match": {"agent": "down"}, "fault": {"kind": "status", "status": 529}},
                {"match": {"agent": "stuck"}, "fault": {"kind": "hang"}},
            ]
        )
    )
    journal = tmp_path / "journal.jsonl"
    with running("--latency", "0", "--script", str(script), "--journal", str(journal)) as (process, ready):
        assert ready == {"event": "simulator.ready", "url": ready["url"], "pid": process.pid}
        client = sdk.with_options(base_url=ready["url"])
        with pytest.raises(OverloadedError):
            await ask(client, agent="down")
        stuck = asyncio.ensure_future(ask(client, agent="stuck"))
        await asyncio.to_thread(wait_for_calls, ready["url"], 1)
        process.send_signal(number)
        with pytest.raises(APIConnectionError):
            await stuck
        assert process.wait(PATIENCE) == 0
        assert process.communicate() == ("", "")
    assert [json.loads(line)["outcome"] for line in journal.read_text().splitlines()] == ["fault:status", "fault:hang"]


def wait_for_calls(url: str, in_flight: int) -> None:
    """Ask until that many calls are under way; the server is in another process, so there is no event to wait for."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        with opener.open(f"{url}/admin/health", timeout=PATIENCE) as response:
            if json.load(response)["in_flight"] >= in_flight:
                return


def test_it_can_stop_with_its_standard_input() -> None:
    """Whoever started it and dies takes it along."""
    with running("--exit-with-stdin", stdin=subprocess.PIPE) as (process, _):
        assert process.poll() is None
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(PATIENCE) == 0


def test_its_journal_survives_a_kill(tmp_path: Path) -> None:
    """What was finished is on disk when the process dies without a word."""
    journal = tmp_path / "journal.jsonl"
    with running("--journal", str(journal)) as (process, ready):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        request = urllib.request.Request(
            f"{ready['url']}/v1/models", headers={"x-api-key": "k", "anthropic-version": "1"}
        )
        with opener.open(request, timeout=PATIENCE) as response:
            assert response.headers["x-breakwater-simulator"] == "1"
        os.kill(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)
    [line] = journal.read_text().splitlines()
    assert json.loads(line)["outcome"] == "answered"


def test_a_port_in_use_is_one_clear_line() -> None:
    """Exit code 1: it could work, but not here and now."""
    with running() as (_, ready):
        code, line = refused("--port", ready["url"].rsplit(":", 1)[1])
    assert code == 1
    assert "already in use" in line


@pytest.mark.parametrize("host", ["0.0.0.0", "example.com", "::"])
def test_another_address_than_loopback_is_refused(host: str) -> None:
    """Exit code 2: this can never be right."""
    code, line = refused("--host", host)
    assert code == 2
    assert "loopback" in line


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[{"fault": {"kind": "hang"}, "tims": 1}]', "tims: Extra inputs are not permitted"),
        ("[", "Invalid JSON"),
        (None, "No such file"),
    ],
)
def test_a_bad_script_is_one_clear_line(tmp_path: Path, text: str | None, problem: str) -> None:
    """Exit code 2, and the place of the mistake."""
    script = tmp_path / "rules.json"
    if text is not None:
        script.write_text(text)
    code, line = refused("--script", str(script))
    assert code == 2
    assert "--script" in line
    assert problem in line


def test_a_journal_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    """Found at the start, not at the first request."""
    code, line = refused("--journal", str(tmp_path / "missing" / "journal.jsonl"))
    assert code == 1
    assert "No such file or directory" in line


def test_the_help_has_examples() -> None:
    """Something to paste."""
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    assert "python -m simulator --port" in result.stdout


def test_importing_the_package_costs_nothing() -> None:
    """Its names are loaded when they are used: neither aiohttp nor pydantic before that, and never the project."""
    program = (
        "import sys, simulator; early = {'aiohttp', 'pydantic'} & set(sys.modules); simulator.Simulator; "
        "late = {'anthropic', 'temporalio', 'workflows', 'activities'} & set(sys.modules); print(early, late)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert result.stdout == "set() set()\n"


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    """As for any module."""
    import simulator

    with pytest.raises(AttributeError, match="Simulatr"):
        _ = simulator.Simulatr
