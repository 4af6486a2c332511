"""When a circuit opens, and when it does not."""

from __future__ import annotations

import pytest

from activities.circuit import machine
from activities.circuit.phases import IllegalMove
from activities.circuit.state import Denied, Outcome, Permit, Phase, Policy
from tests.circuit.rules import Circuit

LONG_WINDOW = Policy(failure_threshold=10**6, minimum_calls=20)
DAY = 86_400.0


def test_four_failures_a_success_and_four_failures_leave_it_closed() -> None:
    """A success breaks the row."""
    circuit = Circuit()
    circuit.fail(4)
    circuit.succeed()
    circuit.fail(4)
    assert circuit.phase() is Phase.CLOSED


def test_exactly_the_fifth_failure_opens() -> None:
    """Not the fourth, and nothing is left for the sixth to do."""
    circuit = Circuit()
    circuit.fail(4)
    assert circuit.phase() is Phase.CLOSED
    circuit.fail()
    assert circuit.phase() is Phase.OPEN
    assert circuit.state.cause == "consecutive"


def test_a_rate_needs_enough_calls() -> None:
    """Eight failures of nine calls: the tenth call decides, not the share alone."""
    circuit = Circuit()
    for failed in (1, 1, 1, 1, 0, 1, 1, 1, 1):
        circuit.fail() if failed else circuit.succeed()
    assert circuit.phase() is Phase.CLOSED
    circuit.fail()
    assert circuit.phase() is Phase.OPEN


def test_eighty_percent_errors_open_it_without_a_row() -> None:
    """A success in every five calls would hide the outage from a count of failures in a row."""
    circuit = Circuit()
    for call in range(20):
        if circuit.phase() is Phase.OPEN:
            break
        circuit.succeed() if call % 5 == 4 else circuit.fail()
    assert circuit.phase() is Phase.OPEN
    assert circuit.state.cause == "rate"


def test_forty_percent_errors_leave_it_closed() -> None:
    """Below the rate, however long it lasts."""
    circuit = Circuit()
    for call in range(500):
        circuit.fail() if call % 5 in (0, 3) else circuit.succeed()
    assert circuit.phase() is Phase.CLOSED


def test_a_success_never_opens() -> None:
    """Nine calls, eight failed, and the tenth succeeds: the share is met, but not by good news."""
    circuit = Circuit()
    for failed in (1, 1, 1, 1, 0, 1, 1, 1, 1, 0):
        circuit.fail() if failed else circuit.succeed()
    assert circuit.phase() is Phase.CLOSED


def test_failures_outside_the_window_are_ignored() -> None:
    """Old failures slide out behind newer calls."""
    circuit = Circuit(LONG_WINDOW)
    circuit.fail(9)
    circuit.succeed(20)
    circuit.fail(9)
    assert circuit.phase() is Phase.CLOSED


def test_five_failures_a_day_apart_leave_it_closed() -> None:
    """The window ages out."""
    circuit = Circuit()
    for _ in range(50):
        circuit.fail()
        circuit.now += DAY
    assert circuit.phase() is Phase.CLOSED


def test_unwritten_successes_count_once_they_are_remembered() -> None:
    """Successes of a healthy time are not written; a process brings them with its first failure."""
    circuit = Circuit(Policy(failure_threshold=10**6))
    circuit.become(machine.remember(circuit.state, circuit.policy, tuple(circuit.now - n for n in range(15, 0, -1))))
    circuit.fail(9)
    assert circuit.phase() is Phase.CLOSED, "9 of the last 20"
    circuit.fail()
    assert circuit.phase() is Phase.OPEN, "10 of the last 20"


def test_a_straggler_from_before_the_row_does_not_break_it() -> None:
    """Its call began when the service was well; it ends in the middle of the outage."""
    circuit = Circuit()
    straggler = circuit.admit()
    circuit.now += 1
    circuit.fail(4)
    circuit.settle(straggler, Outcome.SUCCESS)
    circuit.fail()
    assert circuit.phase() is Phase.OPEN


