"""What `show` and `watch` see of a run: a fold over real history events, and what the server says is pending."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pydantic import BaseModel
from temporalio.api.common.v1 import ActivityType, Memo, Payload, Payloads
from temporalio.api.enums.v1 import EventType, PendingActivityState, TimeoutType
from temporalio.api.failure.v1 import (
    ApplicationFailureInfo,
    CanceledFailureInfo,
    Failure,
    ServerFailureInfo,
    TimeoutFailureInfo,
)
from temporalio.api.history.v1 import (
    ActivityTaskCanceledEventAttributes,
    ActivityTaskCompletedEventAttributes,
    ActivityTaskFailedEventAttributes,
    ActivityTaskScheduledEventAttributes,
    ActivityTaskTimedOutEventAttributes,
    HistoryEvent,
    WorkflowPropertiesModifiedEventAttributes,
)
from temporalio.api.workflow.v1 import PendingActivityInfo, PendingWorkflowTaskInfo
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse
from temporalio.client import WorkflowExecutionDescription
from temporalio.contrib.pydantic import pydantic_data_converter as converter

from console.view import CallView, RunState, RunView, with_event, with_pending
from workflows.contracts import (
    AWAIT_CIRCUIT,
    CALL_SUBAGENT,
    CallFailure,
    CallOutcome,
    CallProgress,
    CircuitPassage,
    CircuitWait,
    CircuitWaiting,
    HandedPermit,
    SubagentCall,
    Usage,
)
from workflows.failures import FailureKind
from workflows.models import cost_nano, usd
from workflows.signs import Waiting

START = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
MODEL = "claude-haiku-5-5"
USED = Usage(input_tokens=100, output_tokens=20)


def at(second: int) -> datetime:
    """So many seconds into the run."""
    return START + timedelta(seconds=second)


def event(id: int, type: int, second: int, **attributes: Any) -> HistoryEvent:
    """One event of a history."""
    made = HistoryEvent(event_id=id, event_type=cast(Any, type), **attributes)
    made.event_time.FromDatetime(at(second))
    return made


async def encoded(*values: Any) -> Payloads:
    """Values as the client's converter writes them."""
    return Payloads(payloads=await converter.encode(values))


def subagent_call(agent: str = "planner-1", model: str = MODEL) -> SubagentCall:
    """The input of a call."""
    return SubagentCall(
        agent=agent,
        role=agent.rpartition("-")[0],
        model=model,
        instructions="Plan.",
        prompt="A poem.",
        answer_schema={},
        max_tokens=100,
    )


def outcome(**changes: Any) -> CallOutcome:
    """What the API said, but for `changes`."""
    said = CallOutcome(
        text="{}",
        stop_reason="end_turn",
        usage=USED,
        model=MODEL,
        request_id="req_1",
        attempts=2,
        simulated=False,
        started_at=at(1),
        duration=timedelta(seconds=4),
    )
    return said.model_copy(update=changes)


def call_failure(kind: FailureKind = "overloaded", **changes: Any) -> CallFailure:
    """The details of a failed call, but for `changes`."""
    return CallFailure(kind=kind, message="529 busy", attempts=3, usage=USED).model_copy(update=changes)


async def application_failure(*details: Any, message: str = "529 busy") -> Failure:
    """A failure as an activity's ApplicationError becomes one."""
    info = ApplicationFailureInfo(type="overloaded", details=await encoded(*details))
    return Failure(message=message, application_failure_info=info)


# --- events of a history -----------------------------------------------------------------------------------------


async def scheduled(
    id: int = 5, second: int = 1, *, agent: str = "planner-1", model: str = MODEL, input: Payloads | None = None
) -> HistoryEvent:
    """A call was scheduled."""
    attributes = ActivityTaskScheduledEventAttributes(
        activity_id=agent,
        activity_type=ActivityType(name=CALL_SUBAGENT),
        input=await encoded(subagent_call(agent, model)) if input is None else input,
    )
    type = EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    return event(id, type, second, activity_task_scheduled_event_attributes=attributes)


async def completed(id: int = 7, second: int = 5, *, of: int = 5, result: Any = None) -> HistoryEvent:
    """A call was answered."""
    payloads = result if isinstance(result, Payloads) else await encoded(result or outcome())
    attributes = ActivityTaskCompletedEventAttributes(scheduled_event_id=of, result=payloads)
    type = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
    return event(id, type, second, activity_task_completed_event_attributes=attributes)


