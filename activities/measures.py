"""Counting what activities do; the names are in `workflows.measures`."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from time import monotonic

from temporalio import activity
from temporalio.common import MetricMeter
from temporalio.runtime import Runtime

from activities.circuit.gate import Gate
from activities.circuit.link import log_event
from activities.circuit.survey import Seen, Survey
from activities.claude import Meter
from activities.failures import describe
from activities.journal.journal import log_event as log_journal_event
from workflows.contracts import SubagentCall
from workflows.failures import FailureKind
from workflows.measures import (
    CALL_SECONDS,
    CALLS,
    CALLS_UNDER_WAY,
    CIRCUIT_DENIALS,
    CIRCUIT_PROBES,
    CIRCUIT_STATE,
    CIRCUIT_TRANSITIONS,
    CIRCUIT_WAITERS,
    JOURNAL_EVENTS,
    JOURNAL_HITS,
    STORE_REACHABLE,
    TOKENS,
)

LEVELS = {"closed": 0, "half_open": 1, "open": 2}


_under_way: Counter[str] = Counter()


def circuit_event(event: str, fields: Mapping[str, object]) -> None:
    """An event of a circuit: logged by the one process that caused it, and counted."""
    log_event(event, fields)
    counter = Runtime.default().metric_meter.create_counter(CIRCUIT_TRANSITIONS)
    counter.add(1, {"event": event, "circuit": str(fields.get("key", ""))})


def journal_event(event: str, fields: Mapping[str, object]) -> None:
    """The journal's loss and return, and every answer it could not read or keep: logged, and counted."""
    log_journal_event(event, fields)
    Runtime.default().metric_meter.create_counter(JOURNAL_EVENTS).add(1, {"event": event})


@asynccontextmanager
async def surveyed(gate: Gate) -> AsyncIterator[Survey]:
    """The circuits, looked at and shown as gauges for as long as the block lasts."""
    meter = Runtime.default().metric_meter
    _begin(meter)
    survey = Survey(gate, lambda seen: _show_circuits(meter, seen))
    looking = asyncio.create_task(survey.keep_looking())
    try:
        yield survey
    finally:
        looking.cancel()
        await asyncio.wait({looking})
    if not looking.cancelled():
        looking.result()


def _begin(meter: MetricMeter) -> None:
    """Everything that a worker counts rarely is known by name from its start; what has labels begins with an event."""
    for name in (CALLS, CIRCUIT_DENIALS, CIRCUIT_PROBES, CIRCUIT_TRANSITIONS, JOURNAL_HITS, JOURNAL_EVENTS):
        meter.create_counter(name).add(0)
    for name in (CIRCUIT_WAITERS, CALLS_UNDER_WAY):
        meter.create_gauge(name).set(0)


@asynccontextmanager
async def counted(call: SubagentCall, meter: Meter) -> AsyncIterator[None]:
    """In an activity: the block is one attempt, which ends well, or with a failure that has a kind."""
    began = monotonic()
    kind: FailureKind | None = None
    _show_under_way(call.model, +1)
    try:
        yield
    except asyncio.CancelledError:
        kind = "cancelled"
        raise
    except Exception as error:
        kind = describe(error, attempt=activity.info().attempt, meter=meter, billed=meter.usage).kind
        raise
    finally:
        _show_under_way(call.model, -1)
        _count(call, meter, monotonic() - began, kind)


def _show_under_way(model: str, change: int) -> None:
    _under_way[model] += change
    gauge = activity.metric_meter().create_gauge(CALLS_UNDER_WAY, "Requests that have not ended")
    gauge.set(_under_way[model], {"model": model})


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


def _show_circuits(meter: MetricMeter, seen: Seen) -> None:
    """The latest look at the circuits, as gauges. A circuit that a person holds shows as that."""
    meter.create_gauge(STORE_REACHABLE, "Whether the circuits' store answers").set(int(seen.trouble is None))
    state = meter.create_gauge(CIRCUIT_STATE, "0 closed, 1 recovering, 2 open")
    for each in seen.standings:
        state.set(LEVELS[each.held or each.phase], {"circuit": each.key})
