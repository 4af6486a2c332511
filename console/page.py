"""A run as one page for a person: self-contained HTML that asks nobody for anything, readable on a phone.

Everything shown comes from the history and the report; nothing a model said is ever markup here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

from console.remarks import remarks
from console.render import SIMULATED, dollars, seconds, tokens
from console.view import CallView, RunView
from workflows.contracts import Reply, RunReport, Usage
from workflows.run import RunResult

TEMPLATES = Path(__file__).parent / "templates"
NARROWEST = 0.4
"""Percent of the timeline that the shortest call takes, so that it can still be seen."""


@dataclass(frozen=True)
class Dossier:
    """Everything there is to say of a run that has ended, or stands still for a moment."""

    report: RunReport[Any]
    view: RunView
    url: str | None
    audit_sha256: str | None
    """The hash of the audit's last line; None while the run goes on."""

    @property
    def elapsed(self) -> timedelta | None:
        """How long the run took."""
        return None if self.view.started is None else (self.view.ended or datetime.now(UTC)) - self.view.started


@dataclass(frozen=True)
class Bar:
    """One call on the timeline."""

    name: str
    model: str
    kind: str
    """good, bad, wait or open: its colour."""
    note: str
    start: float
    """Percent of the run's length."""
    width: float
    took: str


@dataclass(frozen=True)
class Share:
    """What one role used."""

    role: str
    calls: int
    attempts: int
    input_tokens: int
    output_tokens: int
    cost: str
    part: float
    """Percent of the tokens of the whole run."""


def html(dossier: Dossier) -> str:
    """The page."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    report = dossier.report
    result = report.result if isinstance(report.result, RunResult) else None
    return environment.get_template("run.html").render(
        report=report,
        view=dossier.view,
        verdict="passed" if report.passed else "not passed" if report.status == "finished" else report.status,
        tone="good" if report.passed else "bad" if report.status in ("failed", "cancelled") else "open",
        elapsed=seconds(dossier.elapsed) if dossier.elapsed is not None else "",
        tokens=tokens(report.usage),
        cost=dollars(report.cost_usd),
        bars=bars(dossier.view),
        shares=shares(report.agents),
        waits=[bar for bar in bars(dossier.view) if bar.kind == "wait"],
        result=Markup(_rendered(result.markdown())) if result else None,  # noqa: S704 - markdown-it escapes HTML in it
        url=dossier.url,
        audit=dossier.audit_sha256,
        simulated=SIMULATED if report.simulated else None,
        remarks=remarks(report),
        written=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    )


def bars(view: RunView) -> list[Bar]:
    """Every call of the run, where it lies between the run's beginning and its end."""
    if view.started is None:
        return []
    now = datetime.now(UTC)
    whole = max(((view.ended or now) - view.started).total_seconds(), 0.001)
    return [
        Bar(
            name=call.id,
            model=call.model,
            kind=_kind(call),
            note=" · ".join(
                filter(None, [f"attempt {call.attempt}" if call.attempt > 1 else "", call.why or call.headline])
            ),
            start=round(100 * (call.scheduled - view.started).total_seconds() / whole, 2),
            width=round(max(100 * call.elapsed(now).total_seconds() / whole, NARROWEST), 2),
            took=seconds(call.elapsed(now)),
        )
        for call in view.calls
    ]


def shares(replies: Sequence[Reply[Any]]) -> list[Share]:
    """Tokens and cost by role, in the order of their first call."""
    whole = sum(tokens(reply.usage) for reply in replies) or 1
    found = []
    for role in dict.fromkeys(reply.role for reply in replies):
        mine = [reply for reply in replies if reply.role == role]
        used = sum((reply.usage for reply in mine), Usage())
        costs = [reply.cost_usd for reply in mine]
        found.append(
            Share(
                role=role,
                calls=len(mine),
                attempts=sum(reply.attempts for reply in mine),
                input_tokens=tokens(used) - used.output_tokens,
                output_tokens=used.output_tokens,
                cost=dollars(None if None in costs else sum(cost or 0 for cost in costs)),
                part=round(100 * tokens(used) / whole, 1),
            )
        )
    return found


def _kind(call: CallView) -> str:
    if call.is_wait:
        return "wait"
    return {"answered": "good", "failed": "bad", "cancelled": "bad"}.get(call.state, "open")


def _rendered(markdown: str) -> str:
    """Markdown as HTML; HTML in it is text, and no link or picture leads out of the page."""
    renderer = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["link", "image", "autolink"])
    return str(renderer.render(markdown))
