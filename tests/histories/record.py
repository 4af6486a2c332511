"""Record the runs of tests/histories again: a real server, the stand-in, real workers, and files that replay anywhere.

    python -m tests.histories.record [NAME…]        # all of them: less than a minute

A run that does not end as its scenario says is not recorded. What replay does not read is left out: what the calls
were asked, and everything that tells of this machine, such as who did it and stack traces. What is written has been
replayed. Look at the difference of the .txt files before you commit.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter

import worker
from benchmarks.rig import address, quiet, rig, temporal_server
from console.options import positional
from console.runs import Handle, ended, start
from hosting.home import Home
from tests.histories.replay import FOLDER, replay
from tests.histories.scenarios import SCENARIOS, Scenario, Stage
from workflows.pipelines import discover

LIMIT = timedelta(seconds=60)
"""For one run."""
SILENCE = timedelta(seconds=30)
CALM = worker.Settings(
    worker_grace_period=0, breaker_failure_threshold=10_000, breaker_failure_rate=1, breaker_window=1_000
)
"""Whatever fails in one run, no other waits for it."""
OUTAGE = worker.Settings(worker_grace_period=0, breaker_failure_threshold=1, breaker_recovery_timeout=3)
"""One failure opens the circuit, for longer than Temporal waits with the next attempt: the run meets it."""
PLACES = ("calm", "outage", "impatient")
SOON_LONG = ("--dynamic-config-value", "limit.historyCount.suggestContinueAsNew=30")
"""Events of a history that the impatient server calls long: a few subtasks."""
SOMEBODY = "somebody"
STICKY = "sticky"


class WentOtherwise(Exception):
    """A run did not end as its scenario says."""


async def record(scenarios: Sequence[Scenario]) -> list[WentOtherwise]:
    """Run them and write their files, those that share nothing at once; returns what could not be recorded, and why."""
    wrong: list[WentOtherwise] = []
    with TemporaryDirectory() as folder:
        home = Path(folder)
        calm, outage, impatient = ([each for each in scenarios if each.where == where] for where in PLACES)
        if calm or outage:
            async with inline_server(home / "server") as client:
                wrong += await staged(calm, home / "calm", client, CALM)
                for each in outage:
                    wrong += await staged([each], home / each.name, client, OUTAGE)
        if impatient:
            async with inline_server(home / "impatient-server", *SOON_LONG) as client:
                wrong += await staged(impatient, home / "impatient", client, CALM)
    return wrong


@asynccontextmanager
async def inline_server(home: Path, *options: str) -> AsyncIterator[Client]:
    """A server whose client leaves every value in the history: nothing else goes into the repository."""
    async with temporal_server(Home(home), *options) as client:
        yield await Client.connect(address(client), data_converter=pydantic_data_converter)


async def staged(
    scenarios: Sequence[Scenario], home: Path, client: Client, settings: worker.Settings
) -> list[WentOtherwise]:
    """Record these at once, with workers and a stand-in of their own."""
    if not scenarios:
        return []
    async with rig(home, SOMEBODY, settings=settings, silence=SILENCE, server=client) as here:
        stage = Stage(here.simulator, here.crews[0].gate, here.model.circuit_of)
        tried = await asyncio.gather(*(_tried(each, client, stage) for each in scenarios))
    return [each for each in tried if each is not None]


async def _tried(scenario: Scenario, client: Client, stage: Stage) -> WentOtherwise | None:
    try:
        await written(scenario, client, stage)
    except WentOtherwise as error:
        return error
    except TimeoutError:
        return WentOtherwise(f"{scenario.name} did not end, or nothing happened that it waits for; nothing is written")
    return None


async def written(scenario: Scenario, client: Client, stage: Stage) -> None:
    """Run it, and write what happened. Raises WentOtherwise."""
    stage.simulator.rules(rules_of(scenario), append=True)
    pipeline = discover()[scenario.pipeline]
    input = pipeline.input.model_validate(scenario.input)
    main = positional(pipeline.input)
    async with asyncio.timeout(LIMIT.total_seconds()):
        begun = await start(client, pipeline, input, scenario.name, main, scenario.searchable)
        await scenario.meanwhile(stage, begun.handle)
        report = await report_of(begun.handle)
    if report != scenario.ends:
        raise WentOtherwise(f"{scenario.name} ended as {report}, not as {scenario.ends}; nothing is written of it")
    for name, history in (await executions(client, scenario.name, scenario.name)).items():
        document = scrubbed(history.to_json_dict())
        # As it will be read: what was left out was not needed, or it is not written.
        clean = WorkflowHistory.from_json(name, document)
        seen = await replay(clean)
        if seen.failure:
            raise WentOtherwise(f"{name} cannot be replayed: {seen.failure}")
        (FOLDER / f"{name}.json").write_text(json.dumps(document, indent=None, separators=(",", ":")) + "\n")
        (FOLDER / f"{name}.txt").write_text("".join(f"{line}\n" for line in seen.commands))
        click.echo(f"{name}: {len(document['events'])} events, {len(seen.commands)} commands", err=True)


async def report_of(handle: Handle) -> str:
    """The stop reason of a run, once it has ended."""
    while True:
        description = await handle.describe()
        if description.close_time is not None:
            return (await ended(handle, description)).stop_reason
        await asyncio.sleep(0.1)


async def executions(client: Client, id: str, name: str) -> dict[str, WorkflowHistory]:
    """The histories of a run, by file name: itself, what it was continued as, and the first child of each."""
    found: dict[str, WorkflowHistory] = {}
    run_id: str | None = (
        await client.get_workflow_handle(id).describe()
    ).raw_description.workflow_execution_info.first_run_id
    number = 1
    while run_id:
        history = await client.get_workflow_handle(id, run_id=run_id).fetch_history()
        found[name if number == 1 else f"{name}.{number}"] = history
        run_id = history.events[-1].workflow_execution_continued_as_new_event_attributes.new_execution_run_id or None
        number += 1
        for event in history.events:
            if (
                event.event_type == EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED
                and f"{name}.child" not in found
            ):
                child = event.child_workflow_execution_started_event_attributes.workflow_execution.workflow_id
                found |= await executions(client, child, f"{name}.child")
    return found


def rules_of(scenario: Scenario) -> Iterator[dict[str, Any]]:
    """The rules of its stand-in; they hold for this run alone, unless they name another."""
    if scenario.where == "outage":
        yield {"times": 1, "fault": {"kind": "status", "status": 529}}
    for rule in scenario.rules:
        yield {**rule, "match": {"run": scenario.name, **rule.get("match", {})}}


def scrubbed(value: Any) -> Any:
    """A history without what replay does not read."""
    if isinstance(value, list):
        return [scrubbed(each) for each in value]
    if not isinstance(value, dict):
        return value
    if value.get("kind") == "TASK_QUEUE_KIND_STICKY":
        value = {**value, "name": STICKY}
    if "activityId" in value:
        value = {name: each for name, each in value.items() if name != "input"}
    kept = {name: scrubbed(each) for name, each in value.items() if name not in ("stackTrace", "workerVersion")}
    return {name: SOMEBODY if name == "identity" else each for name, each in kept.items()}


@click.command()
@click.argument("names", nargs=-1)
def main(names: tuple[str, ...]) -> None:
    """Record the runs of tests/histories again, or those that are named."""
    known = {each.name: each for each in SCENARIOS}
    if unknown := [name for name in names if name not in known]:
        raise click.UsageError(f"there is no scenario {unknown[0]!r}; there are {', '.join(known)}")
    # What goes wrong in these runs is meant to.
    quiet(logging.CRITICAL)
    logging.getLogger("temporalio.activity").setLevel(logging.CRITICAL)
    wrong = asyncio.run(record([known[name] for name in names or known]))
    for error in wrong:
        click.echo(f"record: {error}", err=True)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
