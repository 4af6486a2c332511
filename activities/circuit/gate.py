"""What a call does: ask before, say how it went after, and give the permit back whatever happens.

    async with gate.call("api.anthropic.com claude-haiku-4-5") as ticket:   # raises CircuitOpen
        reply = await ask()
        await ticket.succeeded()

A ticket that leaves without a verdict (cancelled, refused, our own exception) is given back uncounted.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

from activities.circuit import machine
from activities.circuit.line import Line
from activities.circuit.link import Link, Report, log_event
from activities.circuit.own import OwnCircuit
from activities.circuit.passage import OnStoreLoss, Passage
from activities.circuit.state import DenialReason, Denied, Mode, Permit, Policy, State
from activities.circuit.store import Store
from activities.circuit.ticket import Ticket


class CircuitOpen(Exception):
    """No call may be made now. `retry_in` is in seconds, None when unknown (a probe is out, a person holds it)."""

    def __init__(
        self, key: str, reason: DenialReason, why: str, retry_at: float | None, retry_in: float | None
    ) -> None:
        wait = "until it is let go or probed" if retry_in is None else f"for {retry_in:.1f} s"
        super().__init__(f"the circuit {key} is not passable {wait} ({reason}{': ' if why else ''}{why})")
        self.key = key
        self.reason = reason
        self.why = why
        self.retry_at = retry_at
        """Unix time on the store's clock: for people. To wait, use retry_in."""
        self.retry_in = retry_in


class Gate:
    """Every circuit of one process. One per process and event loop."""

    def __init__(
        self,
        store: Store,
        policy: Policy | None = None,
        *,
        worker: str,
        on_store_loss: OnStoreLoss = "local",
        report: Report = log_event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`worker` names this process among those that share the store; it shows beside the probes it holds."""
        self.policy = policy or Policy()
        self.worker = worker
        self.counts: Counter[str] = Counter()
        """What happened here: permitted, denied, probes, stale, loaded, written, conflicts."""
        self._store = store
        self._link = Link(store, report, clock)
        self._on_store_loss: OnStoreLoss = on_store_loss
        self._report = report
        self._clock = clock
        self._passages: dict[str, Passage] = {}
        self._verdicts: set[asyncio.Task[None]] = set()
        self._tokens = 0
        self._run = f"{random.getrandbits(32):08x}"

    @asynccontextmanager
    async def call(self, key: str) -> AsyncIterator[Ticket]:
        """A permit for the body; given back uncounted if the body gives no verdict. Raises CircuitOpen."""
        ticket = await self.enter(key)
        try:
            yield ticket
        finally:
            await ticket.give_back()

    async def enter(self, key: str) -> Ticket:
        """A permit, which must be settled or given back. Raises CircuitOpen."""
        passage = self._passage(key)
        self._tokens += 1
        token = f"{self.worker}#{self._run}-{self._tokens}"
        answer = await passage.ask(token)
        if isinstance(answer, Denied):
            self.counts["denied"] += 1
            raise self._refusal(key, passage, answer)
        own, shared = answer
        self.counts["permitted"] += 1
        if shared is not None and shared.token is not None:
            self.counts["probes"] += 1
        return Ticket(self.worker, self.policy, passage.line, passage.own, own, shared, self.counts, self._verdicts)

    def adopt(self, key: str, slot: Permit) -> Ticket:
        """The ticket of a probe whose slot was taken elsewhere and handed over. Its lease goes on from there."""
        passage = self._passage(key)
        return Ticket(self.worker, self.policy, passage.line, passage.own, None, slot, self.counts, self._verdicts)

    async def outlook(self, key: str) -> CircuitOpen | None:
        """What `enter` would raise now, without asking for anything. None is yes."""
        passage = self._passage(key)
        denied = await passage.outlook()
        return None if denied is None else self._refusal(key, passage, denied)

    # --- for people: these raise StoreError, because nothing else can hold a fleet ------------------------------

    async def look(self, key: str) -> tuple[State, float]:
        """The circuit as the store has it, and the store's time."""
        return await self._passage(key).line.submit(lambda state, now: (state, (state, now)))

    async def keys(self) -> tuple[str, ...]:
        """Every circuit in the store."""
        return await self._store.keys()

    async def force(self, key: str, mode: Mode, *, reason: str, by: str, lasting: timedelta | None = None) -> State:
        """Hold it open or closed, for a time or until reset. Raises IllegalMove without a reason or a name."""

        def step(state: State, now: float) -> tuple[State, State]:
            until = None if lasting is None else now + lasting.total_seconds()
            after = machine.force(state, mode, reason=reason, by=by, now=now, until=until)
            return after, after

        return await self._passage(key).line.submit(step)

    async def reset(self, key: str) -> State:
        """Let go and forget, in every process within a second."""

        def step(state: State, now: float) -> tuple[State, State]:
            after = machine.reset(state, now)
            return after, after

        return await self._passage(key).line.submit(step)

    async def close(self) -> None:
        """Deliver what is still to be said, then let go of the store."""
        while self._verdicts:
            await asyncio.wait(self._verdicts)
        for passage in self._passages.values():
            await passage.line.drain()
        await self._store.close()

    # --- the parts ------------------------------------------------------------------------------------------------

    def _passage(self, key: str) -> Passage:
        if key not in self._passages:
            line = Line(key, self._link, self.policy, self._report, self.counts, self._clock)
            own = OwnCircuit(key, self.policy, self._report, self._clock)
            self._passages[key] = Passage(line, own, self.policy, self._on_store_loss, self._clock)
        return self._passages[key]

    def _refusal(self, key: str, passage: Passage, denied: Denied) -> CircuitOpen:
        """A new exception each time: a kept one would grow by a traceback at every raise."""
        now = passage.store_time()
        retry_in = None if denied.retry_at is None else max(0.0, denied.retry_at - now)
        return CircuitOpen(key, denied.reason, denied.why, denied.retry_at, retry_in)
