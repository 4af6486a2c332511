"""What a user can get wrong is one line with what to do next, never a traceback, and nothing is started for it."""

from __future__ import annotations

import sys
from asyncio import create_subprocess_exec
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, Said, Shell

PGE = "plan-generate-evaluate"
UNPRICED = '{"name": "X", "instructions": "a", "model": "gpt-9"}'


def assert_one_line(said: Said, code: int, *words: str) -> None:
    """One line on stderr with these words in it, this exit code, nothing on stdout."""
    assert said.code == code, said.err
    lines = said.err.strip().splitlines()
    assert len(lines) == 1, said.err
    assert not said.out
    for word in words:
        assert word in lines[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "nope", "x"], ["no pipeline 'nope'", PGE]),
        (["run", PGE], ["TASK"]),
        (["run", PGE, ""], ["TASK", "empty"]),
        (["run", PGE, "  \n "], ["TASK", "empty"]),
        (["run", PGE, "@/no/such/file"], ["cannot read", "readable file"]),
        (["run", PGE, "@/"], ["cannot read"]),
        (["run", PGE, "x", "--max-revisions", "many"], ["--max-revisions", "many"]),
        (["run", PGE, "x", "--max-revisions", "11"], ["--max-revisions", "10"]),
        (["run", PGE, "x", "--budget-usd", "-1"], ["--budget-usd"]),
        (["run", PGE, "x", "--max-depth", "4"], ["--max-depth", "3"]),
        (["run", PGE, "x", "--budget-usd", "1", "--planner-model", "mine"], ["price of mine", "--max-tokens"]),
        (
            ["run", "compliance-review", "x", "--budget-usd", "1", "--add-domains", UNPRICED],
            ["price of gpt-9 is not known"],
        ),
        (["budget", "x"], ["--usd, --tokens or --agents"]),
        (["budget", "x", "--usd", "nan"], ["--usd", "finite"]),
        (["budget", "x", "--usd", "inf"], ["--usd", "finite"]),
        (["budget", "x", "--usd", "0"], ["--usd", "greater than 0"]),
        (["budget", "x", "--tokens", "9" * 30], ["--tokens", "1000000000000"]),
        (["budget", "x", "--agents", "100001"], ["--agents", "100000"]),
        (["run", PGE, "x", "--budget-usd", "nan"], ["--budget-usd", "finite"]),
        (["run", "compliance-review", '{"a": 1e-99999999999999999999}'], ["1e-99999999999999999999", "string"]),
        (["list", "--min-cost", "nan"], ["--min-cost", "dollars"]),
        (["list", "--min-cost", "inf"], ["--min-cost", "1000000"]),
        (["gc", "--older-than", "99999999d"], ["--older-than", "too long", "36500d"]),
        (["run", PGE, "x", "--deadline", "soon"], ["--deadline", "soon", "10m"]),
        (["run", PGE, "x", "--no-planner", "--criteria", "{"], ["--criteria", "not JSON"]),
        (["run", PGE, "x", "--no-planner", "--criteria", "[]"], ["--criteria"]),
        (["run", PGE, "x", "--criteria", '[{"id": "a"}]'], ["--criteria"]),
        (["run", PGE, "x", "--planner-model", "gpt 4!"], ["--planner-model"]),
        (["run", PGE, "x", "--id", "../x"], ["'../x'", "letters"]),
        (["run", PGE, "x", "--id", "a\nb"], ["letters"]),
        (["run", PGE, "x", "--id", "a" * 10_000], ["letters"]),
        (["run", PGE, "x", "--nope"], ["--nope"]),
        (["nope"], ["nope"]),
        (["list", "--limit", "0"], ["--limit"]),
    ],
)
async def test_mistakes_are_one_line(shell: Shell, arguments: list[str], words: list[str]) -> None:
    """Exit 2, one line, and the home is not even created."""
    assert_one_line(await shell(*arguments), 2, *words)
    assert not shell.home.exists()


async def test_input_that_is_not_utf8_is_one_line(shell: Shell) -> None:
    """Bytes that are no text are refused, with the place of the first."""
    assert_one_line(await shell("run", PGE, "-", typed=b"abc\xff"), 2, "UTF-8", "byte 3")


async def test_an_unknown_run_is_one_line(shell: Shell) -> None:
    """A command about a run that does not exist says so, and which command lists those that do."""
    for command in ("show", "cancel"):
        said = await shell(command, "no-such-run")
        assert (said.code, said.out) == (2, "")
        line = said.err.strip().splitlines()[-1]
        assert "no run no-such-run" in line
        assert "starter.py list" in line
        assert "Traceback" not in said.err


async def test_an_unreachable_address_is_exit_4(shell: Shell) -> None:
    """A configured server that does not answer: its address and what to check, within seconds."""
    said = await shell("list", TEMPORAL_ADDRESS="127.0.0.1:1")
    assert_one_line(said, 4, "127.0.0.1:1")
    assert not shell.home.exists()


