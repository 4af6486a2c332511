"""One circuit of the store, as one process uses it: every step of every call queues here, many steps to a round trip.

While a round trip is under way the next steps gather; then all of them are applied in order to one loaded state and
written at once. So a process has one write in flight per circuit, however many calls it makes, and compare-and-swap is
contended by processes, not by callers.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from activities.circuit import machine
from activities.circuit.changes import Change, changes
from activities.circuit.link import Link, Report
from activities.circuit.phases import IllegalMove, first, keep_for
from activities.circuit.state import Permit, Policy, State, decode, encode
from activities.circuit.store import StoreCorrupt, StoreError, StoreUnavailable

ATTEMPTS = 100
"""Lost races before a round of steps gives up. Of n processes one wins each race, so this is never reached by luck."""
LONGEST_PAUSE = 0.01
"""Seconds. The pause after a lost race is drawn below this, or below a millisecond doubled for every race lost."""

ResultT = TypeVar("ResultT")
Step = Callable[[State, float], tuple[State, ResultT]]
"""From the state and the store's time to the state and an answer."""


class Unwritten:
    """The answer of a step that saw a success and wrote nothing: the process remembers it for the rate."""


@dataclass(eq=False)
class _Waiting(Generic[ResultT]):
    step: Step[ResultT]
    future: asyncio.Future[ResultT]


@dataclass(frozen=True, slots=True)
class Known:
    """What the store said last."""

    state: State
    read_at: float
    """On the process's monotonic clock."""
    ahead: float
    """Add to the process's monotonic clock to read the store's."""


class Line:
    """The queue of steps of one circuit."""

    def __init__(
        self, key: str, link: Link, policy: Policy, report: Report, counts: Counter[str], clock: Callable[[], float]
    ) -> None:
        self.key = key
        self.known: Known | None = None
        self._link = link
        self._policy = policy
        self._report = report
        self._counts = counts
        self._clock = clock
        self._waiting: list[_Waiting[Any]] = []
        self._runner: asyncio.Task[None] | None = None
        self._unwritten: deque[float] = deque(maxlen=policy.window)
        self._corrupt = False
        self._decoded_last: tuple[str, State] | None = None

    def submit(self, step: Step[ResultT]) -> asyncio.Future[ResultT]:
        """Queue a step. The future raises StoreError if the store could not be used; cancelling it early skips it."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(step, loop.create_future())
        self._waiting.append(waiting)
        if self._runner is None:
            self._runner = loop.create_task(self._run(), name=f"circuit {self.key}")
        return waiting.future

    def disown(self, asked: asyncio.Future[ResultT]) -> None:
        """Its caller was cancelled: if a slot was handed out in that very moment, nobody will ever give it back."""
        if asked.done() and not asked.cancelled() and asked.exception() is None:
            answer = asked.result()
            if isinstance(answer, Permit) and answer.token is not None:
                self._take_back(answer)

    async def drain(self) -> None:
        """Wait until every queued step is done."""
        while self._runner is not None:
            await asyncio.wait([self._runner])

    async def _run(self) -> None:
        batch: list[_Waiting[Any]] = []
        try:
            while self._waiting:
                batch, self._waiting = [each for each in self._waiting if not each.future.done()], []
                try:
                    await self._carry(batch)
                except StoreError as error:
                    for each in batch:
                        if not each.future.done():  # an exception of its own for each: a shared one's traceback grows
                            each.future.set_exception(type(error)(str(error)))
                except Exception as error:  # noqa: BLE001 - a defect, and every caller's to hear of
                    for each in batch:
                        if not each.future.done():
                            each.future.set_exception(error)
        finally:
            self._runner = None
            for each in (*batch, *self._waiting):
                each.future.cancel()

    async def _carry(self, batch: list[_Waiting[Any]]) -> None:
        """Apply the batch in one compare-and-swap, as often as it takes."""
        for lost in range(ATTEMPTS):
            if not batch:
                return
            text, before, now = await self._load()
            after, answers, told = self._applied(batch, before, now)
            if text is not None and after is before:
                self._learn(before, now)
                self._unwritten.extend(self._clock() for answer in answers if isinstance(answer, Unwritten))
                return self._hand_out(batch, answers)
            clean = [now for answer in answers if isinstance(answer, Unwritten)]
            if self._unwritten or clean:
                past = (*(at - self._clock() + now for at in self._unwritten), *clean)
                remembering = machine.remember(before, self._policy, past)
                after, answers, told = self._applied(batch, remembering, now)
            ttl = keep_for(after, self._policy, now)
            self._counts["written"] += 1
            if await self._link.swap(self.key, encode(after), text, ttl):
                self._unwritten.clear()
                self._learn(after, now)
                for change in told:
                    self._report(f"circuit.{change.name}", {"key": self.key, **change.fields})
                return self._hand_out(batch, answers)
            self._counts["conflicts"] += 1
            await asyncio.sleep(random.random() * min(0.001 * 2 ** min(lost, 10), LONGEST_PAUSE))  # noqa: S311 - jitter
            batch[:] = [each for each in batch if not each.future.done()]
        raise StoreUnavailable(f"the circuit {self.key!r} changed {ATTEMPTS} times before it could be written")

    async def _load(self) -> tuple[str | None, State, float]:
        self._counts["loaded"] += 1
        try:
            loaded = await self._link.load(self.key)
            state = first(loaded.now) if loaded.text is None else self._decoded(loaded.text)
        except StoreCorrupt as error:
            if not self._corrupt:
                self._corrupt = True
                self._report("circuit.store_corrupt", {"key": self.key, "why": str(error)})
            raise
        self._corrupt = False
        return loaded.text, state, loaded.now

    def _decoded(self, text: str) -> State:
        if self._decoded_last is not None and self._decoded_last[0] == text:
            return self._decoded_last[1]
        try:
            state = decode(text)
        except ValueError as error:
            raise StoreCorrupt(f"what the store keeps as circuit {self.key!r} cannot be used: {error}") from error
        self._decoded_last = (text, state)
        return state

    def _applied(
        self, batch: list[_Waiting[Any]], state: State, now: float
    ) -> tuple[State, list[object], list[Change]]:
        answers: list[object] = []
        told: list[Change] = []
        for each in batch:
            try:
                after, answer = each.step(state, now)
            except IllegalMove as error:
                answers.append(error)
                continue
            if after is not state:
                told += changes(state, after)
            state = after
            answers.append(answer)
        return state, answers, told

    def _hand_out(self, batch: list[_Waiting[Any]], answers: list[object]) -> None:
        for each, answer in zip(batch, answers, strict=True):
            if not each.future.done():
                if isinstance(answer, IllegalMove):
                    each.future.set_exception(answer)
                else:
                    each.future.set_result(answer)
            elif isinstance(answer, Permit) and answer.token is not None:
                self._take_back(answer)  # its caller was cancelled while the slot was being written

    def _take_back(self, permit: Permit) -> None:
        self.submit(lambda state, now: (machine.release(state, permit, now), None)).add_done_callback(_seen)

    def _learn(self, state: State, now: float) -> None:
        read_at = self._clock()
        if self.known is not None and self.known.state.generation != state.generation:
            self._unwritten.clear()
        self.known = Known(state, read_at, now - read_at)


def _seen(future: asyncio.Future[None]) -> None:
    """A lost store has been reported by the link; the lease ends by itself."""
    if not future.cancelled():
        future.exception()
