"""A run's report as a file: a page (HTML), Markdown, JSON or text, by the file's name."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.errors import Exit, Stop
from console.remarks import agents, remarks
from console.render import SIMULATED, dollars, printable, seconds, tokens
from workflows.contracts import Reply, RunReport
from workflows.run import RunResult

if TYPE_CHECKING:
    from console.dossier import Dossier

PAGE = ".html"
SUFFIXES = (PAGE, ".md", ".json", ".txt")


def writable(file: Path, option: str = "--report") -> Path:
    """The file, if a report can be written there. Raises Stop before anything is paid for."""
    if file.suffix not in SUFFIXES:
        raise Stop(f"{option} {file}: name a file that ends in {', '.join(SUFFIXES)}", Exit.USAGE)
    if file.is_dir() or not file.absolute().parent.is_dir():
        raise Stop(f"{option} {file}: there is no folder {file.absolute().parent} for it, or it is one", Exit.USAGE)
    if not os.access(file if file.exists() else file.absolute().parent, os.W_OK):
        raise Stop(f"{option} {file}: you may not write there; name another file", Exit.USAGE)
    return file


def write_report(
    file: Path, report: RunReport[Any], url: str | None, elapsed: timedelta | None, dossier: Dossier | None = None
) -> None:
    """Write the report in the form the file's name asks for; a page needs the dossier. Raises Stop if it cannot be."""
    if file.suffix == PAGE and dossier is not None:
        from console.page import html  # templates take a tenth of a second to load: only for who wants a page

        text = html(dossier)
    elif file.suffix == ".json":
        text = json.dumps(document(report, url), ensure_ascii=False, indent=2) + "\n"
    elif file.suffix == ".md":
        text = markdown(report, url, elapsed)
    else:
        result = report.result.text() if isinstance(report.result, RunResult) else "no result"
        text = "\n".join([*facts(report, url, elapsed), "", result, ""])
    write(file, text.encode())


def write(file: Path, data: bytes) -> None:
    """Write a file that somebody asked for by name. Raises Stop if it cannot be written."""
    try:
        file.write_bytes(data)
    except OSError as error:
        raise Stop(f"cannot write {file}: {error.strerror}; name another file", Exit.USAGE) from error


def document(report: RunReport[Any], url: str | None) -> dict[str, Any]:
    """The report as its JSON document, the link to the history in it."""
    return {**report.model_dump(mode="json"), "ui_url": url}


def markdown(report: RunReport[Any], url: str | None, elapsed: timedelta | None) -> str:
    """The report as a page: what happened, the result, every agent."""
    lines = [f"# {report.pipeline}: {report.run_id}", "", *(f"- {fact}" for fact in facts(report, url, elapsed)), ""]
    if isinstance(report.result, RunResult):
        lines += [report.result.markdown(), ""]
    lines += ["## Agents", "", "| agent | model | status | attempts | tokens | cost | started | took | request |"]
    lines += ["|" + "---|" * 9, *(_row(reply) for reply in report.agents), ""]
    return "\n".join(lines)


def facts(report: RunReport[Any], url: str | None, elapsed: timedelta | None) -> list[str]:
    """How the run ended, a line for each fact."""
    ended = "passed" if report.passed else "not passed" if report.status == "finished" else report.status
    found = [
        f"run {report.run_id}",
        f"{ended} ({report.stop_reason})",
        f"{agents(report)}, {tokens(report.usage):,} tokens, {dollars(report.cost_usd)}",
        *([f"took {seconds(elapsed)}"] if elapsed is not None else []),
        *([report.message] if report.message else []),
        *remarks(report),
        *([f"history {url}"] if url else []),
        *([SIMULATED] if report.simulated else []),
    ]
    return [printable(" ".join(fact.split())) for fact in found]


def _row(reply: Reply[Any]) -> str:
    cells = (
        reply.agent,
        reply.model,
        reply.error_kind or reply.status,
        str(reply.attempts),
        f"{tokens(reply.usage):,}",
        dollars(reply.cost_usd),
        f"{reply.started_at:%Y-%m-%d %H:%M:%S} UTC",
        seconds(reply.duration),
        reply.request_id or "",
    )
    return "| " + " | ".join(cells) + " |"