def failed(failure: Failure, id: int = 7, second: int = 5, *, of: int = 5) -> HistoryEvent:
    """A call failed for good."""
    attributes = ActivityTaskFailedEventAttributes(scheduled_event_id=of, failure=failure)
    type = EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED
    return event(id, type, second, activity_task_failed_event_attributes=attributes)


def timed_out(failure: Failure, id: int = 7, second: int = 5, *, of: int = 5) -> HistoryEvent:
    """A call was given up by the server."""
    attributes = ActivityTaskTimedOutEventAttributes(scheduled_event_id=of, failure=failure)
    type = EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT
    return event(id, type, second, activity_task_timed_out_event_attributes=attributes)


def cancelled(id: int = 7, second: int = 5, *, of: int = 5) -> HistoryEvent:
    """A call was cancelled."""
    attributes = ActivityTaskCanceledEventAttributes(scheduled_event_id=of)
    type = EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED
    return event(id, type, second, activity_task_canceled_event_attributes=attributes)


async def view_of(*events: HistoryEvent) -> RunView:
    """The view after all these events."""
    view = RunView()
    for each in events:
        view = await with_event(view, each, converter)
    return view


async def only_call(*events: HistoryEvent) -> CallView:
    """The one call of a run with these events."""
    (call,) = (await view_of(*events)).calls
    return call


def test_nothing_is_known_before_the_first_event() -> None:
    """An empty view is a running run without calls, which costs nothing."""
    view = RunView()
    assert (view.state, view.calls, view.usage, view.cost_usd, view.simulated) == ("running", (), Usage(), 0, False)


async def test_a_run_starts_when_its_first_event_says() -> None:
    """The start is the event's own time, in UTC."""
    view = await view_of(event(1, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED, 0))
    assert (view.state, view.started, view.ended) == ("running", START, None)


async def test_a_scheduled_call_is_waiting() -> None:
    """Role and model come from its input, before any worker has seen it."""
    assert await only_call(await scheduled()) == CallView(
        event=5, id="planner-1", role="planner", model=MODEL, state="waiting", scheduled=at(1)
    )


async def test_an_answered_call_shows_what_it_used_and_how_long_it_took() -> None:
    """Usage and attempts are the outcome's, and the time is from scheduling to completion."""
    call = await only_call(await scheduled(), await completed())
    assert (call.state, call.usage, call.attempt, call.why) == ("answered", USED, 2, None)
    assert (call.ended, call.elapsed(at(1_000))) == (at(5), timedelta(seconds=4))
    assert call.cost_usd == usd(cost_nano(MODEL, USED))


async def test_a_call_under_way_gets_older() -> None:
    """Until it ends, its age is measured against now."""
    assert (await only_call(await scheduled())).elapsed(at(31)) == timedelta(seconds=30)


@pytest.mark.parametrize("stop_reason", ["max_tokens", "refusal", "tool_use", "something_new"])
async def test_an_odd_stop_reason_is_shown(stop_reason: str) -> None:
    """A call that was answered oddly says so, since its answer will not be used."""
    said = await completed(result=outcome(stop_reason=stop_reason))
    call = await only_call(await scheduled(), said)
    assert (call.state, call.why) == ("answered", stop_reason)


async def test_a_stop_sequence_is_nothing_odd() -> None:
    """What makes an answer a success is no reason to remark on it."""
    said = await completed(result=outcome(stop_reason="stop_sequence"))
    assert (await only_call(await scheduled(), said)).why is None


async def test_a_simulated_answer_makes_the_run_simulated() -> None:
    """One answer of the stand-in is enough, and stays enough."""
    view = await view_of(
        await scheduled(),
        await completed(result=outcome(simulated=True)),
        await scheduled(9, 6, agent="generator-1"),
        await completed(11, 8, of=9),
    )
    assert [call.simulated for call in view.calls] == [True, False]
    assert view.simulated


async def test_a_failed_call_says_why_in_our_own_words() -> None:
    """Kind, message, attempts, usage and simulation come from the failure's details."""
    failure = await application_failure(call_failure(simulated=True))
    call = await only_call(await scheduled(), failed(failure))
    assert (call.state, call.why, call.attempt) == ("failed", "overloaded: 529 busy", 3)
    assert (call.usage, call.simulated, call.ended) == (USED, True, at(5))


