"""README's promises, kept: its pipeline in one file works, its commands are the ones the gate runs."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from itertools import takewhile
from pathlib import Path

import yaml

from hosting.temporal_server import temporal_binary
from tests.cli.conftest import ROOT, Shell
from tests.fleet.test_compose import compose
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


def typed(program: str) -> list[list[str]]:
    """What README tells to type of another program: in a line of its own, behind `&&`, or within a sentence."""
    fenced = re.findall(r"^```sh\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    lines = [part for text in fenced for line in text.splitlines() for part in line.split("&&")]
    inline = re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```$", "", README, flags=re.DOTALL | re.MULTILINE))
    commands = [" ".join(each.split()) for each in (*lines, *inline)]
    return [shlex.split(each.partition(">")[0]) for each in commands if each.startswith(f"{program} ")]


def helped(*command: str) -> str:
    """What a program says of one of its commands."""
    said = subprocess.run([*command, "--help"], capture_output=True, text=True, check=False)
    assert said.returncode == 0, (command, said.stderr)
    return said.stdout


def before_options(words: list[str]) -> list[str]:
    """The words of a command up to its first option."""
    return list(takewhile(lambda word: not word.startswith("-"), words))


def options(words: list[str]) -> set[str]:
    """The options a command is given, without their values."""
    return {word.partition("=")[0] for word in words if word.startswith("-")}


def test_each_temporal_command_is_one_of_the_cli_that_comes_with_the_requirements() -> None:
    """Its words name a command and each option is one of that command."""
    commands = typed("temporal")
    assert len(commands) >= 3
    for _, *words in commands:
        path = before_options(words)
        help = helped(str(temporal_binary()), *path)
        assert f"temporal {' '.join(path)} [flags]" in help, words
        known = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", help.partition("\nFlags:")[2]))
        assert options(words) <= known, (words, options(words) - known)


def test_each_compose_command_names_what_compose_and_our_file_have() -> None:
    """The subcommand and its options are Compose's, the services and profiles the file's."""
    binary, file = compose(), yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    profiles = {each for service in file["services"].values() for each in service.get("profiles", ())}
    commands = typed("docker compose")
    assert len(commands) >= 6
    for _, _, *words in commands:
        while words[0].startswith("-"):
            option, value, *words = words
            assert (option, value in profiles) == ("--profile", True), option
        subcommand, *rest = words
        known = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", helped(binary, subcommand)))
        arguments = before_options(rest) or [word for word in rest if not word.startswith("-")]
        ours = rest[: rest.index(arguments[0])] if subcommand == "exec" else rest  # behind it, what it is to run
        assert options(ours) <= known, (words, options(ours) - known)
        services = arguments[:1] if subcommand == "exec" else arguments
        assert {each.partition("=")[0] for each in services} <= set(file["services"]), words
