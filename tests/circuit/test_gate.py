"""What a call does at the gate, and what it never does: write without need, leak a permit, let a second probe out."""

from __future__ import annotations

import asyncio
import traceback
from datetime import timedelta

import pytest

from activities.circuit.gate import CircuitOpen
from activities.circuit.phases import IllegalMove
from activities.circuit.state import Phase, Policy
from activities.circuit.ticket import Ticket
from tests.circuit.world import KEY, World, fail, refused, succeed, tries


async def test_a_healthy_call_writes_nothing() -> None:
    """Only the very first does, so that all processes speak of one generation."""
    world = World()
    await succeed(world.gates[0], 100)
    assert world.store.writes == 1


async def test_five_failures_anywhere_close_the_way_for_every_process() -> None:
    """And the opening is told once in the fleet, with what a reader needs."""
    world = World(processes=3)
    for gate in (*world.gates, *world.gates[:2]):
        await fail(gate, 1)
    for gate in world.gates:
        refusal = await refused(gate)
        assert refusal.reason == "open"
        assert refusal.retry_in == pytest.approx(60.0)
        assert refusal.retry_at == world.store.now + 60
    assert world.events() == ["circuit.opened"]
    assert world.told[0][1]["failures"] == 5
    assert world.told[0][1]["key"] == KEY


async def test_a_process_that_joins_while_open_lets_no_call_through() -> None:
    """It reads before its first call."""
    world = World()
    await fail(world.gates[0], 5)
    newcomer = world.join()
    answers = await asyncio.gather(*(tries(newcomer) for _ in range(100)))
    assert all(isinstance(answer, CircuitOpen) for answer in answers)


async def test_a_thousand_denials_cost_one_reading_and_no_growing_traceback() -> None:
    """Each is an exception of its own."""
    world = World(processes=2)
    await fail(world.gates[0], 5)
    reads = world.store.reads
    lengths = set()
    for _ in range(1_000):
        with pytest.raises(CircuitOpen) as denied:
            await world.gates[1].enter(KEY)
        lengths.add(len(traceback.extract_tb(denied.value.__traceback__)))
        assert denied.value.__context__ is None
    assert world.store.reads == reads + 1
    assert len(lengths) == 1
    assert world.gates[1].counts["denied"] == 1_000


async def test_fifty_waiting_callers_in_three_processes_are_let_in_one_two_four_eight() -> None:
    """All ask at the same moment, again and again; each wave is exactly a stage of the ramp."""
    world = World(processes=3)
    await fail(world.gates[0], 5)
    world.wait(60)
    for admitted in (1, 2, 4, 8, 50):
        answers = await asyncio.gather(*(tries(world.gates[caller % 3]) for caller in range(50)))
        tickets = [answer for answer in answers if isinstance(answer, Ticket)]
        assert len(tickets) == admitted
        await asyncio.gather(*(ticket.succeeded() for ticket in tickets))
    assert world.events() == ["circuit.opened", "circuit.half_opened", *["circuit.ramped"] * 3, "circuit.closed"]


async def test_a_cancelled_probe_gives_its_permit_back_at_once() -> None:
    """Uncounted: the next caller probes without waiting for the lease."""
    world = World(processes=2)
    await fail(world.gates[0], 5)
    world.wait(60)
    probing = asyncio.Event()

    async def hang() -> None:
        async with world.gates[0].call(KEY):
            probing.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hang())
    await probing.wait()
    assert (await refused(world.gates[1])).reason == "probing"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await world.gates[1].enter(KEY)).probe


async def test_a_caller_cancelled_while_it_asks_leaves_no_probe_behind() -> None:
    """At whatever await the cancellation meets it."""
    for steps in range(12):
        world = World(processes=2)
        await fail(world.gates[0], 5)
        world.wait(60)
        task = asyncio.create_task(tries(world.gates[0]))
        for _ in range(steps):
            await asyncio.sleep(0)
        if not task.cancel():
            answer = task.result()
            assert isinstance(answer, Ticket)
            await answer.give_back()
        await asyncio.wait([task])
        await world.gates[0].close()
        assert (await world.gates[1].enter(KEY)).probe, steps


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit, RuntimeError])
async def test_whatever_leaves_the_body_settles_the_permit(error: type[BaseException]) -> None:
    """Our own exceptions are nobody's failure; they only give the slot back."""
    world = World()
    await fail(world.gates[0], 5)
    world.wait(60)
    with pytest.raises(error):
        async with world.gates[0].call(KEY):
            raise error
    state, _ = await world.gates[0].look(KEY)
    assert state.probes == ()
    assert state.phase is Phase.HALF_OPEN


async def test_a_verdict_is_given_once() -> None:
    """A second one is a mistake of the caller, and changes nothing."""
    gate = World().gates[0]
    ticket = await gate.enter(KEY)
    await ticket.failed()
    with pytest.raises(IllegalMove):
        await ticket.succeeded()
    await ticket.give_back()
    state, _ = await gate.look(KEY)
    assert state.failures == 1