async def test_a_failure_of_the_kind_cancelled_is_a_cancellation() -> None:
    """A call that was cancelled while it streamed reports what it used, as a failure."""
    call = await only_call(await scheduled(), failed(await application_failure(call_failure("cancelled"))))
    assert (call.state, call.usage) == ("cancelled", USED)


async def test_a_cancelled_call_is_cancelled() -> None:
    """One that was cancelled before it began has no details."""
    call = await only_call(await scheduled(), cancelled())
    assert (call.state, call.ended, call.usage) == ("cancelled", at(5), Usage())


@pytest.mark.parametrize(
    ("failure", "why"),
    [
        (Failure(message="activity StartToClose timeout"), "activity StartToClose timeout"),
        (Failure(timeout_failure_info=TimeoutFailureInfo()), "timed out"),
    ],
)
async def test_a_call_that_timed_out_has_failed(failure: Failure, why: str) -> None:
    """The server's words, or at least that it timed out."""
    call = await only_call(await scheduled(), timed_out(failure))
    assert (call.state, call.why, call.ended) == ("failed", why, at(5))


async def test_a_call_that_timed_out_shows_what_its_last_heartbeat_had_used() -> None:
    """The ledger settles a dead worker's call by its last heartbeat, and the view agrees with the ledger."""
    beat = CallProgress(attempt=2, phase="answering", billed=USED)
    info = TimeoutFailureInfo(
        timeout_type=TimeoutType.TIMEOUT_TYPE_HEARTBEAT, last_heartbeat_details=await encoded(beat)
    )
    call = await only_call(await scheduled(), timed_out(Failure(message="gone", timeout_failure_info=info)))
    assert call.usage == USED
    assert call.attempt == 2


@pytest.mark.parametrize(
    ("failure", "why"),
    [
        (Failure(message="boom", application_failure_info=ApplicationFailureInfo(type="ValueError")), "boom"),
        (Failure(message="lost", server_failure_info=ServerFailureInfo()), "lost"),
        (Failure(canceled_failure_info=CanceledFailureInfo()), "failed"),
        (Failure(), "failed"),
    ],
)
async def test_a_failure_without_our_details_says_what_it_can(failure: Failure, why: str) -> None:
    """A failure from elsewhere has its message, or just has failed."""
    call = await only_call(await scheduled(), failed(failure))
    assert (call.state, call.why, call.usage) == ("failed", why, Usage())


CLOSING: list[tuple[int, RunState]] = [
    (EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED, "finished"),
    (EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED, "failed"),
    (EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED, "cancelled"),
    (EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED, "terminated"),
    (EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT, "timed out"),
]


@pytest.mark.parametrize(("type", "state"), CLOSING)
async def test_a_closing_event_ends_the_run(type: int, state: RunState) -> None:
    """Every way in which Temporal ends a workflow has its word."""
    view = await view_of(await scheduled(), await completed(), event(20, type, 30))
    assert (view.state, view.ended) == (state, at(30))
    assert view.calls[0].state == "answered"


@pytest.mark.parametrize("type", [type for type, _ in CLOSING])
async def test_no_call_outlives_its_run(type: int) -> None:
    """A terminated run has no calls that wait or run, and none that gets older."""
    view = await view_of(await scheduled(), event(20, type, 30))
    assert view.calls[0].state not in {"waiting", "running", "retrying"}
    assert view.calls[0].elapsed(at(9_999)) == timedelta(seconds=29)


async def memo(**values: Any) -> HistoryEvent:
    """The run has changed its memo."""
    fields = {name: (await encoded(value)).payloads[0] for name, value in values.items()}
    attributes = WorkflowPropertiesModifiedEventAttributes(upserted_memo=Memo(fields=fields))
    type = EventType.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED
    return event(9, type, 6, workflow_properties_modified_event_attributes=attributes)


async def test_a_run_that_waits_for_a_person_says_so_until_it_goes_on() -> None:
    """Its memo is in the history, so no worker is needed to know what to type."""
    waiting = Waiting(status="waiting_for_budget", why="no money", todo="starter.py budget x --usd TOTAL")
    assert (await view_of(await memo(waiting=waiting))).waiting == waiting
    assert (await view_of(await memo(waiting=waiting), await memo(other=1))).waiting == waiting
    assert (await view_of(await memo(waiting=waiting), await memo(waiting=None))).waiting is None