async def test_a_malformed_address_is_one_line(shell: Shell) -> None:
    """Something that is no host and port is said to be none."""
    said = await shell("list", TEMPORAL_ADDRESS="not an address")
    assert len(said.err.strip().splitlines()) == 1
    assert said.code in (2, 4)


async def test_an_endpoint_without_a_credential_is_no_reason_to_simulate(shell: Shell) -> None:
    """ANTHROPIC_BASE_URL without a key: the worker says what to set, and no run is started on the stand-in."""
    said = await shell("run", PGE, "x", ANTHROPIC_BASE_URL="http://127.0.0.1:1")
    assert said.code == 2, said.err
    assert "set ANTHROPIC_API_KEY" in said.err
    assert "Traceback" not in said.err
    assert not said.out


SECRET = "sk-ant-secret-1"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"ANTHROPIC_API_KEY": f"{SECRET}\n"}, "ANTHROPIC_API_KEY contains a line break"),
        ({"ANTHROPIC_API_KEY": f"{SECRET}\x1b"}, "ANTHROPIC_API_KEY contains a control character"),
        ({"ANTHROPIC_AUTH_TOKEN": f"{SECRET}\r\n"}, "ANTHROPIC_AUTH_TOKEN contains a line break"),
        ({"ANTHROPIC_BASE_URL": "http://127.0.0.1:1\n"}, "ANTHROPIC_BASE_URL contains a line break"),
        ({"ANTHROPIC_BASE_URL": f"http://me:{SECRET}@127.0.0.1:1"}, "leave out what stands before the @"),
        ({"ANTHROPIC_BASE_URL": f"http://me:{SECRET}@"}, "leave out what stands before the @"),
        ({"ANTHROPIC_BASE_URL": " http://127.0.0.1:1"}, "something like https://api.anthropic.com"),
        ({"ANTHROPIC_BASE_URL": "notaurl"}, "something like https://api.anthropic.com"),
        ({"ANTHROPIC_BASE_URL": "http://127.0.0.1:99999"}, "something like https://api.anthropic.com"),
        ({"ANTHROPIC_BASE_URL": "http://[::1"}, "something like https://api.anthropic.com"),
        ({"BREAKWATER_STAND_IN_URL": f"http://me:{SECRET}@h:1"}, "BREAKWATER_STAND_IN_URL: give it like http://host:1"),
    ],
)
async def test_settings_that_no_request_can_be_sent_with_are_one_line(
    shell: Shell, settings: dict[str, str], words: str
) -> None:
    """Every call would fail as if the network were down, open the circuit for the fleet and let runs wait for ever. The
    value is not repeated, and nothing is started."""
    key = {} if "BREAKWATER_STAND_IN_URL" in settings else {"ANTHROPIC_API_KEY": SECRET}
    worker = await shell.start(program="worker.py", **(key | settings))
    out, err = await worker.communicate()
    assert_one_line(Said(worker.returncode or 0, out.decode(), err.decode()), 2, words)
    assert SECRET not in err.decode()
    assert not shell.home.exists()


async def test_malformed_worker_settings_are_one_line(shell: Shell) -> None:
    """A worker's variable that is no number is named."""
    said = await shell("run", PGE, "x", MAX_CONCURRENT_SUBAGENTS="plenty")
    assert said.code == 2, said.err
    assert "MAX_CONCURRENT_SUBAGENTS" in said.err
    assert "Traceback" not in said.err


async def test_help_is_complete_and_made_from_the_input(shell: Shell) -> None:
    """Every field of the pipeline's Input is an option with its description."""
    said = await shell("run", PGE, "--help")
    assert said.code == 0
    for option in ("--max-revisions", "--no-planner", "--criteria", "--generator-model", "--budget-usd", "--deadline"):
        assert option in said.out
    assert "How often the work may be revised" in said.out
    assert "BREAKWATER_PLANNER_MODEL" in said.out
    assert "TASK" in said.out


async def test_options_come_from_the_environment_too(shell: Shell) -> None:
    """Model per role by environment."""
    said = await shell("run", PGE, "x", "--json", BREAKWATER_EVALUATOR_MODEL="claude-opus-5-5")
    assert said.code == 0, said.err
    assert said.json["agents"][-1]["model"] == "claude-opus-5-5"


async def test_help_loads_neither_temporal_nor_the_models_sdk(tmp_path: Path) -> None:
    """`--help` stays fast because it imports nothing heavy."""
    code = (
        "import sys; sys.argv = ['starter.py', '--help']\n"
        "from console.app import main\n"
        "main(['--help'])\n"
        "heavy = {'anthropic', 'temporalio', 'pydantic', 'rich', 'aiohttp'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    process = await create_subprocess_exec(sys.executable, "-c", code, cwd=ROOT, stdout=PIPE, stderr=PIPE)
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    for command in ("run", "list", "show", "watch", "result", "cancel", "up", "down"):
        assert command in out.decode()
