"""The rules of the circuit. Pure functions over a frozen state: time and luck come in, nothing is read or written.

            five failures in a row, half of the window,
            or two workers that cannot reach the service
    CLOSED ──────────────────────────────────────────────▶ OPEN ◀─┐
      ▲ │                                                   │     │ any counted
      │ │ a pause (429) is over                 retry_at is │     │ failure
      │ ▼                                       reached     ▼     │
      └──────────────── every stage of the ramp passed ── HALF_OPEN

Theory. A breaker for many processes is a small consensus problem, and three ideas make it sound.

*One step.* `permit`, `settle` and the others map a state to a state. Whoever stores it does so by compare-and-swap,
so each is one atomic step on the store's clock. A step that changes nothing returns an equal state, and nothing is
written: a denial writes nothing, nor does a success while nobody fails.

*Generations.* Every transition starts a new one. A permit remembers the generation it was given in, and its result
counts only there: a success that began before the outage does not close a circuit, a failure that began before the
recovery does not open one. Generations grow with the store's milliseconds, so a wiped store cannot count them again.

*Leases.* A probe is a token with an end. Its result counts while the token is in the state, whatever the generation,
and nobody else can hold that token. An ended lease stays with its holder until another caller needs the slot; then
the token goes, a new generation starts, and the old holder's word is worth nothing. So a killed holder costs one
lease, and a stale probe cannot close a circuit while a newer one is out.

HALF_OPEN is a slow start. A stage admits 1, 2, 4, 8 probes at once, and as many must succeed before the next; the first
failure reopens. The end of a 429 pause goes the same way, because everyone who waited for it would come at once.

A clock that goes back (a failover, a corrected server) would stretch every deadline. The state knows when it was last
changed: a `now` before that moves all its times back by the difference.
"""

from __future__ import annotations

import math
from dataclasses import replace

from activities.circuit.phases import (
    IllegalMove,
    check_luck,
    entered,
    next_generation,
    opened,
    pause_of,
    seen_at,
    stamped,
)
from activities.circuit.state import Denied, Forced, Mode, Outcome, Permit, Phase, Policy, State

# --- what a call does ------------------------------------------------------------------------------------------


def permit(state: State, policy: Policy, now: float, token: str) -> tuple[State, Permit | Denied]:
    """Ask to make one call. `token` names the caller's probe, should it become one; it must be unique."""
    if not token or any(token == held for held, _ in state.probes):
        raise IllegalMove(f"a probe needs a token of its own, not {token!r}")
    seen = seen_at(state, now)
    after, answer = _permit(seen, policy, now, token)
    if isinstance(answer, Denied):
        # A lapsed hold need not be written by those it turns away; a clock that went back must be, once.
        return (seen if now < state.as_of else state), answer
    return stamped(state, after, now), answer


def outlook(state: State, policy: Policy, now: float) -> Denied | None:
    """What `permit` would say, without asking for anything. None is yes."""
    _, answer = _permit(seen_at(state, now), policy, now, "?")
    return answer if isinstance(answer, Denied) else None


def _permit(state: State, policy: Policy, now: float, token: str) -> tuple[State, Permit | Denied]:
    forced = state.forced
    if forced and forced.mode == "open":
        return state, Denied(forced.until, "forced", forced.reason)
    if forced:
        return state, Permit(state.generation, None, now)
    if state.phase is Phase.OPEN:
        if state.retry_at is None or now < state.retry_at:
            return state, Denied(state.retry_at, "open", state.cause)
        state = entered(state, Phase.HALF_OPEN, now)
    if state.hold_until is not None:
        if now < state.hold_until:
            return state, Denied(state.hold_until, "throttled")
        state = replace(state, hold_until=None)
        if state.phase is Phase.CLOSED:
            state = entered(state, Phase.HALF_OPEN, now)
    if state.phase is Phase.CLOSED:
        return state, Permit(state.generation, None, now)
    return _probe(state, policy, now, token)