async def test_a_run_that_has_ended_waits_for_nobody() -> None:
    """It may have been cancelled while it waited."""
    waiting = Waiting(status="waiting_for_budget", why="no money", todo="starter.py budget x --usd TOTAL")
    closing = event(10, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED, 7)
    assert (await view_of(await memo(waiting=waiting), closing)).waiting is None


async def test_warnings_are_shown() -> None:
    """The bounds that are nearly used up, in the run's words."""
    assert (await view_of(await memo(warnings=["nearly all"]))).warnings == ("nearly all",)


async def test_events_that_mean_nothing_here_change_nothing() -> None:
    """Workflow tasks, timers, signals and events of a later server are passed over."""
    view = await view_of(await scheduled())
    for type in (
        EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
        EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED,
        EventType.EVENT_TYPE_TIMER_FIRED,
        EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES,
        9_999,
    ):
        assert await with_event(view, event(6, type, 2), converter) == view


async def test_an_event_of_a_call_that_nobody_scheduled_changes_nothing() -> None:
    """A fold that begins in the middle of a history shows what it can."""
    view = await view_of(await scheduled())
    assert await with_event(view, await completed(of=99), converter) == view


async def test_each_event_belongs_to_its_own_call() -> None:
    """Calls under way at the same time are told apart by the event that scheduled them."""
    view = await view_of(
        await scheduled(5, 1, agent="judge-1"),
        await scheduled(6, 1, agent="judge-2"),
        await scheduled(7, 1, agent="judge-3"),
        await completed(9, 4, of=6),
        failed(await application_failure(call_failure("spend")), 10, 5, of=5),
    )
    assert [(call.id, call.state) for call in view.calls] == [
        ("judge-1", "failed"),
        ("judge-2", "answered"),
        ("judge-3", "waiting"),
    ]


async def test_a_second_try_is_a_call_of_its_own() -> None:
    """A larger cap or a repair stands beside the first try, as it is paid beside it."""
    view = await view_of(
        await scheduled(),
        await completed(result=outcome(stop_reason="max_tokens")),
        await scheduled(9, 6, agent="planner-1.longer"),
        await completed(11, 9, of=9),
    )
    assert [call.id for call in view.calls] == ["planner-1", "planner-1.longer"]
    assert view.usage == USED + USED


async def test_a_call_that_had_to_reserve_again_keeps_what_it_used_before() -> None:
    """Under a cap a billed attempt is followed by a new activity of the same id: both were paid."""
    handed_back = await application_failure(call_failure("budget_exceeded"))
    view = await view_of(
        await scheduled(),
        failed(handed_back),
        await scheduled(9, 6),
        await completed(11, 9, of=9),
    )
    assert view.usage == USED + USED


async def test_a_run_costs_what_its_calls_cost() -> None:
    """Usage and dollars are sums over all calls, failed ones included."""
    view = await view_of(
        await scheduled(),
        await completed(),
        await scheduled(9, 6, agent="generator-1"),
        failed(await application_failure(call_failure()), 11, 8, of=9),
    )
    assert view.usage == USED + USED
    assert view.cost_usd == pytest.approx(2 * (usd(cost_nano(MODEL, USED)) or 0))


async def test_a_model_without_a_price_makes_the_cost_unknown() -> None:
    """Unknown, and not the sum of the others."""
    view = await view_of(
        await scheduled(),
        await completed(),
        await scheduled(9, 6, agent="generator-1", model="claude-nobody-9"),
        await completed(11, 9, of=9),
    )
    assert view.calls[1].cost_usd is None
    assert view.cost_usd is None


# --- payloads from elsewhere -------------------------------------------------------------------------------------


class Foreign(BaseModel):
    """Some other workflow's value."""

    order: int


def payload(data: bytes, encoding: str | None = "json/plain", **metadata: bytes) -> Payloads:
    """A payload as some other program wrote it."""
    known = {} if encoding is None else {"encoding": encoding.encode()}
    return Payloads(payloads=[Payload(metadata={**known, **metadata}, data=data)])


READABLE = [
    payload(b'{"order": 5}'),
    payload(b"null"),
    payload(b'"text"'),
    payload(b"[1, 2]"),
    payload(b"{broken"),
    payload(b"\xff\xfe"),
    payload(b""),
    payload(b"bytes", "binary/plain"),
    payload(b"", "binary/null"),
    Payloads(),
]
"""Something else, or nothing, in an encoding that the converter knows."""

