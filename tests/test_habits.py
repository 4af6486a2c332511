"""The pages for those who change something here: their commands exist, and what they promise is so."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.utils import canonicalize_name

from tests.cli.conftest import ROOT

MAKEFILE = (ROOT / "Makefile").read_text()
GATE = (ROOT / ".ci" / "run").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
README = (ROOT / "README.md").read_text()
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
TARGETS = dict(re.findall(r"^([a-z]+):(?!=).*\n((?:\t.*\n)*)", MAKEFILE, re.MULTILINE))
PAGE = 45
"""Lines that one can take in at a glance."""


@pytest.mark.parametrize(
    ("lock", "extras"),
    [("requirements.txt", ()), ("requirements-test.txt", ("test",)), ("requirements-fleet.txt", ("tracing", "s3"))],
)
def test_a_lock_has_all_that_pyproject_asks_for(lock: str, extras: tuple[str, ...]) -> None:
    """Otherwise `make lock` was forgotten."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(each for extra in extras for each in project["optional-dependencies"][extra])]
    names = {canonicalize_name(re.split(r"[^A-Za-z0-9._-]", each)[0]) for each in wanted}
    pinned = {canonicalize_name(name) for name in re.findall(r"^([\w.-]+)==", (ROOT / lock).read_text(), re.MULTILINE)}
    assert names <= pinned, names - pinned


def test_make_runs_what_the_gate_runs() -> None:
    """Format, lint, types and contracts, command for command; then the tests."""
    gate = [line for line in GATE.splitlines() if line.startswith(".venv/bin/")]
    made = "".join(TARGETS[name] for name in ("lint", "types", "contracts")).replace("$(BIN)", ".venv/bin")
    assert [line.strip() for line in made.splitlines()] == [line for line in gate if "pip" not in line]
    assert re.search(r"^check: lint types contracts test ", MAKEFILE, re.MULTILINE)


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
def test_make_lists_every_target() -> None:
    """`make` alone is the list."""
    said = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {line.split()[1] for line in said.stdout.splitlines()} == set(TARGETS)
    assert set(re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[0].split()) == set(TARGETS)


def test_contributing_is_five_headings_of_one_or_two_commands() -> None:
    """Each command is a target of make, or git's."""
    sections = CONTRIBUTING.split("\n## ")[1:]
    assert len(sections) == 5
    for section in sections:
        commands = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)[0].strip().splitlines()
        assert 1 <= len(commands) <= 2
        for command in commands:
            program, target, *_ = shlex.split(command)
            assert program == "git" or (program, target in TARGETS) == ("make", True), command


def test_hooks_before_a_commit_download_nothing() -> None:
    """Only local hooks, each a tool of `.venv` that is there."""
    for repository in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]:
        assert repository["repo"] == "local"
        for hook in repository["hooks"]:
            assert hook["language"] == "system"
            tool = Path(shlex.split(hook["entry"])[0])
            assert tool.parent == Path(".venv/bin")
            assert (Path(sys.executable).parent / tool.name).exists()


@pytest.mark.parametrize("record", DECISIONS, ids=lambda path: str(path.stem))
def test_a_decision_is_one_page(record: Path) -> None:
    """Its number and title, context, choice, and what was given up."""
    text = record.read_text()
    assert text.startswith(f"# {record.name[:3]} · ")
    assert len(text.splitlines()) <= PAGE
    for part in ("**Context.**", "**Choice.**", "**What we gave up.**"):
        assert part in text


def test_no_two_decisions_have_one_number_and_all_that_are_cited_exist() -> None:
    """So that `docs/decisions/010` means something."""
    numbers = [record.name[:3] for record in DECISIONS]
    assert len(set(numbers)) == len(numbers)
    folders = ("workflows", "activities", "hosting", "console", "docs")
    texts = [
        path.read_text() for name in folders for path in (ROOT / name).rglob("*.*") if path.suffix in (".py", ".md")
    ]
    cited = set(re.findall(r"docs/decisions/(\d{3})", "".join([*texts, README])))
    assert cited <= set(numbers)


def test_every_message_of_the_troubleshooting_is_one_of_ours() -> None:
    """README's table quotes what is really said."""
    folders = ("hosting", "console", "activities")
    code = "".join(path.read_text() for folder in folders for path in (ROOT / folder).rglob("*.py"))
    code = re.sub(r'"\s*\n\s*f?"', "", code)  # a sentence over two literals is one
    table = README.partition("<!-- messages -->")[2].partition("\n\n")[0]
    messages = [each for row in table.splitlines()[3:] for each in re.findall(r"`([^`]+)` …", row.split("|")[1])]
    assert len(messages) >= 10
    for message in messages:
        assert message in code or message.removeprefix("circuit.") in code, message
