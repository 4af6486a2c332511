"""Runs of every sort a person wants to tell apart, on one real server with its UI: what the browser tests look at."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

import worker
from benchmarks.rig import Rig, rig
from console.options import positional
from console.runs import Handle, start
from hosting.connection import converter_of
from hosting.home import Home
from hosting.temporal_server import server_settings, temporal_binary
from tests.pipelines.conftest import draft, evaluation, plan, report_of
from tests.quiet_ports import quiet_port
from workflows.pipelines import discover

SOON = timedelta(seconds=30)
"""Within which every scene has come to where it is looked at."""
LOOK = timedelta(milliseconds=50)
"""Between two looks at a list: the server has no event for what it has listed."""
OUTAGE = worker.Settings(worker_grace_period=0, breaker_failure_threshold=1, breaker_recovery_timeout=3_600)
"""One failure opens a circuit, for longer than anybody looks."""
ELSEWHERE = "claude-opus-5-5"
"""The model that is down: a circuit of its own, so that no other run waits for it."""
TASK = "Write a haiku about the sea."
LONG_TASK = f"Write a haiku about https://example.org/{'thesea' * 120}"
"""So long that the page shows its beginning alone, and most of that is one word, as addresses are."""
POEM = "Grey waves fold and fall,\nnight wind writes the shore again:\nnothing stays, all comes."


@dataclass(frozen=True)
class Scene:
    """One run, and until when it goes before it is looked at."""

    id: str
    input: Mapping[str, Any]
    rules: Sequence[Mapping[str, Any]]
    until: Callable[[Handle], Any]


@dataclass(frozen=True)
class Scenes:
    """The runs by their ids, and where they are seen."""

    client: Client
    ui: str
    home: Home

    def page(self, id: str) -> str:
        """Where a run is shown."""
        return f"{self.ui}/namespaces/{self.client.namespace}/workflows/{id}"

    async def found(self, query: str, ids: set[str]) -> None:
        """Wait until a list of the runs for which this holds has these: it lags a moment behind the runs."""
        async with asyncio.timeout(SOON.total_seconds()):
            while {run.id async for run in self.client.list_workflows(query)} != ids:  # noqa: ASYNC110 - as LOOK says
                await asyncio.sleep(LOOK.total_seconds())

    def list(self, query: str = "") -> str:
        """Where the runs are listed for which a query holds."""
        return f"{self.ui}/namespaces/{self.client.namespace}/workflows?query={quote(query)}"


async def ended(handle: Handle) -> None:
    """The run is over, however."""
    await report_of(handle)


async def waits(handle: Handle) -> None:
    """The run has said, by a search attribute, that it waits."""
    async for event in handle.fetch_history_events(wait_new_event=True):
        if event.event_type == EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES:
            return


CRITERIA = {
    "C1": ("must", "It has three lines, and no more."),
    "C2": ("must", "It is about the sea and nothing else."),
    "C3": ("should", "A season or a time of day can be told."),
}
PLANNED: dict[str, Any] = {
    "match": {"role": "planner"},
    "answer": {
        **plan(),
        "goal": "A haiku about the sea that could be printed as it is.",
        "criteria": [
            {"id": id, "statement": statement, "how_to_verify": "Read it.", "level": level}
            for id, (level, statement) in CRITERIA.items()
        ],
    },
    "latency": 0.3,
}
PASSED: dict[str, Any] = evaluation(C1="pass", C2="pass", C3="pass")
GOOD: list[dict[str, Any]] = [PLANNED, {"match": {"role": "evaluator"}, "answer": PASSED}]
SCENES = (
    Scene("haiku-passed", {}, GOOD, ended),
    Scene(
        "haiku-revised",
        {},
        [
            PLANNED,
            {"match": {"agent": "generator-1"}, "answer": draft("The sea."), "latency": 0.4},
            {"match": {"agent": "evaluator-1"}, "answer": evaluation(C1="fail", C2="pass", C3="fail"), "latency": 0.2},
            {"match": {"agent": "generator-2"}, "answer": draft(POEM), "latency": 0.3},
            {"match": {"agent": "evaluator-2"}, "answer": PASSED, "latency": 0.2},
        ],
        ended,
    ),
    Scene(
        "haiku-in-an-outage",
        {"generator_model": ELSEWHERE},
        [PLANNED, {"match": {"model": ELSEWHERE}, "fault": {"kind": "status", "status": 529}}],
        waits,
    ),
    Scene("haiku-over-budget", {"max_agents": 2}, GOOD, ended),
    Scene("haiku-to-approve", {"approve": "plan"}, GOOD, waits),
    Scene("haiku-of-an-address", {"task": LONG_TASK}, GOOD, ended),
    Scene(
        "haiku-failed",
        {},
        [PLANNED, {"match": {"role": "generator"}, "fault": {"kind": "status", "status": 400}}],
        ended,
    ),
)


@asynccontextmanager
async def scenes(folder: Path) -> AsyncIterator[Scenes]:
    """All scenes, each where it is to be looked at, for as long as this is open."""
    home, port = Home(folder), quiet_port()
    home.prepare()
    async with (
        await WorkflowEnvironment.start_local(
            dev_server_existing_path=str(temporal_binary()),
            dev_server_extra_args=server_settings(),
            data_converter=converter_of(home, one_machine=True, environment={}),
            ui=True,
            ui_port=port,
        ) as server,
        rig(folder, "worker", settings=OUTAGE, server=server.client) as here,
    ):
        await asyncio.gather(*(played(scene, here) for scene in SCENES))
        yield Scenes(server.client, f"http://127.0.0.1:{port}", home)


async def played(scene: Scene, here: Rig) -> None:
    """Start a scene's run as the CLI would, and wait until it is where it is to be looked at."""
    here.simulator.rules([{**each, "match": {**each["match"], "run": scene.id}} for each in scene.rules], append=True)
    pipeline = discover()["plan-generate-evaluate"]
    input = pipeline.input.model_validate({"task": TASK, **scene.input})
    async with asyncio.timeout(SOON.total_seconds()):
        begun = await start(here.client, pipeline, input, scene.id, positional(pipeline.input), searchable=True)
        await scene.until(begun.handle)
