"""The fleet without an engine: what its containers would run, run here, with only addresses changed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import WorkflowEnvironment

from hosting.temporal_server import temporal_binary
from tests.cli.conftest import ROOT, Shell, shell, until
from tests.cli.test_observability import free_address
from tests.fleet.test_compose import services

__all__ = ["shell"]

PGE = "plan-generate-evaluate"


def program(service: dict[str, Any], **replaced: str) -> list[str]:
    """A service's command line, with this Python, and these words instead of those."""
    words = [*service["entrypoint"], *(service.get("command") or [])]
    return [sys.executable if word == "python" else replaced.get(word, word) for word in words]


def variables(service: dict[str, Any], **replaced: str) -> dict[str, str]:
    """What a service is told and nothing else, with the image's own and these instead."""
    told = {name: value for name, value in service["environment"].items() if value is not None}
    return {"PATH": os.environ["PATH"], "LOG_FORMAT": "json", **told, **replaced}


@pytest.fixture
async def server() -> AsyncIterator[str]:
    """A Temporal server as it comes: no search attributes of ours."""
    async with await WorkflowEnvironment.start_local(dev_server_existing_path=str(temporal_binary())) as environment:
        yield environment.client.service_client.config.target_host


async def started(stack: list[Process], command: list[str], environment: dict[str, str]) -> Process:
    """One container's process."""
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environment, stdout=PIPE, stderr=PIPE)
    stack.append(process)
    return process


async def line(process: Process) -> dict[str, Any]:
    """The line of JSON that says it is ready."""
    assert process.stdout is not None
    async with asyncio.timeout(60):
        return dict(json.loads(await process.stdout.readline()))


async def test_the_fleet_runs_and_two_variables_drive_it(shell: Shell, server: str, tmp_path: Path) -> None:
    """Stand-in, namespace and worker as the compose file starts them; each healthcheck says so; a run from outside
    passes, says that it was simulated, and links to the fleet's UI."""
    fleet, processes = services(), list[Process]()
    try:
        command = program(fleet["stand-in"], **{"0.0.0.0": "127.0.0.1", "8787": "0", "0.6": "0"})
        stand_in = (await line(await started(processes, command, {"PATH": os.environ["PATH"]})))["url"]
        health = free_address()
        told = {
            "TEMPORAL_ADDRESS": server,
            "BREAKWATER_STAND_IN_URL": stand_in,
            "BREAKWATER_STORE": f"sqlite:///{tmp_path / 'store.db'}",
            "BREAKWATER_BLOBS": f"file://{tmp_path / 'blobs'}",
            "HEALTH_ADDRESS": health,
        }
        once = await started(
            processes, program(fleet["namespace"]), variables(fleet["namespace"], TEMPORAL_ADDRESS=server)
        )
        _, said = await once.communicate()
        assert once.returncode == 0, said.decode()
        assert "is ready" in json.loads(said.splitlines()[-1])["what"]
        worker = await started(processes, [sys.executable, "worker.py"], variables(fleet["worker"], **told))
        assert (await line(worker))["simulated"]

        for check in (f"{stand_in}/admin/health", f"http://{health}/ready"):
            asked = await started(processes, [sys.executable, "-m", "hosting.health", check], {})
            out, _ = await asked.communicate()
            assert asked.returncode == 0, out.decode()

        shell.environment |= {"TEMPORAL_ADDRESS": server, "TEMPORAL_UI_URL": "http://127.0.0.1:8080"}
        run = await shell("run", PGE, "Write a haiku.", "--json")
        assert (run.code, run.json["passed"], run.json["simulated"]) == (0, True, True), run.err
        assert run.json["ui_url"].startswith("http://127.0.0.1:8080/namespaces/default/workflows/")
        assert "search attributes" not in run.err

        worker.send_signal(signal.SIGTERM)
        _, said = await worker.communicate()
        lines = [json.loads(each) for each in said.splitlines()]
        answered = [each for each in lines if each["event"] == "call.answered"]
        assert [(each["run"], each["agent"], each["attempt"]) for each in answered] == [
            (run.json["run_id"], agent, 1) for agent in ("planner-1", "generator-1", "evaluator-1")
        ]
        assert (worker.returncode, lines[-1]["event"]) == (0, "worker.stopped")
    finally:
        for process in processes:
            if process.returncode is None:
                process.terminate()
        await until(lambda: all(each.returncode is not None for each in processes), "the fleet's end")
        for process in processes:
            await process.communicate()
