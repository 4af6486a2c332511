"""A drill that finds nothing proves something only if it would have found it: the check sees each kind of breach."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from simulator import Entry
from tests.drills.invariants import Disaster, Story, check
from workflows.contracts import Reply, RunReport, Usage
from workflows.state import Entry as Standing
from workflows.state import Event, digest

AGENTS = ("generator-1", "evaluator-1")
KEY = "stage/task"
NOW = datetime(2026, 11, 24, tzinfo=UTC)
STANDING = Standing(value="v", version=1, writer="w", run="r", attempt=1, at=NOW)
KILL = Disaster("worker", 1.5, 1.5)


def entry(number: int, at: float, **other: Any) -> Entry:
    """A request for one of the two calls, answered after a second."""
    said: dict[str, Any] = {
        "agent": AGENTS[0],
        "attempt": 1,
        "outcome": "answered",
        "finished_at": at + 1,
        "output_tokens": 10,
    }
    return Entry(seq=number, at=at, method="POST", path="/", request_id=f"req_{number}", run="r", **{**said, **other})


def event(number: int, **other: Any) -> Event:
    """A write to the one key of the run's state."""
    said = {"seq": number, "at": NOW, "writer": "w", "run": "r", "attempt": 1, "key": KEY, "base_version": 0}
    return Event(**{**said, "value": "v", "digest": digest("v"), "outcome": "written", **other})


def reply(agent: str, request_id: str) -> Reply[Any]:
    """What the run says about one call."""
    return Reply(
        agent=agent,
        role=agent.partition("-")[0],
        status="success",
        usage=Usage(output_tokens=10),
        model="claude-haiku-5-5",
        request_id=request_id,
        attempts=1,
        started_at=NOW,
        duration=timedelta(seconds=1),
    )


def story(*more: Entry, **other: Any) -> Story:
    """A run of two calls that went well, and what else the API saw or the run says."""
    report = RunReport[Any](
        **{
            "run_id": "r",
            "pipeline": "p",
            "status": "finished",
            "stop_reason": "satisfied",
            "passed": True,
            "result": None,
            "agents": [reply(AGENTS[0], "req_1"), reply(AGENTS[1], "req_2")],
            "usage": Usage(output_tokens=20),
            "cost_usd": None,
            "simulated": True,
            **other,
        }
    )
    seen = (entry(1, 1.0), entry(2, 3.0, agent=AGENTS[1]), *more)
    return Story("r", AGENTS, True, {KEY: 1}, report, seen, (event(1),), {KEY: STANDING})


def test_a_run_that_went_well_is_no_breach() -> None:
    """Two calls, two requests."""
    found = check([story()], [])
    assert (found.runs, found.calls, found.requests, found.breaches) == (1, 2, 2, [])


@pytest.mark.parametrize(
    "lost", [replace(story(), report=None), story(status="failed", stop_reason="generator_error", passed=False)]
)
def test_a_run_that_does_not_end_or_fails_is_lost(lost: Story) -> None:
    """Whatever was killed: it was to go on."""
    assert len(check([lost], [KILL]).lost) == 1


@pytest.mark.parametrize(
    "lie",
    [
        replace(story(), passes=False),
        story(passed=False),
        story(agents=[reply(AGENTS[0], "req_1")]),
        story(agents=[reply(AGENTS[0], "req_2"), reply(AGENTS[1], "req_2")]),
        story(agents=[reply(AGENTS[0], "req_1").model_copy(update={"status": "error"}), reply(AGENTS[1], "req_2")]),
        story(usage=Usage(output_tokens=19)),
    ],
    ids=["not good enough", "good enough", "a call is missing", "another's answer", "an error", "a smaller bill"],
)
def test_a_run_that_says_what_is_not_so_is_a_false_success(lie: Story) -> None:
    """Passed without having passed, with answers that nobody gave to it, or for less than was paid."""
    assert check([lie], []).false_successes


@pytest.mark.parametrize(
    ("again", "disasters", "breach"),
    [
        (entry(3, 2.5, attempt=2), [], True),
        (entry(3, 9.0, attempt=2), [Disaster("worker", 8.0, 8.0)], True),
        (entry(3, 2.5, attempt=2), [KILL], False),
        (entry(3, 2.5, attempt=2), [Disaster("worker", 2.1, 2.1)], False),
        (entry(3, 6.0, attempt=0), [Disaster("zombie", 0.5, 5.9)], False),
    ],
    ids=["for nothing", "long after", "in flight", "in the last instant", "a zombie's, which it had not sent yet"],
)
def test_a_call_may_be_made_again_only_if_it_was_in_flight(
    again: Entry, disasters: list[Disaster], breach: bool
) -> None:
    """Anything else was paid twice."""
    found = check([story(again)], disasters)
    assert (bool(found.repeated), found.made_again) == (breach, 1)


@pytest.mark.parametrize(
    "torn",
    [
        replace(story(), log=()),
        replace(story(), log=(event(2),)),
        replace(story(), log=(event(1, value="other"),)),
        replace(story(), log=(event(1), event(2, base_version=1))),
        replace(story(), log=(event(1, outcome="refused", refusal="stale"),)),
        replace(story(), state={}),
        replace(story(), state={KEY: STANDING.model_copy(update={"writer": "other"})}),
        replace(story(), log=(), state={}),
    ],
    ids=[
        "no log",
        "a gap",
        "another value",
        "written twice",
        "refused",
        "no state",
        "another writer",
        "nothing at all",
    ],
)
def test_a_state_that_is_not_what_its_log_says_is_a_breach(torn: Story) -> None:
    """Nor may anything be missing, or written by two."""
    assert check([torn], []).not_replayed


def test_how_soon_a_death_was_noticed_is_measured() -> None:
    """From the death to the next attempt at the call that died with it."""
    died = entry(1, 1.0, outcome="disconnected", finished_at=1.5)
    seen = (died, entry(3, 12.0, attempt=2), entry(2, 14.0, agent=AGENTS[1]))
    assert check([replace(story(), entries=seen)], [KILL]).noticed == [10.5]
