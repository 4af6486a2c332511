"""Failures whose words are sealed: read with the key, a line without it; and no error repeats a credential."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from temporalio.api.common.v1 import ActivityType, Payloads
from temporalio.api.enums.v1 import EventType
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import (
    ActivityTaskFailedEventAttributes,
    ActivityTaskScheduledEventAttributes,
    HistoryEvent,
)
from temporalio.converter import DataConverter
from temporalio.exceptions import ApplicationError

from activities.failures import without_secrets
from activities.vault.converter import data_converter
from activities.vault.errors import KeyMissing
from activities.vault.seal import ENCRYPTION_KEY, new_key
from console.audit import digest
from console.commands.audit import input_digest
from console.view import RunView, with_event
from workflows.contracts import CALL_SUBAGENT
from workflows.pipelines.plan_generate_evaluate import Input

KEY = {ENCRYPTION_KEY: f"k:{new_key()}"}
WORDS = "words of an error"


def fail() -> None:
    """An error with a trace."""
    raise ApplicationError(WORDS)


async def failed(converter: DataConverter) -> Failure:
    """A failure as a worker with this converter writes it."""
    failure = Failure()
    try:
        fail()
    except ApplicationError as error:
        await converter.encode_failure(error, failure)
    return failure


async def why(failure: Failure, converter: DataConverter) -> str | None:
    """What `show` says of a call that failed so."""
    now = datetime.now(UTC)
    scheduled = HistoryEvent(
        event_id=1,
        event_type=EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
        activity_task_scheduled_event_attributes=ActivityTaskScheduledEventAttributes(
            activity_id="planner-1", activity_type=ActivityType(name=CALL_SUBAGENT)
        ),
    )
    ended = HistoryEvent(
        event_id=2,
        event_type=EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED,
        activity_task_failed_event_attributes=ActivityTaskFailedEventAttributes(scheduled_event_id=1, failure=failure),
    )
    view = RunView()
    for event in (scheduled, ended):
        event.event_time.FromDatetime(now)
        view = await with_event(view, event, converter)
    return view.calls[0].why


async def test_an_errors_words_and_trace_are_sealed_and_shown(tmp_path: Path) -> None:
    """Neither message nor source lines are in the failure; with the key `show` has them."""
    converter = data_converter(KEY, tmp_path, one_machine=True)
    failure = await failed(converter)
    assert WORDS.encode() not in failure.SerializeToString()
    assert b"raise ApplicationError" not in failure.SerializeToString()
    assert await why(failure, converter) == WORDS


@pytest.mark.parametrize("task", ["a poem", "a poem. " * 10_000], ids=["small", "large"])
async def test_an_audit_has_the_digest_of_what_was_asked(tmp_path: Path, task: str) -> None:
    """Not of the ciphertext, which differs each time, nor of the reference to a value that was put aside."""
    asked = Input(task=task)
    for environment in ({}, KEY):
        converter = data_converter(environment, tmp_path, one_machine=True)
        kept = Payloads(payloads=await converter.encode([asked]))
        assert await input_digest(kept, converter) == digest(asked.model_dump_json())


async def test_without_the_key_there_is_one_line_instead_of_a_page_of_gaps(tmp_path: Path) -> None:
    """It names the key."""
    failure = await failed(data_converter(KEY, tmp_path, one_machine=True))
    with pytest.raises(KeyMissing, match="'k'"):
        await why(failure, data_converter({}, tmp_path, one_machine=True))


async def test_failures_from_before_the_key_are_still_shown(tmp_path: Path) -> None:
    """Encryption may be turned on while runs are under way."""
    failure = await failed(data_converter({}, tmp_path, one_machine=True))
    assert WORDS in failure.message
    assert await why(failure, data_converter(KEY, tmp_path, one_machine=True)) == WORDS


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("401: invalid key gateway-0123456789", "401: invalid key [ANTHROPIC_API_KEY]"),
        ("token tok-0123456789 expired", "token [ANTHROPIC_AUTH_TOKEN] expired"),
        ("somebody's sk-ant-api03-AbC_dEf-123 is unknown", "somebody's [a key] is unknown"),
        ("key short is a word", "key short is a word"),
        ("home is /home/me", "home is /home/me"),
    ],
)
def test_no_message_repeats_a_credential(line: str, said: str) -> None:
    """Whatever variable it came from; words and paths stay as they are."""
    environment = {
        "ANTHROPIC_API_KEY": "gateway-0123456789",
        "ANTHROPIC_AUTH_TOKEN": "tok-0123456789",
        "OTHER_KEY": "short",
        "HOME": "/home/me",
    }
    assert without_secrets(line, environment) == said