def test_a_healthy_call_and_a_denied_one_write_nothing() -> None:
    """The state stays the very same object, so that nobody writes it."""
    circuit = Circuit()
    before = circuit.state
    circuit.succeed(50)
    assert circuit.state is before
    circuit.open()
    before = circuit.state
    assert isinstance(circuit.ask(), Denied)
    assert circuit.state is before


def test_eight_cancelled_calls_do_not_open() -> None:
    """Released permits are not counted, nor are ignored outcomes: 400s, refusals, our own exceptions."""
    circuit = Circuit()
    before = circuit.state
    for _ in range(8):
        circuit.become(machine.release(circuit.state, circuit.admit(), circuit.now))
        circuit.settle(circuit.admit(), Outcome.IGNORED)
    assert circuit.state is before


def test_a_hundred_thousand_calls_are_counted_exactly() -> None:
    """Failures are totalled one by one, whatever the window keeps."""
    circuit = Circuit(Policy(failure_threshold=10**6, failure_rate=1.0))
    for call in range(100_000):
        circuit.settle(circuit.admit(), Outcome.SUCCESS if call % 10 == 9 else Outcome.FAILURE)
    assert circuit.state.failures == 90_000
    assert circuit.phase() is Phase.CLOSED


def test_one_worker_that_cannot_reach_the_service_opens_nothing_and_two_do() -> None:
    """It may be its own fault; two at once are not."""
    circuit = Circuit()
    for _ in range(9):
        circuit.become(machine.accuse(circuit.state, circuit.policy, "a", circuit.now, 0.5))
    assert circuit.phase() is Phase.CLOSED
    circuit.become(machine.accuse(circuit.state, circuit.policy, "b", circuit.now, 0.5))
    assert circuit.phase() is Phase.OPEN
    assert circuit.state.cause == "unreachable"


def test_an_old_accusation_is_forgotten() -> None:
    """Two workers cut off a quarter of an hour apart do not agree on anything."""
    circuit = Circuit()
    circuit.become(machine.accuse(circuit.state, circuit.policy, "a", circuit.now, 0.5))
    circuit.now += 900
    circuit.become(machine.accuse(circuit.state, circuit.policy, "b", circuit.now, 0.5))
    assert circuit.phase() is Phase.CLOSED


@pytest.mark.parametrize(
    "wrong",
    [
        {"failure_threshold": 0},
        {"failure_rate": 0.0},
        {"failure_rate": 1.5},
        {"window": 5, "minimum_calls": 6},
        {"recovery_timeout": float("inf")},
        {"recovery_timeout": float("nan")},
        {"jitter": 1.0},
        {"ramp": ()},
        {"ramp": (1, 0)},
    ],
)
def test_a_policy_that_cannot_work_is_refused(wrong: dict[str, float]) -> None:
    """When it is made, not when it is needed."""
    with pytest.raises(ValueError, match=r"must|cannot|needs"):
        Policy(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("luck", [-0.1, 1.0, float("nan")])
def test_an_illegal_move_raises_and_changes_nothing(luck: float) -> None:
    """Luck outside its range, a renewal without a lease, a token twice, a hold without a reason, a time that is not."""
    circuit = Circuit()
    given = circuit.to_probe()
    before = circuit.state
    ordinary = Permit(before.generation, None, circuit.now)
    with pytest.raises(IllegalMove):
        circuit.settle(given, Outcome.FAILURE, luck=luck)
    with pytest.raises(IllegalMove):
        machine.renew(circuit.state, circuit.policy, ordinary, circuit.now)
    with pytest.raises(IllegalMove):
        machine.permit(circuit.state, circuit.policy, circuit.now, given.token or "")
    with pytest.raises(IllegalMove):
        machine.permit(circuit.state, circuit.policy, float("nan"), "another")
    with pytest.raises(IllegalMove):
        machine.force(circuit.state, "open", reason=" ", by="me", now=circuit.now)
    with pytest.raises(IllegalMove):
        machine.force(circuit.state, "open", reason="why", by="me", now=circuit.now, until=circuit.now)
    assert circuit.state is before
