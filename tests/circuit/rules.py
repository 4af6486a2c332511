"""One circuit under the rules, with a clock that only moves when a test says so."""

from __future__ import annotations

from datetime import timedelta

from activities.circuit import machine
from activities.circuit.changes import Change, changes
from activities.circuit.phases import first
from activities.circuit.state import Denied, Outcome, Permit, Phase, Policy, State

START = 1_000_000.0
"""Some moment on the store's clock."""
EVEN = 0.5
"""The luck that adds no jitter to a recovery timeout."""
PATIENT = timedelta(seconds=10)
"""A store's timeout in tests about correctness: a machine busy with other things is not an outage."""


class Circuit:
    """The state and its clock; every step notes what changed."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.policy = policy or Policy()
        self.now = START
        self.state: State = first(START)
        self.told: list[Change] = []
        self._tokens = 0

    def phase(self) -> Phase:
        return self.state.phase

    def become(self, after: State) -> None:
        self.told += changes(self.state, after)
        self.state = after

    def ask(self) -> Permit | Denied:
        self._tokens += 1
        after, answer = machine.permit(self.state, self.policy, self.now, f"probe-{self._tokens}")
        self.become(after)
        return answer

    def admit(self) -> Permit:
        answer = self.ask()
        assert isinstance(answer, Permit), answer
        return answer

    def settle(self, permit: Permit, outcome: Outcome, *, luck: float = EVEN, retry_after: float | None = None) -> None:
        self.become(machine.settle(self.state, self.policy, permit, outcome, self.now, luck, retry_after))

    def throttle(self, permit: Permit, retry_after: float | None, *, luck: float = 0.0) -> None:
        self.become(machine.throttle(self.state, self.policy, permit, retry_after, self.now, luck))

    def fail(self, times: int = 1) -> None:
        for _ in range(times):
            self.settle(self.admit(), Outcome.FAILURE)

    def succeed(self, times: int = 1) -> None:
        for _ in range(times):
            self.settle(self.admit(), Outcome.SUCCESS)

    def open(self) -> float:
        """Open it by failures in a row; says until when."""
        self.fail(self.policy.failure_threshold)
        assert self.phase() is Phase.OPEN
        assert self.state.retry_at is not None
        return self.state.retry_at

    def to_probe(self) -> Permit:
        """Open it, wait, and take the first probe."""
        self.now = self.open()
        return self.admit()
