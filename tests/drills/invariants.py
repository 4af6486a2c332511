"""What must hold whatever was killed, by what the API saw and the runs reported. One function checks it: `check`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from typing import Any

from pydantic import JsonValue

from simulator import Entry
from workflows.contracts import RunReport
from workflows.state import Entry as Standing
from workflows.state import Event, digest

NOTICED_WITHIN = timedelta(seconds=5)
"""Beyond the heartbeat timeout: by then another worker has the call of one that died."""
LAST_INSTANT = 0.25
"""Seconds. The API counts an answer as given when it has sent it; the process may have died before it had written it
down."""


@dataclass(frozen=True)
class Disaster:
    """Something was killed or cut off at this time of the API's clock, or paused until another."""

    what: str
    at: float
    until: float

    def caught(self, entry: Entry) -> bool:
        """Whether the request was in flight then. One that a paused process had not sent yet arrives when it wakes."""
        return entry.at <= self.until + LAST_INSTANT and (
            entry.finished_at is None or self.at <= entry.finished_at + LAST_INSTANT
        )


@dataclass(frozen=True)
class Story:
    """One run of a drill: what was asked of it, how it ended, and what the API saw of it."""

    id: str
    agents: tuple[str, ...]
    """Who must have been called, in order: each is one call."""
    passes: bool
    """Whether its work is good enough, by the answers that were prepared for it."""
    keys: Mapping[str, int] = field(default_factory=dict)
    """What must stand in its state at the end, and how often the run writes it."""
    report: RunReport[Any] | None = None
    """None if it has not ended."""
    entries: tuple[Entry, ...] = ()
    log: tuple[Event, ...] = ()
    state: Mapping[str, Standing] = field(default_factory=dict)

    def requests(self, agent: str) -> list[Entry]:
        """What the API saw of one call, attempt by attempt."""
        mine = [entry for entry in self.entries if entry.agent == agent]
        return sorted(mine, key=lambda entry: (entry.attempt or 0, entry.at))


@dataclass
class Findings:
    """What was found: nothing in its lists of words, or it is a breach."""

    runs: int = 0
    calls: int = 0
    requests: int = 0
    made_again: int = 0
    """Requests for a call that was in flight when something died: the only ones that may be repeated."""
    lost: list[str] = field(default_factory=list)
    false_successes: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    not_replayed: list[str] = field(default_factory=list)
    noticed: list[float] = field(default_factory=list)
    """Seconds from a worker's death until another made its call."""

    @property
    def breaches(self) -> list[str]:
        """Everything that must not be, one line each."""
        return [*self.lost, *self.false_successes, *self.repeated, *self.not_replayed]


def check(stories: Sequence[Story], disasters: Sequence[Disaster]) -> Findings:
    """Every invariant over every run. A new one is a function here that yields lines, and a list in Findings."""
    found = Findings(runs=len(stories))
    for story in stories:
        found.calls += len(story.agents)
        found.requests += len(story.entries)
        found.lost += _ends(story)
        found.false_successes += _tells_the_truth(story)
        found.repeated += _pays_once(story, disasters)
        found.not_replayed += _replays(story)
        found.made_again += len(story.entries) - len({entry.agent for entry in story.entries})
        found.noticed += _noticed(story, disasters)
    return found


def _ends(story: Story) -> Iterator[str]:
    """Every run comes to its end, by its own strength."""
    if story.report is None:
        yield f"{story.id} has not ended"
    elif story.report.status != "finished":
        yield f"{story.id} {story.report.status}: {story.report.stop_reason}: {story.report.message}"


def _tells_the_truth(story: Story) -> Iterator[str]:
    """A run passes if its work does; and each of its answers is one that the API gave to this call of this run."""
    report = story.report
    if report is None or report.status != "finished":
        return
    if report.passed != story.passes:
        yield f"{story.id} says passed={report.passed}, and its work should be {story.passes}"
    if sorted(reply.agent for reply in report.agents) != sorted(story.agents):
        yield f"{story.id} called {[reply.agent for reply in report.agents]}"
    tokens = 0
    for reply in report.agents:
        given = {entry.request_id for entry in story.requests(reply.agent) if entry.outcome == "answered"}
        tokens += sum(e.output_tokens or 0 for e in story.entries if e.request_id == reply.request_id)
        if reply.status != "success" or reply.request_id not in given:
            yield f"{story.id} took {reply.request_id} for an answer to {reply.agent}, whose answers were {given}"
    if report.usage.output_tokens < tokens:
        yield f"{story.id} was billed {tokens} output tokens and reports {report.usage.output_tokens}"


def _pays_once(story: Story, disasters: Sequence[Disaster]) -> Iterator[str]:
    """A request is repeated only if the one before was in flight when something died."""
    for agent in story.agents:
        for entry in story.requests(agent)[:-1]:
            if not any(disaster.caught(entry) for disaster in disasters):
                yield f"{story.id} asked again for {agent} after {entry.request_id} was {entry.outcome}"


def _replays(story: Story) -> Iterator[str]:
    """The state is what its log says, and each key was written as often as the run writes it, whoever died."""
    if story.report is None:
        return
    told: dict[str, tuple[JsonValue, int, str]] = {}
    written: Counter[str] = Counter()
    for number, event in enumerate(story.log, 1):
        if event.seq != number or digest(event.value) != event.digest or event.outcome != "written":
            yield f"{story.id} has event {event.seq} of {event.key}, {event.outcome}, as number {number} of its log"
        written[event.key] += 1
        told[event.key] = (event.value, written[event.key], event.writer)
    stands = {key: (entry.value, entry.version, entry.writer) for key, entry in story.state.items()}
    if told != stands or written != story.keys:
        yield f"{story.id} has {stands} in its state, and its log says {told}"


def _noticed(story: Story, disasters: Sequence[Disaster]) -> Iterator[float]:
    """How long each call of a worker that died lay there."""
    for agent in story.agents:
        requests = story.requests(agent)
        for entry, again in pairwise(requests):
            deaths = [disaster.at for disaster in disasters if disaster.what == "worker" and disaster.caught(entry)]
            if deaths and entry.outcome == "disconnected":
                yield again.at - deaths[-1]
