"""Starting a run, finding one, and reading how it ended. Client calls only; nothing is shown here."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import (
    Client,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
)
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from console.errors import Exit, Stop
from console.follow import events
from workflows.contracts import CIRCUIT_ATTRIBUTE, PIPELINE_ATTRIBUTE, STATUS_ATTRIBUTE, WORKFLOW_QUEUE, RunReport
from workflows.pipelines import Pipeline, discover
from workflows.run import RunInput, RunResult

RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,199}")
SUMMARY_LIMIT = 120
"""Characters of the main input in the UI's one-line summary (the server allows 400 bytes)."""
DETAILS_LIMIT = 2_000
OTHER_VERSION = "the run's report is of another version; look at its history in the Temporal UI"

Handle = WorkflowHandle[Any, RunReport[Any]]


@dataclass(frozen=True)
class Started:
    """A run that goes on, whether this command started it or found it."""

    handle: Handle
    pipeline: str
    attached: bool
    """It had been started before, by the same id."""
    same_input: bool = True


async def start(
    client: Client, pipeline: Pipeline, input: RunInput, run_id: str | None, main: str | None, searchable: bool
) -> Started:
    """Start a run, or attach to the one that has this id. Raises Stop if the id belongs to something else."""
    id = run_id or f"{pipeline.name}-{secrets.token_hex(6)}"
    words = str(getattr(input, main)) if main else pipeline.name
    attributes = [
        SearchAttributePair(PIPELINE_ATTRIBUTE, pipeline.name),
        SearchAttributePair(STATUS_ATTRIBUTE, "running"),
        SearchAttributePair(CIRCUIT_ATTRIBUTE, "closed"),
    ]
    try:
        handle = await client.start_workflow(
            pipeline.name,
            input,
            id=id,
            task_queue=WORKFLOW_QUEUE,
            result_type=RunReport[pipeline.result],  # type: ignore[name-defined]
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            static_summary=f"{pipeline.name} · {_short(words, SUMMARY_LIMIT)}",
            static_details=f"{pipeline.summary}\n\n> {_short(words, DETAILS_LIMIT)}",
            memo={"input": _digest(input)},
            priority=input.place_in_line(),
            search_attributes=TypedSearchAttributes(attributes if searchable else []),
        )
    except WorkflowAlreadyStartedError:
        handle, description = await _find(client, id)
        if description.workflow_type != pipeline.name or description.task_queue != WORKFLOW_QUEUE:
            raise Stop(
                f"{id} is already a run of {description.workflow_type}; choose another --id", Exit.USAGE
            ) from None
        known = (await description.memo()).get("input")
        return Started(handle, pipeline.name, attached=True, same_input=known in (None, _digest(input)))
    return Started(handle, pipeline.name, attached=False)


async def find(client: Client, id: str) -> tuple[Handle, WorkflowExecutionDescription]:
    """An existing run. Raises Stop if there is none of this id, or if it is a workflow of somebody else."""
    handle, description = await _find(client, id)
    if description.task_queue != WORKFLOW_QUEUE:
        raise Stop(
            f"{id} is no run of Breakwater's but a workflow of type {description.workflow_type} on the task queue "
            f"{description.task_queue}; use the Temporal UI or its CLI for it",
            Exit.USAGE,
        )
    return handle, description


async def _find(client: Client, id: str) -> tuple[Handle, WorkflowExecutionDescription]:
    checked(id)
    try:
        description = await client.get_workflow_handle(id).describe()
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        raise Stop(f"there is no run {id}; `starter.py list` shows the recent ones", Exit.USAGE) from None
    known = discover().get(description.workflow_type)
    result = RunReport[known.result] if known else RunReport[Any]  # type: ignore[name-defined]
    return client.get_workflow_handle(id, result_type=result), description


async def input_of(client: Client, id: str) -> tuple[Pipeline, RunInput]:
    """What a run was started with. Raises Stop if it is not of a pipeline that is known here, or of another version."""
    async for event in history(client, id):
        started = event.workflow_execution_started_event_attributes
        pipeline = discover().get(started.workflow_type.name)
        if pipeline is None:
            break
        try:
            (input,) = await client.data_converter.decode(started.input.payloads, [pipeline.input])
        except (ValidationError, ValueError) as error:
            raise Stop(f"the input of {id} is of another version; start a new run", Exit.USAGE) from error
        return pipeline, input
    raise Stop(f"{id} is not a run of a pipeline that is known here; `starter.py list` shows those", Exit.USAGE)


async def history(client: Client, id: str) -> AsyncIterator[HistoryEvent]:
    """Every event of a run, through all the executions it was continued in. Raises Stop if there is no such run."""
    handle, _ = await find(client, id)
    async for event in events(handle):
        yield event


def checked(id: str) -> str:
    """The id, if it may be one. Raises Stop for anything that could be mistaken for a path, an option or a line."""
    if not RUN_ID.fullmatch(id):
        shown = _short(id.encode("unicode_escape").decode(), 40)
        raise Stop(
            f"{shown!r} cannot be a run's id: use up to 200 letters, digits and . _ : @ -, "
            "beginning with a letter or digit",
            Exit.USAGE,
        )
    return id


async def ended(handle: Handle, description: WorkflowExecutionDescription) -> RunReport[Any]:
    """The report of a closed run, wherever its ending put it (see docs/decisions/002)."""
    try:
        return await handle.result()
    except WorkflowFailureError as error:
        if isinstance(error.cause, ApplicationError) and error.cause.details:
            return _typed(error.cause.details[0], description.workflow_type)
    except ValidationError:
        raise Stop(OTHER_VERSION, Exit.FAILED) from None
    report = _typed(await handle.query("report"), description.workflow_type)
    if description.status == WorkflowExecutionStatus.CANCELED:
        return report
    how = description.status.name.lower().replace("_", " ") if description.status else "closed"
    return report.model_copy(update={"status": "failed", "stop_reason": how, "message": f"the run was {how}"})


def exit_code(report: RunReport[Any]) -> Exit:
    """What a run's ending means to a shell."""
    if report.status in ("failed", "cancelled"):
        return Exit.FAILED
    return Exit.PASSED if report.passed else Exit.NOT_PASSED


def text_of(report: RunReport[Any]) -> str | None:
    """What goes to standard output for a person; None when there is no result."""
    result = report.result
    return result.text() if isinstance(result, RunResult) else None


def _typed(value: Any, pipeline: str) -> RunReport[Any]:
    known = discover().get(pipeline)
    try:
        return (RunReport[known.result] if known else RunReport[Any]).model_validate(value)  # type: ignore[name-defined]
    except ValidationError:
        raise Stop(OTHER_VERSION, Exit.FAILED) from None


def _digest(input: BaseModel) -> str:
    return hashlib.sha256(input.model_dump_json().encode()).hexdigest()


def _short(words: str, limit: int) -> str:
    line = " ".join(words.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
