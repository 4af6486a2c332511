"""A home whose values are encrypted, as a user has it: `up`, runs, and `codec`; and where the UI shows those values."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.async_api import Page
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from activities.vault.seal import new_key
from simulator import ServerOptions, Simulator
from tests.cli.conftest import terminal
from tests.pipelines.conftest import draft, evaluation, plan
from tests.quiet_ports import quiet_port

PGE = "plan-generate-evaluate"
TASK = "Write to Ada Lovelace about her pension."
ANSWER = "Dear Ada, your pension is 1,234 pounds a month."
CHAPTER = "It was the best of pensions, it was the worst of pensions. "
BOOK = CHAPTER * 500
"""Large enough to be put aside: the history has a reference instead."""
ERROR = "Ada's pension is no business of this model"
PLAIN = ("Lovelace", "pension")
"""Words that somebody who may not read the runs must see nowhere. Long ones: ciphertext is letters, too, and says `Ada`
every few pages by chance."""
RULES: Sequence[dict[str, Any]] = (
    {"match": {"role": "planner"}, "answer": {**plan(C1="must"), "goal": "A letter."}},
    {"match": {"role": "evaluator"}, "answer": evaluation(C1="pass")},
    {"match": {"role": "generator", "run": "letter"}, "answer": draft(ANSWER)},
    {"match": {"role": "generator", "run": "book"}, "answer": draft(BOOK)},
    {
        "match": {"role": "generator", "run": "refusal"},
        "fault": {"kind": "status", "status": 400, "message": ERROR},
    },
)
RUNS = {"letter": 0, "book": 0, "refusal": 3}
"""The runs and their exit codes."""


@dataclass(frozen=True)
class Value:
    """One value that the UI shows."""

    name: str
    page: str
    plain: str
    """What a person wants to read there."""
    sealed: str
    """What stands there instead."""


@dataclass(frozen=True)
class Sealed:
    """What is to be looked at, and through what."""

    values: Sequence[Value]
    endpoint: str
    """The codec's, as `starter.py codec` prints it."""


@asynccontextmanager
async def sealed(folder: Path) -> AsyncIterator[Sealed]:
    """Encrypted runs that have ended, and a codec server for them, for as long as this is open."""
    async with Simulator(ServerOptions()) as api, terminal(folder / "home") as shell:
        api.rules(list(RULES))
        shell.environment |= {
            "ANTHROPIC_BASE_URL": api.url,
            "ANTHROPIC_API_KEY": "sk-ant-any",
            "BREAKWATER_ENCRYPTION_KEY": f"one:{new_key()}",
            "BREAKWATER_TEMPORAL_PORT": str(quiet_port()),
            "BREAKWATER_UI_PORT": str(quiet_port()),
            "WORKER_GRACE_PERIOD": "0",
        }
        await shell.up("up")
        said = await asyncio.gather(*(shell("run", PGE, TASK, "--id", id, "--json") for id in RUNS))
        assert [each.code for each in said] == list(RUNS.values()), [each.err for each in said]
        _, told = await shell.up("codec", "--port", str(quiet_port()))
        endpoint = re.search(r"^codec +(http://127\.0\.0\.1:\d+/\S+)$", told, re.MULTILINE)
        assert endpoint, told
        server = json.loads((folder / "home" / "temporal.json").read_text())["facts"]
        client = await Client.connect(server["address"])
        yield Sealed([value async for value in _values(client, server["ui_url"])], endpoint[1])


async def _values(client: Client, ui: str) -> AsyncIterator[Value]:
    """Where an input, a result, a large one and a failure stand in these runs' histories."""
    letter, book, refusal = [await _history(client, id) for id in RUNS]
    run = f"{ui}/namespaces/{client.namespace}/workflows"
    (input,) = letter[0].workflow_execution_started_event_attributes.input.payloads
    yield Value("a run's input", f"{run}/letter", TASK, _shown(input))
    for name, id, events, words in (("a call's answer", "letter", letter, ANSWER), ("a large one", "book", book, BOOK)):
        answered = _of_generator(events, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
        (result,) = answered.activity_task_completed_event_attributes.result.payloads
        yield Value(name, _event(run, id, events, answered), words[: len(CHAPTER)].strip(), _shown(result))
    failed = _of_generator(refusal, EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED)
    attributes = failed.activity_task_failed_event_attributes.failure.encoded_attributes
    yield Value("a call's failure", _event(run, "refusal", refusal, failed), ERROR, _shown(attributes))
    attributes = refusal[-1].workflow_execution_failed_event_attributes.failure.encoded_attributes
    yield Value("a run's failure", f"{run}/refusal", ERROR, _shown(attributes))


async def _history(client: Client, id: str) -> list[HistoryEvent]:
    """As the server has it: nothing is decoded."""
    return [event async for event in client.get_workflow_handle(id).fetch_history_events()]


def _of_generator(events: Sequence[HistoryEvent], how: EventType.ValueType) -> HistoryEvent:
    (scheduled,) = [
        event.event_id
        for event in events
        if event.activity_task_scheduled_event_attributes.activity_id.startswith("generator")
    ]
    for event in events:
        ended = event.activity_task_completed_event_attributes, event.activity_task_failed_event_attributes
        if event.event_type == how and scheduled in [each.scheduled_event_id for each in ended]:
            return event
    raise LookupError(f"no {EventType.Name(how)} of the generator")


def _event(run: str, id: str, events: Sequence[HistoryEvent], event: HistoryEvent) -> str:
    execution = events[0].workflow_execution_started_event_attributes.original_execution_run_id
    return f"{run}/{id}/{execution}/history/events/{event.event_id}"


def _shown(payload: Payload) -> str:
    """The beginning of what the UI shows of a value that it cannot read."""
    return "payload stored externally" if payload.external_payloads else base64.b64encode(payload.data).decode()[:24]


async def through_the_codec(page: Page, endpoint: str) -> None:
    """What README tells a person to do: the glasses, their browser's own setting, the endpoint, Apply."""
    await page.get_by_test_id("data-encoder-status").click()
    await page.get_by_text("Use my browser setting").click()
    await page.get_by_label("Codec Server browser endpoint").fill(endpoint)
    await page.get_by_role("button", name="Apply").click()
    await page.get_by_test_id("data-encoder-status-configured").wait_for()
