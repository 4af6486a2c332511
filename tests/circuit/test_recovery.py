"""How a circuit recovers: one probe, a ramp, and nothing that came too late."""

from __future__ import annotations

import pytest

from activities.circuit import machine
from activities.circuit.state import Denied, Outcome, Permit, Phase, Policy
from tests.circuit.rules import START, Circuit


def _told(circuit: Circuit) -> list[str]:
    return [change.name for change in circuit.told]


def test_open_denies_and_says_how_long() -> None:
    """Just before the deadline denied, at it admitted."""
    circuit = Circuit()
    retry_at = circuit.open()
    assert retry_at == START + 60
    assert circuit.ask() == Denied(retry_at, "open", "consecutive")
    circuit.now = retry_at - 0.001
    assert isinstance(circuit.ask(), Denied)
    circuit.now = retry_at
    assert isinstance(circuit.ask(), Permit)
    assert circuit.phase() is Phase.HALF_OPEN


@pytest.mark.parametrize(("luck", "wait"), [(0.0, 54.0), (0.5, 60.0), (0.75, 63.0)])
def test_the_deadline_is_spread_by_a_tenth(luck: float, wait: float) -> None:
    """Circuits that opened together do not probe together."""
    circuit = Circuit()
    circuit.fail(4)
    circuit.settle(circuit.admit(), Outcome.FAILURE, luck=luck)
    assert circuit.state.retry_at == pytest.approx(START + wait)


def test_a_longer_retry_after_wins_over_the_recovery_timeout() -> None:
    """A 503 that says two minutes means two minutes; one that says a second changes nothing."""
    for said, wait in ((120.0, 120.0), (1.0, 60.0)):
        circuit = Circuit(Policy(jitter=0.0))
        circuit.fail(4)
        circuit.settle(circuit.admit(), Outcome.FAILURE, retry_after=said)
        assert circuit.state.retry_at == START + wait


def test_of_many_callers_at_the_deadline_one_runs() -> None:
    """Fifty ask at the same moment."""
    circuit = Circuit()
    circuit.now = circuit.open()
    answers = [circuit.ask() for _ in range(50)]
    assert sum(isinstance(answer, Permit) for answer in answers) == 1
    assert answers[1] == Denied(None, "probing")


def test_the_ramp_admits_one_two_four_eight_and_then_everyone() -> None:
    """Each stage admits its number and no more, and is passed when as many have succeeded."""
    circuit = Circuit()
    circuit.now = circuit.open()
    for level in (1, 2, 4, 8):
        permits = [circuit.admit() for _ in range(level)]
        assert isinstance(circuit.ask(), Denied), f"{level} permits, the next denied"
        for permit in permits:
            circuit.settle(permit, Outcome.SUCCESS)
    assert circuit.phase() is Phase.CLOSED
    assert all(isinstance(circuit.ask(), Permit) for _ in range(100))
    assert _told(circuit) == ["opened", "half_opened", "ramped", "ramped", "ramped", "closed"]


def test_a_recovered_circuit_has_forgotten_everything() -> None:
    """Counters zero: four failures do not open it."""
    circuit = Circuit(Policy(ramp=(1,)))
    circuit.settle(circuit.to_probe(), Outcome.SUCCESS)
    assert circuit.phase() is Phase.CLOSED
    assert (circuit.state.streak, circuit.state.window, circuit.state.probes) == ((), (), ())
    circuit.fail(4)
    assert circuit.phase() is Phase.CLOSED


def test_a_failed_probe_sets_a_fresh_deadline() -> None:
    """At any stage of the ramp, and from the moment of the failure."""
    circuit = Circuit()
    permit = circuit.to_probe()
    circuit.settle(permit, Outcome.SUCCESS)
    first, second = circuit.admit(), circuit.admit()
    circuit.settle(first, Outcome.SUCCESS)
    circuit.now += 3
    circuit.settle(second, Outcome.FAILURE)
    assert circuit.phase() is Phase.OPEN
    assert circuit.state.retry_at == circuit.now + 60
    assert circuit.state.cause == "probe"


@pytest.mark.parametrize("outcome", [Outcome.IGNORED, None])
def test_an_ignored_error_or_a_cancellation_returns_the_probe_at_once(outcome: Outcome | None) -> None:
    """The next caller probes without waiting for the lease."""
    circuit = Circuit()
    permit = circuit.to_probe()
    if outcome is None:
        circuit.become(machine.release(circuit.state, permit, circuit.now))
    else:
        circuit.settle(permit, outcome)
    assert circuit.phase() is Phase.HALF_OPEN
    assert isinstance(circuit.ask(), Permit)
    assert isinstance(circuit.ask(), Denied)


def test_a_hung_probe_is_followed_by_another_when_its_lease_ends() -> None:
    """Not a moment earlier, and under a new generation."""
    circuit = Circuit()
    hung = circuit.to_probe()
    circuit.now += circuit.policy.probe_lease - 0.001
    assert isinstance(circuit.ask(), Denied)
    circuit.now += 0.001
    second = circuit.admit()
    assert second.generation > hung.generation
    assert _told(circuit)[-1] == "probe_lost"


def test_a_renewed_probe_keeps_its_slot() -> None:
    """A slow probe that lives is not doubled, even if it takes an hour."""
    circuit = Circuit()
    permit = circuit.to_probe()
    for _ in range(1_800):
        circuit.now += 2
        circuit.become(machine.renew(circuit.state, circuit.policy, permit, circuit.now))
        assert isinstance(circuit.ask(), Denied)
    circuit.settle(permit, Outcome.SUCCESS)
    assert circuit.state.stage == 1


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_stale_probe_changes_nothing_while_a_newer_one_is_out(outcome: Outcome) -> None:
    """It can neither close nor reopen nor free the slot, and its renewal does not bring it back."""
    circuit = Circuit()
    stale = circuit.to_probe()
    circuit.now += circuit.policy.probe_lease
    circuit.admit()
    before = circuit.state
    circuit.settle(stale, outcome)
    circuit.become(machine.renew(circuit.state, circuit.policy, stale, circuit.now))
    circuit.become(machine.release(circuit.state, stale, circuit.now))
    circuit.throttle(stale, 12.0)
    assert circuit.state is before


def test_a_late_probe_whose_slot_nobody_took_still_counts() -> None:
    """Its lease has ended, but no newer probe is out: its word is the best there is."""
    circuit = Circuit()
    late = circuit.to_probe()
    circuit.now += 100
    circuit.settle(late, Outcome.SUCCESS)
    assert circuit.state.stage == 1


def test_a_late_failure_while_open_is_no_second_event_and_no_extension() -> None:
    """The other calls of the moment fail too."""
    circuit = Circuit()
    late = [circuit.admit() for _ in range(30)]
    circuit.open()
    before, told = circuit.state, len(circuit.told)
    circuit.now += 10
    for permit in late:
        circuit.settle(permit, Outcome.FAILURE)
    assert circuit.state is before
    assert len(circuit.told) == told


def test_a_late_success_while_open_does_not_close() -> None:
    """Its call began before the outage."""
    circuit = Circuit()
    late = circuit.admit()
    circuit.open()
    before = circuit.state
    circuit.settle(late, Outcome.SUCCESS)
    assert circuit.state is before


def test_five_late_failures_after_recovery_do_not_reopen() -> None:
    """Their calls began before it, in another generation."""
    circuit = Circuit(Policy(ramp=(1,)))
    late = [circuit.admit() for _ in range(5)]
    circuit.settle(circuit.to_probe(), Outcome.SUCCESS)
    before = circuit.state
    for permit in late:
        circuit.settle(permit, Outcome.FAILURE)
    assert circuit.state is before


def test_a_probe_that_answers_moves_the_ramp_before_its_call_ends() -> None:
    """And a failure in the middle of its answer still counts."""
    circuit = Circuit()
    permit = circuit.to_probe()
    after, rest = machine.answered(circuit.state, circuit.policy, permit, circuit.now)
    circuit.become(after)
    assert circuit.state.stage == 1
    assert rest.token is None
    before = circuit.state
    circuit.settle(rest, Outcome.SUCCESS)
    assert circuit.state is before, "the same success is not counted twice"
    circuit.settle(rest, Outcome.FAILURE)
    assert circuit.phase() is Phase.OPEN
