"""Runs and an open circuit, on a real server with the real gate: waiting, failing, recovering, and what each costs."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHandle

import worker
from benchmarks.rig import STORE_PATIENCE, rig
from tests.pipelines.conftest import SILENCE, Bench, report_of
from workflows.contracts import AWAIT_CIRCUIT, CIRCUIT_OPEN_ERROR, RunReport
from workflows.models import TIERS
from workflows.subagents.generator import GENERATOR

RECOVERY = 1.0
"""Seconds an opened circuit waits, so that a whole outage fits in a test."""
DOWN = {"kind": "status", "status": 529}


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Bench]:
    """A server, a stand-in, and two processes' worth of workers that share one circuit."""
    settings = worker.Settings(worker_grace_period=0, breaker_recovery_timeout=RECOVERY)
    async with rig(tmp_path / "home", "one", "two", settings=settings, silence=SILENCE) as here:
        yield Bench(here.client, here.simulator, here.home)


async def kinds_of(handle: WorkflowHandle[Any, RunReport[Any]]) -> Counter[str]:
    """How many activities of each type a run's history has."""
    history = await handle.fetch_history()
    return Counter(
        event.activity_task_scheduled_event_attributes.activity_type.name
        for event in history.events
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    )


async def waits(*handles: WorkflowHandle[Any, RunReport[Any]]) -> None:
    """Return once one of these runs waits for a circuit, or has."""
    async with asyncio.timeout(30):
        # It is the server that knows.
        while not any([AWAIT_CIRCUIT in await kinds_of(each) for each in handles]):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def trip(fleet: Bench) -> list[WorkflowHandle[Any, RunReport[Any]]]:
    """Open the circuit with as many runs as it takes, and return them."""
    victims = [await fleet.start(planner=False) for _ in range(6)]
    async with asyncio.timeout(30):
        await fleet.simulator.journal.until(lambda journal: journal.requests >= 5 and journal.in_flight == 0)
    return victims


@asynccontextmanager
async def held_open(fleet: Bench) -> AsyncIterator[None]:
    """A person holds the generator's circuit open, so that no probe is due however slow the machine is."""
    gate = worker.breaker(worker.Settings(), fleet.home, "a person", STORE_PATIENCE)
    circuit = f"stand-in {TIERS[GENERATOR.tier]}"
    await gate.force(circuit, "open", reason="a test", by="a test")
    try:
        yield
    finally:
        await gate.reset(circuit)
        await gate.close()


async def test_runs_wait_out_an_outage_and_all_pass(fleet: Bench) -> None:
    """Twelve runs through an outage: none fails, few requests are wasted, and each wait is one activity."""
    fleet.simulator.rules([{"fault": DOWN, "until": 4.0}])
    handles = [await fleet.start(planner=False) for _ in range(12)]
    reports = await asyncio.gather(*map(report_of, handles))
    assert all(report.passed for report in reports)
    wasted = [entry for entry in fleet.simulator.journal if entry.outcome == "fault:status"]
    # The calls in flight when it opened (12 at most), then one probe for each second of the outage.
    assert len(wasted) <= 12 + 5
    waits = sum([(await kinds_of(handle))[AWAIT_CIRCUIT] for handle in handles])
    # One for each call that met the open circuit, and one more for each whose probe failed.
    assert waits <= 12 * 2 + 5


async def test_recovery_is_a_slow_start(fleet: Bench) -> None:
    """After the outage one request, then two, then four: never all thirty who waited at once."""
    fleet.simulator.rules([{"fault": DOWN, "times": 5}, {"latency": 0.3}])
    handles = [await fleet.start(planner=False) for _ in range(30)]
    await asyncio.gather(*map(report_of, handles))
    answered = sorted(entry.at for entry in fleet.simulator.journal if entry.outcome == "answered")
    # Calls that were in flight before it opened are answered at once; those after the pause come as the ramp admits:
    # fifteen probes in four stages, and then the rest spread over a moment.
    recovered = [at for at in answered if at > answered[0] + RECOVERY * 0.8]
    assert recovered
    assert len([at for at in recovered if at < recovered[0] + 0.1]) <= 15


