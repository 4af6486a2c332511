"""The commands that read a run's shared state: what stands there, what was written, what was refused."""

from __future__ import annotations

import json
from typing import Any

import click
from pydantic import BaseModel
from pydantic_core import to_jsonable_python
from rich.table import Table
from rich.text import Text
from temporalio.client import WorkflowQueryFailedError
from temporalio.service import RPCError, RPCStatusCode

from console.errors import Exit, Stop
from console.render import clock, page, printable, say
from console.runs import Handle, find
from console.session import session
from workflows.live_state import EVENTS_QUERY, STATE_QUERY, StateQuestion
from workflows.state import Entry, Event

_UNANSWERED = frozenset({RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED, RPCStatusCode.FAILED_PRECONDITION})
"""How a server says that nobody took up the question."""


async def show_state(id: str, key: str | None, at: int | None, as_json: bool) -> Exit:
    """The keys of a run's state with their values, or one of them, now or as of an event."""
    async with session(say, worker=True) as here:
        handle, _ = await find(here.client, id)
        entries = await ask(handle, STATE_QUERY, dict[str, Entry], StateQuestion(key=key, at=at))
    if as_json:
        _print_json({"run_id": id, "at": at, "state": to_jsonable_python(entries)})
        return Exit.NOT_PASSED if key is not None and key not in entries else Exit.PASSED
    if key is not None:
        if key not in entries:
            raise Stop(f"there is nothing under {key} yet", Exit.NOT_PASSED)
        click.echo(printable(json.dumps(entries[key].value, indent=2, ensure_ascii=False)))
        return Exit.PASSED
    shown = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("key", "version", "writer", "attempt", "at", "value"):
        shown.add_column(heading, no_wrap=heading != "value", overflow="ellipsis")
    for name, entry in entries.items():
        value = json.dumps(entry.value, ensure_ascii=False)
        writer = Text(printable(entry.writer))
        shown.add_row(name, str(entry.version), writer, str(entry.attempt), clock(entry.at), Text(_short(value)))
    page().print(shown if entries else "the state is empty")
    return Exit.PASSED


async def show_events(id: str, key: str | None, at: int | None, as_json: bool) -> Exit:
    """The log of a run's state: every write, and every write that lost."""
    async with session(say, worker=True) as here:
        handle, _ = await find(here.client, id)
        if key is not None:
            await ask(handle, STATE_QUERY, dict[str, Entry], StateQuestion(key=key))  # says so if there is no such key
        events = await ask(handle, EVENTS_QUERY, list[Event])
    if at is not None and at > len(events):
        raise Stop(f"there is no event {at}; the log has {len(events)}", Exit.USAGE)
    events = [event for event in events if key in (None, event.key) and (at is None or event.seq <= at)]
    if as_json:
        _print_json({"run_id": id, "events": to_jsonable_python(events)})
        return Exit.PASSED
    shown = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("seq", "at", "key", "writer", "attempt", "base", "outcome", "value"):
        shown.add_column(heading, no_wrap=heading != "value", overflow="ellipsis")
    for event in events:
        outcome = f"refused: {event.refusal}".replace("_", " ") if event.refusal else event.outcome
        value = _short(json.dumps(event.value, ensure_ascii=False)) if event.value is not None else event.digest[:16]
        shown.add_row(
            *(str(event.seq), clock(event.at), event.key, Text(printable(event.writer))),
            *(str(event.attempt), str(event.base_version)),
            Text(outcome, style="red" if event.refusal else ""),
            Text(value),
        )
    page().print(shown if events else "nothing has been written yet")
    return Exit.PASSED


async def ask(handle: Handle, query: str, kind: Any, question: BaseModel | None = None) -> Any:
    """A query's answer. Raises Stop with the workflow's own words if it has none."""
    try:
        if question is None:
            return await handle.query(query, result_type=kind)
        return await handle.query(query, question, result_type=kind)
    except WorkflowQueryFailedError as error:
        raise Stop(error.message, Exit.USAGE) from error
    except RPCError as error:
        if error.status not in _UNANSWERED:
            raise
        raise Stop(
            f"no worker answers for {handle.id}: start one with `python worker.py` and ask again", Exit.UNREACHABLE
        ) from error


def _short(value: str, limit: int = 160) -> str:
    return printable(value if len(value) <= limit else value[: limit - 1] + "…")


def _print_json(document: dict[str, Any]) -> None:
    click.echo(printable(json.dumps(document, ensure_ascii=False)))