UNREADABLE = [
    payload(b"secret", "binary/encrypted"),
    payload(b"?", "of/next-year"),
    payload(b"?", None),
    payload(b"{}", "json/protobuf", messageType=b"some.Message"),
    payload(b"?", "binary/protobuf", messageType=b"some.Message"),
]
"""Encodings that the converter refuses with a KeyError (unknown) or a RuntimeError (no such message)."""


@pytest.mark.parametrize("payloads", UNREADABLE)
async def test_the_converter_refuses_what_it_cannot_read_with_errors_of_two_kinds(payloads: Payloads) -> None:
    """Neither is a ValidationError, which is why the tests below exist; a codec may raise anything besides."""
    with pytest.raises((KeyError, RuntimeError)):
        await converter.decode(payloads.payloads, [SubagentCall])


async def shown(payloads: Payloads) -> list[CallView]:
    """The calls of runs that hold these payloads wherever a payload can be."""
    details = ApplicationFailureInfo(type="x", details=payloads)
    return [
        await only_call(await scheduled(input=payloads)),
        await only_call(await scheduled(), await completed(result=payloads)),
        await only_call(await scheduled(), failed(Failure(message="boom", application_failure_info=details))),
    ]


def told(calls: Sequence[CallView]) -> list[tuple[str, str, str | None]]:
    """Role, state and why of each."""
    return [(call.role, call.state, call.why) for call in calls]


@pytest.mark.parametrize("payloads", READABLE)
async def test_a_foreign_payload_is_shown_without_its_details(payloads: Payloads) -> None:
    """What is not ours is not guessed at: the activity's type, its state and its message remain."""
    assert told(await shown(payloads)) == [
        (CALL_SUBAGENT, "waiting", None),
        ("planner", "answered", None),
        ("planner", "failed", "boom"),
    ]


@pytest.mark.parametrize("payloads", UNREADABLE)
async def test_a_payload_that_nobody_here_can_read_is_shown_without_its_details(payloads: Payloads) -> None:
    """A run whose payloads are encrypted can still be seen to live."""
    assert told(await shown(payloads)) == [
        (CALL_SUBAGENT, "waiting", None),
        ("planner", "answered", None),
        ("planner", "failed", "boom"),
    ]


async def test_details_of_another_version_are_shown_without_them() -> None:
    """A field that this version does not know makes the details foreign, and not a crash."""
    later = {**call_failure().model_dump(mode="json"), "of_next_year": 1}
    call = await only_call(await scheduled(), failed(await application_failure(later)))
    assert (call.state, call.why) == ("failed", "529 busy")


async def test_only_the_first_value_of_a_payload_is_ours() -> None:
    """More arguments than we know do not hide the first."""
    call = await only_call(await scheduled(input=await encoded(subagent_call(), Foreign(order=5))))
    assert (call.role, call.model) == ("planner", MODEL)


# --- what is pending ---------------------------------------------------------------------------------------------


def description(*pending: PendingActivityInfo, task_attempt: int = 0) -> WorkflowExecutionDescription:
    """What the server says of a run; only the raw answer is looked at."""
    raw = DescribeWorkflowExecutionResponse(pending_activities=pending)
    raw.workflow_execution_info.execution.workflow_id = "run-1"
    if task_attempt:
        raw.pending_workflow_task.CopyFrom(PendingWorkflowTaskInfo(attempt=task_attempt))
    return cast(WorkflowExecutionDescription, SimpleNamespace(raw_description=raw))


def pending(
    state: int = PendingActivityState.PENDING_ACTIVITY_STATE_STARTED,
    *,
    id: str = "planner-1",
    attempt: int = 1,
    next_attempt: int | None = None,
    **fields: Any,
) -> PendingActivityInfo:
    """One activity that has not ended."""
    info = PendingActivityInfo(activity_id=id, state=cast(Any, state), attempt=attempt, **fields)
    if next_attempt is not None:
        info.next_attempt_schedule_time.FromDatetime(at(next_attempt))
    return info


async def pending_call(info: PendingActivityInfo) -> CallView:
    """A scheduled call with what the server says of it."""
    view = await with_pending(await view_of(await scheduled()), description(info), converter)
    (call,) = view.calls
    return call


SCHEDULED = PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED
RUNNING = PendingActivityState.PENDING_ACTIVITY_STATE_STARTED


async def test_a_call_that_a_worker_has_taken_is_running() -> None:
    """The worker is named; before its first heartbeat nothing else is known."""
    call = await pending_call(pending(RUNNING, last_worker_identity="1@host"))
    assert (call.state, call.worker, call.phase, call.usage) == ("running", "1@host", None, Usage())


