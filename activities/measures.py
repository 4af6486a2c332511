"""Counting what activities do; the names are in `workflows.measures`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

from temporalio import activity
from temporalio.common import MetricMeter

from activities.circuit.survey import Seen
from activities.claude import Meter
from activities.failures import describe
from workflows.contracts import SubagentCall
from workflows.failures import FailureKind
from workflows.measures import (
    CALL_SECONDS,
    CALLS,
    CIRCUIT_DENIALS,
    CIRCUIT_PROBES,
    CIRCUIT_STATE,
    CIRCUIT_TRANSITIONS,
    CIRCUIT_WAITERS,
    JOURNAL_HITS,
    STORE_REACHABLE,
    TOKENS,
)

LEVELS = {"closed": 0, "half_open": 1, "open": 2}


def begin(meter: MetricMeter) -> None:
    """Everything that a worker counts rarely is there from its start, so that the first event is an increase."""
    for name in (CALLS, CIRCUIT_DENIALS, CIRCUIT_PROBES, CIRCUIT_TRANSITIONS, JOURNAL_HITS):
        meter.create_counter(name).add(0)
    meter.create_gauge(CIRCUIT_WAITERS).set(0)


@asynccontextmanager
async def counted(call: SubagentCall, meter: Meter) -> AsyncIterator[None]:
    """In an activity: the block is one attempt, which ends well, or with a failure that has a kind."""
    began = monotonic()
    kind: FailureKind | None = None
    try:
        yield
    except asyncio.CancelledError:
        kind = "cancelled"
        raise
    except Exception as error:
        kind = describe(error, attempt=activity.info().attempt, meter=meter, billed=meter.usage).kind
        raise
    finally:
        _count(call, meter, monotonic() - began, kind)


def _count(call: SubagentCall, meter: Meter, seconds: float, kind: FailureKind | None) -> None:
    labels = {"role": call.role, "model": call.model}
    metrics = activity.metric_meter().with_additional_attributes(labels)
    outcome = "error" if kind else "success"
    metrics.create_counter(CALLS, "Attempts").add(1, {"outcome": outcome, "kind": kind or ""})
    metrics.create_histogram_float(CALL_SECONDS, "Length of an attempt", "s").record(seconds, {"outcome": outcome})
    tokens = metrics.create_counter(TOKENS, "Tokens as billed")
    used = meter.usage
    for direction, number in (
        ("input", used.input_tokens),
        ("output", used.output_tokens),
        ("cache_read", used.cache_read_tokens),
        ("cache_write", used.cache_write_tokens),
    ):
        tokens.add(number, {"direction": direction})


def show_circuits(meter: MetricMeter, seen: Seen) -> None:
    """The latest look at the circuits, as gauges. A circuit that a person holds shows as that."""
    meter.create_gauge(STORE_REACHABLE, "Whether the circuits' store answers").set(int(seen.trouble is None))
    state = meter.create_gauge(CIRCUIT_STATE, "0 closed, 1 recovering, 2 open")
    for each in seen.standings:
        state.set(LEVELS[each.held or each.phase], {"circuit": each.key})
