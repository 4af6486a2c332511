"""What a circuit is: a policy, a state, and the slips that callers are handed. Values only; `machine` has the rules.

The text form is JSON with a schema number. Anything else found under a circuit's key is refused, never guessed at.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

SCHEMA = 1
"""Raised when the text form changes its meaning; another number than this is refused."""
LONGEST_WAIT = 30 * 86_400.0
"""Seconds. No deadline lies further ahead than thirty days, whatever a policy or a header says."""


class Phase(StrEnum):
    """Where a circuit stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Outcome(StrEnum):
    """What a call says about the service: it works, it fails, or nothing (our mistake, a refusal, a cancellation)."""

    SUCCESS = "success"
    FAILURE = "failure"
    IGNORED = "ignored"


Cause = Literal["", "consecutive", "rate", "probe", "unreachable", "forced"]
"""Why a circuit last opened."""
DenialReason = Literal["open", "probing", "throttled", "forced", "store_lost"]
Mode = Literal["open", "closed"]


@dataclass(frozen=True, slots=True)
class Policy:
    """When a circuit opens and how it recovers. Durations are seconds."""

    failure_threshold: int = 5
    """So many counted failures in a row open it."""
    failure_rate: float = 0.5
    """So large a share of the window opens it: failures in a row alone never trip at 80 % errors."""
    window: int = 20
    """Settled calls the rate looks at."""
    minimum_calls: int = 10
    """Fewer calls than this have no rate."""
    window_age: float = 600.0
    """Older results are forgotten. Five hung calls of one agent with their retries take about six minutes; failures a
    day apart must never add up."""
    recovery_timeout: float = 60.0
    """How long OPEN lasts. No doubling: one probe a minute for a fleet is cheap, backing off makes recovery late."""
    jitter: float = 0.1
    """Share by which deadlines are spread, so that circuits that opened together do not probe together."""
    probe_lease: float = 15.0
    """How long a probe lives without a renewal: seven heartbeats (2 s), so that one lost write does not end it."""
    ramp: tuple[int, ...] = (1, 2, 4, 8)
    """How many probes each stage of the recovery admits at once, and how many must succeed to pass it."""
    retry_after_cap: float = 3_600.0
    """No header holds the gate longer than this; after it the API is asked again."""
    unsaid_pause: float = 1.0
    """The pause after a 429 that names none."""
    agreement: int = 2
    """So many workers must find the service unreachable before that counts for the fleet."""
    longest_call: float = 1_800.0
    """No call lasts longer (the activity's start-to-close); only the record's expiry depends on it."""

    def __post_init__(self) -> None:
        """Refuse what no circuit can work with."""
        for name in ("failure_threshold", "window", "minimum_calls", "agreement"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        durations = ("window_age", "recovery_timeout", "probe_lease", "retry_after_cap", "unsaid_pause", "longest_call")
        for name in durations:
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be a number of seconds above 0, not {getattr(self, name)}")
        if not 0 < self.failure_rate <= 1:
            raise ValueError(f"failure_rate must be above 0 and at most 1, not {self.failure_rate}")
        if not 0 <= self.jitter < 1:
            raise ValueError(f"jitter must be at least 0 and below 1, not {self.jitter}")
        if self.minimum_calls > self.window:
            raise ValueError(f"minimum_calls ({self.minimum_calls}) cannot exceed window ({self.window})")
        if not self.ramp or any(level < 1 for level in self.ramp):
            raise ValueError(f"ramp needs at least one stage, each at least 1, not {self.ramp}")


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to make one call. A probe's has a token; its slot is a lease."""

    generation: int
    token: str | None
    at: float


@dataclass(frozen=True, slots=True)
class Denied:
    """No leave. `retry_at` is on the store's clock; None when it is unknown (a probe is out, a person holds it)."""

    retry_at: float | None
    reason: DenialReason
    why: str = ""


@dataclass(frozen=True, slots=True)
class Forced:
    """A person holds the circuit, until a time or until a person lets go."""

    mode: Mode
    reason: str
    by: str
    since: float
    until: float | None


@dataclass(frozen=True, slots=True)
class State:
    """Everything a circuit remembers. Times are seconds on the store's clock."""

    generation: int
    as_of: float
    """When this was last changed; a clock that reads less than this went back."""
    since: float
    """When the phase began."""
    phase: Phase = Phase.CLOSED
    streak: tuple[float, ...] = ()
    """When the failures in a row happened."""
    window: tuple[tuple[float, bool], ...] = ()
    """(when, failed) of the last settled calls, oldest first."""
    retry_at: float | None = None
    """When OPEN ends; None while a person holds it open without an end."""
    hold_until: float | None = None
    """Nobody calls before this: the API said 429."""
    probes: tuple[tuple[str, float], ...] = ()
    """(token, end of lease), oldest first."""
    stage: int = 0
    """Index into the policy's ramp."""
    passed: int = 0
    """Successes at this stage."""
    votes: tuple[tuple[str, float], ...] = ()
    """(worker, when) that could not reach the service."""
    forced: Forced | None = None
    cause: Cause = ""
    tripped_by: int = 0
    """How many failures (or workers) opened it last."""
    openings: int = 0
    failures: int = 0
    """Counted failures since the record began."""
    reset_at: float = 0.0
    """When a person last reset it: processes then forget their own circuit too."""


def encode(state: State) -> str:
    """The text form of a state."""
    forced = state.forced
    return json.dumps(
        {
            "breakwater.circuit": SCHEMA,
            "phase": state.phase.value,
            "generation": state.generation,
            "as_of": state.as_of,
            "since": state.since,
            "streak": state.streak,
            "window": [[at, int(failed)] for at, failed in state.window],
            "retry_at": state.retry_at,
            "hold_until": state.hold_until,
            "probes": state.probes,
            "stage": state.stage,
            "passed": state.passed,
            "votes": state.votes,
            "forced": forced and [forced.mode, forced.reason, forced.by, forced.since, forced.until],
            "cause": state.cause,
            "tripped_by": state.tripped_by,
            "openings": state.openings,
            "failures": state.failures,
            "reset_at": state.reset_at,
        },
        separators=(",", ":"),
        allow_nan=False,
    )


def decode(text: str) -> State:
    """The state of a text form. Raises ValueError, saying what is wrong, for anything `encode` cannot have written."""
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("it is not JSON") from error
    if not isinstance(record, dict) or "breakwater.circuit" not in record:
        raise ValueError("it is not a circuit of Breakwater")
    if record["breakwater.circuit"] != SCHEMA:
        raise ValueError(f"its schema is {record['breakwater.circuit']!r}, this version of Breakwater knows {SCHEMA}")
    try:
        return _decoded(record)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"its fields are damaged ({type(error).__name__}: {error})") from error


