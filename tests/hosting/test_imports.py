"""`--help` must answer at once, so importing this package loads nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hosting.home import PROJECT

WORKERS = {"settings"}
"""A worker's alone, which loads everything anyway."""
MODULES = sorted(
    f"hosting.{file.stem}" for file in (PROJECT / "hosting").glob("*.py") if file.stem not in {"__init__", *WORKERS}
)


@pytest.mark.parametrize(
    ("modules", "forbidden"),
    [
        (MODULES, {"anthropic", "temporalio", "pydantic", "rich", "activities", "console", "simulator"}),
        (["hosting.home", "hosting.errors"], {"asyncio", "psutil", "filelock"}),
    ],
    ids=["all", "home"],
)
def test_importing_loads_nothing_heavy(modules: list[str], forbidden: set[str]) -> None:
    """The SDKs are loaded where a connection is made; the home needs nearly nothing."""
    code = f"import sys, {', '.join(modules)}; print(*({forbidden!r} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert said.stdout.split() == []


def test_facts_are_not_printed_where_nobody_asked_for_logs() -> None:
    """A person at the CLI gets messages, not log lines; a worker that has configured logging gets both."""
    code = "import logging, hosting.process; logging.getLogger('hosting.process').error('temporal.died'); "
    for setup, said in (("", ""), ("logging.basicConfig(format='%(message)s'); ", "temporal.died\n")):
        program = [sys.executable, "-c", code.replace("; ", f"; {setup}", 1)]
        done = subprocess.run(program, cwd=PROJECT, capture_output=True, text=True, check=True)
        assert (done.stdout, done.stderr) == ("", said)