def _probe(state: State, policy: Policy, now: float, token: str) -> tuple[State, Permit | Denied]:
    """Take a slot of the stage: a free one, or else one whose lease has ended."""
    level = _level(state, policy)
    excess = len(state.probes) - level + 1
    if excess > 0:
        ended = sorted((until, held) for held, until in state.probes if until <= now)[:excess]
        if len(ended) < excess:
            return state, Denied(None, "probing")
        taken = {held for _, held in ended}
        state = replace(
            state,
            generation=next_generation(state, now),
            probes=tuple(probe for probe in state.probes if probe[0] not in taken),
        )
    state = replace(state, probes=(*state.probes, (token, now + policy.probe_lease)))
    return state, Permit(state.generation, token, now)


def settle(
    state: State,
    policy: Policy,
    permit: Permit,
    outcome: Outcome,
    now: float,
    luck: float,
    retry_after: float | None = None,
) -> State:
    """Report how the call went. A result from another generation changes nothing.

    `luck`, uniform in [0, 1), spreads the deadline of an opening; `retry_after` wins over a shorter one.
    """
    check_luck(luck)
    seen = seen_at(state, now)
    if outcome is Outcome.IGNORED:
        return stamped(state, _without(seen, permit), now)
    if not current(seen, permit):
        return stamped(state, seen, now)
    if seen.forced:
        failed = int(outcome is Outcome.FAILURE)
        return stamped(state, replace(seen, failures=seen.failures + failed), now)
    if outcome is Outcome.FAILURE:
        after = _failed(replace(seen, failures=seen.failures + 1), policy, now, luck, retry_after)
    elif seen.phase is Phase.HALF_OPEN:
        after = _passed(_without(seen, permit), policy, now) if permit.token else seen
    else:
        after = _succeeded(seen, policy, permit, now)
    return stamped(state, after, now)


def _failed(state: State, policy: Policy, now: float, luck: float, retry_after: float | None) -> State:
    if state.phase is Phase.HALF_OPEN:
        return opened(state, policy, now, luck, "probe", 1, retry_after)
    streak = (*_fresh(state.streak, policy, now), now)[-policy.failure_threshold :]
    window = (*_recent(state, policy, now), (now, True))[-policy.window :]
    if len(streak) >= policy.failure_threshold:
        return opened(state, policy, now, luck, "consecutive", len(streak), retry_after)
    failed = sum(bad for _, bad in window)
    if len(window) >= policy.minimum_calls and failed / len(window) >= policy.failure_rate:
        return opened(state, policy, now, luck, "rate", failed, retry_after)
    return replace(state, streak=streak, window=window)


def _succeeded(state: State, policy: Policy, permit: Permit, now: float) -> State:
    """A success breaks the row of failures, unless its call began before the row did: that says nothing about now."""
    streak, window = _fresh(state.streak, policy, now), _recent(state, policy, now)
    if not streak and not any(bad for _, bad in window):
        return state
    if streak and permit.at >= streak[0]:
        streak = ()
    return replace(state, streak=streak, window=(*window, (now, False))[-policy.window :])


def _passed(state: State, policy: Policy, now: float) -> State:
    passed = state.passed + 1
    if passed < _level(state, policy):
        return replace(state, passed=passed)
    if state.stage + 1 < len(policy.ramp):
        return replace(state, stage=state.stage + 1, passed=0)
    return entered(state, Phase.CLOSED, now)


def answered(state: State, policy: Policy, permit: Permit, now: float) -> tuple[State, Permit]:
    """A probe's success as soon as the service answers, before the call ends: a slow probe must not delay recovery.

    The permit returned is for the rest of the call. It holds no slot, and a failure under it still counts.
    """
    if permit.token is None or not current(seen_at(state, now), permit):
        return state, permit
    after = settle(state, policy, permit, Outcome.SUCCESS, now, luck=0.0)
    return after, Permit(after.generation, None, permit.at)


def release(state: State, permit: Permit, now: float) -> State:
    """Give the permit back, uncounted. Without effect if the slot is no longer the caller's."""
    return stamped(state, _without(seen_at(state, now), permit), now)


def renew(state: State, policy: Policy, permit: Permit, now: float) -> State:
    """Say that the probe's holder lives. Without effect once another has taken the slot."""
    if permit.token is None:
        raise IllegalMove("only a probe has a lease to renew")
    seen = seen_at(state, now)
    until = now + policy.probe_lease
    probes = tuple((held, until if held == permit.token else end) for held, end in seen.probes)
    return stamped(state, replace(seen, probes=probes), now)


