"""Counting what activities do; the names are in `workflows.measures`."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from time import monotonic
from typing import get_args

from temporalio import activity
from temporalio.common import MetricMeter
from temporalio.runtime import Runtime

from activities.circuit.changes import ChangeName
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
STORE_EVENTS = ("circuit.store_lost", "circuit.store_back", "circuit.store_corrupt")
JOURNAL_EVENT_NAMES = ("journal.lost", "journal.back", "journal.not_read", "journal.not_kept")


_under_way: Counter[str] = Counter()


def circuit_event(event: str, fields: Mapping[str, object]) -> None:
    """An event of a circuit: logged by the one process that caused it, and counted."""
    log_event(event, fields)
    _add(CIRCUIT_TRANSITIONS, 1, event=event, circuit=str(fields.get("key", "")))


def journal_event(event: str, fields: Mapping[str, object]) -> None:
    """The journal's loss and return, and every answer it could not read or keep: logged, and counted."""
    log_journal_event(event, fields)
    _add(JOURNAL_EVENTS, 1, event=event)


def journal_hit() -> None:
    """An answer was found that had been paid for."""
    _add(JOURNAL_HITS, 1)


def denied(circuit: str) -> None:
    """An attempt was stopped before it sent anything."""
    _add(CIRCUIT_DENIALS, 1, circuit=circuit)


def probed(circuit: str) -> None:
    """A request goes out that tries whether the circuit can close, whoever took its slot."""
    _add(CIRCUIT_PROBES, 1, circuit=circuit)


@asynccontextmanager
async def surveyed(gate: Gate, circuits: Collection[str]) -> AsyncIterator[Survey]:
    """The circuits, looked at and shown as gauges for as long as the block lasts.

    `circuits` are those that calls are expected to need: their counters are there from the start.
    """
    meter = Runtime.default().metric_meter
    _begin(meter, circuits)
    survey = Survey(gate, lambda seen: _show_circuits(meter, seen))
    looking = asyncio.create_task(survey.keep_looking())
    try:
        yield survey
    finally:
        looking.cancel()
        await asyncio.wait({looking})
    if not looking.cancelled():
        looking.result()


def _add(counter: str, number: int, **labels: str) -> None:
    """At the process's meter: an activity's adds labels of its own, and would begin other series than `_begin`."""
    Runtime.default().metric_meter.create_counter(counter).add(number, labels)


def _begin(meter: MetricMeter, circuits: Collection[str]) -> None:
    """What a worker counts rarely is there from its start, with its labels, because a counter that is born at 1 has not
    increased. Calls are not: nobody knows their roles beforehand, so the alert on them counts a new series as a whole.
    """
    _add(JOURNAL_HITS, 0)
    for event in JOURNAL_EVENT_NAMES:
        _add(JOURNAL_EVENTS, 0, event=event)
    for event in STORE_EVENTS:
        _add(CIRCUIT_TRANSITIONS, 0, event=event, circuit="")
    for circuit in circuits:
        for name in (CIRCUIT_DENIALS, CIRCUIT_PROBES):
            _add(name, 0, circuit=circuit)
        for change in get_args(ChangeName):
            _add(CIRCUIT_TRANSITIONS, 0, event=f"circuit.{change}", circuit=circuit)
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
    _add(CALLS, 1, **labels, outcome=outcome, kind=kind or "")
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
