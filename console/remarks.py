"""What else there is to know of how a run ended, in words: on the terminal, in a report and on the page."""

from __future__ import annotations

from typing import Any

from workflows.contracts import RunReport


def agents(report: RunReport[Any]) -> str:
    """How many agents a run and those below it started: what `--max-agents` counts. Not those it only asked for."""
    return f"{report.agents_started:,} agent{'' if report.agents_started == 1 else 's'}"


def remarks(report: RunReport[Any]) -> list[str]:
    """Who was not started, which bounds were near, what people decided; a line each."""
    found = [f"not started: {', '.join(report.not_started)}"] if report.not_started else []
    found += [f"warning: {warning}" for warning in report.warnings]
    found += [
        f"{each.outcome} by a person: the {each.what}" + (f" ({each.reason})" if each.reason else "")
        for each in report.decisions
    ]
    return found
