"""What a person reads of a run that waits, of bounds that are near, and of how it ended."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from console.remarks import remarks
from console.render import PlainProgress, ending, printable, table, waits
from console.view import RunView
from workflows.contracts import Decision, RunReport, Usage
from workflows.signs import Waiting

WAITING = Waiting(status="waiting_for_budget", why="a: no money", todo="starter.py budget x --usd TOTAL")
REPORT = RunReport[Any](
    run_id="x",
    pipeline="p",
    status="finished",
    stop_reason="rejected",
    passed=False,
    result=None,
    agents=[],
    usage=Usage(),
    cost_usd=0.0,
    simulated=False,
    not_started=["a-1", "a-2"],
    warnings=["4 of 5 agents have been started"],
    decisions=[Decision(what="plan", outcome="rejected", reason="no\x1b[2J", at=datetime(2026, 11, 24, tzinfo=UTC))],
)


def shown(*views: RunView) -> list[str]:
    """The lines that somebody reads who watches these views one after the other."""
    page = io.StringIO()
    progress = PlainProgress(Console(file=page, width=200))
    for view in views:
        progress.update(view)
    return page.getvalue().splitlines()


def test_a_wait_is_said_once_and_again_when_it_comes_back() -> None:
    """Not with every look, but whenever there is something to do anew."""
    line = "the run waits: a: no money; type: starter.py budget x --usd TOTAL"
    assert waits(WAITING) == line
    assert shown(RunView(waiting=WAITING), RunView(waiting=WAITING)) == [line]
    assert shown(RunView(waiting=WAITING), RunView(), RunView(waiting=WAITING)) == [line, line]


def test_who_waits_for_room_is_said_and_again_when_it_is_somebody_else() -> None:
    """A lull in which nobody could say is no news."""
    one, two = "a waits for room: \x1b[2J", "a, b wait for room: …"
    views = [RunView(room=room) for room in (one, one, None, one, two)]
    assert shown(*views) == [printable(one), two]
    page = io.StringIO()
    Console(file=page, width=200).print(table(RunView(room=one), datetime.now(UTC)))
    assert printable(one) in page.getvalue()


def test_each_warning_is_said_once() -> None:
    """As they come."""
    assert shown(RunView(warnings=("one",)), RunView(warnings=("one", "two"))) == ["warning: one", "warning: two"]


def test_an_ending_names_who_was_not_started_what_was_near_and_who_decided() -> None:
    """And what a person wrote reaches no terminal as it is."""
    assert remarks(REPORT)[:2] == ["not started: a-1, a-2", "warning: 4 of 5 agents have been started"]
    page = io.StringIO()
    Console(file=page, width=200).print(ending(REPORT, None, []))
    assert "rejected by a person: the plan (no\\u001b[2J)" in page.getvalue()