async def test_a_call_that_no_worker_has_taken_is_waiting() -> None:
    """A first attempt that is only scheduled waits for a slot."""
    call = await pending_call(pending(SCHEDULED))
    assert (call.state, call.attempt, call.worker, call.next_attempt) == ("waiting", 1, None, None)


async def test_a_heartbeat_shows_phase_and_usage() -> None:
    """What a call has used so far, earlier attempts included, is seen while it runs."""
    beat = CallProgress(attempt=1, phase="answering", output_tokens=20, billed=USED)
    call = await pending_call(pending(RUNNING, heartbeat_details=await encoded(beat)))
    assert (call.state, call.phase, call.usage) == ("running", "answering", USED)
    assert call.cost_usd == usd(cost_nano(MODEL, USED))


async def test_a_call_between_two_attempts_is_retrying() -> None:
    """Why the last attempt failed, when the next begins, and no phase while nothing runs."""
    beat = CallProgress(attempt=2, phase="answering", billed=USED)
    call = await pending_call(
        pending(
            SCHEDULED,
            attempt=3,
            next_attempt=40,
            last_failure=await application_failure(call_failure()),
            heartbeat_details=await encoded(beat),
        )
    )
    assert (call.state, call.attempt, call.next_attempt) == ("retrying", 3, at(40))
    assert (call.why, call.phase, call.usage) == ("overloaded: 529 busy", None, USED)


async def test_the_attempt_under_way_is_the_servers_and_not_the_last_failures() -> None:
    """A call in its third attempt is in its third attempt, though the failure it shows is of the second."""
    failure = await application_failure(call_failure(attempts=2))
    call = await pending_call(pending(RUNNING, attempt=3, last_failure=failure))
    assert (call.state, call.attempt, call.next_attempt) == ("running", 3, None)
    assert call.why == "overloaded: 529 busy"


async def test_a_last_failure_without_our_details_says_what_it_can() -> None:
    """A worker that died is told by the server's words."""
    failure = Failure(message="activity Heartbeat timeout", timeout_failure_info=TimeoutFailureInfo())
    call = await pending_call(pending(SCHEDULED, attempt=2, last_failure=failure))
    assert (call.state, call.why) == ("retrying", "activity Heartbeat timeout")


async def test_a_call_being_cancelled_still_runs() -> None:
    """Until it has ended it is under way."""
    call = await pending_call(pending(PendingActivityState.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED))
    assert call.state == "running"


async def test_a_paused_call_is_not_running() -> None:
    """An operator who paused it in the UI must not be told that a model is at work."""
    call = await pending_call(pending(PendingActivityState.PENDING_ACTIVITY_STATE_PAUSED, attempt=2))
    assert call.state != "running"


@pytest.mark.parametrize("payloads", READABLE)
async def test_a_foreign_heartbeat_is_passed_over(payloads: Payloads) -> None:
    """The call runs, and how far it is nobody knows."""
    call = await pending_call(pending(RUNNING, heartbeat_details=payloads))
    assert (call.state, call.phase, call.usage) == ("running", None, Usage())


@pytest.mark.parametrize("payloads", UNREADABLE)
async def test_a_heartbeat_that_nobody_here_can_read_is_passed_over(payloads: Payloads) -> None:
    """A run that another codec encrypts is seen to run all the same."""
    assert (await pending_call(pending(RUNNING, heartbeat_details=payloads))).state == "running"


async def test_pending_work_of_others_is_not_ours_to_show() -> None:
    """An activity that the history has not shown yet comes with its own event."""
    view = await view_of(await scheduled())
    assert (await with_pending(view, description(pending(id="other-1")), converter)).calls == view.calls


async def test_a_call_that_has_ended_is_left_alone() -> None:
    """What is no longer pending keeps what its last event said."""
    view = await view_of(await scheduled(), await completed())
    assert (await with_pending(view, description(), converter)).calls == view.calls


async def test_a_closed_run_has_nothing_pending() -> None:
    """The history has the last word, whatever an older description says."""
    closed = event(20, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED, 30)
    view = await view_of(await scheduled(), closed)
    assert await with_pending(view, description(pending(), task_attempt=9), converter) == view


