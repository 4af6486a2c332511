"""A run's bounds inside its workflow: who waits for room, who waits for a person, what is nearly used up.

A call that does not fit waits while others are under way, for they may use less than they hold. What would not fit even
then is refused; or, with `--on-budget pause`, waits for the update `raise_budget`, durably, for as long as the deadline
allows. A run that lives on a grant asks the run above it instead, so it is the root that waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import TypeVar

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from workflows.caps import Bound, BoundsState, BudgetRaise, Caps, Grant, Spent
from workflows.inputs import RunInput
from workflows.ledger import BoundExceeded, Ledger, NotRaised, Reservation
from workflows.models import nano, usd
from workflows.more import Above, Below
from workflows.signs import Waiting, lasting

T = TypeVar("T")

RAISE_UPDATE = "raise_budget"
ROOM_QUERY = "waits_for_room"
"""Answers with `Bounds.room`."""
NAMED = 3
"""Of those who wait for room; of the others the number."""

_OPTIONS: dict[Bound, str] = {"usd": "--usd", "tokens": "--tokens", "agents": "--agents"}
"""What `starter.py budget` can raise."""


class Bounds:
    """The ledger and the deadline of one run."""

    def __init__(self, input: RunInput, changed: Callable[[], None]) -> None:
        """`changed` is called whenever there is something new to show."""
        info = workflow.info()
        self._id, self._changed = info.workflow_id, changed
        self.began = info.workflow_start_time
        self.deadline: datetime | None = None
        self.ledger = Ledger(input.caps)
        self.warnings: list[str] = []
        self.met: set[Bound] = set()
        """The bounds at which somebody was refused."""
        if input.carried is not None:
            carried = input.carried.bounds
            self.ledger, self.began = Ledger.resume(carried.ledger), carried.began
            self.deadline, self.warnings = carried.deadline, list(carried.warnings)
        elif input.grant is not None:
            self.ledger, self.deadline = Ledger(input.grant.caps), input.grant.deadline
        elif input.deadline is not None:
            self.deadline = self.began + input.deadline
        self._warned = {(bound, self._cap_of(bound)) for bound in self.tight} if self.warnings else set()
        self.pauses = input.on_budget == "pause" and (input.grant is None or info.parent is not None)
        """What does not fit waits for a person, or for the run above, instead of being refused."""
        self._granted = input.grant is not None
        self._above: Above | None = None
        if self.pauses and input.grant is not None and info.parent is not None:
            self._above = Above(info.parent.workflow_id, input.grant.number, self.until)
        self._below = Below(self.ledger, self._fit)
        self._paused: dict[str, BoundExceeded] = {}
        self._crowd: dict[str, BoundExceeded] = {}
        """Who waits for room, and what did not fit when they last asked."""
        self._raises = 0
        self._late = False
        self._clock: asyncio.Task[None] | None = None
        workflow.set_update_handler(RAISE_UPDATE, self._raise, validator=self._validate)
        workflow.set_query_handler(ROOM_QUERY, self._room)

    @property
    def tight(self) -> tuple[Bound, ...]:
        """The bounds of which four fifths are used: a pipeline starts no new optional work then."""
        late = self.deadline is not None and 5 * (workflow.now() - self.began) >= 4 * (self.deadline - self.began)
        return (*self.ledger.tight, "deadline") if late else self.ledger.tight

    @property
    def waiting(self) -> Waiting | None:
        """What a person has to do, if anybody waits for that."""
        if not self._paused:
            return None
        who, refused = next(iter(self._paused.items()))
        exhausted = {each.bound for each in self._paused.values()}
        options = " ".join(f"{option} TOTAL" for bound, option in _OPTIONS.items() if bound in exhausted)
        return Waiting(
            status="waiting_for_budget",
            why=f"{who}: {refused}; it takes at least {refused.enough} in all",
            todo=f"starter.py budget {self._id} {options}",
        )

    @property
    def room(self) -> str | None:
        """Who waits for what others hold, why, and until when, in one line; None if nobody does."""
        if not self._crowd:
            return None
        refused = next(iter(self._crowd.values()))
        some, more = ", ".join(islice(self._crowd, NAMED)), len(self._crowd) - NAMED
        who = f"{some} and {more:,} more" if more > 0 else some
        verb = "waits" if len(self._crowd) == 1 else "wait"
        latest = "" if self.deadline is None else f", until {self.deadline:%H:%M:%S} UTC at the latest"
        return (
            f"{who} {verb} for room: {refused}; what is under way holds it and gives back what it does not use{latest}"
        )

    # --- asking for room ------------------------------------------------------------------------------------------

    async def reserve(self, who: str, *, model: str, input_bytes: int, max_tokens: int, agents: int) -> Reservation:
        """Room for one call, when there is some. Raises BoundExceeded if there will be none, or no time."""
        return await self._fit(
            who,
            lambda: self.ledger.reserve(model=model, input_bytes=input_bytes, max_tokens=max_tokens, agents=agents),
        )

    async def grant(
        self,
        who: str,
        *,
        agents: int | None = None,
        nano_usd: int | None = None,
        tokens: int | None = None,
        deadline: datetime | None = None,
    ) -> Grant:
        """A share for a child run, when there is room. Raises BoundExceeded if there will be none, or no time."""
        ends = min((each for each in (deadline, self.deadline) if each is not None), default=None)
        return await self._fit(
            who, lambda: self.ledger.grant(agents=agents, nano_usd=nano_usd, tokens=tokens, deadline=ends)
        )

    async def keep_back(self, who: str, caps: Caps) -> Grant:
        """A share for a last step of this very run, when there is room. Raises BoundExceeded if there will be none."""
        return await self._fit(
            who,
            lambda: self.ledger.keep_back(
                agents=caps.agents or 0, nano_usd=caps.nano_usd or 0, tokens=caps.tokens or 0
            ),
        )

    def returned(self, grant: Grant, spent: Spent | None) -> None:
        """Settle a grant with what its child used; None if nobody can say."""
        self.ledger.returned(grant, spent)
        self.look()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition, no longer than the deadline. Raises BoundExceeded("deadline") then."""
        if self.deadline is not None and self._clock is None:
            # One timer for everybody who waits: one each would be events by the hundred.
            self._clock = asyncio.create_task(self._strike(self.deadline))
        await workflow.wait_condition(lambda: condition() or self._late)
        if not condition():
            raise _too_late()

    def look(self) -> None:
        """Warn, once for each bound and cap, of what is nearly used up."""
        for bound in self.tight:
            mark = (bound, self._cap_of(bound))
            if mark not in self._warned:
                self._warned.add(mark)
                self.warnings.append(self._warning(bound))
                self._changed()

    def carried(self) -> BoundsState:
        """Everything, for the next execution of this workflow. Raises RuntimeError while a call is under way."""
        return BoundsState(
            ledger=self.ledger.carried(), began=self.began, deadline=self.deadline, warnings=self.warnings
        )

    async def _fit(self, who: str, ask: Callable[[], T], gone: Callable[[], bool] = lambda: False) -> T:
        """What `ask` returns, as soon as it does not refuse. `gone`: nobody wants it any more; then it does not."""
        with ExitStack() as crowd:
            return await self._fitting(who, ask, gone, crowd)

    async def _fitting(self, who: str, ask: Callable[[], T], gone: Callable[[], bool], crowd: ExitStack) -> T:
        while True:
            self._in_time()
            freed, raised = self.ledger.changes, self._raises
            try:
                return ask()
            except BoundExceeded as error:
                refused = error
            if not refused.for_good:
                if who not in self._crowd:
                    crowd.enter_context(lasting(partial(self._join, who, refused), partial(self._leave, who)))
                self._crowd[who] = refused  # shown with the next change: to show each refusal of hundreds is work
                await self.until(lambda: self.ledger.changes != freed)  # noqa: B023 - awaited before the next turn
                continue
            crowd.close()
            if not self.pauses or refused.short is None:
                self.met.add(refused.bound)
                raise refused
            elif self._above is not None:
                if (more := await self._above.more(who, refused.short)) is None:
                    self.met.add(refused.bound)
                    raise refused
                self.ledger.raise_to(self.ledger.caps + more)
            else:
                with lasting(lambda: self._pause(who, refused), lambda: self._resume(who)):  # noqa: B023
                    await self.until(lambda: self._raises != raised or gone())  # noqa: B023

    def _join(self, who: str, refused: BoundExceeded) -> None:
        self._crowd[who] = refused
        self._changed()

    def _leave(self, who: str) -> None:
        self._crowd.pop(who, None)
        self._changed()

    def _room(self) -> str | None:
        return self.room

    def _in_time(self) -> None:
        if self.deadline is not None and workflow.now() >= self.deadline:
            raise _too_late()

    async def _strike(self, deadline: datetime) -> None:
        # It may have passed while a call was under way, and a timer is never set for the past.
        if (left := deadline - workflow.now()) > timedelta(0):
            await workflow.sleep(left, summary="the run's deadline")
        self._late = True

    # --- waiting for a person -------------------------------------------------------------------------------------

    def _pause(self, who: str, refused: BoundExceeded) -> None:
        self._paused[who] = refused
        self._changed()

    def _resume(self, who: str) -> None:
        self._paused.pop(who, None)  # a raise has forgotten everybody at once
        self._changed()

    def _validate(self, asked: BudgetRaise) -> None:
        if self._granted:
            raise ApplicationError(
                "this run lives on a grant; raise the budget of the run that started it", type="NotRaised"
            )
        try:
            self._new_caps(asked)
        except NotRaised as error:
            raise ApplicationError(str(error), type="NotRaised", non_retryable=True) from error

    async def _raise(self, asked: BudgetRaise) -> int:
        """Go on with the new totals; returns how many agents had waited for it."""
        waited = len(self._paused)
        self._paused.clear()
        self.ledger.raise_to(self._new_caps(asked))
        self._raises += 1
        self._changed()
        return waited

    def _new_caps(self, asked: BudgetRaise) -> Caps:
        return self.ledger.raised(
            nano_usd=None if asked.usd is None else nano(asked.usd), tokens=asked.tokens, agents=asked.agents
        )

    # --- words ----------------------------------------------------------------------------------------------------

    def _cap_of(self, bound: Bound) -> int | None:
        caps = self.ledger.caps
        return {"usd": caps.nano_usd, "tokens": caps.tokens, "agents": caps.agents}.get(bound)

    def _warning(self, bound: Bound) -> str:
        ledger, caps = self.ledger, self.ledger.caps
        match bound:
            case "usd":
                return f"${usd(ledger.spent):.4f} of the ${usd(caps.nano_usd):.4f} budget is spent"
            case "tokens":
                return f"{ledger.usage.total + ledger.lost_tokens:,} of {caps.tokens:,} tokens are used"
            case "agents":
                return f"{ledger.agents:,} of {caps.agents:,} agents have been started"
        return f"four fifths of the time are over; the deadline is {self.deadline:%H:%M:%S} UTC"


def _too_late() -> BoundExceeded:
    return BoundExceeded("deadline", "the run's deadline has passed")
