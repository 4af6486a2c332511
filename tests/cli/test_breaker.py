"""`starter.py breaker`: what an operator sees of the circuits and does to them, in real processes on one home."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from pathlib import Path

import pytest

from tests.cli.conftest import Shell, journal, until
from tests.cli.test_mistakes import PGE, assert_one_line

KEY = "api.anthropic.com claude-haiku-5-5"
FAST_TO_TRIP = {"BREAKER_FAILURE_THRESHOLD": "1", "BREAKER_RECOVERY_TIMEOUT": "600"}


async def test_an_empty_home_has_no_circuits_and_gets_none(shell: Shell) -> None:
    """Looking creates nothing, and holding all of no circuits is a mistake that says how to name one."""
    said = await shell("breaker", "status")
    assert (said.code, "no circuits yet" in said.out) == (0, True), said.err
    said = await shell("breaker", "status", "--json")
    assert (said.code, said.json["circuits"]) == (0, [])
    for command in (("open", "--reason", "x"), ("reset",)):
        assert_one_line(await shell("breaker", *command), 2, "first counted failure", '"host model"')
    assert_one_line(await shell("breaker", "status", KEY), 2, "there is no circuit", KEY)
    assert not shell.home.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["open", KEY], ["--reason"]),
        (["close", KEY], ["--reason"]),
        (["open", KEY, "--reason", " \n"], ["--reason", "empty"]),
        (["open", KEY, "--reason", "x", "--for", "soon"], ["--for", "soon", "10m"]),
        (["open", KEY, "--reason", "x", "--for", "0"], ["--for"]),
        (["open", KEY, "--reason", "x", "--for", "3000000d"], ["--for", "too long"]),
        (["open", "claude-haiku-5-5", "--reason", "x"], ["host model"]),
        (["reset", KEY], ["there is no circuit"]),
        (["status", "--nope"], ["--nope"]),
        (["ajar"], ["ajar"]),
    ],
)
async def test_mistakes_are_one_line(shell: Shell, arguments: list[str], words: list[str]) -> None:
    """Exit 2, one line, and the home is not even created."""
    assert_one_line(await shell("breaker", *arguments), 2, *words)
    assert not shell.home.exists()


@pytest.mark.parametrize("address", ["somewhere", "sqlite://", "postgres://host/db", "redis://host:port"])
async def test_a_malformed_store_is_one_line(shell: Shell, address: str) -> None:
    """An address that names no store is said to be none."""
    assert_one_line(await shell("breaker", "status", BREAKER_STORE=address), 2, "BREAKER_STORE")


async def test_a_store_that_does_not_answer_is_one_line_without_its_password(shell: Shell) -> None:
    """As with a server that cannot be reached: its address, exit 4, within seconds."""
    said = await shell("breaker", "status", BREAKER_STORE="redis://me:secret@127.0.0.1:1/0")
    assert_one_line(said, 4, "127.0.0.1:1")
    assert "secret" not in said.err


@pytest.mark.parametrize("command", [("status",), ("open", KEY, "--reason", "x")])
@pytest.mark.parametrize("kind", ["text", "database"])
async def test_a_foreign_file_is_refused_and_left_as_it_is(
    shell: Shell, tmp_path: Path, kind: str, command: tuple[str, ...]
) -> None:
    """Whoever points BREAKER_STORE at something else loses nothing."""
    file = tmp_path / "notes.db"
    if kind == "text":
        file.write_text("Call the plumber. " * 100)
    else:
        connection = sqlite3.connect(file)
        connection.execute("CREATE TABLE orders (id INTEGER)")
        connection.close()
    before = file.read_bytes()
    assert_one_line(await shell("breaker", *command, BREAKER_STORE=f"sqlite:///{file}"), 2, str(file))
    assert file.read_bytes() == before


async def test_a_circuit_nobody_has_used_can_be_held(shell: Shell) -> None:
    """Before a maintenance begins: held, said to be new, shown with who and why, closed again, let go."""
    said = await shell("breaker", "open", KEY, "--reason", "maintenance [tonight]", "--for", "10m")
    assert said.code == 0, said.err
    assert not said.out
    for word in ("held open until", KEY, "maintenance [tonight]", "no call has used it yet"):
        assert word in said.err
    shown = (await shell("breaker", "status")).out
    for word in (KEY, "forced open by", "maintenance [tonight]"):
        assert word in shown
    assert re.search(r"in (10 m 00|9 m \d\d) s", shown)
    said = await shell("breaker", "close", "--reason", "it is over", "--json")
    (circuit,) = said.json["circuits"]
    assert (circuit["key"], circuit["state"], circuit["forced"]["mode"]) == (KEY, "closed", "closed")
    assert (circuit["forced"]["reason"], circuit["forced"]["until"]) == ("it is over", None)
    assert "no call has used it yet" not in said.err
    assert (await shell("breaker", "reset", KEY)).code == 0
    (circuit,) = (await shell("breaker", "status", KEY, "--json")).json["circuits"]
    assert (circuit["state"], circuit["forced"]) == ("closed", None)


async def test_an_operator_sees_an_outage_ends_it_and_holds_the_circuit(shell: Shell) -> None:
    """Tripped by a run, it is open without any worker; after a reset calls pass; held open, none leaves."""
    script = shell.home.parent / "faults.json"
    script.write_text(json.dumps([{"match": {"run": "tripped"}, "fault": {"kind": "status", "status": 529}}]))
    shell.environment |= {"BREAKWATER_STAND_IN_SCRIPT": str(script), **FAST_TO_TRIP}
    fail = ("--on-open-circuit", "fail", "--json")

    tripped = await shell("run", PGE, "x", "--id", "tripped", *fail)
    assert tripped.code == 3, tripped.err
    assert tripped.json["agents"][0]["error_kind"] == "circuit_open"
    assert not shell.processes()
    (circuit,) = (await shell("breaker", "status", "--json")).json["circuits"]
    assert (circuit["state"], circuit["cause"], circuit["openings"]) == ("open", "1 failure in a row", 1)
    assert 400 < circuit["retry_in"] < 700

    assert (await shell("breaker", "reset")).code == 0
    (circuit,) = (await shell("breaker", "status", "--json")).json["circuits"]
    assert (circuit["state"], circuit["retry_at"]) == ("closed", None)
    after = await shell("run", PGE, "x", "--id", "after", *fail)
    assert after.code == 0, after.err
    sent = len(journal(shell))

    held = await shell("breaker", "open", "--reason", "maintenance", "--for", "10m", "--json")
    assert held.code == 0, held.err
    assert {each["key"].split()[1] for each in held.json["circuits"]} == {
        each["model"] for each in after.json["agents"]
    }
    refused = await shell("run", PGE, "x", "--id", "refused", *fail)
    assert refused.code == 3, refused.err
    (reply,) = refused.json["agents"]
    assert reply["error_kind"] == "circuit_open"
    assert "maintenance" in reply["error_message"]
    assert len(journal(shell)) == sent


async def test_a_wait_survives_the_death_of_its_worker(shell: Shell) -> None:
    """A run waits for an open circuit, its worker is killed, another goes on waiting, and a reset lets the run pass."""
    script = shell.home.parent / "faults.json"
    script.write_text(json.dumps([{"times": 1, "fault": {"kind": "status", "status": 529}}]))
    shell.environment |= {
        "BREAKWATER_STAND_IN_SCRIPT": str(script),
        "BREAKER_FAILURE_THRESHOLD": "1",
        "BREAKER_RECOVERY_TIMEOUT": "600",
    }
    run = await shell.start("run", PGE, "x", "--json", "--no-planner")
    assert run.stderr is not None
    while b"the circuit is open" not in await run.stderr.readline():
        assert run.returncode is None
    (await until(lambda: shell.running("worker.py"), "the worker"))[0].kill()
    while b"died" not in await run.stderr.readline():
        assert run.returncode is None
    said = await shell("breaker", "reset")
    assert said.code == 0, said.err
    async with asyncio.timeout(60):
        out, err = await run.communicate()
    assert run.returncode == 0, err.decode()
    report = json.loads(out)
    assert report["passed"]
    assert [reply["attempts"] for reply in report["agents"]] == [2, 1]
    assert len(journal(shell)) == 3
