"""The commands that look and change nothing: list, show. They need no worker."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import click
from pydantic_core import to_jsonable_python
from rich.console import Console
from rich.table import Table
from rich.text import Text
from temporalio.client import WorkflowExecution

from console.errors import Exit, Stop
from console.follow import snapshot
from console.render import SIMULATED, dollars, page, say, seconds, table, tokens
from console.runs import find
from console.session import session
from hosting.connection import how_to_add, missing_search_attributes
from workflows.contracts import CIRCUIT_ATTRIBUTE, COST_ATTRIBUTE, PIPELINE_ATTRIBUTE, STATUS_ATTRIBUTE, WORKFLOW_QUEUE
from workflows.pipelines import Pipeline, discover

_STATUS_COLOURS = {
    "running": "cyan",
    "waiting_for_budget": "bold yellow",
    "waiting_for_approval": "bold yellow",
    "passed": "green",
    "not_passed": "yellow",
    "failed": "red",
    "cancelled": "magenta",
}


@dataclass(frozen=True)
class Wanted:
    """Which runs to list; None: whatever it is."""

    pipeline: str | None = None
    status: str | None = None
    circuit: str | None = None
    min_cost: float | None = None

    @property
    def anything(self) -> bool:
        """Nobody said which."""
        return self == Wanted()

    def query(self) -> str:
        """What the visibility store is asked. Raises Stop for a pipeline that nobody knows."""
        parts = [f'TaskQueue = "{WORKFLOW_QUEUE}"', "ParentWorkflowId IS NULL"]
        if self.pipeline is not None:
            if self.pipeline not in discover():
                raise Stop(f"there is no pipeline {self.pipeline!r}; there are: {', '.join(discover())}", Exit.USAGE)
            parts.append(f'{PIPELINE_ATTRIBUTE.name} = "{self.pipeline}"')
        if self.status in _TEMPORAL_KNOWS_BETTER:
            parts.append(f'ExecutionStatus = "{_TEMPORAL_KNOWS_BETTER[self.status]}"')
        elif self.status is not None:
            parts.append(f'{STATUS_ATTRIBUTE.name} = "{self.status}"')
            parts += [f'ExecutionStatus != "{each}"' for each in _TEMPORAL_KNOWS_BETTER.values()]
        if self.circuit is not None:
            parts.append(f'{CIRCUIT_ATTRIBUTE.name} = "{self.circuit}"')
        if self.min_cost is not None:
            parts.append(f"{COST_ATTRIBUTE.name} >= {self.min_cost:.9f}")
        return " AND ".join(parts)


async def list_runs(limit: int, as_json: bool, wanted: Wanted) -> Exit:
    """The pipelines, then the latest runs that somebody started; only those that are wanted, if somebody said which.

    Runs below a run are rows of `show`.
    """
    out = page()
    pipelines = discover()
    query = wanted.query()
    async with session(say, worker=False) as here:
        if not wanted.anything and (missing := await missing_search_attributes(here.client)):
            raise Stop(how_to_add(missing, here.connection.address, here.connection.namespace), Exit.USAGE)
        runs = [_row(each) async for each in here.client.list_workflows(query, limit=limit)]
    if as_json:
        known = [{"name": each.name, "summary": each.summary} for each in pipelines.values()]
        click.echo(json.dumps({"pipelines": known, "runs": runs}))
        return Exit.PASSED
    if wanted.anything:
        _show_pipelines(out, pipelines)
    if not runs:
        none = "No runs yet. Start one: starter.py run PIPELINE INPUT"
        out.print(none if wanted.anything else "No run is like that; `starter.py list` shows all of them", markup=False)
        return Exit.PASSED
    shown = Table(title="Recent runs", title_justify="left", box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("id", "pipeline", "status", "cost", "started", "took"):
        shown.add_column(heading, no_wrap=heading == "id", overflow="fold")
    for run in runs:
        status = Text(run["status"], style=_STATUS_COLOURS.get(run["status"], ""))
        took = seconds(_parse(run["ended"] or datetime.now(UTC).isoformat()) - _parse(run["started"]))
        cost = "" if run["cost_usd"] is None else dollars(run["cost_usd"])
        started = _parse(run["started"]).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        shown.add_row(run["id"], run["pipeline"], status, cost, started, took)
    out.print(shown)
    return Exit.PASSED


def _show_pipelines(out: Console, pipelines: Mapping[str, Pipeline]) -> None:
    shown = Table(title="Pipelines", title_justify="left", box=None, padding=(0, 2, 0, 0), show_header=False)
    for pipeline in pipelines.values():
        shown.add_row(Text(pipeline.name, style="bold"), pipeline.summary)
    out.print(shown)
    out.print()


async def show_run(id: str, as_json: bool) -> Exit:
    """One run: where it stands and what each call did."""
    out = page()
    async with session(say, worker=False) as here:
        handle, description = await find(here.client, id)
        view = await snapshot(handle)
        url = here.url(id)
    row = _row(description)
    if as_json:
        calls = [{**to_jsonable_python(asdict(call)), "cost_usd": call.cost_usd} for call in view.calls]
        document = {**row, "usage": to_jsonable_python(view.usage), "cost_usd": view.cost_usd}
        waiting = view.waiting.model_dump() if view.waiting else None
        waits = {"held": view.stuck, "waiting": waiting, "waits_for_room": view.room}
        standing = {"warnings": list(view.warnings), "ui_url": url}
        click.echo(json.dumps({**document, "calls": calls, **waits, **standing}))
        return Exit.PASSED
    now = datetime.now(UTC)
    took = seconds((view.ended or now) - (view.started or now))
    facts = [row["status"], f"{tokens(view.usage):,} tokens", dollars(view.cost_usd), took]
    out.print(Text(f"{id}  ", style="bold") + Text(row["pipeline"], style="dim"))
    out.print(Text(" · ".join(facts), style=_STATUS_COLOURS.get(row["status"], "")))
    if view.simulated:
        out.print(Text(SIMULATED, style="bold yellow"))
    out.print()
    out.print(table(view, now))
    if view.state == "running" and not view.waiting and not any(call.ended is None for call in view.calls):
        out.print("\nwaiting for a worker to take the next step", style="dim")
    if url:
        out.print(f"\n{url}", style="dim", soft_wrap=True)
    return Exit.PASSED


def _row(run: WorkflowExecution) -> dict[str, Any]:
    """What the visibility store knows of a run; the status in Temporal's words where no attribute says more."""
    attributes = run.typed_search_attributes
    status = run.status.name.lower() if run.status else "unknown"
    return {
        "id": run.id,
        "pipeline": attributes.get(PIPELINE_ATTRIBUTE) or run.workflow_type,
        "status": status if status in _TEMPORAL_KNOWS_BETTER else attributes.get(STATUS_ATTRIBUTE) or status,
        "cost_usd": attributes.get(COST_ATTRIBUTE),
        "started": run.start_time.isoformat(),
        "ended": run.close_time.isoformat() if run.close_time else None,
    }


_TEMPORAL_KNOWS_BETTER = {"terminated": "Terminated", "timed_out": "TimedOut"}
"""Endings that gave the workflow no chance to set its own status, and what Temporal's lists call them."""


def _parse(moment: str) -> datetime:
    return datetime.fromisoformat(moment)
