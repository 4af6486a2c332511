"""The process's own circuit beside the shared one: the same rules, in memory, on the process's monotonic clock.

It counts what may be this process's own fault (it cannot reach the service at all), and everything while the store is
lost. It is asked first, and costs microseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from activities.circuit import machine
from activities.circuit.changes import changes
from activities.circuit.line import Known
from activities.circuit.link import Report
from activities.circuit.phases import entered, first, shifted
from activities.circuit.state import Denied, Outcome, Permit, Phase, Policy, State


class OwnCircuit:
    """One circuit of one process. Each method is one step of the machine."""

    def __init__(self, key: str, policy: Policy, report: Report, clock: Callable[[], float]) -> None:
        self._key = key
        self._policy = policy
        self._report = report
        self._clock = clock
        self._state = first(clock())

    def permit(self, token: str) -> Permit | Denied:
        """See machine.permit."""
        after, answer = machine.permit(self._state, self._policy, self._clock(), token)
        self._become(after)
        return answer

    def outlook(self) -> Denied | None:
        """See machine.outlook."""
        return machine.outlook(self._state, self._policy, self._clock())

    def settle(self, permit: Permit, outcome: Outcome, luck: float, retry_after: float | None = None) -> bool:
        """See machine.settle. True if this opened the circuit."""
        was = self._state.phase
        now = self._clock()
        self._become(machine.settle(self._state, self._policy, permit, outcome, now, luck, retry_after))
        return was is not Phase.OPEN and self._state.phase is Phase.OPEN

    def answered(self, permit: Permit) -> Permit:
        """See machine.answered."""
        after, rest = machine.answered(self._state, self._policy, permit, self._clock())
        self._become(after)
        return rest

    def throttle(self, permit: Permit, retry_after: float | None, luck: float) -> None:
        """See machine.throttle."""
        self._become(machine.throttle(self._state, self._policy, permit, retry_after, self._clock(), luck))

    def release(self, permit: Permit) -> None:
        """See machine.release."""
        self._become(machine.release(self._state, permit, self._clock()))

    def renew(self, permit: Permit) -> None:
        """See machine.renew."""
        if permit.token is not None:
            self._become(machine.renew(self._state, self._policy, permit, self._clock()))

    def inherit(self, known: Known) -> None:
        """The store is lost: go on from what it said last, so that a known outage, pause or hold is still honoured."""
        now = self._clock()
        state = shifted(known.state, -known.ahead)
        if state.phase is Phase.CLOSED and state.hold_until is None and state.forced is None:
            return
        fresh = entered(self._state, state.phase, now)
        # Not reported: nothing changed, the same deadline is now kept here.
        self._state = replace(
            fresh, retry_at=state.retry_at, hold_until=state.hold_until, forced=state.forced, cause=state.cause
        )

    def rejoin(self) -> None:
        """The store is back: a person's hold is its again. An outage seen meanwhile stays, it is bounded."""
        if self._state.forced is not None:
            self.forget()

    def forget(self) -> None:
        """Start anew: a person reset the circuit."""
        self._state = entered(replace(self._state, forced=None), Phase.CLOSED, self._clock())

    def _become(self, after: State) -> None:
        if after is self._state:
            return
        for change in changes(self._state, after):
            # Deadlines here are of a clock nobody else can read.
            told = {name: value for name, value in change.fields.items() if name not in ("retry_at", "until")}
            self._report(f"circuit.{change.name}", {"key": self._key, "scope": "process", **told})
        self._state = after
