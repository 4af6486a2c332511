"""More than was granted: a run whose grant is used up asks the run above it, which asks on, up to a person.

Only with `--on-budget pause`. Two signals: `needs_more` goes up with what is missing, `has_more` comes down with what
was added to the grant, or with nothing. The root alone waits for a person, for the root alone can be given more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from workflows.caps import BoundExceeded, Caps
from workflows.contracts import Frozen
from workflows.ledger import Ledger

NEEDS_MORE = "needs_more"
HAS_MORE = "has_more"


class MoreNeeded(Frozen):
    """What a child asks for."""

    child: str
    grant: int
    ask: int
    """The child's own number, for the answer."""
    who: str
    by: Caps


class MoreGiven(Frozen):
    """What it gets; None if there is no more to be had."""

    ask: int
    by: Caps | None


class Above:
    """The run above, asked for more by a run that lives on a grant."""

    def __init__(self, parent: str, grant: int, until: Callable[[Callable[[], bool]], Awaitable[None]]) -> None:
        """`until` waits for a condition, no longer than this run's deadline."""
        self._parent, self._grant, self._until = parent, grant, until
        self._asks = 0
        self._answers: dict[int, Caps | None] = {}
        workflow.set_signal_handler(HAS_MORE, self._hear)

    async def more(self, who: str, short: Caps) -> Caps | None:
        """What was added to the grant; None if nothing was."""
        self._asks += 1
        ask = self._asks
        needed = MoreNeeded(child=workflow.info().workflow_id, grant=self._grant, ask=ask, who=who, by=short)
        try:
            await workflow.get_external_workflow_handle(self._parent).signal(NEEDS_MORE, needed)
        except ApplicationError:
            return None  # the parent has ended, and this run is about to
        await self._until(lambda: ask in self._answers)
        return self._answers.pop(ask)

    def _hear(self, given: MoreGiven) -> None:
        self._answers[given.ask] = given.by


class Below:
    """The runs below, which may ask this one for more."""

    def __init__(self, ledger: Ledger, fit: Callable[[str, Callable[[], bool], Callable[[], bool]], Awaitable[bool]]):
        """`fit` asks for room until it is there, or the third argument says that nobody wants it any more."""
        self._ledger, self._fit = ledger, fit
        self._under_way: set[asyncio.Task[None]] = set()
        workflow.set_signal_handler(NEEDS_MORE, self._hear)

    def _hear(self, needed: MoreNeeded) -> None:
        task = asyncio.create_task(self._answer(needed))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _answer(self, needed: MoreNeeded) -> None:
        def gone() -> bool:
            return needed.grant not in self._ledger.granted

        def extend() -> bool:
            return not gone() and self._ledger.extend(needed.grant, needed.by)

        # What one asker holds comes free for no other: each would wait for the other's.
        self._ledger.asking[needed.grant] += 1
        try:
            given = await self._fit(f"{needed.child.rpartition('.')[2]}/{needed.who}", extend, gone)
        except BoundExceeded:
            given = False
        finally:
            self._ledger.asking[needed.grant] -= 1
        if gone():
            return
        answer = MoreGiven(ask=needed.ask, by=needed.by if given else None)
        with suppress(ApplicationError):  # the child has ended meanwhile
            await workflow.get_external_workflow_handle(needed.child).signal(HAS_MORE, answer)
