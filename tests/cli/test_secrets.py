"""Nothing readable that should not be: real processes, a key for the values, a canary for the API's, and grep."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from activities.vault.seal import new_key
from hosting.temporal_server import temporal_binary
from simulator import ServerOptions, Simulator
from tests.cli.conftest import Shell

PGE = "plan-generate-evaluate"
API_KEY = "sk-ant-canary-0123456789abcdef"
TASK = "the-task-of-a-customer"
ANSWER = "the-answer-for-a-customer"
ERROR = "the-error-about-a-customer"
PLAIN = (TASK, ANSWER, ERROR)


PLAN = {
    "constraints": [],
    "assumptions": [],
    "out_of_scope": [],
    "criteria": [{"id": "C1", "statement": "It is there.", "how_to_verify": "read it", "level": "must"}],
}


def draft(content: str) -> dict[str, Any]:
    """A generator's answer."""
    return {"approach": "straight away", "content": content}


def repeating(status: int) -> dict[str, Any]:
    """A fault whose words hold what they should not: somebody's text, and the key that came with the request."""
    return {"kind": "status", "status": status, "message": f"{ERROR}; your key was {API_KEY}"}


@pytest.fixture
async def api() -> AsyncIterator[Simulator]:
    """An endpoint that takes any key."""
    rules: list[dict[str, Any]] = [
        {"match": {"role": "generator", "run": "good"}, "times": 1, "fault": repeating(500)},
        {"match": {"role": "generator", "run": "good"}, "answer": draft(f"{ANSWER} " * 1_000)},
        {"match": {"role": "planner", "run": "good"}, "answer": {**PLAN, "goal": TASK}},
        {"match": {"role": "planner", "run": "bad"}, "fault": repeating(400)},
        {"match": {"role": "planner", "run": "unauthorised"}, "fault": repeating(401)},
        {"match": {"role": "generator", "run": "held"}, "fault": {"kind": "hang"}},
    ]
    async with Simulator(ServerOptions()) as simulator:
        simulator.rules(rules)
        yield simulator


async def summary(home: Path, run: str, codec: str | None) -> str:
    """What Temporal's own CLI shows of a run, with or without the codec server."""
    address = json.loads((home / "temporal.json").read_text())["facts"]["address"]
    options = ["--codec-endpoint", codec] if codec else []
    program = [str(temporal_binary()), "workflow", "describe", "-w", run, "--address", address, *options]
    process = await asyncio.create_subprocess_exec(*program, stdout=PIPE, stderr=PIPE)
    out, _ = await process.communicate()
    assert "StaticSummary" in out.decode() or codec is None
    return out.decode()


def found(folder: Path, words: tuple[str, ...]) -> list[str]:
    """Which of these words stand in which file, in any of the ways they could."""
    forms = [(word, form) for word in words for form in (word.encode(), word.encode("utf-16-le"))]
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [f"{path}: {word}" for path in files for word, form in forms if form in path.read_bytes()]


async def down(process: Process) -> str:
    """Stop it; what it said until then."""
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    return (out + err).decode()


@pytest.mark.timeout(240)  # a dozen processes, on a machine that may be busy
async def test_with_a_key_nothing_can_be_read_and_without_it_nothing_is_lost(shell: Shell, api: Simulator) -> None:
    """Task, answers and errors are in no file, the API's key is nowhere; a wrong key is one line and harms nothing."""
    key, other = f"one:{new_key()}", f"two:{new_key()}"
    shell.environment |= {
        "ANTHROPIC_BASE_URL": api.url,
        "ANTHROPIC_API_KEY": API_KEY,
        "BREAKWATER_ENCRYPTION_KEY": key,
        "WORKER_GRACE_PERIOD": "0",
    }
    running, _ = await shell.up("up")
    good, bad, held = await asyncio.gather(
        shell("run", PGE, f"{TASK} " * 2_000, "--id", "good", "--json"),
        shell("run", PGE, TASK, "--id", "bad", "--json"),
        shell("run", PGE, TASK, "--id", "held", "--detach"),
    )
    assert (good.code, bad.code, held.code) == (0, 3, 0), (good.err, bad.err, held.err)
    assert ANSWER in good.json["result"]["deliverable"]
    assert ERROR in bad.json["message"]
    await api.journal.until(lambda journal: bool(journal.entries(run="held", agent="generator-1")))
    shown, strange, missing = await asyncio.gather(
        shell("show", "bad", "--json"),
        shell("result", "good", BREAKWATER_ENCRYPTION_KEY=other),
        shell("show", "bad", BREAKWATER_ENCRYPTION_KEY=""),
    )
    assert ERROR in shown.json["calls"][0]["why"]
    for each, words in ((strange, "has only 'two'"), (missing, "is not set")):
        assert each.code == 2
        assert "encrypted with key 'one'" in each.err.splitlines()[-1]
        assert words in each.err.splitlines()[-1]
        assert "Traceback" not in each.err
        assert not each.out

    codec, endpoint = await shell.up("codec", "--port", "0")
    url = re.search(r"^codec +(http://127\.0\.0\.1:\d+/\S+)$", endpoint, re.MULTILINE)
    assert url, endpoint
    assert TASK in await summary(shell.home, "good", url[1])
    assert TASK not in await summary(shell.home, "good", None)
    await down(codec)

    last = await down(running)
    worker = await shell.start(program="worker.py", BREAKWATER_ENCRYPTION_KEY=other)
    async with asyncio.timeout(60):
        _, refused = await worker.communicate()
    assert worker.returncode == 2
    assert "run held is open and cannot be read" in refused.decode().splitlines()[-1]
    cancelled = await shell("cancel", "held", BREAKWATER_ENCRYPTION_KEY=f"{other},{key}")
    assert cancelled.code == 0, cancelled.err

    assert list((shell.home / "blobs").rglob("??/*"))
    assert not found(shell.home, (*PLAIN, API_KEY, key.partition(":")[2]))
    told = (
        json.dumps([[each.out, each.err] for each in (good, bad, held, shown, strange, missing, cancelled)])
        + last
        + refused.decode()
    )
    assert API_KEY not in told


async def test_the_apis_key_is_nowhere_without_encryption_either(shell: Shell, api: Simulator) -> None:
    """Errors that repeat it, a crash, `--json`: neither in what is printed nor in any file of the home."""
    shell.environment |= {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": API_KEY}
    said = await shell("run", PGE, TASK, "--id", "unauthorised", "--json")
    assert said.code == 3
    assert "[ANTHROPIC_API_KEY]" in said.json["message"]
    assert API_KEY not in said.out + said.err
    assert not found(shell.home, (API_KEY,))
    assert found(shell.home, (TASK,)), "grep must be able to find what is there"
