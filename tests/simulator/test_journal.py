"""What the journal knows of every request, and that it can be counted on."""

from __future__ import annotations

import asyncio
import json
from hashlib import sha256
from pathlib import Path

import anthropic
import pytest
from anthropic import AsyncAnthropic

from simulator import ServerOptions, Simulator
from simulator import journal as journal_module
from simulator.calls import Caller
from simulator.journal import Journal
from tests.simulator.support import HELLO, MODEL, Clock, ask, send


async def test_an_entry_says_who_asked_what_and_how_it_went(client: AsyncAnthropic, simulator: Simulator) -> None:
    """One request, all its facts, over HTTP as in the process."""
    headers = {"x-breakwater-run": "run-7", "x-breakwater-attempt": "3"}
    message = await ask(client, agent="planner-1", system="Be brief.", extra_headers=headers)
    [entry] = (await send(simulator, "GET", "/admin/journal"))[1]
    assert entry.pop("at") <= entry.pop("finished_at")
    assert entry.pop("request_id").startswith("req_")
    assert entry == {
        "seq": 1,
        "method": "POST",
        "path": "/v1/messages",
        "run": "run-7",
        "agent": "planner-1",
        "attempt": 3,
        "model": MODEL,
        "stream": True,
        "outcome": "answered",
        "status": 200,
        "rule": None,
        "input_tokens": message.usage.input_tokens,
        "output_tokens": message.usage.output_tokens,
        "prompt_sha256": sha256(b"Be brief.\0Hello").hexdigest(),
        "system": None,
        "prompt": None,
    }


async def test_entries_are_in_order_of_arrival_and_can_be_narrowed_down(
    client: AsyncAnthropic, simulator: Simulator
) -> None:
    """By run, by agent, or both."""
    for run, agent in (("r1", "a-1"), ("r1", "b-1"), ("r2", "a-1")):
        await ask(client, agent=agent, extra_headers={"x-breakwater-run": run})
    found = {
        query: [entry["seq"] for entry in (await send(simulator, "GET", f"/admin/journal{query}"))[1]]
        for query in ("", "?run=r1", "?agent=a-1", "?run=r2&agent=b-1")
    }
    assert found == {"": [1, 2, 3], "?run=r1": [1, 2], "?agent=a-1": [1, 3], "?run=r2&agent=b-1": []}
    assert [entry.seq for entry in simulator.journal.entries(run="r1", agent="b-1")] == [2]


async def test_what_was_refused_is_in_the_journal_too(client: AsyncAnthropic, simulator: Simulator) -> None:
    """A request that never was a call still reached the service; administration did not."""
    with pytest.raises(anthropic.NotFoundError):
        await ask(client, model="claude-haiku-9")
    await send(simulator, "POST", "/v1/messages", headers={})
    await send(simulator, "GET", "/v1/models")
    await send(simulator, "GET", "/nowhere")
    await send(simulator, "GET", "/admin/journal")
    assert [(entry.path, entry.outcome, entry.status) for entry in simulator.journal] == [
        ("/v1/messages", "error:404", 404),
        ("/v1/messages", "error:401", 401),
        ("/v1/models", "answered", 200),
        ("/nowhere", "error:404", 404),
    ]


async def test_the_rule_that_decided_is_named(client: AsyncAnthropic, simulator: Simulator) -> None:
    """By its number in the list."""
    simulator.rules([{"match": {"agent": "x"}, "fault": {"kind": "empty"}}, {"answer": "yes"}])
    await ask(client, agent="y")
    await ask(client, agent="x")
    assert [(entry.rule, entry.outcome) for entry in simulator.journal] == [(1, "answered"), (0, "fault:empty")]


