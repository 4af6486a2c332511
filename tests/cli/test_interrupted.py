"""Ctrl-C: one line that says what goes on, 130 for the shell, nothing lost and nothing left running."""

from __future__ import annotations

import asyncio
import json
import signal
from asyncio.subprocess import Process
from contextlib import suppress

from tests.cli.conftest import Shell, journal, seen, until

PGE = "plan-generate-evaluate"
LINES = b"Write a haiku.\nWrite a limerick.\nWrite a sonnet.\n"
AT_ONCE = 15
"""Seconds in which whoever is in a hurry is let go, on a busy machine; the calls under way would take longer."""


async def told(process: Process, words: bytes) -> None:
    """Wait until it has said this on standard error."""
    assert process.stderr is not None
    said = b""
    async with asyncio.timeout(60):
        while line := await process.stderr.readline():
            said += line
            if words in line:
                return
    raise AssertionError(f"it ended without {words!r}: {said.decode()}")


async def interrupted(process: Process, seconds: float = 60) -> list[str]:
    """Ctrl-C; what it says from then on. It ends as shells expect it, and without a traceback."""
    with suppress(ProcessLookupError):  # it was told before, and has ended meanwhile
        process.send_signal(signal.SIGINT)
    async with asyncio.timeout(seconds):
        _, err = await process.communicate()
    assert process.returncode == 130, err.decode()
    assert b"Traceback" not in err, err.decode()
    return err.decode().splitlines()


def draining(shell: Shell) -> bool:
    """The worker has been told to stop."""
    return "worker.draining" in (shell.home / "logs" / "worker.log").read_text()


async def batch(shell: Shell) -> Process:
    """A batch of three whose planners are being called; its lines come from standard input."""
    process = await shell.start("batch", PGE, "-", "--id", "poems")
    assert process.stdin is not None
    process.stdin.write(LINES)
    process.stdin.close()
    await told(process, b"starting 3 runs")
    await until(lambda: seen(shell, "planner-1"), "a planner's call")
    return process


async def test_a_batch_is_left_and_taken_up_again(shell: Shell) -> None:
    """One line says under which name; there every line has one run, and no call that had ended is made again."""
    shell.environment["BREAKWATER_STAND_IN_LATENCY"] = "1"
    said = await interrupted(await batch(shell))
    assert said == ["leaving; what was started goes on, and --id poems takes the batch up again"]
    assert not shell.processes()
    again = await shell("batch", PGE, "-", "--id", "poems", typed=LINES)
    assert again.code == 0, again.err
    assert sorted(json.loads(line)["line"] for line in again.out.splitlines()) == [1, 2, 3]
    agents = [entry["agent"] for entry in journal(shell) if entry["outcome"] == "answered"]
    assert sorted(agents) == sorted(3 * ["planner-1", "generator-1", "evaluator-1"])


async def test_whoever_is_in_a_hurry_leaves_nothing_running(shell: Shell) -> None:
    """A second Ctrl-C does not wait for the calls under way; worker, stand-in and server end all the same, and whoever
    goes on pressing changes nothing."""
    shell.environment["BREAKWATER_STAND_IN_LATENCY"] = "60"
    process = await batch(shell)
    process.send_signal(signal.SIGINT)
    await told(process, b"leaving; what was started goes on")
    await until(lambda: draining(shell), "the worker to wait for its calls")
    process.send_signal(signal.SIGINT)
    await until(lambda: not shell.running("worker.py"), "the worker's end")
    assert await interrupted(process, AT_ONCE) == []
    assert not shell.processes()


async def test_a_question_about_a_state_is_left_at_once(shell: Shell) -> None:
    """No worker is there yet: what was begun to answer is stopped, and the run is as it was."""
    shell.environment["BREAKWATER_STAND_IN_LATENCY"] = "0"
    assert (await shell("run", PGE, "Write a haiku.", "--id", "haiku")).code == 0
    process = await shell.start("state", "haiku")
    await told(process, b"started Temporal")
    said = await interrupted(process)
    assert said[-1] == "starter.py: interrupted"
    assert not shell.processes()
    asked = await shell("state", "haiku", "brief/frozen")
    assert (asked.code, json.loads(asked.out)["criteria"] != []) == (0, True), asked.err