async def test_a_heartbeat_keeps_a_slow_probe_and_costs_other_calls_nothing() -> None:
    """A minute of probing, four times the lease."""
    world = World(processes=2)
    healthy = await world.gates[1].enter(KEY)
    reads = world.store.reads
    await healthy.renew()
    assert world.store.reads == reads
    await fail(world.gates[0], 5)
    world.wait(60)
    ticket = await world.gates[0].enter(KEY)
    for _ in range(30):
        world.wait(2)
        await ticket.renew()
        assert (await refused(world.gates[1])).reason == "probing"
    world.wait(16)
    assert (await world.gates[1].enter(KEY)).probe, "a hung one is followed when its lease ends"


async def test_a_probe_that_answers_speeds_recovery_up_and_may_still_fail() -> None:
    """The first words count; a failure in the middle of the answer counts too."""
    world = World()
    await fail(world.gates[0], 5)
    world.wait(60)
    ticket = await world.gates[0].enter(KEY)
    await ticket.answering()
    await ticket.answering()
    second = await world.gates[0].enter(KEY)
    await second.answering()
    await ticket.failed()
    await second.succeeded()
    state, _ = await world.gates[0].look(KEY)
    assert state.phase is Phase.OPEN
    assert world.gates[0].counts["stale"] == 1


async def test_late_results_of_an_earlier_generation_are_counted_and_nothing_else() -> None:
    """A metric for the curious."""
    world = World()
    late = [await world.gates[0].enter(KEY) for _ in range(8)]
    await asyncio.gather(*(ticket.failed() for ticket in late))
    assert world.gates[0].counts["stale"] == 3
    assert world.events() == ["circuit.opened"]


async def test_many_verdicts_at_once_are_few_writes() -> None:
    """Those that arrive while a round trip is under way go together."""
    world = World()
    gate = world.gates[0]
    await gate.force(KEY, "closed", reason="only count", by="ann")
    tickets = [await gate.enter(KEY) for _ in range(500)]
    before = world.store.writes
    await asyncio.gather(*(ticket.failed() for ticket in tickets[:-1]), tickets[-1].succeeded())
    state, _ = await gate.look(KEY)
    assert state.failures == 499
    assert world.store.writes - before <= 3


async def test_successes_of_a_healthy_time_weigh_against_the_first_failures() -> None:
    """They were not written, but the process remembers them: 9 of the last 20 is not half."""
    world = World(Policy(failure_threshold=10**6, jitter=0.0))
    gate = world.gates[0]
    await succeed(gate, 30)
    writes = world.store.writes
    await fail(gate, 9)
    assert world.store.writes == writes + 9
    assert world.events() == []
    await fail(gate, 1)
    assert world.events() == ["circuit.opened"]


async def test_a_remembered_success_is_written_once_and_only_in_its_generation() -> None:
    """Not again with the next failure, and not after a reset."""
    world = World(processes=2)
    gate = world.gates[0]
    await succeed(gate, 8)
    await fail(gate, 2)
    state, _ = await gate.look(KEY)
    assert [failed for _, failed in state.window] == [False] * 8 + [True] * 2
    await gate.reset(KEY)
    await succeed(gate, 3)
    await world.gates[1].reset(KEY)
    await fail(gate, 1)
    state, _ = await gate.look(KEY)
    assert [failed for _, failed in state.window] == [True]


async def test_a_429_of_one_worker_holds_all_and_then_one_goes_first() -> None:
    """The moment is told in seconds; nothing is counted."""
    world = World(processes=3)
    ticket = await world.gates[0].enter(KEY)
    await ticket.throttled(12.0)
    for gate in world.gates:
        refusal = await refused(gate)
        assert refusal.reason == "throttled"
        assert refusal.retry_in == pytest.approx(12.0)
    world.wait(12)
    answers = [await tries(gate) for gate in world.gates for _ in range(20)]
    assert sum(isinstance(answer, Ticket) for answer in answers) == 1
    assert world.events() == ["circuit.held", "circuit.half_opened"]


async def test_a_person_is_heard_in_every_process_within_a_second() -> None:
    """Held open, held closed, reset: no deadline that is known stands against it."""
    world = World(processes=2)
    ann, other = world.gates
    await fail(other, 5)
    await refused(other)
    await ann.force(KEY, "closed", reason="it is up", by="ann")
    world.wait(1)
    await fail(other, 50)
    await ann.force(KEY, "open", reason="maintenance", by="ann", lasting=timedelta(minutes=10))
    refusal = await refused(other)
    assert (refusal.reason, refusal.why, refusal.retry_in) == ("forced", "maintenance", 600.0)
    await ann.reset(KEY)
    world.wait(1)
    await succeed(other, 1)
    assert world.events() == ["circuit.opened", "circuit.forced_closed", "circuit.forced_open", "circuit.reset"]


async def test_an_outlook_says_what_asking_would_and_takes_nothing() -> None:
    """For those who wait: a probe slot looked at is still free."""
    world = World(processes=2)
    assert await world.gates[0].outlook(KEY) is None
    await fail(world.gates[0], 5)
    waiting = await world.gates[1].outlook(KEY)
    assert waiting is not None
    assert waiting.retry_in == pytest.approx(60.0)
    world.wait(60)
    assert await world.gates[1].outlook(KEY) is None
    assert (await world.gates[0].enter(KEY)).probe
    waiting = await world.gates[1].outlook(KEY)
    assert waiting is not None
    assert (waiting.reason, waiting.retry_in) == ("probing", None)
