"""Following a run live: its history as it grows, and between events what is pending. Needs no worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowHandle, WorkflowQueryFailedError
from temporalio.converter import DataConverter
from temporalio.service import RPCError, RPCStatusCode

from console.children import with_child
from console.view import RunView, with_event, with_pending
from workflows.bounds import ROOM_QUERY

LOOK = timedelta(seconds=1)
"""How often pending work is looked at: heartbeats come every 2 s, so more often would show nothing new."""
AWAY = frozenset({RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED})
"""The server cannot be asked right now; the run itself is not harmed."""
ANSWER = timedelta(seconds=1)
"""How long a worker may take to say who waits for room: without one, or with a busy one, everything else is shown."""

Lost = Callable[[RPCError], Awaitable[None]]
"""Called when the server went away: returns to try again, raises to give up."""


async def snapshot(handle: WorkflowHandle[Any, Any]) -> RunView:
    """The run as it is now."""
    converter = handle._client.data_converter
    view = RunView()
    async for event in events(handle):
        view = await _with(view, event, converter)
    view = await with_pending(view, await handle.describe(), converter)
    return replace(view, room=await _room(handle)) if view.state == "running" else view


async def events(handle: WorkflowHandle[Any, Any], *, wait: bool = False) -> AsyncIterator[HistoryEvent]:
    """Every event of a run, through all the executions it was continued in; with `wait` as they come, to its end."""
    description = await handle.describe()
    execution: str | None = description.raw_description.workflow_execution_info.first_run_id or description.run_id
    while execution is not None:
        part = handle._client.get_workflow_handle(handle.id, run_id=execution)
        execution = None
        async for event in part.fetch_history_events(wait_new_event=wait):
            yield event
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW:
                execution = event.workflow_execution_continued_as_new_event_attributes.new_execution_run_id


async def _with(view: RunView, event: HistoryEvent, converter: DataConverter) -> RunView:
    return await with_child(await with_event(view, event, converter), event, converter)


async def _room(handle: WorkflowHandle[Any, Any]) -> str | None:
    """Who in the run waits for room, if a worker can say: to write it down would be events by the hundred."""
    try:
        room: str | None = await handle.query(ROOM_QUERY, rpc_timeout=ANSWER)
    except (RPCError, WorkflowQueryFailedError):
        return None
    return room


async def follow(handle: WorkflowHandle[Any, Any], lost: Lost) -> AsyncIterator[RunView]:
    """The run's view whenever something changed, until it has ended. The last view has the final state."""
    while True:
        try:
            async for view in _follow(handle):
                yield view
            return
        except RPCError as error:
            if error.status not in AWAY:
                raise
            await lost(error)


async def _follow(handle: WorkflowHandle[Any, Any]) -> AsyncIterator[RunView]:
    converter = handle._client.data_converter
    views: asyncio.Queue[RunView | None] = asyncio.Queue()

    async def read() -> None:
        view = RunView()
        try:
            async for event in events(handle, wait=True):
                view = await _with(view, event, converter)
                await views.put(view)
        finally:
            await views.put(None)

    reading = asyncio.create_task(read())
    try:
        view: RunView | None = RunView()
        room: str | None = None
        while view is not None:
            quiet = True
            with suppress(TimeoutError):  # nothing new in the history: look at what is pending
                async with asyncio.timeout(LOOK.total_seconds()):
                    view, quiet = await views.get(), False
            while view is not None and view.state == "running" and not views.empty():
                view = views.get_nowait()  # only the newest is worth showing
            if view is not None:
                view = await with_pending(view, await handle.describe(), converter)
                if quiet and view.state == "running":
                    room = await _room(handle)
                yield replace(view, room=room if view.state == "running" else None)
        await reading
    finally:
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading
