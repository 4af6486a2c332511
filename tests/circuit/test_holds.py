"""What holds a circuit beside failures: a 429, a person, a clock that went back; and what is told of it."""

from __future__ import annotations

import math

import pytest

from activities.circuit import machine
from activities.circuit.phases import first
from activities.circuit.state import Denied, Outcome, Permit, Phase, Policy
from tests.circuit.rules import START, Circuit


def _told(circuit: Circuit) -> list[str]:
    return [change.name for change in circuit.told]


def test_a_429_holds_everyone_and_counts_as_nothing() -> None:
    """Until the API said, plus up to a tenth; then one goes first, because all have waited for the same moment."""
    circuit = Circuit()
    circuit.throttle(circuit.admit(), 12.0, luck=0.5)
    held = START + 12.6
    assert circuit.state.hold_until == pytest.approx(held)
    assert circuit.state.failures == 0
    answer = circuit.ask()
    assert isinstance(answer, Denied)
    assert answer.reason == "throttled"
    circuit.now = held + 0.001
    permit = circuit.admit()
    assert isinstance(circuit.ask(), Denied)
    circuit.settle(permit, Outcome.SUCCESS)
    assert _told(circuit) == ["held", "half_opened", "ramped"]


def test_sixty_429s_of_one_moment_write_one_pause() -> None:
    """The later ones ask for nothing that is not promised already."""
    circuit = Circuit()
    permits = [circuit.admit() for _ in range(60)]
    circuit.throttle(permits[0], 12.0, luck=0.9)
    before = circuit.state
    for permit in permits[1:]:
        circuit.throttle(permit, 12.0, luck=0.99)
    assert circuit.state is before


def test_a_429_to_a_probe_pauses_and_starts_the_ramp_again() -> None:
    """The slot is free, the circuit neither closes nor opens."""
    circuit = Circuit()
    circuit.settle(circuit.to_probe(), Outcome.SUCCESS)
    circuit.throttle(circuit.admit(), 5.0)
    assert circuit.phase() is Phase.HALF_OPEN
    assert isinstance(circuit.ask(), Denied)
    circuit.now += 5
    assert isinstance(circuit.ask(), Permit)
    assert isinstance(circuit.ask(), Denied), "one again, not two"


def test_a_ramp_that_starts_again_counts_the_probes_still_out() -> None:
    """Three of four are under way when the fourth is told to pause: one ended lease does not make room for another."""
    circuit = Circuit()
    circuit.settle(circuit.to_probe(), Outcome.SUCCESS)
    for permit in [circuit.admit(), circuit.admit()]:
        circuit.settle(permit, Outcome.SUCCESS)
    dead, *alive, last = [circuit.admit() for _ in range(4)]
    circuit.throttle(last, 5.0)
    circuit.now += circuit.policy.probe_lease - 1
    for permit in alive:
        circuit.become(machine.renew(circuit.state, circuit.policy, permit, circuit.now))
    circuit.now += 1
    assert isinstance(circuit.ask(), Denied)
    circuit.settle(alive[0], Outcome.IGNORED)
    circuit.settle(alive[1], Outcome.IGNORED)
    assert isinstance(circuit.ask(), Permit)
    before = circuit.state
    circuit.settle(dead, Outcome.SUCCESS)
    assert circuit.state is before


def test_an_opening_does_not_shorten_a_pause() -> None:
    """Failures of calls that were under way while the gate was held."""
    circuit = Circuit()
    permits = [circuit.admit() for _ in range(6)]
    circuit.throttle(permits[0], 500.0)
    for permit in permits[1:]:
        circuit.settle(permit, Outcome.FAILURE)
    assert circuit.phase() is Phase.OPEN
    assert circuit.state.retry_at == START + 500


@pytest.mark.parametrize("said", [1e308, math.inf, 86_400.0])
def test_a_deadline_that_overflows_is_clamped(said: float) -> None:
    """A header is capped at an hour, whatever it says."""
    circuit = Circuit()
    circuit.throttle(circuit.admit(), said)
    assert circuit.state.hold_until == START + 3_600


