"""The way through one circuit: the process's own first, then the shared one, whose probe is taken last."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Literal

from activities.circuit import machine
from activities.circuit.line import Known, Line
from activities.circuit.link import BACK_OFF
from activities.circuit.own import OwnCircuit
from activities.circuit.state import Denied, Permit, Policy
from activities.circuit.store import StoreError

FRESH = timedelta(seconds=1)
"""A known denial is repeated without asking for at most this long: a person who lets go is heard within a second."""

OnStoreLoss = Literal["local", "deny"]


class Passage:
    """One circuit, as the calls of this process meet it."""

    def __init__(
        self,
        line: Line,
        own: OwnCircuit,
        policy: Policy,
        on_store_loss: OnStoreLoss,
        clock: Callable[[], float],
    ) -> None:
        self.line = line
        self.own = own
        self._policy = policy
        self._on_store_loss: OnStoreLoss = on_store_loss
        self._clock = clock
        self._lost = False
        self._heard: Known | None = None

    def store_time(self) -> float:
        """The store's clock as far as it is known, else the wall's."""
        known = self.line.known
        return time.time() if known is None else self._clock() + known.ahead

    async def ask(self, token: str) -> tuple[Permit | None, Permit | None] | Denied:
        """(own permit, shared permit), or why not. The shared one is None while the store is lost."""
        denied = self._remembered()
        if denied is not None:
            return denied
        own = self._ask_own(token)
        if isinstance(own, Denied):
            await self._refresh()
            own = self._ask_own(token)
        if isinstance(own, Denied):
            return self._on_store_clock(own)
        asked = self.line.submit(lambda state, now: machine.permit(state, self._policy, now, token))
        try:
            shared = await asked
        except StoreError:  # reported by the link, once
            self._give_back(own)
            return self._ask_alone(token)
        except BaseException:
            self._give_back(own)
            self.line.disown(asked)
            raise
        self._hear()
        if isinstance(shared, Denied):
            self._give_back(own)
            return shared
        return own, shared

    async def outlook(self) -> Denied | None:
        """What `ask` would say."""
        denied = self._remembered()
        if denied is not None:
            return denied
        await self._refresh(at_most=timedelta(0))
        if self._lost and self._on_store_loss == "deny":
            return self._lost_denial()
        known = self.line.known
        if not self._lost and known is not None:
            denied = machine.outlook(known.state, self._policy, self._clock() + known.ahead)
            if denied is not None:
                return denied
        own = None if self._forced_closed() else self.own.outlook()
        return None if own is None else self._on_store_clock(own)

    def _remembered(self) -> Denied | None:
        """A denial that needs no question: the store said so less than a second ago, and its deadline is ahead."""
        known = self.line.known
        if known is None or self._clock() - known.read_at >= FRESH.total_seconds():
            return None
        denied = machine.outlook(known.state, self._policy, self._clock() + known.ahead)
        return denied if denied is not None and denied.reason != "probing" else None

    def _ask_own(self, token: str) -> Permit | Denied | None:
        return None if self._forced_closed() else self.own.permit(token)

    def _ask_alone(self, token: str) -> tuple[Permit | None, None] | Denied:
        """The store is lost: the same rules per process, from where the store left off."""
        self._lose()
        if self._on_store_loss == "deny":
            return self._lost_denial()
        answer = self.own.permit(token)
        return self._on_store_clock(answer) if isinstance(answer, Denied) else (answer, None)

    def _lost_denial(self) -> Denied:
        return Denied(self.store_time() + BACK_OFF.total_seconds(), "store_lost", "BREAKER_ON_STORE_LOSS=deny")

    async def _refresh(self, at_most: timedelta = FRESH) -> None:
        """Read the shared circuit again if the last reading is older: a person may have held or reset it."""
        known = self.line.known
        if known is not None and self._clock() - known.read_at < at_most.total_seconds():
            return
        try:
            await self.line.submit(lambda state, _: (state, None))
        except StoreError:  # reported by the link, once
            self._lose()
            return
        self._hear()

    def _lose(self) -> None:
        if not self._lost:
            self._lost = True
            if self.line.known is not None:
                self.own.inherit(self.line.known)

    def _hear(self) -> None:
        """The store has answered: it is back if it was lost, and a reset counts for the process's own circuit too."""
        if self._lost:
            self._lost = False
            self.own.rejoin()
        before, self._heard = self._heard, self.line.known
        if before is not None and self._heard is not None and before.state.reset_at != self._heard.state.reset_at:
            self.own.forget()

    def _forced_closed(self) -> bool:
        known = self.line.known
        forced = None if known is None or self._lost else known.state.forced
        if known is None or forced is None or forced.mode != "closed":
            return False
        return forced.until is None or self._clock() + known.ahead < forced.until

    def _give_back(self, own: Permit | None) -> None:
        if own is not None:
            self.own.release(own)

    def _on_store_clock(self, denied: Denied) -> Denied:
        """A denial of the process's own circuit, whose deadline is on a clock nobody else can read."""
        if denied.retry_at is None:
            return denied
        return Denied(denied.retry_at - self._clock() + self.store_time(), denied.reason, denied.why)
