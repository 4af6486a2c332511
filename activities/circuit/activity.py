"""The breaker's activity: wait until an open circuit lets this caller through, for as long as the outage lasts.

A waiter leaves in one of two ways. While the circuit recovers it takes a probe's slot and hands it to the call it waits
for, so exactly as many are let go as the recovery admits. Once the circuit is closed the rest go one after another,
spread over a moment, so that nobody's return is a stampede.
"""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta

from temporalio import activity

from activities.circuit.gate import CircuitOpen, Gate
from workflows.contracts import (
    AWAIT_CIRCUIT,
    HEARTBEAT_EVERY,
    CircuitPassage,
    CircuitWait,
    CircuitWaiting,
    HandedPermit,
)
from workflows.measures import CIRCUIT_WAITERS

LOOK = timedelta(milliseconds=400)
"""How often a waiter asks while nobody can say how long it takes: a probe is out, or a person holds the circuit."""
SPREAD = timedelta(seconds=2)
"""Over how long those who wait for a closed circuit are let go."""


class CircuitWaits:
    """The activity of waiting for a circuit, with the process's one gate."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._waiters = 0

    @activity.defn(name=AWAIT_CIRCUIT)
    async def await_circuit(self, wait: CircuitWait) -> CircuitPassage:
        """Return when a call may be made, with the probe's slot if it is to be one."""
        self._count(+1)
        try:
            return await self._let_through(wait)
        finally:
            self._count(-1)

    async def _let_through(self, wait: CircuitWait) -> CircuitPassage:
        waited = False
        while True:
            try:
                ticket = await self._gate.enter(wait.key)
            except CircuitOpen as denied:
                waited = True
                await self._pass_the_time(denied)
                continue
            if (slot := ticket.hand_over()) is not None:
                return CircuitPassage(permit=HandedPermit(generation=slot.generation, token=slot.token, at=slot.at))
            await ticket.give_back()
            if waited:
                await self._beating(SPREAD * _luck(), CircuitWaiting(reason="closing", until=None))
            return CircuitPassage(permit=None)

    def _count(self, change: int) -> None:
        self._waiters += change
        activity.metric_meter().create_gauge(CIRCUIT_WAITERS).set(self._waiters)

    async def _pass_the_time(self, denied: CircuitOpen) -> None:
        """Until the circuit may change, but ask at least every few heartbeats: a person may open it earlier."""
        until = None if denied.retry_at is None else datetime.fromtimestamp(denied.retry_at, UTC)
        known = LOOK if denied.retry_in is None else timedelta(seconds=denied.retry_in)
        await self._beating(
            min(known, HEARTBEAT_EVERY) + LOOK * _luck() / 2, CircuitWaiting(reason=denied.reason, until=until)
        )

    async def _beating(self, pause: timedelta, waiting: CircuitWaiting) -> None:
        activity.heartbeat(waiting)
        await asyncio.sleep(pause.total_seconds())


def _luck() -> float:
    return random.random()  # noqa: S311 - jitter