@pytest.mark.parametrize(("attempt", "times"), [(0, None), (1, None), (2, None), (3, 2), (12, 11)])
async def test_a_run_whose_own_task_keeps_failing_is_stuck(attempt: int, times: int | None) -> None:
    """One failed task may be a deploy; two in a row are worth saying."""
    view = await with_pending(await view_of(await scheduled()), description(task_attempt=attempt), converter)
    if times is None:
        assert view.stuck is None
    else:
        assert view.stuck is not None
        assert f"failed {times} times" in view.stuck


def task_failed(words: str) -> HistoryEvent:
    """A workflow task that failed with these words; only the first of a row is written down."""
    failed = event(9, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED, 9)
    failed.workflow_task_failed_event_attributes.failure.message = words
    return failed


async def test_a_run_that_is_stuck_says_of_what() -> None:
    """In one line, whatever a failure's message holds; a task that succeeds takes it back."""
    view = await view_of(await scheduled(), task_failed("the large value 12… is\n\x1b[2Jnot here"))
    stuck = (await with_pending(view, description(task_attempt=3), converter)).stuck
    assert stuck == "its workflow task has failed 2 times: the large value 12… is [2Jnot here"
    done = event(12, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, 12)
    view = await view_of(await scheduled(), task_failed("gone"), done)
    assert "gone" not in str((await with_pending(view, description(task_attempt=3), converter)).stuck)


async def test_a_stuck_run_that_was_cancelled_says_how_it_can_be_ended() -> None:
    """Its workflow cannot hear of it: whoever typed `cancel` would wait for ever."""
    asked = event(10, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED, 10)
    view = await view_of(await scheduled(), task_failed("gone"), asked)
    stuck = str((await with_pending(view, description(task_attempt=3), converter)).stuck)
    assert "cannot be cancelled" in stuck
    assert "`temporal workflow terminate --workflow-id run-1`" in stuck


async def test_a_run_that_was_stuck_and_goes_on_is_not_stuck() -> None:
    """The next description decides anew."""
    view = replace(await view_of(await scheduled()), stuck="its workflow task has failed 2 times")
    assert (await with_pending(view, description(), converter)).stuck is None


async def test_what_is_seen_twice_is_seen_the_same() -> None:
    """Asking again without news changes nothing, so a display does not flicker."""
    info = description(pending(RUNNING, attempt=2, last_failure=await application_failure(call_failure())))
    once = await with_pending(await view_of(await scheduled()), info, converter)
    assert await with_pending(once, info, converter) == once


# --- waiting for a circuit ---------------------------------------------------------------------------------------

CIRCUIT = f"api.anthropic.com {MODEL}"


async def wait_scheduled(
    id: int = 5, second: int = 1, *, agent: str = "planner-1", model: str = MODEL, input: Payloads | None = None
) -> HistoryEvent:
    """A call that met an open circuit began to wait."""
    wait = CircuitWait(key=f"api.anthropic.com {model}", agent=agent, model=model)
    attributes = ActivityTaskScheduledEventAttributes(
        activity_id=f"{agent}.circuit",
        activity_type=ActivityType(name=AWAIT_CIRCUIT),
        input=await encoded(wait) if input is None else input,
    )
    type = EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    return event(id, type, second, activity_task_scheduled_event_attributes=attributes)


async def let_through(id: int = 7, second: int = 5, *, probe: bool = False) -> HistoryEvent:
    """The wait is over."""
    permit = HandedPermit(generation=1, token="w#1", at=1.0) if probe else None
    return await completed(id, second, result=await encoded(CircuitPassage(permit=permit)))


async def pending_wait(info: PendingActivityInfo) -> CallView:
    """A wait with what the server says of it."""
    view = await with_pending(await view_of(await wait_scheduled()), description(info), converter)
    (wait,) = view.calls
    return wait


async def test_a_wait_for_a_circuit_is_a_row_of_its_own() -> None:
    """Whose it is and on what model comes from its input; which circuit it is says why."""
    wait = await only_call(await wait_scheduled())
    assert (wait.id, wait.role, wait.model) == ("planner-1.circuit", "planner", MODEL)
    assert (wait.state, wait.why, wait.is_wait) == ("waiting", f"for the circuit {CIRCUIT}", True)


@pytest.mark.parametrize("probe", [False, True])
async def test_a_wait_that_is_over_was_let_through(probe: bool) -> None:
    """Freely or as a probe: no answer, no tokens, nothing left to say."""
    wait = await only_call(await wait_scheduled(), await let_through(probe=probe))
    assert (wait.state, wait.why, wait.usage, wait.ended, wait.attempt) == ("let through", None, Usage(), at(5), 1)


