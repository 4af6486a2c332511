"""What is nobody else's fault stays local, and a lost store is survived by every process on its own."""

from __future__ import annotations

import asyncio
import time

import pytest

from activities.circuit.gate import CircuitOpen, Gate
from activities.circuit.state import Phase, Policy
from activities.circuit.store import StoreUnavailable, open_store
from activities.circuit.ticket import Ticket
from tests.circuit.rules import PATIENT
from tests.circuit.servers import ValkeyServer
from tests.circuit.world import KEY, World, fail, refused, succeed, tries


async def test_a_worker_that_cannot_reach_the_service_stops_itself_and_nobody_else() -> None:
    """Its cable may be out."""
    world = World(processes=2)
    await fail(world.gates[0], 5, unreachable=True)
    refusal = await refused(world.gates[0])
    assert refusal.retry_in == pytest.approx(60.0)
    assert refusal.retry_at == pytest.approx(world.store.now + 60)
    await succeed(world.gates[1], 10)
    assert world.events("process") == ["circuit.opened"]
    assert world.events() == []


async def test_two_workers_that_cannot_reach_the_service_stop_the_fleet() -> None:
    """Two cables are not out at once."""
    world = World(processes=3)
    await fail(world.gates[0], 5, unreachable=True)
    await fail(world.gates[1], 5, unreachable=True)
    assert (await refused(world.gates[2])).why == "unreachable"
    assert world.events() == ["circuit.opened"]


async def test_a_server_error_shows_that_the_service_can_be_reached() -> None:
    """It counts for the fleet, and clears the worker of its own doubts."""
    world = World()
    for _ in range(2):
        await fail(world.gates[0], 4, unreachable=True)
        await fail(world.gates[0], 1)
    assert world.events("process") == []
    state, _ = await world.gates[0].look(KEY)
    assert state.failures == 2


async def test_a_fleet_wide_probe_that_cannot_connect_gives_its_slot_to_another_worker() -> None:
    """The fault may be its own; when the next worker says the same, the circuit opens again."""
    world = World(processes=2)
    await fail(world.gates[0], 5)
    world.wait(60)
    await fail(world.gates[0], 1, unreachable=True)
    state, _ = await world.gates[0].look(KEY)
    assert state.phase is Phase.HALF_OPEN
    await fail(world.gates[1], 1, unreachable=True)
    assert (await refused(world.gates[0])).reason == "open"


async def test_a_reset_clears_the_processes_own_circuits_too() -> None:
    """Within a second, though their own deadline is a minute away."""
    world = World(processes=2)
    await fail(world.gates[0], 5, unreachable=True)
    await refused(world.gates[0])
    await world.gates[1].reset(KEY)
    world.wait(1)
    await succeed(world.gates[0], 1)


async def test_with_the_store_lost_the_same_rules_hold_per_process() -> None:
    """Five failures open it here, one warning is given, and the store is asked once a second."""
    world = World(processes=2)
    await succeed(world.gates[0], 1)
    world.store.down = True
    await fail(world.gates[0], 5)
    refusal = await refused(world.gates[0])
    assert (refusal.reason, refusal.why) == ("open", "consecutive")
    await succeed(world.gates[1], 1)
    assert world.events() == ["circuit.store_lost"] * 2, "one for each process"
    asked = world.store.asked
    for _ in range(10):
        world.wait(0.5)
        await succeed(world.gates[1], 10)
    assert world.store.asked - asked == 5, "once a second"
    world.wait(60)
    answers = [await tries(world.gates[0]) for _ in range(10)]
    assert sum(isinstance(answer, Ticket) for answer in answers) == 1


async def test_a_known_deadline_is_honoured_without_the_store() -> None:
    """And at its end each process probes once, it does not rush."""
    world = World(processes=2)
    await fail(world.gates[0], 5)
    await refused(world.gates[1])
    world.store.down = True
    world.wait(59)
    for gate in world.gates:
        assert (await refused(gate)).retry_in == pytest.approx(1.0)
    world.wait(1)
    answers = [await tries(world.gates[1]) for _ in range(20)]
    assert sum(isinstance(answer, Ticket) for answer in answers) == 1


