"""However large a task or an answer is: the run completes, pays once, and its history stays small."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import BaseModel
from structlog.testing import capture_logs
from temporalio import workflow
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.vault.converter import LARGEST_INLINE, data_converter
from activities.vault.references import payloads
from tests.pipelines.conftest import Bench, draft, evaluation, plan, report_of
from workflows.contracts import RunReport
from workflows.delegate import delegate
from workflows.run import Outcome, Run, RunInput, RunResult, require
from workflows.subagents import Subagent

MEGABYTE = 1_000_000
QUEUE = "many-answers"


class Question(BaseModel):
    number: int
    about: str


class Page(BaseModel):
    text: str


WRITER = Subagent(
    role="writer",
    instructions="Write a page.",
    request=Question,
    answer=Page,
    tier="small",
    max_tokens=1_000_000,
    max_tokens_retry=1_000_000,
)


class Book(RunInput):
    pages: int
    about: str = ""


class Length(RunResult):
    characters: int


@workflow.defn(name="many-answers")
class ManyAnswers:
    """Asks for many pages, some at a time, and keeps them all."""

    @workflow.init
    def __init__(self, input: Book) -> None:
        self.bookkeeping = Run[Length](input)

    @workflow.run
    async def run(self, input: Book) -> RunReport[Length]:
        return await self.bookkeeping.conduct(self.story(input))

    async def story(self, input: Book) -> Outcome[Length]:
        written = 0
        for first in range(0, input.pages, 50):
            some = range(first, min(first + 50, input.pages))
            replies = await asyncio.gather(
                *(delegate(self.bookkeeping, WRITER, Question(number=number, about=input.about)) for number in some)
            )
            written += sum(len(require(reply).text) for reply in replies)
        return Outcome("satisfied", True, Length(characters=written))


Publisher = Callable[..., Coroutine[Any, Any, tuple[WorkflowHandle[Any, Any], RunReport[Length]]]]


@pytest.fixture
async def book(bench: Bench) -> AsyncIterator[Publisher]:
    """Starts a run that asks for `pages` answers of `characters` each, and waits for its end."""

    async def publish(*, pages: int, characters: int) -> tuple[WorkflowHandle[Any, Any], RunReport[Length]]:
        run = f"test-{uuid4().hex[:12]}"
        bench.simulator.rules([{"match": {"run": run}, "answer": {"text": "x" * characters}}], append=True)
        handle = await bench.client.start_workflow(
            ManyAnswers.run, Book(pages=pages, max_agents=pages), id=run, task_queue=QUEUE
        )
        return handle, await handle.result()

    runs = Worker(bench.client, task_queue=QUEUE, workflows=[ManyAnswers], workflow_runner=UnsandboxedWorkflowRunner())
    async with runs:
        yield publish


async def history_of(handle: WorkflowHandle[Any, Any]) -> tuple[int, int]:
    """Bytes of a run's history, and of the largest payload in it."""
    history = await handle.fetch_history()
    sizes = [payload.ByteSize() for event in history.events for payload in payloads(event)]
    assert sizes
    return sum(event.ByteSize() for event in history.events), max(sizes)


# The SDK's transport hands such a body to aiohttp in one piece, which that finds worth a warning.
@pytest.mark.filterwarnings("ignore:Sending a large body directly with raw bytes:ResourceWarning")
async def test_a_task_of_3_mb_completes(bench: Bench) -> None:
    """A value over 2 MiB would fail as PayloadsTooLarge and be paid again; it never gets there, and nor does 256 KB."""
    rules = [
        {"match": {"role": "planner"}, "answer": plan(C1="must")},
        {"match": {"role": "generator"}, "answer": draft("a haiku")},
        {"match": {"role": "evaluator"}, "answer": evaluation(C1="pass")},
    ]
    handle = await bench.start(rules, task="word " * (3 * MEGABYTE // 5))
    report = await report_of(handle)
    assert report.passed, report.message
    assert [entry.agent for entry in bench.requests(handle.id)] == ["planner-1", "generator-1", "evaluator-1"]
    total, largest = await history_of(handle)
    assert largest < LARGEST_INLINE
    assert total < MEGABYTE / 10


async def test_an_answer_of_3_mb_completes_and_is_paid_once(bench: Bench, book: Publisher) -> None:
    """As above, for what comes back."""
    handle, report = await book(pages=1, characters=3 * MEGABYTE)
    assert report.result == Length(characters=3 * MEGABYTE)
    assert len(bench.requests(handle.id)) == 1
    total, largest = await history_of(handle)
    assert largest < LARGEST_INLINE
    assert total < MEGABYTE / 10


async def test_a_paid_answer_waits_for_its_place(bench: Bench, book: Publisher) -> None:
    """A place that is full or gone holds the call, alive, until it is there again; nothing is paid a second time."""
    blobs, aside = bench.home.blobs, bench.home.root / "aside"
    if blobs.exists():
        blobs.rename(aside)
    blobs.write_text("a file where a folder should be")
    with capture_logs() as logs:
        publishing = asyncio.create_task(book(pages=1, characters=50_000))
        while not (waits := [each for each in logs if each["event"] == "vault.waits"]):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        assert "cannot keep a value" in waits[0]["why"]
        blobs.unlink()
        if aside.exists():
            aside.rename(blobs)
        handle, report = await publishing
    assert report.result == Length(characters=50_000)
    assert len(bench.requests(handle.id)) == 1
    assert report.agents[0].attempts == 1


@pytest.mark.usefixtures("two_attempts")
async def test_a_value_on_another_machine_is_an_error_that_says_so(bench: Bench, tmp_path: Path) -> None:
    """A worker that does not reach it calls nobody; the run fails with what to do, and not as a defect of ours."""
    elsewhere = data_converter({"BREAKWATER_BLOB_THRESHOLD": "1024"}, tmp_path, one_machine=True)
    config = bench.client.config()
    config["data_converter"] = elsewhere
    client, id = Client(**config), f"test-{uuid4().hex[:12]}"
    async with Worker(client, task_queue=QUEUE, workflows=[ManyAnswers], workflow_runner=UnsandboxedWorkflowRunner()):
        handle = await client.start_workflow(ManyAnswers.run, Book(pages=1, about="x" * 2_000), id=id, task_queue=QUEUE)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    assert isinstance(failed.value.cause, ApplicationError)
    report = RunReport[Length].model_validate(failed.value.cause.details[0])
    assert report.agents[0].error_kind == "unreadable"
    assert "is not in" in str(report.message)
    assert "BREAKWATER_BLOBS" in str(report.message)
    assert not bench.requests(id)


async def test_300_answers_of_20_kb_are_a_small_history(bench: Bench, book: Publisher) -> None:
    """Every answer is put aside; what grows with each is a reference."""
    handle, report = await book(pages=300, characters=20_000)
    assert report.result == Length(characters=300 * 20_000)
    assert len(bench.requests(handle.id)) == 300
    total, largest = await history_of(handle)
    assert largest < LARGEST_INLINE
    assert total < 2 * MEGABYTE
