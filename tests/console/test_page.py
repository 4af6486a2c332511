"""The page for a person: hostile words stay words, nobody is asked for anything, and the story is all there."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from io import StringIO
from typing import Any

from rich.console import Console

from console.dossier import Dossier
from console.page import html, shares
from console.render import ending
from console.reports import facts
from console.view import CallView, RunView
from tests.workflows.test_revision_tables import HOSTILE, judged, result
from workflows.contracts import Decision, Reply, RunReport, Usage
from workflows.pipelines.plan_generate_evaluate import Input
from workflows.revision.verdicts import Round

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
EVIL = (
    "</pre><script>alert(1)</script><img src=x onerror=alert(1)> [a](http://example.com) ![b](http://example.com/b.png)"
)


def reply(agent: str, **more: Any) -> Reply[Any]:
    """One call's reply."""
    known: dict[str, Any] = {
        "agent": agent,
        "role": agent.rpartition("-")[0],
        "status": "success",
        "model": "claude-haiku-5-5",
        "attempts": 1,
        "usage": Usage(input_tokens=10, output_tokens=5),
        "cost_usd": 0.01,
        "started_at": NOW,
        "duration": timedelta(seconds=1),
    }
    return Reply[Any].model_validate(known | more)


AGENTS = [
    *(reply(agent) for agent in ("planner-1", "generator-1", "generator-2", "evaluator-1")),
    reply("evaluator-2", status="error", error_kind="budget_exceeded", attempts=0),
]
"""Four that were started, and one for which there was no room."""


def call(id: str, second: int, **more: Any) -> CallView:
    """One row of the history, a second long."""
    begun = NOW + timedelta(seconds=second)
    known: dict[str, Any] = {"event": second, "id": id, "role": id, "model": "claude-haiku-5-5", "state": "answered"}
    return CallView(**{**known, "scheduled": begun, "ended": begun + timedelta(seconds=1), **more})


def dossier(words: str = "a poem", **more: Any) -> Dossier:
    """A run of two versions whose API was away for a while."""
    first = Round(revision=0, deliverable=words, judged=[judged("C1", "fail", words), judged("C2", "pass", words)])
    second = Round(revision=1, deliverable=words, judged=[judged("C1", "pass", words), judged("C2", "pass", words)])
    report: dict[str, Any] = {
        "run_id": "run-1",
        "pipeline": "plan-generate-evaluate",
        "status": "finished",
        "stop_reason": "satisfied",
        "message": words,
        "passed": True,
        "result": result(first, second, kept=1),
        "agents": [reply("planner-1"), reply("generator-1"), reply("generator-2", attempts=3), reply("evaluator-1")],
        "usage": Usage(input_tokens=40, output_tokens=20),
        "cost_usd": 0.04,
        "simulated": True,
        "agents_started": 4,
        "decisions": [Decision(what="plan", outcome="amended", reason=words, at=NOW)],
    }
    calls = (
        call("planner-1", 0, why=words),
        call("generator-1", 1, state="failed", why="circuit_open: the circuit of claude is open"),
        call("generator-1.circuit", 2, state="let through", is_wait=True),
    )
    return Dossier(
        report=RunReport[Any].model_construct(**(report | more)),
        view=RunView("finished", NOW, NOW + timedelta(seconds=4), calls),
        url="http://127.0.0.1:8233/namespaces/default/workflows/run-1",
        asked=words,
        bounds=Input(task=words, budget_usd=2),
        audit_sha256="ab" * 32,
    )


class Tags(HTMLParser):
    """Which tags and attributes a page has, and its text by table cell."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


def test_hostile_words_are_shown_and_never_markup() -> None:
    """Wherever a model or a user had a say: task, criteria, deliverable, failures, decisions."""
    found = Tags(html(dossier(EVIL)))
    assert not found.tags & {"script", "img", "a", "iframe", "object", "form", "link"}
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    assert "&lt;script&gt;alert(1)" in html(dossier(EVIL))
    assert "<b>" not in html(dossier(HOSTILE)).partition("What was asked")[2].partition("Timeline")[0]


def test_nothing_is_asked_of_anybody() -> None:
    """No address in any attribute or style, and a policy that would refuse one."""
    page = html(dossier(HOSTILE))
    found = Tags(page)
    assert not [value for _, value in found.attributes if "://" in value or value.startswith("//")]
    assert not {name for name, _ in found.attributes} & {"src", "href", "srcset", "action", "data"}
    assert "default-src 'none'" in page
    assert not re.search(r"url\(|@import", page)


def test_the_story_is_all_there() -> None:
    """Matrix, timeline, roles, circuit, bounds, decisions, digest."""
    page = html(dossier())
    assert '<td class="bad">✗ fail</td>\n<td class="good">✓ pass</td>' in page
    for words in (
        "version 2 (kept)",
        "was denied and sent no request: the circuit of claude is open",
        "waited 1.0 s for the circuit to close",
        "at most $2.00",
        "4 agents started",
        "the plan was amended by a person",
        "abab",
        "SIMULATED",
    ):
        assert words in page, words
    roles = re.findall(r"<tr><td>(\w+)<div", page)
    assert roles == ["planner", "generator", "evaluator"]
    assert page.count('<div class="bar"') == 3


def test_an_agent_that_was_not_started_is_in_no_count() -> None:
    """A headline of five beside a cap of four reads as a cap that was passed."""
    asked = dossier(agents=AGENTS, not_started=["evaluator-2"]).report
    assert [(each.role, each.agents) for each in shares(asked.agents, asked.not_started)][-1] == ("evaluator", 1)
    assert facts(asked, None, None)[2].startswith("4 agents, ")
    Console(file=(shown := StringIO()), width=200).print(ending(asked, None, []))
    assert " · 4 agents · " in shown.getvalue()


def test_what_was_not_done_is_said() -> None:
    """A run over budget names who was not started, and its warnings."""
    page = html(
        dossier(
            passed=False,
            stop_reason="budget_exceeded",
            not_started=["evaluator-2"],
            warnings=["90 % used"],
            agents=AGENTS,
        )
    )
    assert '<p class="verdict open">not passed <span class="dim">budget exceeded</span>' in page
    assert "<li>4 agents</li>" in page
    assert "not started: evaluator-2" in page
    assert "90 % used" in page