async def test_a_run_that_shall_not_wait_fails_at_once(fleet: Bench) -> None:
    """`on_open_circuit="fail"`: the error kind is circuit_open, and no request was sent for it."""
    fleet.simulator.rules([{"fault": DOWN}])
    victims = await trip(fleet)
    async with held_open(fleet):
        report = await fleet.run(planner=False, on_open_circuit="fail")
    assert (report.status, report.stop_reason) == ("failed", "generator_error")
    assert report.agents[0].error_kind == "circuit_open"
    assert report.agents[0].attempts == 0
    assert not fleet.requests(report.run_id)
    for victim in victims:
        await victim.terminate()


async def test_a_deadline_bounds_the_wait(fleet: Bench) -> None:
    """A run that waits for a circuit ends at its deadline, by name."""
    fleet.simulator.rules([{"fault": DOWN}])
    victims = await trip(fleet)
    async with held_open(fleet):
        report = await fleet.run(planner=False, deadline="PT2S")
    assert (report.status, report.stop_reason, report.passed) == ("finished", "deadline", False)
    for victim in victims:
        await victim.terminate()


async def test_waiting_is_visible(fleet: Bench) -> None:
    """The current details say who waits for what, and a search attribute that the circuit is open."""
    fleet.simulator.rules([{"fault": DOWN}])
    victims = await trip(fleet)
    handle = await fleet.start(planner=False)
    await waits(handle)
    assert "generator-1 waits" in str(await handle.query("__temporal_workflow_metadata"))
    for each in (handle, *victims):
        await each.terminate()


async def test_requests_that_nobody_can_help_do_not_open_it(fleet: Bench) -> None:
    """400s and refusals, twenty in a row: the next call goes out."""
    fleet.simulator.rules([{"match": {"role": "generator"}, "fault": {"kind": "status", "status": 400}}])
    reports = await asyncio.gather(*(fleet.run(planner=False) for _ in range(20)))
    assert {report.agents[0].error_kind for report in reports} == {"request"}
    fleet.simulator.rules([])
    assert (await fleet.run(planner=False, on_open_circuit="fail")).passed


async def test_a_retry_after_holds_everybody(fleet: Bench) -> None:
    """One 429 pauses both workers: no request of any run before the header's time, and no failure is counted."""
    fleet.simulator.rules([{"times": 1, "fault": {"kind": "status", "status": 429, "retry_after": "2"}}])
    first = await fleet.start(planner=False)
    async with asyncio.timeout(30):
        await fleet.simulator.journal.until(lambda journal: journal.requests >= 1)
    others = [await fleet.start(planner=False) for _ in range(8)]
    reports = await asyncio.gather(*map(report_of, [first, *others]))
    assert all(report.passed for report in reports)
    throttled, *rest = sorted(entry.at for entry in fleet.simulator.journal)
    assert rest[0] - throttled >= 1.9


async def test_retries_already_scheduled_end_at_their_first_denied_attempt(fleet: Bench) -> None:
    """A call that had failed before the circuit opened sends nothing more: its next attempt is denied and ends it."""
    fleet.simulator.rules([{"fault": DOWN}])
    victims = await trip(fleet)
    async with held_open(fleet):
        for victim in victims:
            await waits(victim)
            history = await victim.fetch_history()
            failed = [
                event.activity_task_failed_event_attributes.failure.application_failure_info
                for event in history.events
                if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED
            ]
            assert (failed[0].type, failed[0].non_retryable) == (CIRCUIT_OPEN_ERROR, True)
            await victim.terminate()


@pytest.mark.parametrize("kind", ["sse_error", "hang", "eof", "reset"])
async def test_broken_streams_and_hangs_open_it_as_error_statuses_do(fleet: Bench, kind: str) -> None:
    """A 529 inside a 200, silence, and streams that break off are failures of the service, and are counted."""
    fleet.simulator.rules([{"fault": {"kind": kind}}])
    victims = await trip(fleet)
    await waits(*victims)  # not each of them: one may be the probe, again and again
    for victim in victims:
        await victim.terminate()
