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

from console.errors import Exit, Stop
from console.render import clock, page, say
from console.runs import Handle, find
from console.session import session
from workflows.live_state import EVENTS_QUERY, STATE_QUERY, StateQuestion
from workflows.state import Entry, Event


async def show_state(id: str, key: str | None, at: int | None, as_json: bool) -> Exit:
    """The keys of a run's state with their values, or one of them, now or as of an event."""
    async with session(say, worker=True) as here:
        handle, _ = await find(here.client, id)
        entries = await ask(handle, STATE_QUERY, dict[str, Entry], StateQuestion(key=key, at=at))
    if as_json:
        click.echo(json.dumps({"run_id": id, "at": at, "state": to_jsonable_python(entries)}, ensure_ascii=False))
        return Exit.PASSED
    if key is not None:
        if key not in entries:
            raise Stop(f"there is nothing under {key} yet", Exit.NOT_PASSED)
        click.echo(json.dumps(entries[key].value, indent=2, ensure_ascii=False))
        return Exit.PASSED
    shown = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("key", "version", "writer", "attempt", "at", "value"):
        shown.add_column(heading, no_wrap=heading != "value", overflow="ellipsis")
    for name, entry in entries.items():
        value = json.dumps(entry.value, ensure_ascii=False)
        shown.add_row(name, str(entry.version), entry.writer, str(entry.attempt), clock(entry.at), Text(_short(value)))
    page().print(shown if entries else "the state is empty")
    return Exit.PASSED


async def show_events(id: str, key: str | None, at: int | None, as_json: bool) -> Exit:
    """The log of a run's state: every write, and every write that lost."""
    async with session(say, worker=True) as here:
        handle, _ = await find(here.client, id)
        events = await ask(handle, EVENTS_QUERY, list[Event])
    events = [event for event in events if key in (None, event.key) and (at is None or event.seq <= at)]
    if as_json:
        click.echo(json.dumps({"run_id": id, "events": to_jsonable_python(events)}, ensure_ascii=False))
        return Exit.PASSED
    shown = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("seq", "at", "key", "writer", "attempt", "base", "outcome", "value"):
        shown.add_column(heading, no_wrap=heading != "value", overflow="ellipsis")
    for event in events:
        outcome = f"refused: {event.refusal}".replace("_", " ") if event.refusal else event.outcome
        value = _short(json.dumps(event.value, ensure_ascii=False)) if event.value is not None else event.digest[:16]
        shown.add_row(
            *(str(event.seq), clock(event.at), event.key, event.writer, str(event.attempt), str(event.base_version)),
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


def _short(value: str, limit: int = 160) -> str:
    return value if len(value) <= limit else value[: limit - 1] + "…"
