"""The audit's commands: write down for others what happened in a run, and check what somebody wrote down."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC
from pathlib import Path
from typing import Any

import click
from pydantic_core import to_jsonable_python
from temporalio.api.common.v1 import Payloads, WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import RawValue
from temporalio.converter import DataConverter
from temporalio.service import RPCError, RPCStatusCode

from console.audit import chained, digest, head, verify
from console.commands.state import ask
from console.decoding import decoded
from console.errors import Exit, Stop
from console.follow import events
from console.render import say
from console.reports import write
from console.runs import Handle, ended, find, history
from console.session import session
from console.view import CLOSING
from workflows.contracts import CALL_SUBAGENT, CallFailure, CallOutcome, RunReport, SubagentCall
from workflows.live_state import EVENTS_QUERY
from workflows.state import Event

NOT_ENDED = "it had not ended when this was written"
"""What is said of a run below one that was ended from outside: it may outlive that for a while."""


async def export_audit(id: str, file: Path) -> Exit:
    """Write the audit of a run that has ended."""
    async with session(say, worker=True) as here:
        handle, description = await find(here.client, id)
        if description.status == WorkflowExecutionStatus.RUNNING:
            raise Stop(f"{id} has not ended; wait for it with `starter.py watch {id}`", Exit.USAGE)
        lines = await audit_lines(here.client, handle, await ended(handle, description))
    write(file, b"".join(lines))
    click.echo(f"{head(lines[-1])}  {file}")
    say(f"{len(lines)} lines; keep the hash elsewhere: it is the last line's, and `audit --verify` prints it again")
    return Exit.PASSED


async def audit_lines(client: Client, handle: Handle, report: RunReport[Any]) -> list[bytes]:
    """The audit of a run that has ended with this report: its calls and those of the runs below it, the log of its
    state, and the report. Its last line's hash stands for all of it."""
    below: list[WorkflowExecution] = []
    calls = [record async for record in _happened(history(client, handle.id), client.data_converter, below)]
    for child in below:
        calls += [record async for record in calls_below(client, child)]
    written = await ask(handle, EVENTS_QUERY, list[Event])
    return list(
        chained(
            [
                *calls,
                *({"type": "state", **to_jsonable_python(event)} for event in written),
                {"type": "report", **report.model_dump(mode="json")},
            ]
        )
    )


def verify_audit(file: Path, expected: str | None) -> Exit:
    """Check an audit file against itself, and against the hash that was kept. Asks no server."""
    try:
        with file.open("rb") as lines:
            found = verify(lines)
    except OSError as error:
        raise Stop(f"cannot read {file}: {error.strerror}", Exit.USAGE) from error
    if found.broken is not None:
        raise Stop(f"{file} is broken at line {found.broken}: {found.why}", Exit.NOT_PASSED)
    if expected is not None and found.head != expected.lower():
        raise Stop(
            f"{file} is whole, but not the one that was kept: its last line's hash is {found.head}", Exit.NOT_PASSED
        )
    click.echo(f"{found.head}  {file}")
    say(f"{found.lines} lines, unbroken")
    return Exit.PASSED


async def calls_below(client: Client, run: WorkflowExecution) -> AsyncIterator[dict[str, Any]]:
    """What happened in a run below another, and then in those below it. The server may have removed it by now."""
    handle = client.get_workflow_handle(run.workflow_id, run_id=run.run_id)
    children: list[WorkflowExecution] = []
    try:
        async for record in _happened(events(handle), client.data_converter, children):
            yield record
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        yield {"type": "unread", "run_id": run.workflow_id, "why": "the server does not keep its history any more"}
    for child in children:
        async for record in calls_below(client, child):
            yield record


