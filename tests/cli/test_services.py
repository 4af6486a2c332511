"""The server and the workers around a run: a configured server, a foreign one, draining, up and down."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.testing import WorkflowEnvironment

from hosting.temporal_server import temporal_binary
from tests.cli.conftest import Shell, journal, seen, until

PGE = "plan-generate-evaluate"


@pytest.fixture
async def foreign_server() -> AsyncIterator[str]:
    """The address of a Temporal server of somebody else's: no settings and no search attributes of ours."""
    async with await WorkflowEnvironment.start_local(dev_server_existing_path=str(temporal_binary())) as environment:
        yield environment.client.service_client.config.target_host


async def test_a_configured_server_is_used_and_nothing_is_started(shell: Shell, foreign_server: str) -> None:
    """With TEMPORAL_ADDRESS: no server, no worker; one line says which command adds what the server lacks, and the
    run goes on without as soon as a worker is there."""
    shell.environment["TEMPORAL_ADDRESS"] = foreign_server
    run = await shell.start("run", PGE, "Write a poem.", "--json")
    assert run.stderr is not None
    said = [(await run.stderr.readline()).decode() for _ in range(3)]
    assert "temporal operator search-attribute create" in said[0]
    assert foreign_server in said[0]
    assert "no worker is listening" in said[1]
    assert "python worker.py" in said[1]
    assert [process.pid for process in shell.processes()] == [run.pid]
    worker = await shell.start(program="worker.py")
    out, err = await run.communicate()
    assert run.returncode == 0, err.decode()
    assert json.loads(out)["passed"]
    assert not shell.running("start-dev")
    listed = await shell("list", "--json")
    assert [(each["pipeline"], each["status"]) for each in listed.json["runs"]] == [(PGE, "completed")]
    worker.send_signal(signal.SIGTERM)
    assert await worker.wait() == 0


async def test_up_to_1_mib_a_starter_needs_none_of_the_workers_disk(
    shell: Shell, foreign_server: str, tmp_path: Path
) -> None:
    """As with docker-compose.yml, in both directions; what is larger is one line before a run is started. A run whose
    input nobody can read would be held for ever, and an answer of the workers' would be paid for and not read."""
    shell.environment["TEMPORAL_ADDRESS"] = foreign_server
    script, transaction, task = (tmp_path / name for name in ("script.json", "transaction.txt", "task.txt"))
    answer = {"approach": "straight away", "content": "x" * 200_000}
    script.write_text(json.dumps([{"match": {"role": "generator", "run": "poem"}, "answer": answer}]))
    transaction.write_text("x" * 390_000)
    task.write_text("x" * 1_100_000)
    worker = await shell.start(
        program="worker.py",
        BREAKWATER_HOME=str(tmp_path / "container"),
        BREAKWATER_BLOBS=f"file://{tmp_path / 'volume'}",
        BREAKWATER_BLOB_THRESHOLD="1048576",
        BREAKWATER_STAND_IN_SCRIPT=str(script),
    )
    assert worker.stdout is not None
    await worker.stdout.readline()

    review, poem, refused = await asyncio.gather(
        shell("run", "compliance-review", f"@{transaction}", "--json"),
        shell("run", PGE, "Write a long poem.", "--id", "poem", "--json"),
        shell("run", PGE, f"@{task}", "--id", "long"),
    )
    assert review.code == 0, review.err
    assert review.json["passed"]
    assert answer["content"] in poem.out, poem.err
    again = await shell("result", "poem")
    assert answer["content"] in again.out
    assert (refused.code, refused.out) == (2, "")
    assert re.search(
        r"1,100,\d+ bytes .* up to 1,048,576; set BREAKWATER_BLOBS to a place", refused.err.splitlines()[-1]
    )
    assert "no run long" in (await shell("show", "long")).err
    worker.send_signal(signal.SIGTERM)
    assert await worker.wait() == 0


async def test_a_worker_without_a_shared_place_says_so_once(shell: Shell, foreign_server: str) -> None:
    """What it keeps at home others may not read, and it is the one who can still be given a place."""
    worker = await shell.start(program="worker.py", TEMPORAL_ADDRESS=foreign_server)
    assert worker.stdout is not None
    await worker.stdout.readline()
    worker.send_signal(signal.SIGTERM)
    _, err = await worker.communicate()
    assert err.decode().count("blobs.on_this_machine_only") == 1
    assert "values over 1 MiB" in err.decode()


async def test_a_worker_drains_at_sigterm(shell: Shell) -> None:
    """A call under way finishes within the grace period and is not made again; the worker exits 0."""
    shell.environment["BREAKWATER_STAND_IN_LATENCY"] = "2"
    up = await shell.start("up")
    worker = await shell.start(program="worker.py")
    assert worker.stdout is not None
    ready = json.loads(await worker.stdout.readline())
    assert ready["simulated"] is True
    assert "(stand-in)" in ready["identity"]
    run = await shell.start("run", PGE, "Write a poem.", "--json")
    await until(lambda: seen(shell, "generator-1"), "the generator's call")
    worker.send_signal(signal.SIGTERM)
    assert await worker.wait() == 0
    out, err = await run.communicate()
    assert run.returncode == 0, err.decode()
    # Of the evaluator nothing is said: a poll that goes away may take its task along, which is then given out again.
    assert {reply["role"]: reply["attempts"] for reply in json.loads(out)["agents"]}["generator"] == 1
    assert len(journal(shell)) == 3
    up.send_signal(signal.SIGINT)
    async with asyncio.timeout(60):
        _, said = await up.communicate()
    assert up.returncode == 0, said.decode()
    assert b"UI  " in said
    assert not shell.processes()


async def test_a_foreign_workflow_under_the_same_id_is_not_attached_to(shell: Shell, foreign_server: str) -> None:
    """An id that belongs to something else is one line, and that something is left alone."""
    from temporalio.client import Client

    client = await Client.connect(foreign_server)
    await client.start_workflow("somebody-elses", id="taken", task_queue="elsewhere")
    said = await shell("run", PGE, "x", "--id", "taken", TEMPORAL_ADDRESS=foreign_server)
    assert said.code == 2
    assert "taken is already a run of somebody-elses; choose another --id" in said.err.splitlines()[-1]


async def test_down_where_nothing_runs_says_so(shell: Shell) -> None:
    """`down` can always be typed."""
    said = await shell("down")
    assert (said.code, "nothing was running" in said.err) == (0, True)
