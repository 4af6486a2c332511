"""A run told to somebody else: its page, its other reports, and how it is found among others."""

from __future__ import annotations

import pytest

from console.app import main
from console.commands.inspect import Wanted
from tests.cli.conftest import Shell

TASK = "Write a haiku about the sea."


async def test_a_run_has_a_page_and_is_found_by_what_it_is(shell: Shell) -> None:
    """`--report` writes the page at once, `report` at any time; its digest is the audit's; `list` knows its cost."""
    shell.home.mkdir()
    page, so_far, words, audit = (shell.home / name for name in ("run.html", "later.html", "later.md", "audit.jsonl"))
    ran = await shell("run", "plan-generate-evaluate", TASK, "--id", "told", "--report", str(page), "--keep-up")
    assert ran.code == 0, ran.err
    audited = await shell("audit", "told", "-o", str(audit))
    assert audited.code == 0, audited.err
    for each in (audited.out.split()[0], TASK, "version 1 (kept)", "SIMULATED"):
        assert each in page.read_text(), each

    waiting = await shell("run", "plan-generate-evaluate", TASK, "--id", "waits", "--approve", "plan", "--detach")
    assert waiting.code == 0, waiting.err
    while not (found := await listed(shell, "--status", "waiting_for_approval")):
        continue  # it is still planning
    assert found == ["waits"]
    assert await listed(shell, "--pipeline", "plan-generate-evaluate", "--min-cost", "0.0001") == ["told"]
    reported = await shell("report", "waits", "--html", str(so_far), "-o", str(words))
    assert (reported.code, reported.out.split()) == (0, [str(so_far), str(words)]), reported.err
    assert "has not ended" in reported.err
    assert "starter.py approve waits" in so_far.read_text()
    assert "audit sha256" not in so_far.read_text()
    assert words.read_text().startswith("# plan-generate-evaluate: waits")


async def listed(shell: Shell, *wanted: str) -> list[str]:
    """The ids of the runs that `list` shows."""
    said = await shell("list", *wanted, "--json")
    assert said.code == 0, said.err
    return [run["id"] for run in said.json["runs"]]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("report told", "name a file: starter.py report ID --html FILE"),
        ("report told --html run.pdf", "--html run.pdf: a page's name ends in .html; -o FILE writes other forms"),
        ("report told -o run.pdf", "-o run.pdf: name a file that ends in .html, .md, .json, .txt"),
        ("list --pipeline no", "there is no pipeline 'no'; there are: compliance-review"),
        ("list --status lost", "'lost' is not one of 'running', 'waiting_for_approval'"),
        ("list --min-cost -1", "is not in the range 0<=x<=1000000"),
    ],
)
def test_what_cannot_be_asked_is_said_before_anything_is_started(
    arguments: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, what to do."""
    assert main(arguments.split()) == 2
    said = capsys.readouterr().err
    assert words in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("wanted", "query"),
    [
        (Wanted(), 'TaskQueue = "breakwater" AND ParentWorkflowId IS NULL'),
        (
            Wanted(circuit="open"),
            'TaskQueue = "breakwater" AND ParentWorkflowId IS NULL AND BreakwaterCircuit = "open"',
        ),
        (
            Wanted(min_cost=0.5),
            'TaskQueue = "breakwater" AND ParentWorkflowId IS NULL AND BreakwaterCostUsd >= 0.500000000',
        ),
        (
            Wanted(status="timed_out"),
            'TaskQueue = "breakwater" AND ParentWorkflowId IS NULL AND ExecutionStatus = "TimedOut"',
        ),
        (
            Wanted(status="running"),
            'TaskQueue = "breakwater" AND ParentWorkflowId IS NULL '
            'AND BreakwaterStatus = "running" AND ExecutionStatus != "Terminated" '
            'AND ExecutionStatus != "TimedOut"',
        ),
    ],
)
def test_a_run_that_was_terminated_is_not_listed_as_running(wanted: Wanted, query: str) -> None:
    """Its attribute still says so: it had no chance to say anything else."""
    assert wanted.query() == query
