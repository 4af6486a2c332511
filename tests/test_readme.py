"""README's promises, kept: its pipeline in one file works, its commands are the ones the gate runs."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from tests.cli.conftest import ROOT, Shell
from workflows.pipelines.plan_generate_evaluate import Input

README = (ROOT / "README.md").read_text()


def block(marker: str) -> str:
    """The fenced block that follows a marker comment."""
    found = re.search(rf"<!-- {re.escape(marker)} -->\n```\w*\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    assert found, f"README.md has no block marked {marker!r}"
    return found[1]


async def test_a_pipeline_is_one_file(tmp_path: Path) -> None:
    """README's file, dropped into a copy of the checkout, is a command with options, and it runs."""
    copy = tmp_path / "checkout"
    for folder in ("workflows", "activities", "hosting", "console", "simulator"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for program in ("starter.py", "worker.py"):
        shutil.copy(ROOT / program, copy / program)
    (copy / "workflows" / "pipelines" / "summarise.py").write_text(block("a pipeline in one file"))
    shell = Shell(tmp_path / "home", root=copy)

    helped = await shell("run", "summarise", "--help")
    assert (helped.code, "Summarise a text in one sentence." in helped.out) == (0, True), helped.err
    assert "--budget-usd" in helped.out
    said = await shell("run", "summarise", "A long text about the sea.", "--json")
    assert said.code == 0, said.err
    assert said.json["result"]["characters"] == 26
    assert said.json["result"]["sentence"]
    assert said.json["agents"][0]["agent"] == "summariser-1"
    assert not shell.processes()


def test_the_gate_runs_readmes_test_command() -> None:
    """`.ci/run` takes the command from README, so the two cannot differ; it installs the lock with the test extra."""
    command = block("test command")
    assert "-m pytest" in command
    assert "requirements-test.txt" in command
    assert "test command" in (ROOT / ".ci" / "run").read_text()


def test_the_locks_name_no_index_and_hash_everything() -> None:
    """Each pinned package has hashes and no line names a place to get it from."""
    for name in ("requirements.txt", "requirements-test.txt", "requirements-fleet.txt"):
        lines = (ROOT / name).read_text().splitlines()
        assert not [line for line in lines if line.startswith("-") or "://" in line]
        pinned = [index for index, line in enumerate(lines) if line and not line.startswith((" ", "#"))]
        assert all("==" in lines[index] and "--hash=sha256:" in lines[index + 1] for index in pinned)


def test_every_command_of_the_table_exists() -> None:
    """README's table of commands names only commands that the CLI has."""
    from console.app import starter

    named = set(re.findall(r"`starter\.py (\w+)", README))
    assert named <= set(starter.commands), named - set(starter.commands)
    assert set(starter.commands) <= named


def test_every_setting_is_read_by_something() -> None:
    """README's table of settings names only variables that occur in the code."""
    code = "".join(
        path.read_text() for folder in ("hosting", "activities", "console") for path in (ROOT / folder).rglob("*.py")
    )
    code += (ROOT / "worker.py").read_text()
    options = {f"BREAKWATER_{field.upper()}" for field in Input.model_fields}
    settings = README.partition("## Settings")[2]
    for name in set(re.findall(r"`((?:BREAKWATER|BREAKER|METRICS|HEALTH|MAX|SUBAGENT|WORKER)_[A-Z_]+)`", settings)):
        assert name in code or name.lower() in code or name in options, name
