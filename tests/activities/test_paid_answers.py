"""An answer is paid for once: what the call's activity does with a journal that has it, has it not, or is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import ActivityEnvironment

from activities.circuit.gate import Gate
from activities.circuit.state import Policy
from activities.circuit.store import open_store
from activities.claude import Claude, Meter, StreamEnded
from activities.subagent import SubagentCalls
from tests.circuit.rules import PATIENT
from tests.journal.memory import Desk, call
from workflows.contracts import CallFailure, CallOutcome, CallProgress, HandedPermit, SubagentCall, Usage

KEY = "speaker claude-haiku-5-5"
SAID = Usage(input_tokens=7, output_tokens=5)


class Speaker:
    """A model that says one thing, or breaks off with an error, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.stop_reason = "end_turn"
        self.breaks: Exception | None = None

    def circuit_of(self, model: str) -> str:
        return f"speaker {model}"

    async def ask(
        self, call: SubagentCall, headers: Mapping[str, str], meter: Meter, answering: Callable[[], Awaitable[None]]
    ) -> None:
        """Fill the meter as a stream would."""
        self.asked += 1
        meter.text.append("words")
        meter.usage = SAID
        if self.breaks:
            raise self.breaks
        meter.stop_reason = self.stop_reason


class Office:
    """The activity with a journal and a gate of its own, and attempts at one call."""

    def __init__(self, folder: Path) -> None:
        self.speaker = Speaker()
        self.desk = Desk()
        store = open_store(f"sqlite:///{folder / 'circuits.db'}", PATIENT)
        self.gate = Gate(store, Policy(failure_threshold=1), worker="test", report=lambda name, fields: None)
        self.calls = SubagentCalls(cast(Claude, self.speaker), self.gate, self.desk.journal)

    async def attempt(self, number: int, words: SubagentCall | None = None, before: Usage | None = None) -> CallOutcome:
        """One attempt; `before` is what the last heartbeat of an earlier one said."""
        environment = ActivityEnvironment()
        left = [] if before is None else [CallProgress(attempt=number - 1, phase="answering", billed=before)]
        environment.info = replace(environment.info, attempt=number, heartbeat_details=left)
        return await environment.run(self.calls.call_subagent, words or call())


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    """One for each test."""
    yield (here := Office(tmp_path))
    await here.gate.close()


async def test_an_attempt_whose_predecessor_was_answered_asks_nobody(office: Office) -> None:
    """It returns what was said then, attempts included: it has made none at the API itself."""
    first = await office.attempt(1)
    again = await office.attempt(2, before=SAID)
    assert again == first
    assert (office.speaker.asked, again.attempts, again.usage) == (1, 1, SAID)


@pytest.mark.parametrize(
    ("before", "total"),
    [
        (None, SAID),
        (Usage(input_tokens=7), SAID),
        (Usage(input_tokens=14, output_tokens=9), Usage(input_tokens=14, output_tokens=9)),
    ],
    ids=["its last heartbeat was lost", "its last heartbeat was early", "another was billed since"],
)
async def test_usage_is_counted_once(office: Office, before: Usage | None, total: Usage) -> None:
    """Entry and heartbeat are running totals of the same attempts: the larger is the bill, not the sum."""
    await office.attempt(1)
    assert (await office.attempt(3, before=before)).usage == total


async def test_an_answer_that_cannot_be_used_was_paid_all_the_same(office: Office) -> None:
    """Cut off at max_tokens: whether to ask for more is decided by the run, once it knows."""
    office.speaker.stop_reason = "max_tokens"
    await office.attempt(1)
    assert (await office.attempt(2)).stop_reason == "max_tokens"
    assert office.speaker.asked == 1


async def test_what_broke_off_is_not_kept(office: Office) -> None:
    """Half an answer is no answer."""
    office.speaker.breaks = StreamEnded("it broke off")
    with pytest.raises(ApplicationError):
        await office.attempt(1)
    assert office.desk.pages.kept == {}
    office.speaker.breaks = None
    await office.gate.reset(KEY)
    assert (await office.attempt(2, before=SAID)).usage == SAID + SAID
    assert office.speaker.asked == 2


async def test_a_paid_answer_needs_no_permit(office: Office) -> None:
    """It is returned through an open circuit, and a probe's slot it was handed comes back to the others."""
    await office.attempt(1)
    office.speaker.breaks = StreamEnded("down")
    with pytest.raises(ApplicationError):
        await office.attempt(1, call(prompt="Another."))
    with pytest.raises(ApplicationError) as denied:
        await office.attempt(1, call(prompt="A third."))
    assert denied.value.type == "CircuitOpenError"
    handed = HandedPermit(generation=1, token="test#1", at=1.0)
    assert (await office.attempt(1, call(permit=handed))).text == "words"
    assert office.speaker.asked == 2


async def test_a_paid_answer_needs_no_reservation(office: Office) -> None:
    """Under a cap an attempt after a billed one is refused, but not if its answer is there already."""
    capped = call(capped=True)
    await office.attempt(1, capped)
    assert (await office.attempt(2, capped, before=SAID)).text == "words"
    with pytest.raises(ApplicationError) as refused:
        await office.attempt(2, call(capped=True, prompt="Another."), before=SAID)
    assert CallFailure.model_validate(refused.value.details[0]).kind == "budget_exceeded"


async def test_a_lost_journal_costs_no_call_its_success(office: Office) -> None:
    """The answer arrives; that it is not covered is told."""
    office.desk.pages.lose()
    assert (await office.attempt(1)).text == "words"
    assert office.desk.events() == ["journal.lost", "journal.not_read", "journal.not_kept"]


async def test_an_answer_whose_worker_is_told_to_stop_is_kept(office: Office) -> None:
    """The grace period ended just behind the last word: the next attempt elsewhere finds it."""
    environment = ActivityEnvironment()
    running = asyncio.create_task(environment.run(office.calls.call_subagent, call()))
    while office.desk.pages.asked < 2:  # noqa: ASYNC110 - the second question is the writing
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await office.desk.journal.close()
    assert (await office.attempt(2)).text == "words"
    assert office.speaker.asked == 1


class Server:
    """Temporal as an attempt asks it for itself: it knows the attempt, or has given it up."""

    def __init__(self, knows: bool) -> None:
        self.knows = knows
        self.asked = 0

    def get_async_activity_handle(self, *, task_token: bytes) -> Server:
        return self

    async def heartbeat(self, *details: object, rpc_timeout: timedelta) -> None:
        """As the server answers."""
        self.asked += 1
        if not self.knows:
            raise RPCError("invalid activityID or activity already timed out", RPCStatusCode.NOT_FOUND, b"")


@pytest.mark.parametrize(
    ("late", "knows", "asked", "calls"),
    [(False, False, 0, 1), (True, True, 1, 1), (True, False, 1, 0)],
    ids=["begun at once", "a clock is wrong", "given up"],
)
async def test_an_attempt_that_was_given_up_before_it_began_pays_nothing(
    office: Office, late: bool, knows: bool, asked: int, calls: int
) -> None:
    """A worker that was paused finds calls it had been given meanwhile; others have them already."""
    server = Server(knows)
    environment = ActivityEnvironment(client=cast(Client, server))
    begun = datetime.now(UTC) - timedelta(minutes=late)
    environment.info = replace(environment.info, started_time=begun, heartbeat_timeout=timedelta(seconds=10))
    with nullcontext() if calls else pytest.raises(ApplicationError, match="given up"):
        await environment.run(office.calls.call_subagent, call())
    assert (server.asked, office.speaker.asked) == (asked, calls)
