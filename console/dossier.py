"""Everything there is to say of one run, gathered while the server is at hand: report, history, input, audit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio.client import Client, WorkflowExecutionStatus

from console.audit import head
from console.commands.audit import audit_lines
from console.commands.state import ask
from console.follow import snapshot
from console.options import positional
from console.runs import Handle, ended, find, input_of
from console.view import RunView
from workflows.contracts import RunReport
from workflows.inputs import RunInput
from workflows.pipelines import Pipeline


@dataclass(frozen=True)
class Dossier:
    """A run that has ended, or stands still for a moment."""

    report: RunReport[Any]
    view: RunView
    url: str | None
    asked: str
    """What the run was asked to do, in the user's words."""
    bounds: RunInput
    audit_sha256: str | None
    """The hash of the audit's last line; None while the run goes on."""

    @property
    def elapsed(self) -> timedelta | None:
        """How long the run took, or goes on."""
        return None if self.view.started is None else (self.view.ended or datetime.now(UTC)) - self.view.started


async def gather(client: Client, id: str, url: str | None) -> Dossier:
    """The dossier of a run. Needs a worker: what a run knows of itself is asked of it. Raises Stop."""
    handle, description = await find(client, id)
    pipeline, input = await input_of(client, id)
    over = description.status != WorkflowExecutionStatus.RUNNING
    report = await ended(handle, description) if over else await _so_far(handle, pipeline)
    main = positional(pipeline.input)
    return Dossier(
        report=report,
        view=await snapshot(handle),
        url=url,
        asked=str(getattr(input, main)) if main else "",
        bounds=input,
        audit_sha256=head((await audit_lines(client, handle, report))[-1]) if over else None,
    )


async def _so_far(handle: Handle, pipeline: Pipeline) -> RunReport[Any]:
    kind = RunReport[pipeline.result]  # type: ignore[name-defined]
    report: RunReport[Any] = await ask(handle, "report", kind)
    return report
