"""How a circuit enters a phase and reads a clock: the parts the rules in `machine` are made of."""

from __future__ import annotations

import math
from dataclasses import replace

from activities.circuit.state import LONGEST_WAIT, Cause, Phase, Policy, State


class IllegalMove(Exception):
    """A step no caller may take. The state is as it was."""


def first(now: float) -> State:
    """A circuit nobody has used yet."""
    return State(generation=int(now * 1000), as_of=now, since=now)


def entered(state: State, phase: Phase, now: float) -> State:
    """A new phase: a new generation, and nothing of the old one left."""
    return replace(
        state,
        phase=phase,
        generation=next_generation(state, now),
        since=now,
        streak=(),
        window=(),
        retry_at=None,
        hold_until=None,
        probes=(),
        stage=0,
        passed=0,
        votes=(),
    )


def opened(
    state: State, policy: Policy, now: float, luck: float, cause: Cause, count: int, retry_after: float | None
) -> State:
    """OPEN until the recovery timeout, a longer `retry-after` or a pause already promised is over."""
    wait = policy.recovery_timeout * (1 + (2 * luck - 1) * policy.jitter)
    if retry_after is not None:
        wait = max(wait, pause_of(retry_after, policy) * (1 + luck * policy.jitter))
    retry_at = max(now + min(wait, LONGEST_WAIT), state.hold_until or now)
    after = entered(state, Phase.OPEN, now)
    return replace(after, retry_at=retry_at, cause=cause, tripped_by=count, openings=state.openings + 1)


def next_generation(state: State, now: float) -> int:
    """Later than this state's, and than any a wiped store ever gave out."""
    return max(state.generation + 1, int(now * 1000))


def seen_at(state: State, now: float) -> State:
    """The state as it reads at `now`: on this clock, and without a hold that has lapsed."""
    if not math.isfinite(now):
        raise IllegalMove(f"{now} is not a time")
    if now < state.as_of:
        state = shifted(state, now - state.as_of)
    if state.forced and state.forced.until is not None and state.forced.until <= now:
        state = replace(state, forced=None)
    return state


def stamped(before: State, after: State, now: float) -> State:
    """The result of a step: what was there if nothing changed, so that nothing is written."""
    return before if after == before else replace(after, as_of=now)


def shifted(state: State, by: float) -> State:
    """The same state on another clock, which reads `by` seconds more."""
    forced = state.forced
    if forced:
        until = None if forced.until is None else forced.until + by
        forced = replace(forced, since=forced.since + by, until=until)
    return replace(
        state,
        as_of=state.as_of + by,
        since=state.since + by,
        streak=tuple(at + by for at in state.streak),
        window=tuple((at + by, failed) for at, failed in state.window),
        retry_at=None if state.retry_at is None else state.retry_at + by,
        hold_until=None if state.hold_until is None else state.hold_until + by,
        probes=tuple((held, until + by) for held, until in state.probes),
        votes=tuple((worker, at + by) for worker, at in state.votes),
        forced=forced,
    )


def keep_for(state: State, policy: Policy, now: float) -> float | None:
    """Seconds the record must be kept unread, None for ever: longer than anything that still refers to it."""
    if state.forced and state.forced.until is None:
        return None
    held = state.forced.until - now if state.forced and state.forced.until else 0.0
    longest_open = (1 + policy.jitter) * max(policy.recovery_timeout, policy.retry_after_cap, held)
    return 2 * (longest_open + policy.probe_lease + policy.longest_call)


def pause_of(retry_after: float | None, policy: Policy) -> float:
    """Seconds a `retry-after` asks for, within reason."""
    if retry_after is None or math.isnan(retry_after):
        return policy.unsaid_pause
    return min(max(retry_after, 0.0), policy.retry_after_cap)


def check_luck(luck: float) -> None:
    """Luck is a share; anything else would set a deadline nobody meant."""
    if not 0 <= luck < 1:
        raise IllegalMove(f"luck is drawn from [0, 1), not {luck}")