def throttle(state: State, policy: Policy, permit: Permit, retry_after: float | None, now: float, luck: float) -> State:
    """The API said 429: nobody calls until it said, plus up to a tenth. No failure, but a ramp starts again."""
    check_luck(luck)
    seen = seen_at(state, now)
    if not current(seen, permit):
        return stamped(state, seen, now)
    after = _without(seen, permit)
    if after.forced:
        return stamped(state, after, now)
    pause = pause_of(retry_after, policy)
    after = replace(after, stage=0, passed=0)
    if after.hold_until is None or after.hold_until < now + pause:
        after = replace(after, hold_until=now + pause * (1 + luck * policy.jitter))
    return stamped(state, after, now)


def accuse(state: State, policy: Policy, worker: str, now: float, luck: float) -> State:
    """A worker says it cannot reach the service. One may be its own fault; when enough agree, the circuit opens."""
    check_luck(luck)
    seen = seen_at(state, now)
    if seen.forced or seen.phase is Phase.OPEN:
        return stamped(state, seen, now)
    # A worker that stays cut off says so again at every probe of its own: votes live for two of those.
    alive = [(name, at) for name, at in seen.votes if name != worker and now - at < 2 * policy.recovery_timeout]
    votes = (*alive, (worker, now))
    if len(votes) >= policy.agreement:
        after = opened(seen, policy, now, luck, "unreachable", len(votes), None)
    else:
        after = replace(seen, votes=votes)
    return stamped(state, after, now)


def remember(state: State, policy: Policy, successes: tuple[float, ...]) -> State:
    """Add successes to the window that were not worth a write when they happened: without them one failure would look
    like the whole truth. `successes` are the times, oldest first."""
    if state.phase is not Phase.CLOSED or not successes:
        return state
    window = sorted((*state.window, *((at, False) for at in successes)))[-policy.window :]
    return replace(state, window=tuple(window))


# --- what a person does ----------------------------------------------------------------------------------------


def force(state: State, mode: Mode, *, reason: str, by: str, now: float, until: float | None = None) -> State:
    """Hold the circuit open or closed. At `until` the rules take over: from OPEN with a probe, from CLOSED afresh."""
    if not reason.strip() or not by.strip():
        raise IllegalMove("a forced circuit needs a reason and a name")
    if until is not None and not now < until < math.inf:
        raise IllegalMove("a forced circuit ends in the future, or without an end")
    seen = seen_at(state, now)
    phase = Phase.OPEN if mode == "open" else Phase.CLOSED
    after = entered(seen, phase, now)
    if phase is Phase.OPEN:
        after = replace(after, retry_at=until, cause="forced", tripped_by=0)
    return stamped(state, replace(after, forced=Forced(mode, reason, by, now, until)), now)


def reset(state: State, now: float) -> State:
    """Let go and forget: CLOSED, no counts, no pause, no votes. Processes forget their own circuit too."""
    after = entered(seen_at(state, now), Phase.CLOSED, now)
    return stamped(state, replace(after, forced=None, cause="", tripped_by=0, reset_at=now), now)


# --- what can be read off a state ------------------------------------------------------------------------------


def current(state: State, permit: Permit) -> bool:
    """Whether a result under this permit still counts."""
    if permit.token is not None:
        return any(permit.token == held for held, _ in state.probes)
    return permit.generation == state.generation and state.phase is not Phase.OPEN


# --- the parts -------------------------------------------------------------------------------------------------


def _level(state: State, policy: Policy) -> int:
    return policy.ramp[min(state.stage, len(policy.ramp) - 1)]


def _without(state: State, permit: Permit) -> State:
    return replace(state, probes=tuple(probe for probe in state.probes if probe[0] != permit.token))


def _fresh(times: tuple[float, ...], policy: Policy, now: float) -> tuple[float, ...]:
    return tuple(at for at in times if now - at < policy.window_age)


def _recent(state: State, policy: Policy, now: float) -> tuple[tuple[float, bool], ...]:
    return tuple(entry for entry in state.window if now - entry[0] < policy.window_age)