async def _happened(
    story: AsyncIterator[HistoryEvent], converter: DataConverter, below: list[WorkflowExecution]
) -> AsyncIterator[dict[str, Any]]:
    """The start of a run and its calls, in order, with digests in place of words; `below` gets the runs it started."""
    asked: dict[int, dict[str, Any]] = {}
    execution, run, kind = 0, "", 0
    async for event in story:
        kind = event.event_type
        at = event.event_time.ToDatetime(UTC).isoformat()
        match event.event_type:
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
                execution += 1
                started = event.workflow_execution_started_event_attributes
                run = started.workflow_id
                for left in asked.values():
                    yield {**left, "error": "it had not ended when its run did"}
                asked.clear()
                yield {
                    "type": "started",
                    "at": at,
                    "execution": execution,
                    "run_id": run,
                    **(
                        {"parent": started.parent_workflow_execution.workflow_id}
                        if started.parent_workflow_namespace
                        else {}
                    ),
                    "temporal_run_id": started.original_execution_run_id,
                    "pipeline": started.workflow_type.name,
                    "input_sha256": await input_digest(started.input, converter),
                }
            case EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
                scheduled = event.activity_task_scheduled_event_attributes
                if scheduled.activity_type.name != CALL_SUBAGENT:
                    continue
                call = await decoded(scheduled.input, SubagentCall, converter)
                named = {"type": "call", "run_id": run, "id": scheduled.activity_id}
                asked[event.event_id] = {**named, "asked_at": at, **_asked(call)}
            case EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED:
                below.append(event.child_workflow_execution_started_event_attributes.workflow_execution)
            case EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
                completed = event.activity_task_completed_event_attributes
                if record := asked.pop(completed.scheduled_event_id, None):
                    outcome = await decoded(completed.result, CallOutcome, converter)
                    yield {**record, "ended_at": at, **_answered(outcome)}
            case EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED:
                failed = event.activity_task_failed_event_attributes
                if record := asked.pop(failed.scheduled_event_id, None):
                    yield {**record, "ended_at": at, **(await _failed(failed.failure, converter))}
            case EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
                timed_out = event.activity_task_timed_out_event_attributes
                if record := asked.pop(timed_out.scheduled_event_id, None):
                    yield {**record, "ended_at": at, **(await _failed(timed_out.failure, converter))}
            case EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED:
                cancelled = event.activity_task_canceled_event_attributes
                if record := asked.pop(cancelled.scheduled_event_id, None):
                    yield {**record, "ended_at": at, "error": "cancelled"}
    over = kind in CLOSING
    for left in asked.values():
        yield {**left, "error": "it had not ended when its run did" if over else NOT_ENDED}
    if not over:
        yield {"type": "unread", "run_id": run, "why": NOT_ENDED}


async def input_digest(input: Payloads, converter: DataConverter) -> str | None:
    """Of what the run was started with, as JSON: neither of its ciphertext nor of the reference to a large value."""
    plain = await decoded(input, RawValue, converter)
    return None if plain is None else digest(plain.payload.data)


def _asked(call: SubagentCall | None) -> dict[str, Any]:
    if call is None:
        return {"unreadable": True}
    return {
        "agent": call.agent,
        "role": call.role,
        "model": call.model,
        "instructions_sha256": digest(call.instructions),
        "prompt_sha256": digest(call.prompt),
    }


def _answered(outcome: CallOutcome | None) -> dict[str, Any]:
    if outcome is None:
        return {"unreadable": True}
    return {
        "answer_sha256": digest(outcome.text),
        "answered_by": outcome.model,
        "stop_reason": outcome.stop_reason,
        "request_id": outcome.request_id,
        "attempts": outcome.attempts,
        "usage": outcome.usage.model_dump(),
        "simulated": outcome.simulated,
    }


async def _failed(failure: Failure, converter: DataConverter) -> dict[str, Any]:
    details = await decoded(failure.application_failure_info.details, CallFailure, converter)
    if details is None:
        return {"error": failure.message or "timed out"}
    said = details.model_dump(mode="json", include={"message", "request_id", "http_status", "attempts", "usage"})
    return {"error": details.kind, **said}
