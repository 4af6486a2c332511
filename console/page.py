"""A run as one page for a person: self-contained HTML that asks nobody for anything, readable on a phone.

Everything shown comes from the history and the report; nothing a model said is ever markup here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

from console.dossier import Dossier
from console.remarks import agents
from console.render import SIMULATED, dollars, seconds, tokens
from console.view import CallView, RunView
from workflows.contracts import Reply, Usage
from workflows.inputs import RunInput
from workflows.run import RunResult

TEMPLATES = Path(__file__).parent / "templates"
_TONES = {"✓": "good", "✗": "bad", "○": "open"}
_SIGN = re.compile("<td>([✓✗○])")
"""A cell of a matrix that begins with a verdict; what a model writes into a table is escaped and has no cells."""
NARROWEST = 0.4
"""Percent of the timeline that the shortest call takes, so that it can still be seen."""


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
    agents: int
    """Started."""
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
        why="" if report.stop_reason == report.status else report.stop_reason.replace("_", " "),
        tone="good" if report.passed else "bad" if report.status in ("failed", "cancelled") else "open",
        elapsed=seconds(dossier.elapsed) if dossier.elapsed is not None else "",
        tokens=tokens(report.usage),
        cost=dollars(report.cost_usd),
        bars=bars(dossier.view),
        agents=agents(report),
        shares=shares(report.agents, report.not_started),
        circuit=circuit(dossier.view),
        bounds=bounds(dossier.bounds),
        asked=dossier.asked,
        result=Markup(_rendered(result.markdown())) if result else None,  # noqa: S704 - markdown-it escapes HTML in it
        url=dossier.url,
        audit=dossier.audit_sha256,
        simulated=SIMULATED if report.simulated else None,
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


def circuit(view: RunView) -> list[tuple[str, str]]:
    """What an open circuit did to the run, in order: who was denied a request, who waited, how long and why."""
    now, told = datetime.now(UTC), []
    for call in view.calls:
        if call.is_wait:
            waited = "waited" if call.ended else "has been waiting"
            told.append((call.id, f"{waited} {seconds(call.elapsed(now))} {call.why or 'for the circuit to close'}"))
        elif call.why and call.why.startswith("circuit_open"):
            told.append((call.id, f"was denied and sent no request: {call.why.partition(': ')[2] or call.why}"))
    return told


def bounds(asked: RunInput) -> list[str]:
    """What the run may use, as far as somebody said so."""
    left = f"{asked.deadline.total_seconds():,.0f} s" if asked.deadline else ""
    return [
        *([f"at most {dollars(asked.budget_usd)}"] if asked.budget_usd is not None else []),
        *([f"at most {asked.max_tokens:,} tokens"] if asked.max_tokens is not None else []),
        f"at most {asked.max_agents} agents",
        *([f"deadline after {left}"] if left else []),
    ]


def shares(replies: Sequence[Reply[Any]], not_started: Sequence[str] = ()) -> list[Share]:
    """Tokens and cost by role, in the order of their first agent. `not_started` names agents that do not count."""
    whole = sum(tokens(reply.usage) for reply in replies) or 1
    found = []
    for role in dict.fromkeys(reply.role for reply in replies):
        mine = [reply for reply in replies if reply.role == role]
        used = sum((reply.usage for reply in mine), Usage())
        costs = [reply.cost_usd for reply in mine]
        found.append(
            Share(
                role=role,
                agents=sum(reply.agent not in not_started for reply in mine),
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
    return _SIGN.sub(lambda found: f'<td class="{_TONES[found[1]]}">{found[1]}', str(renderer.render(markdown)))