@pytest.mark.parametrize("model", [MODEL, "claude-nobody-9"])
async def test_a_wait_costs_nothing(model: str) -> None:
    """It sends nothing, so its model's price does not matter, and the run's cost stays known."""
    wait = await only_call(await wait_scheduled(model=model))
    assert wait.cost_usd == 0
    view = await view_of(await scheduled(3), await completed(4, of=3), await wait_scheduled(model=model))
    assert view.cost_usd == usd(cost_nano(MODEL, USED))
    assert not view.simulated


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("open", "the circuit is open"),
        ("probing", "the circuit is being probed"),
        ("throttled", "the API asked for a pause"),
        ("forced", "the circuit is held open"),
        ("store_lost", "the circuit's store does not answer"),
        ("closing", "the circuit has closed, its turn comes"),
        ("of_next_year", "of_next_year"),
    ],
)
async def test_a_waits_heartbeat_says_why_and_until_when(reason: str, words: str) -> None:
    """The time is local, as everybody reads it, and left out while nobody knows it."""
    beat = await encoded(CircuitWaiting(reason=reason, until=at(40)))
    wait = await pending_wait(pending(RUNNING, id="planner-1.circuit", heartbeat_details=beat))
    assert (wait.state, wait.phase, wait.why) == ("waiting", None, f"{words} (until {at(40).astimezone():%H:%M:%S})")
    beat = await encoded(CircuitWaiting(reason=reason, until=None))
    wait = await pending_wait(pending(RUNNING, id="planner-1.circuit", heartbeat_details=beat))
    assert (wait.state, wait.why, wait.usage) == ("waiting", words, Usage())


@pytest.mark.parametrize("state", [SCHEDULED, RUNNING])
async def test_a_wait_before_its_first_heartbeat_says_what_it_waits_for(state: int) -> None:
    """Taken by a worker or not, it waits."""
    wait = await pending_wait(pending(state, id="planner-1.circuit"))
    assert (wait.state, wait.why) == ("waiting", f"for the circuit {CIRCUIT}")


async def test_a_wait_whose_worker_died_is_retrying() -> None:
    """Until another takes it up; then the newest word counts again, and not the failure."""
    lost: dict[str, Any] = {
        "last_failure": Failure(message="activity Heartbeat timeout", timeout_failure_info=TimeoutFailureInfo())
    }
    beat = await encoded(CircuitWaiting(reason="probing", until=None))
    found = pending(SCHEDULED, id="planner-1.circuit", attempt=2, heartbeat_details=beat, **lost)
    assert (await pending_wait(found)).state == "retrying"
    found = pending(RUNNING, id="planner-1.circuit", attempt=2, heartbeat_details=beat, **lost)
    wait = await pending_wait(found)
    assert (wait.state, wait.why, wait.attempt) == ("waiting", "the circuit is being probed", 2)


@pytest.mark.parametrize("payloads", [*READABLE, *UNREADABLE])
async def test_a_wait_that_nobody_here_can_read_is_still_a_wait(payloads: Payloads) -> None:
    """Its type says what it is; input, heartbeat and result only add to that."""
    wait = await only_call(await wait_scheduled(input=payloads), await completed(result=payloads))
    assert (wait.role, wait.model, wait.state, wait.cost_usd) == (AWAIT_CIRCUIT, "", "let through", 0)
    wait = await pending_wait(pending(RUNNING, id="planner-1.circuit", heartbeat_details=payloads))
    assert (wait.state, wait.why) == ("waiting", f"for the circuit {CIRCUIT}")


async def test_a_wait_ends_with_its_run_or_its_deadline_like_any_call() -> None:
    """Cancelled, closed or timed out: it has ended, and has used nothing, whatever it said last."""
    beat = await encoded(CircuitWaiting(reason="open", until=at(40)))
    late = TimeoutFailureInfo(timeout_type=TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE, last_heartbeat_details=beat)
    closed = event(9, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED, 30)
    for ending, state in (
        (cancelled(), "cancelled"),
        (closed, "cancelled"),
        (timed_out(Failure(message="too late", timeout_failure_info=late)), "failed"),
        (failed(Failure(message="boom")), "failed"),
    ):
        wait = await only_call(await wait_scheduled(), ending)
        assert (wait.state, wait.usage, wait.cost_usd) == (state, Usage(), 0)
        assert wait.ended is not None
