"""What can be seen of a run from outside: a fold over its history, and what is pending right now.

It asks no worker, so it shows a run whose workers are all dead just as well. Pure but for decoding payloads, which
may need the codec of the client that reads them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from temporalio.api.common.v1 import Payloads
from temporalio.api.enums.v1 import EventType, PendingActivityState
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import WorkflowExecutionDescription
from temporalio.converter import DataConverter

from console.decoding import decoded, failure_seen, headline, line_of
from workflows.answers import FINISHED
from workflows.contracts import (
    AWAIT_CIRCUIT,
    CallOutcome,
    CallProgress,
    CircuitWait,
    CircuitWaiting,
    SubagentCall,
    Usage,
)
from workflows.models import cost_nano, usd
from workflows.signs import WAITING_MEMO, WARNINGS_MEMO, Waiting

CallState = Literal["waiting", "running", "retrying", "answered", "let through", "failed", "cancelled"]
RunState = Literal["running", "finished", "failed", "cancelled", "terminated", "timed out"]

CLOSING: dict[int, RunState] = {
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED: "finished",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED: "failed",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED: "cancelled",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED: "terminated",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT: "timed out",
}
"""The events that end a run, and how."""


_AT_WORK = {
    PendingActivityState.PENDING_ACTIVITY_STATE_STARTED,
    PendingActivityState.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED,
    PendingActivityState.PENDING_ACTIVITY_STATE_PAUSE_REQUESTED,
}


_WAITS_FOR = {
    "open": "the circuit is open",
    "probing": "the circuit is being probed",
    "throttled": "the API asked for a pause",
    "forced": "the circuit is held open",
    "store_lost": "the circuit's store does not answer",
    "closing": "the circuit has closed, its turn comes",
}
"""What a wait says of itself, in words; another version's word is shown as it is."""


@dataclass(frozen=True)
class CallView:
    """One subagent call of a run, or its wait for a circuit, as far as it has come."""

    event: int
    """The event that scheduled it."""
    id: str
    """The activity's id: the agent, and the step if there is one (`generator-1.longer`, `generator-1.circuit`)."""
    role: str
    model: str
    state: CallState
    scheduled: datetime
    ended: datetime | None = None
    attempt: int = 1
    phase: str | None = None
    usage: Usage = field(default_factory=Usage)
    why: str | None = None
    """Why it failed, is retried or ended oddly; None when there is nothing to say."""
    next_attempt: datetime | None = None
    worker: str | None = None
    simulated: bool = False
    headline_field: str | None = None
    headline: str | None = None
    """What its answer comes down to, where the subagent has such a field: a verdict, say."""
    is_wait: bool = False
    """It waits until an open circuit lets its call through. It sends nothing and costs nothing."""
    is_run: bool = False
    """It is a run below this one; what it uses is known when it has ended."""
    spent_usd: float | None = 0.0
    """Of a run below this one."""

    def elapsed(self, now: datetime) -> timedelta:
        """Since it was scheduled, until it ended."""
        return (self.ended or now) - self.scheduled

    @property
    def cost_usd(self) -> float | None:
        """What it has cost so far; None if the model's price is not known."""
        if self.is_run:
            return self.spent_usd
        return 0.0 if self.is_wait else usd(cost_nano(self.model, self.usage))


@dataclass(frozen=True)
class RunView:
    """A run as its history and pending work show it."""

    state: RunState = "running"
    started: datetime | None = None
    ended: datetime | None = None
    calls: tuple[CallView, ...] = ()
    stuck: str | None = None
    """What holds the run itself, when its workflow task keeps failing."""
    failing: str | None = None
    """What its latest workflow task failed of, until one succeeds; only the first failure of a row is in a history."""
    cancelling: bool = False
    """Somebody has asked that it be cancelled."""
    waiting: Waiting | None = None
    """What it waits for that only a person can give."""
    room: str | None = None
    """Who waits for what others hold of its bounds. Not in the history: a worker was asked."""
    warnings: tuple[str, ...] = ()
    """The bounds that are nearly used up."""

    @property
    def usage(self) -> Usage:
        """All calls together."""
        return sum((call.usage for call in self.calls), Usage())

    @property
    def cost_usd(self) -> float | None:
        """All calls together; None if any price is not known."""
        costs = [call.cost_usd for call in self.calls]
        return None if any(cost is None for cost in costs) else sum(cost or 0.0 for cost in costs)

    @property
    def simulated(self) -> bool:
        """Whether the stand-in gave any answer."""
        return any(call.simulated for call in self.calls)