@pytest.mark.parametrize("said", [None, math.nan])
def test_a_429_that_does_not_say_pauses_for_a_second(said: float | None) -> None:
    """A moment, and then one call to find out."""
    circuit = Circuit()
    circuit.throttle(circuit.admit(), said)
    assert circuit.state.hold_until == START + 1


def test_a_policy_that_outlives_time_is_clamped_too() -> None:
    """Thirty days is the longest anyone waits."""
    circuit = Circuit(Policy(recovery_timeout=1e300))
    assert circuit.open() == START + 30 * 86_400


def test_a_store_clock_that_went_back_does_not_stretch_the_wait() -> None:
    """A failover to a server an hour behind: what was to last 50 s more still does."""
    circuit = Circuit()
    circuit.open()
    circuit.now += 10
    circuit.now -= 3_600
    denied = circuit.ask()
    assert isinstance(denied, Denied)
    assert denied.retry_at == pytest.approx(circuit.now + 60)
    circuit.now += 60
    assert isinstance(circuit.ask(), Permit)


def test_forced_open_ignores_time_and_ends_in_a_probe() -> None:
    """With an end the rules take over there; without one only a person does."""
    circuit = Circuit()
    circuit.become(machine.force(circuit.state, "open", reason="maintenance", by="ann", now=circuit.now))
    circuit.now += 10**6
    assert circuit.ask() == Denied(None, "forced", "maintenance")
    until = circuit.now + 600
    circuit.become(machine.force(circuit.state, "open", reason="again", by="ann", now=circuit.now, until=until))
    circuit.now = until - 1
    assert circuit.ask() == Denied(until, "forced", "again")
    circuit.now = until
    assert isinstance(circuit.ask(), Permit)
    assert circuit.phase() is Phase.HALF_OPEN


def test_forced_closed_never_trips_but_counts() -> None:
    """Metrics only: a thousand failures, a pause and accusations change nothing but the total."""
    circuit = Circuit()
    circuit.open()
    circuit.become(machine.force(circuit.state, "closed", reason="drill", by="ann", now=circuit.now))
    circuit.fail(1_000)
    circuit.throttle(circuit.admit(), 60.0)
    for worker in ("a", "b"):
        circuit.become(machine.accuse(circuit.state, circuit.policy, worker, circuit.now, 0.5))
    assert circuit.phase() is Phase.CLOSED
    assert circuit.state.failures == 1_005
    assert isinstance(circuit.ask(), Permit)
    assert _told(circuit) == ["opened", "forced_closed"]


def test_a_reset_lets_go_and_forgets() -> None:
    """A new generation: what was under way no longer counts."""
    circuit = Circuit()
    late = [circuit.admit() for _ in range(5)]
    circuit.open()
    circuit.become(machine.reset(circuit.state, circuit.now))
    for permit in late:
        circuit.settle(permit, Outcome.FAILURE)
    assert circuit.phase() is Phase.CLOSED
    assert circuit.state.streak == ()
    assert _told(circuit)[-1] == "reset"


def test_each_transition_is_told_once() -> None:
    """With what a reader needs: how many failures, and until when."""
    circuit = Circuit()
    circuit.open()
    for _ in range(100):
        circuit.ask()
    (change,) = circuit.told
    assert change.name == "opened"
    assert change.fields["failures"] == 5
    assert change.fields["retry_in"] == 60.0


def test_a_wiped_store_cannot_rewind_a_generation() -> None:
    """The first generation comes from the server's time, so a permit from before the wipe never fits."""
    circuit = Circuit()
    old = circuit.admit()
    for _ in range(10):
        circuit.open()
        circuit.now += 60
        circuit.settle(circuit.admit(), Outcome.FAILURE)
        circuit.become(machine.reset(circuit.state, circuit.now))
    wiped = first(circuit.now + 0.1)
    assert wiped.generation > circuit.state.generation > old.generation
