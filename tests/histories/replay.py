"""Replaying a recorded run on today's code, and what to say when they differ."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path
from tempfile import gettempdir

from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer, WorkflowRunner

from hosting.connection import converter_of
from hosting.home import Home
from hosting.sandbox import sandbox
from tests.histories.commands import Witness
from workflows.pipelines import discover

FOLDER = Path(__file__).parent
RECORD = "python -m tests.histories.record"


@dataclass(frozen=True)
class Replayed:
    """What today's code made of a recorded run."""

    commands: list[str]
    """What it asked for, in order; up to where it left the history, if it did."""
    failure: Exception | None
    """Why a worker could not go on with this run; None if it could."""


async def replay(
    history: WorkflowHistory, workflows: Sequence[type] | None = None, runner: WorkflowRunner | None = None
) -> Replayed:
    """Replay it as a worker would: the same pipelines, the same sandbox, the same way to read values."""
    witness = Witness(runner or sandbox())
    replayer = Replayer(
        workflows=workflows or [pipeline.workflow for pipeline in discover().values()],
        workflow_runner=witness,
        # Nothing recorded is large enough to be put aside, so nothing is ever in this folder.
        data_converter=converter_of(Home(Path(gettempdir())), one_machine=True, environment={}),
    )
    result = await replayer.replay_workflow(history, raise_on_replay_failure=False)
    return Replayed(witness.commands.get(history.run_id, []), result.replay_failure)


def recorded(name: str) -> tuple[WorkflowHistory, list[str]]:
    """A run as it went, and the commands that its code gave then."""
    history = WorkflowHistory.from_json(name, (FOLDER / f"{name}.json").read_text())
    return history, (FOLDER / f"{name}.txt").read_text().splitlines()


def lesson(name: str, before: Sequence[str], replayed: Replayed) -> str:
    """What to tell whoever has changed what a workflow does; empty if nobody has."""
    if replayed.failure is None and list(before) == replayed.commands:
        return ""
    difference = "\n".join(
        f"    {line}" for line in list(unified_diff(before, replayed.commands, lineterm="", n=2))[2:]
    )
    if replayed.failure is None:
        return f"""{name}: workflow code says something else than when this run was recorded (- then, + now):

{difference}

Runs in flight are safe: what differs is not compared when a run is replayed. If you meant it, record it again and look
at the difference once more in review:

    {RECORD} {name}
"""
    return f"""{name}: a run like this one, in flight when this code is deployed, would be stuck.

What the code asked for when it was recorded (-) and what it asks for now (+):

{difference or "    the same commands, but in another order against what happened meanwhile"}

    {_reason(replayed.failure)}

It was stopped where it left its history, so what it would have asked for after that is not shown.

What replay is. A run lives for hours or days and outlives the process it began in. Whoever takes it up starts its
workflow code at the beginning and feeds it what is in its history; so the code must ask for the same things in the same
order as it did then. If it does not, Temporal refuses to go on with the run, again and again, until it gets code that
does. Nothing is lost, but nothing moves either, for every run in flight.

What to do. If you did not mean to change what the workflow does: undo it. If you did, keep the old way for the runs
that began with it, and this test is satisfied:

    if workflow.patched("say-what-changed"):
        ...  # the new way: every run that starts from now on
    else:
        ...  # the old way, until no such run is left; then workflow.deprecate_patch("say-what-changed")

Then rename this history, because from now on it protects the old way, and record the new one:

    cd tests/histories
    git mv {name}.json {name}-before-WHAT-CHANGED.json
    git mv {name}.txt {name}-before-WHAT-CHANGED.txt
    cd -
    {RECORD} {name}

Or deploy the change as a version of its own, on which only new runs start: README, "Changing a pipeline that has runs
in flight". Then, or if nobody runs the old code anywhere, recording it again is enough:

    {RECORD} {name}
"""


def _reason(failure: Exception) -> str:
    """What replay found, without the SDK's wrapping."""
    words = str(failure)
    found = re.search(r'message: "(.*?)", source: ', words)
    return found[1] if found else words
