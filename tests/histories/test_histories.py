"""Every recorded run goes on under today's code, and gives the commands it gave then; if not, the message teaches."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from temporalio.worker import UnsandboxedWorkflowRunner

from hosting.home import PROJECT
from tests.histories.altered import PatchedSecondOpinion, SecondOpinion
from tests.histories.replay import FOLDER, lesson, recorded, replay
from tests.histories.scenarios import SCENARIOS
from workflows.pipelines import discover

NAMES = sorted(file.stem for file in FOLDER.glob("*.json"))
PASSED = "plan-generate-evaluate-passed"
MOST_BYTES = 1_000_000
"""Of all histories together: everybody who clones the repository has them."""


@pytest.mark.parametrize("name", NAMES)
async def test_a_recorded_run_goes_on_under_todays_code(name: str) -> None:
    """Else every run like it that is in flight when this is deployed would be stuck."""
    history, commands = recorded(name)
    if said := lesson(name, commands, await replay(history)):
        pytest.fail(said, pytrace=False)


async def test_a_thoughtless_change_is_told_what_it_does_and_what_to_do() -> None:
    """The message shows the difference, says what replay is, and names patched(), versions and the command."""
    history, commands = recorded(PASSED)
    said = lesson(PASSED, commands, await replay(history, [SecondOpinion], UnsandboxedWorkflowRunner()))
    assert "would be stuck" in said
    assert "\n    +activity claude.call planner-2 on" in said
    assert "\n    -activity claude.call generator-1 on" in said
    assert "Nondeterminism" in said
    for taught in ("What replay is.", 'workflow.patched("', f"python -m tests.histories.record {PASSED}", "README"):
        assert taught in said
    assert "runs in flight" in (PROJECT / "README.md").read_text()


async def test_the_same_change_behind_a_patch_lets_old_runs_go_on() -> None:
    """What the message advises helps: nothing is left to say."""
    history, commands = recorded(PASSED)
    replayed = await replay(history, [PatchedSecondOpinion], UnsandboxedWorkflowRunner())
    assert lesson(PASSED, commands, replayed) == ""


async def test_other_words_alone_harm_no_run_and_are_said_to() -> None:
    """A summary is not compared by replay: recording again is enough."""
    history, commands = recorded(PASSED)
    before = [line.replace("planner ·", "the planner ·") for line in commands]
    said = lesson(PASSED, before, await replay(history))
    assert "Runs in flight are safe" in said
    assert "patched" not in said


def test_every_pipeline_and_every_scenario_has_its_history() -> None:
    """What is left of an older way has `-before-` in its name; nothing else lies about."""
    assert {each.pipeline for each in SCENARIOS} == set(discover())
    known = {each.name for each in SCENARIOS}
    assert known <= set(NAMES)
    for name in NAMES:
        assert name.partition(".")[0].partition("-before-")[0] in known
        assert (FOLDER / f"{name}.txt").is_file()
    assert sorted(file.stem for file in FOLDER.glob("*.txt")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_no_history_tells_of_the_machine_that_recorded_it(name: str) -> None:
    """No identity, no stack, no path, decoded or not."""
    document = json.loads((FOLDER / f"{name}.json").read_text())
    assert not [each for each in found(document, "identity") if each != "somebody"]
    assert not list(found(document, "stackTrace"))
    words = json.dumps(document) + " ".join(base64.b64decode(each).decode() for each in found(document, "data"))
    assert not re.search(r"/(home|Users|root|tmp|work|private|usr)/|site-packages", words)
    assert str(PROJECT) not in words
    assert str(Path.home()) not in words or str(Path.home()) == "/"


def test_the_histories_are_small() -> None:
    """Together, and none of them is a page of prompts."""
    assert sum(file.stat().st_size for file in FOLDER.iterdir() if file.is_file()) < MOST_BYTES


def found(document: Any, name: str) -> Iterator[Any]:
    """Every value of this name in a document, at any depth."""
    if isinstance(document, dict):
        for key, value in document.items():
            if key == name:
                yield value
            yield from found(value, name)
    elif isinstance(document, list):
        for each in document:
            yield from found(each, name)
