"""A permit in the hands of a call: it takes one verdict, and tells the shared circuit and the process's own.

verdict                      shared circuit               the process's own
succeeded                    a success                    a success
failed                       a failure                    a success: it was reached (store lost: a failure)
failed, unreachable          the slot back; an accusation a failure
                             once the own one opens
throttled                    a pause for everyone         a success (store lost: a pause)
given back                   the slot back                the slot back
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Coroutine
from typing import Any, NamedTuple

from activities.circuit import machine
from activities.circuit.line import Line, Step, Unwritten
from activities.circuit.own import OwnCircuit
from activities.circuit.phases import IllegalMove
from activities.circuit.state import Outcome, Permit, Phase, Policy, State
from activities.circuit.store import StoreError


def _luck() -> float:
    return random.random()  # noqa: S311 - jitter


class Slot(NamedTuple):
    """A probe's permit on its way from the one who waited for it to the one who calls."""

    generation: int
    token: str
    at: float


class Ticket:
    """One permitted call. Verdicts are delivered even if the caller is cancelled while it waits for that."""

    def __init__(
        self,
        worker: str,
        policy: Policy,
        line: Line,
        own_circuit: OwnCircuit,
        own: Permit | None,
        shared: Permit | None,
        counts: Counter[str],
        verdicts: set[asyncio.Task[None]],
    ) -> None:
        self._worker = worker
        self._policy = policy
        self._line = line
        self._own_circuit = own_circuit
        self._own = own
        self._shared = shared
        self._counts = counts
        self._verdicts = verdicts
        self._spent = False

    @property
    def probe(self) -> bool:
        """Whether this call probes a circuit, and must say that it lives."""
        return any(permit is not None and permit.token is not None for permit in (self._own, self._shared))

    @property
    def spent(self) -> bool:
        """Whether the verdict is given."""
        return self._spent

    async def answering(self) -> None:
        """The service answers, the call goes on: a probe's success counts from here, any other call's at its end."""
        if self.probe and not self._spent:
            await self._see_to(self._answered())

    async def succeeded(self) -> None:
        """The service did what was asked."""
        self._spend()
        await self._see_to(self._settled(Outcome.SUCCESS, None))

    async def failed(self, *, unreachable: bool = False, retry_after: float | None = None) -> None:
        """The service failed. `unreachable`: no connection was made (DNS, connect, pool), perhaps by our own fault.

        `retry_after`: seconds the service asked for, should this open the circuit.
        """
        self._spend()
        await self._see_to(self._cut_off() if unreachable else self._settled(Outcome.FAILURE, retry_after))

    async def throttled(self, retry_after: float | None) -> None:
        """The service said 429: nobody calls for so many seconds (None: it did not say)."""
        self._spend()
        await self._see_to(self._throttled(retry_after))

    async def give_back(self) -> None:
        """No verdict: cancelled, or a fault of our own. Does nothing once a verdict is given."""
        if not self._spent:
            self._spend()
            await self._see_to(self._released())

    def hand_over(self) -> Slot | None:
        """The shared probe's slot, for another process to adopt; this ticket is spent then. None if it holds none."""
        shared = self._shared
        if shared is None or shared.token is None:
            return None
        self._spend()
        if self._own is not None:
            self._own_circuit.release(self._own)
        return Slot(shared.generation, shared.token, shared.at)

    async def renew(self) -> None:
        """The call lives: a probe keeps its slot. Free for every other call."""
        if self._spent:
            return
        if self._own is not None:
            self._own_circuit.renew(self._own)
        shared = self._shared
        if shared is not None and shared.token is not None:
            await self._deliver(lambda state, now: (machine.renew(state, self._policy, shared, now), None))

    # --- what each verdict means ----------------------------------------------------------------------------------

    async def _answered(self) -> None:
        if self._own is not None:
            self._own = self._own_circuit.answered(self._own)
        shared = self._shared
        if shared is not None and shared.token is not None:
            rest = await self._deliver(lambda state, now: machine.answered(state, self._policy, shared, now))
            self._shared = rest or shared

    async def _settled(self, outcome: Outcome, retry_after: float | None) -> None:
        shared, luck, told = self._shared, _luck(), False
        if shared is not None:

            def step(state: State, now: float) -> tuple[State, object]:
                stale = not machine.current(state, shared)
                after = machine.settle(state, self._policy, shared, outcome, now, luck, retry_after)
                if stale:
                    return after, "stale"
                unwritten = after is state and outcome is Outcome.SUCCESS and state.phase is Phase.CLOSED
                return after, Unwritten() if unwritten and not state.forced else "settled"

            answer = await self._deliver(step)
            told = answer is not None
            self._counts["stale"] += answer == "stale"
        if self._own is not None:
            reached = Outcome.SUCCESS if told else outcome
            self._own_circuit.settle(self._own, reached, luck, retry_after)

    async def _cut_off(self) -> None:
        opened = self._own is not None and self._own_circuit.settle(self._own, Outcome.FAILURE, _luck())
        shared, luck = self._shared, _luck()
        if shared is None or not (opened or shared.token):
            return

        def step(state: State, now: float) -> tuple[State, None]:
            state = machine.release(state, shared, now)
            return machine.accuse(state, self._policy, self._worker, now, luck), None

        await self._deliver(step)

    async def _throttled(self, retry_after: float | None) -> None:
        shared, luck, told = self._shared, _luck(), False
        if shared is not None:

            def step(state: State, now: float) -> tuple[State, bool]:
                return machine.throttle(state, self._policy, shared, retry_after, now, luck), True

            told = bool(await self._deliver(step))
        if self._own is not None and told:
            self._own_circuit.settle(self._own, Outcome.SUCCESS, luck)
        elif self._own is not None:
            self._own_circuit.throttle(self._own, retry_after, luck)

    async def _released(self) -> None:
        if self._own is not None:
            self._own_circuit.release(self._own)
        shared = self._shared
        if shared is not None and shared.token is not None:
            await self._deliver(lambda state, now: (machine.release(state, shared, now), None))

    # --- delivery -------------------------------------------------------------------------------------------------

    def _spend(self) -> None:
        if self._spent:
            raise IllegalMove("this call has had its verdict")
        self._spent = True

    async def _see_to(self, verdict: Coroutine[Any, Any, None]) -> None:
        """Deliver it in a task of its own, so that a cancelled caller still gives its permit back."""
        task = asyncio.create_task(verdict)
        self._verdicts.add(task)
        task.add_done_callback(self._verdicts.discard)
        await asyncio.shield(task)

    async def _deliver(self, step: Step[Any]) -> Any:
        """The step's answer, None if the store is lost: then the process's own circuit has to do."""
        try:
            return await self._line.submit(step)
        except StoreError:  # reported by the link, once; an unreturned slot comes back when its lease ends
            return None
