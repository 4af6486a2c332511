"""Runs below a run, as the history of the upper one shows them: a row each, and what they used once they end."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from temporalio.api.common.v1 import Payloads
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.converter import DataConverter

from console.decoding import decoded
from console.view import CallState, CallView, RunView
from workflows.child_runs import CHILD_ENDED
from workflows.contracts import RunReport


async def with_child(view: RunView, event: HistoryEvent, converter: DataConverter) -> RunView:
    """The view after one more event of the history, as far as that is about a run below it."""
    at = event.event_time.ToDatetime(UTC)
    match event.event_type:
        case EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED:
            id = event.start_child_workflow_execution_initiated_event_attributes.workflow_id
            row = CallView(event.event_id, id, role="run", model="", state="running", scheduled=at, is_run=True)
            return replace(view, calls=(*view.calls, row))
        case EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED:
            completed = event.child_workflow_execution_completed_event_attributes
            used = await _used(completed.result, converter)
            return _ended(view, completed.workflow_execution.workflow_id, "answered", at, used)
        case EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED:
            failed = event.child_workflow_execution_failed_event_attributes
            used = await _used(failed.failure.application_failure_info.details, converter)
            return _ended(view, failed.workflow_execution.workflow_id, "failed", at, used)
        case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
            signal = event.workflow_execution_signaled_event_attributes
            if signal.signal_name == CHILD_ENDED and (used := await _used(signal.input, converter)):
                return _ended(view, used["id"], "cancelled", at, used)
        case EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED:
            cancelled = event.child_workflow_execution_canceled_event_attributes
            return _ended(view, cancelled.workflow_execution.workflow_id, "cancelled", at, {})
        case EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED:
            terminated = event.child_workflow_execution_terminated_event_attributes
            return _ended(view, terminated.workflow_execution.workflow_id, "cancelled", at, {"why": "terminated"})
    return view


async def _used(payloads: Payloads, converter: DataConverter) -> dict[str, Any]:
    """What a report says that a row shows."""
    report = await decoded(payloads, RunReport[Any], converter)
    if report is None:
        return {}
    return {
        "id": report.run_id,
        "usage": report.usage,
        "spent_usd": report.cost_usd,
        "simulated": report.simulated,
        "why": None if report.passed else report.stop_reason,
    }


def _ended(view: RunView, id: str, state: CallState, at: datetime, used: dict[str, Any]) -> RunView:
    changes = {"state": state, "ended": at, **used}
    calls = (replace(call, **changes) if call.is_run and call.id == id else call for call in view.calls)
    return replace(view, calls=tuple(calls))
