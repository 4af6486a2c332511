"""The rules against an independent model, step by step, for sequences nobody thought of."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule, run_state_machine_as_test

from activities.circuit import machine
from activities.circuit.phases import first
from activities.circuit.state import Outcome, Permit, Phase, Policy, decode, encode
from tests.circuit.model import Call, Model
from tests.circuit.rules import START

POLICIES = (
    Policy(jitter=0.0),
    Policy(failure_threshold=2, window=4, minimum_calls=3, ramp=(1, 2), window_age=20.0, probe_lease=4.0, jitter=0.0),
    Policy(failure_threshold=3, window=6, minimum_calls=2, ramp=(3, 1), recovery_timeout=5.0, jitter=0.0),
)
STEPS = st.sampled_from([0.0, 0.25, 1.0, 3.5, 4.0, 5.0, 19.0, 20.0, 59.75, 60.0, 700.0])
"""Seconds between two moves: exact in binary, so that both sides agree to the last bit, and around every deadline."""


@dataclass(frozen=True, eq=False)
class Pair:
    """The same call on both sides."""

    permit: Permit
    call: Call


class RulesAgainstModel(RuleBasedStateMachine):
    """Whatever happens, both admit the same calls and stand in the same phase."""

    policy = POLICIES[0]
    calls = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.state = first(START)
        self.model = Model(self.policy)
        self.tokens = 0

    @rule(seconds=STEPS)
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(target=calls)
    def ask(self):  # type: ignore[no-untyped-def]
        self.tokens += 1
        foretold = machine.outlook(self.state, self.policy, self.now)
        self.state, answer = machine.permit(self.state, self.policy, self.now, f"t{self.tokens}")
        call = self.model.ask(self.now)
        assert (foretold is None) == isinstance(answer, Permit) == (call is not None)
        if not isinstance(answer, Permit) or call is None:
            return multiple()
        assert (answer.token is not None) == call.probe
        return Pair(answer, call)

    @rule(pair=calls)
    def succeed(self, pair: Pair) -> None:
        self._settle(pair, Outcome.SUCCESS)
        self.model.succeed(pair.call, self.now)

    @rule(pair=calls)
    def fail(self, pair: Pair) -> None:
        self._settle(pair, Outcome.FAILURE)
        self.model.fail(pair.call, self.now, self.policy.recovery_timeout)

    @rule(pair=calls, seconds=st.sampled_from([1.0, 12.0, 500.0]))
    def throttle(self, pair: Pair, seconds: float) -> None:
        self.state = machine.throttle(self.state, self.policy, pair.permit, seconds, self.now, 0.0)
        self.model.throttle(pair.call, self.now, seconds)

    @rule(pair=calls, ignored=st.booleans())
    def leave(self, pair: Pair, ignored: bool) -> None:
        if ignored:
            self._settle(pair, Outcome.IGNORED)
        else:
            self.state = machine.release(self.state, pair.permit, self.now)
        self.model.leave(pair.call)

    @rule(pair=calls)
    def renew(self, pair: Pair) -> None:
        if pair.permit.token is not None:
            self.state = machine.renew(self.state, self.policy, pair.permit, self.now)
            self.model.renew(pair.call, self.now)

    @rule()
    def reset(self) -> None:
        self.state = machine.reset(self.state, self.now)
        self.model.reset()

    @rule()
    def cross_a_store(self) -> None:
        self.state = decode(encode(self.state))

    @invariant()
    def both_stand_the_same(self) -> None:
        assert self.state.phase.value == self.model.mode
        assert len(self.state.probes) == len(self.model.probes)
        assert self.state.hold_until == self.model.pause_ends
        assert (self.state.stage, self.state.passed) == (self.model.admits, self.model.wins)
        if self.state.phase is Phase.OPEN:
            assert self.state.retry_at == self.model.opens_again

    @invariant()
    def both_remember_the_same_failures(self) -> None:
        age = self.policy.window_age
        assert [at for at in self.state.streak if self.now - at < age] == [
            at for at in self.model.row if self.now - at < age
        ]

    @invariant()
    def no_stage_holds_more_than_it_admits(self) -> None:
        assert len(self.state.probes) <= max(self.policy.ramp)
        assert self.state.phase is Phase.HALF_OPEN or not self.state.probes

    @invariant()
    def time_never_stands_behind_the_state(self) -> None:
        assert self.state.as_of <= self.now

    def _settle(self, pair: Pair, outcome: Outcome) -> None:
        self.state = machine.settle(self.state, self.policy, pair.permit, outcome, self.now, 0.5)


@pytest.mark.parametrize("policy", POLICIES, ids=["default", "small", "odd ramp"])
def test_the_rules_agree_with_the_model(policy: Policy) -> None:
    """For every sequence of calls, results, waits and resets that hypothesis finds."""
    case = type("Case", (RulesAgainstModel,), {"policy": policy})
    run_state_machine_as_test(case, settings=settings(max_examples=150, stateful_step_count=60, deadline=None))