def _decoded(record: dict[str, Any]) -> State:
    forced = record["forced"]
    return State(
        generation=_count(record["generation"]),
        as_of=_time(record["as_of"]),
        since=_time(record["since"]),
        phase=Phase(record["phase"]),
        streak=tuple(_time(at) for at in record["streak"]),
        window=tuple((_time(at), bool(_count(failed))) for at, failed in record["window"]),
        retry_at=_maybe(record["retry_at"]),
        hold_until=_maybe(record["hold_until"]),
        probes=tuple((_text(token), _time(until)) for token, until in record["probes"]),
        stage=_count(record["stage"]),
        passed=_count(record["passed"]),
        votes=tuple((_text(worker), _time(at)) for worker, at in record["votes"]),
        forced=None if forced is None else _forced(*forced),
        cause=_cause(record["cause"]),
        tripped_by=_count(record["tripped_by"]),
        openings=_count(record["openings"]),
        failures=_count(record["failures"]),
        reset_at=_time(record["reset_at"]),
    )


def _forced(mode: object, reason: object, by: object, since: object, until: object) -> Forced:
    if mode != "open" and mode != "closed":
        raise ValueError(f"forced {mode!r}")
    return Forced(mode, _text(reason), _text(by), _time(since), _maybe(until))


def _cause(value: object) -> Cause:
    for known in _CAUSES:
        if value == known:
            return known
    raise ValueError(f"cause {value!r}")


_CAUSES: tuple[Cause, ...] = ("", "consecutive", "rate", "probe", "unreachable", "forced")


def _time(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"{value!r} is not a time")
    return float(value)


def _maybe(value: object) -> float | None:
    return None if value is None else _time(value)


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TypeError(f"{value!r} is not a count")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value