async def test_a_recovery_goes_on_one_by_one_without_the_store() -> None:
    """The last word was HALF_OPEN: each process sends one probe, not everyone."""
    world = World(processes=2)
    await fail(world.gates[0], 5)
    world.wait(60)
    await world.gates[0].enter(KEY)
    await refused(world.gates[1])
    world.store.down = True
    answers = [await tries(world.gates[1]) for _ in range(20)]
    assert sum(isinstance(answer, Ticket) for answer in answers) == 1


async def test_a_process_rejoins_by_itself() -> None:
    """Within a second of the store's return, and it says so."""
    world = World()
    await succeed(world.gates[0], 1)
    world.store.down = True
    await succeed(world.gates[0], 3)
    world.store.down = False
    world.wait(1)
    await fail(world.gates[0], 5)
    assert world.events() == ["circuit.store_lost", "circuit.store_back", "circuit.opened"]


async def test_a_persons_hold_outlives_the_store_and_ends_with_its_return() -> None:
    """Held open stays held open; what the store says after its return is what counts."""
    world = World()
    await world.gates[0].force(KEY, "open", reason="maintenance", by="ann")
    world.store.down = True
    world.wait(3_600)
    assert (await refused(world.gates[0])).reason == "forced"
    world.store.down = False
    world.store.kept.clear()
    world.wait(1)
    await succeed(world.gates[0], 1)


async def test_deny_lets_nobody_through_without_the_store() -> None:
    """BREAKER_ON_STORE_LOSS=deny: for those who would rather wait."""
    world = World(on_store_loss="deny")
    world.store.down = True
    refusal = await refused(world.gates[0])
    assert refusal.reason == "store_lost"
    assert refusal.retry_in == pytest.approx(1.0, abs=0.01)
    with pytest.raises(StoreUnavailable):
        await world.gates[0].reset(KEY)


async def test_a_verdict_during_the_loss_counts_in_the_process() -> None:
    """The permit came from the store, the failure finds it gone."""
    world = World()
    tickets = [await world.gates[0].enter(KEY) for _ in range(5)]
    world.store.down = True
    for ticket in tickets:
        await ticket.failed()
    assert (await refused(world.gates[0])).why == "consecutive"


async def test_a_wiped_store_does_not_bring_old_results_back() -> None:
    """Permits from before the wipe belong to no generation there is."""
    world = World()
    tickets = [await world.gates[0].enter(KEY) for _ in range(5)]
    world.wait(1)
    world.store.kept.clear()
    for ticket in tickets:
        await ticket.failed()
    await succeed(world.gates[0], 1)
    assert world.gates[0].counts["stale"] == 5


async def test_a_real_server_killed_and_back_is_survived_and_rejoined(mortal: ValkeyServer) -> None:
    """Calls go on meanwhile; the circuit that was open before stays shut until its deadline."""
    told: list[str] = []
    store = open_store(mortal.url, PATIENT)
    clock = [0.0]
    gate = Gate(store, Policy(jitter=0.0), worker="w", report=lambda name, _: told.append(name), clock=lambda: clock[0])
    await succeed(gate, 1)
    mortal.kill()
    await succeed(gate, 20)
    assert told == ["circuit.store_lost"]
    mortal.start()
    clock[0] += 1
    await fail(gate, 5)
    assert told == ["circuit.store_lost", "circuit.store_back", "circuit.opened"]
    mortal.kill()
    clock[0] += 2
    assert (await refused(gate)).reason == "open"
    await gate.close()


async def test_a_hung_server_slows_one_call_a_second_and_no_more(mortal: ValkeyServer) -> None:
    """A thousand calls in the time of a few timeouts."""
    gate = Gate(open_store(mortal.url), worker="w", report=lambda _, __: None)
    await succeed(gate, 1)
    mortal.hang()
    started = time.monotonic()

    async def one() -> None:
        ticket = await gate.enter(KEY)
        await ticket.succeeded()

    for _ in range(10):
        await asyncio.gather(*(one() for _ in range(100)))
    assert time.monotonic() - started < 2
    mortal.wake()
    await gate.close()


async def test_refusals_say_what_and_how_long() -> None:
    """One line for a person."""
    world = World()
    await fail(world.gates[0], 5)
    with pytest.raises(CircuitOpen, match=r"api.test model .* 60.0 s \(open: consecutive\)"):
        await world.gates[0].enter(KEY)