async def test_a_client_that_leaves_is_disconnected(client: AsyncAnthropic, simulator: Simulator) -> None:
    """A cancelled call is told apart from one that was answered."""
    simulator.rules([{"latency": 3_600}])
    call = asyncio.ensure_future(ask(client))
    await simulator.journal.until(lambda journal: journal.in_flight == 1)
    [entry] = simulator.journal
    assert (entry.outcome, entry.finished_at) == ("in_flight", None)
    call.cancel()
    await simulator.journal.until(lambda journal: journal.in_flight == 0)
    [entry] = simulator.journal
    assert entry.outcome == "disconnected"
    assert entry.finished_at is not None


async def test_health_counts_what_is_under_way(client: AsyncAnthropic, simulator: Simulator) -> None:
    """In flight now, at most, and in all."""
    simulator.rules([{"fault": {"kind": "hang"}, "times": 3}])
    calls = [asyncio.ensure_future(ask(client)) for _ in range(3)]
    await simulator.journal.until(lambda journal: journal.in_flight == 3)
    for call in calls[1:]:
        call.cancel()
    await simulator.journal.until(lambda journal: journal.in_flight == 1)
    _, health, _ = await send(simulator, "GET", "/admin/health")
    assert health == simulator.health()
    assert health["simulator"] is True
    assert (health["in_flight"], health["max_in_flight"], health["requests"]) == (1, 3, 3)
    calls[0].cancel()
    await simulator.journal.until(lambda journal: journal.in_flight == 0)


async def test_a_cleared_journal_is_empty_and_stays_so_for_calls_under_way(
    client: AsyncAnthropic, simulator: Simulator
) -> None:
    """A call from before the clearing does not come back when it ends; the numbers go on."""
    simulator.rules([{"fault": {"kind": "hang"}, "times": 1}])
    call = asyncio.ensure_future(ask(client))
    await simulator.journal.until(lambda journal: journal.in_flight == 1)
    assert (await send(simulator, "DELETE", "/admin/journal"))[:2] == (200, {"count": 0})
    call.cancel()
    await simulator.journal.until(lambda journal: journal.in_flight == 0)
    assert len(simulator.journal) == 0
    await ask(client)
    assert [entry.seq for entry in simulator.journal] == [2]


async def test_texts_are_kept_only_on_request_and_lines_are_written_at_once(
    sdk: AsyncAnthropic, tmp_path: Path
) -> None:
    """The file has every finished entry before the server is stopped, and appends to what was there."""
    file = tmp_path / "journal.jsonl"
    file.write_text('{"seq": 0}\n')
    async with Simulator(ServerOptions(journal_file=file, journal_texts=True)) as simulator:
        await ask(sdk.with_options(base_url=simulator.url), system="Be brief.", messages=HELLO)
        await simulator.journal.until(lambda journal: journal.in_flight == 0)
        earlier, line = [json.loads(each) for each in file.read_text().splitlines()]
        assert earlier == {"seq": 0}
        assert (line["outcome"], line["system"], line["prompt"]) == ("answered", "Be brief.", "Hello")
        assert line == (await send(simulator, "GET", "/admin/journal"))[1][0]


async def test_a_prompt_is_recognised_by_its_hash(client: AsyncAnthropic, simulator: Simulator) -> None:
    """The same words have the same hash whoever sends them."""
    await ask(client, agent="a")
    await ask(client, agent="b", stream=False)
    await ask(client, system="Other.")
    first, second, third = [entry.prompt_sha256 for entry in simulator.journal]
    assert first == second != third


async def test_times_are_seconds_since_the_start(sdk: AsyncAnthropic, timed: Simulator, clock: Clock) -> None:
    """Monotonic, and from zero."""
    clock.seconds += 5
    await ask(sdk.with_options(base_url=timed.url), stream=False)
    [entry] = timed.journal
    assert (entry.at, entry.finished_at) == (5.0, 6.0)


def test_only_the_latest_entries_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A benchmark of a million calls must not need the memory for all of them."""
    monkeypatch.setattr(journal_module, "KEPT", 3)
    journal = Journal(lambda: 0.0)
    for _ in range(5):
        journal.arrive("GET", "/v1/models", Caller())
    assert [entry.seq for entry in journal] == [3, 4, 5]
    assert journal.requests == 5