async def with_event(view: RunView, event: HistoryEvent, converter: DataConverter) -> RunView:
    """The view after one more event of the history."""
    at = event.event_time.ToDatetime(UTC)
    match event.event_type:
        case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
            return replace(view, started=view.started or at)
        case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW:
            # The numbers of events begin anew: what was before must not be taken for what comes.
            return replace(view, calls=tuple(replace(call, event=0) for call in view.calls))
        case EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            scheduled = event.activity_task_scheduled_event_attributes
            is_wait = scheduled.activity_type.name == AWAIT_CIRCUIT
            new = CallView(
                event=event.event_id,
                id=scheduled.activity_id,
                role=scheduled.activity_type.name,
                model="",
                state="waiting",
                scheduled=at,
                is_wait=is_wait,
            )
            if is_wait:
                if wait := await decoded(scheduled.input, CircuitWait, converter):
                    why = f"for the circuit {wait.key}"
                    new = replace(new, role=wait.agent.rpartition("-")[0] or wait.agent, model=wait.model, why=why)
            elif call := await decoded(scheduled.input, SubagentCall, converter):
                new = replace(new, role=call.role, model=call.model, headline_field=call.headline)
            return replace(view, calls=(*view.calls, new))
        case EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
            completed = event.activity_task_completed_event_attributes
            outcome = await decoded(completed.result, CallOutcome, converter)
            scheduler = next((call for call in view.calls if call.event == completed.scheduled_event_id), None)
            waited = scheduler is not None and scheduler.is_wait
            changes: dict[str, Any] = {
                "state": "let through" if waited else "answered",
                "why": None,
                "next_attempt": None,
            }
            if outcome:
                odd = None if outcome.stop_reason in FINISHED else outcome.stop_reason
                changes |= {
                    "usage": outcome.usage,
                    "attempt": outcome.attempts,
                    "why": odd,
                    "simulated": outcome.simulated,
                    "headline": headline(outcome.text, scheduler.headline_field if scheduler else None),
                }
            return _changed(view, completed.scheduled_event_id, ended=at, **changes)
        case EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED:
            failed = event.activity_task_failed_event_attributes
            said = {"state": "failed", **await failure_seen(failed.failure, converter)}
            return _changed(view, failed.scheduled_event_id, ended=at, **said)
        case EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
            timed_out = event.activity_task_timed_out_event_attributes
            said = {"state": "failed", **await failure_seen(timed_out.failure, converter)}
            return _changed(view, timed_out.scheduled_event_id, ended=at, **said)
        case EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED:
            cancelled = event.activity_task_canceled_event_attributes
            return _changed(view, cancelled.scheduled_event_id, ended=at, state="cancelled")
        case EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
            said = await failure_seen(event.workflow_task_failed_event_attributes.failure, converter)
            return replace(view, failing=line_of(said["why"]))
        case EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
            return replace(view, failing=None)
        case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED:
            return replace(view, cancelling=True)
        case EventType.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED:
            memo = event.workflow_properties_modified_event_attributes.upserted_memo.fields
            if WAITING_MEMO in memo:
                view = replace(view, waiting=await decoded(Payloads(payloads=[memo[WAITING_MEMO]]), Waiting, converter))
            if WARNINGS_MEMO in memo:
                warnings = await decoded(Payloads(payloads=[memo[WARNINGS_MEMO]]), list, converter)
                view = replace(view, warnings=tuple(map(str, warnings or ())))
            return view
        case closing if closing in CLOSING:
            calls = (call if call.ended else replace(call, state="cancelled", ended=at) for call in view.calls)
            return replace(view, state=CLOSING[closing], ended=at, calls=tuple(calls), waiting=None)
    return view


async def with_pending(view: RunView, description: WorkflowExecutionDescription, converter: DataConverter) -> RunView:
    """The view with what the server says is pending: attempts, heartbeats, last failures, next attempts."""
    if view.state != "running":
        return view
    known = {pending.activity_id: pending for pending in description.raw_description.pending_activities}
    calls = [
        await _pending(call, known[call.id], converter) if call.ended is None and call.id in known else call
        for call in view.calls
    ]
    raw = description.raw_description
    task, id = raw.pending_workflow_task, raw.workflow_execution_info.execution.workflow_id
    stuck = _stuck(view, task.attempt - 1, id) if task.attempt > 2 else None
    return replace(view, calls=tuple(calls), stuck=stuck)


def _stuck(view: RunView, times: int, id: str) -> str:
    why = view.failing or "see the worker's log"
    held = f"its workflow task has failed {times} times: {why}"
    if not view.cancelling:
        return held
    end = f"`temporal workflow terminate --workflow-id {id}`"
    return f"{held}; until that is mended it cannot be cancelled, so end it in the Temporal UI or with {end}"


async def _pending(call: CallView, pending: PendingActivityInfo, converter: DataConverter) -> CallView:
    running = pending.state in _AT_WORK
    state: CallState = "running" if running else "retrying" if pending.attempt > 1 else "waiting"
    changes: dict[str, Any] = {"state": state, "attempt": pending.attempt, "next_attempt": None}
    if pending.HasField("next_attempt_schedule_time") and state == "retrying":
        changes["next_attempt"] = pending.next_attempt_schedule_time.ToDatetime(UTC)
    if pending.HasField("last_failure"):
        why = (await failure_seen(pending.last_failure, converter))["why"]
        changes["why"] = why
    if call.is_wait and running:
        changes["state"] = "waiting"
        if pending.HasField("heartbeat_details"):
            said = await decoded(pending.heartbeat_details, CircuitWaiting, converter)
            changes["why"] = _waits_for(said) if said else call.why
    elif pending.HasField("heartbeat_details") and not call.is_wait:
        progress = await decoded(pending.heartbeat_details, CallProgress, converter)
        if progress:
            changes |= {"phase": progress.phase if running else None, "usage": progress.billed}
    changes["worker"] = pending.last_worker_identity or None
    return replace(call, **changes)


def _waits_for(waiting: CircuitWaiting) -> str:
    words = _WAITS_FOR.get(waiting.reason, waiting.reason)
    return words if waiting.until is None else f"{words} (until {waiting.until.astimezone():%H:%M:%S})"


def _changed(view: RunView, scheduled_event_id: int, **changes: Any) -> RunView:
    calls = (replace(call, **changes) if call.event == scheduled_event_id else call for call in view.calls)
    return replace(view, calls=tuple(calls))
