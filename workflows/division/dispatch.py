"""Carrying an agenda out inside a workflow: start what can start, hear that it has ended, stop when told to.

It decides when, never what: whoever does a subtask tells the agenda how it ended. Subtasks are started one at a time,
each up to its first wait, so that one has taken its share before the next is considered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine
from functools import partial
from typing import Any, Protocol

from temporalio import workflow

from workflows.division.agenda import Agenda
from workflows.division.plans import Subtask


class Errands(Protocol):
    """What a dispatch asks of the pipeline it works for."""

    def places(self, subtask: Subtask, free: int) -> int:
        """How many of the `free` places it is to take now; 0 if it should wait for something to end first."""

    def errand(self, subtask: Subtask, places: int) -> Coroutine[Any, Any, None]:
        """Do it, with at most so many agents at once, and tell the agenda how it ended, unless it is cancelled."""

    def wants_optional(self) -> bool:
        """Whether optional subtasks may still be started."""

    def holds_back(self) -> bool:
        """Whether nothing may be started for now."""


class Dispatch:
    """The subtasks of one run that are under way."""

    def __init__(self, agenda: Agenda, errands: Errands, parallel: int) -> None:
        """At most `parallel` agents work at once."""
        self._agenda, self._errands, self._parallel = agenda, errands, parallel
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._places: dict[str, int] = {}
        self._news = 0
        self._defect: BaseException | None = None
        self.stopped: str | None = None
        """Why nothing more is started."""

    def stop(self, why: str, *, spare: Collection[str] = ()) -> None:
        """Start nothing more and cancel what is under way, but for what is spared: that ends by itself."""
        self.stopped = self.stopped or why
        for id, task in self._tasks.items():
            if id not in spare and task is not asyncio.current_task():
                task.cancel()
        self._news += 1

    async def until_idle(self) -> None:
        """Return when nothing is under way and nothing more is to be started. A cancelled run cancels everything."""
        try:
            while True:
                await self._start()
                if not self._tasks:
                    return
                seen = self._news
                await workflow.wait_condition(lambda: self._news != seen)  # noqa: B023 - awaited before the next turn
                if self._defect is not None:
                    raise self._defect
        except asyncio.CancelledError:
            self.stop("cancelled")
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            raise

    async def _start(self) -> None:
        for subtask in self._agenda.ready(optional=self._errands.wants_optional()):
            free = self._parallel - sum(self._places.values())
            if free <= 0 or self.stopped is not None or self._errands.holds_back():
                return
            places = self._errands.places(subtask, free)
            if places > 0 or not self._tasks:
                self._agenda.started(subtask.id)
                self._places[subtask.id] = max(places, 1)
                task = asyncio.create_task(self._errands.errand(subtask, max(places, 1)))
                self._tasks[subtask.id] = task
                task.add_done_callback(partial(self._ended, subtask.id))
                await asyncio.sleep(0)

    def _ended(self, id: str, task: asyncio.Task[None]) -> None:
        del self._tasks[id], self._places[id]
        self._news += 1
        if task.cancelled() and self._agenda.items[id].state == "running":
            self._agenda.failed(id, f"stopped: {self.stopped or 'cancelled'}")
        elif not task.cancelled() and (defect := task.exception()) is not None:
            self._defect = self._defect or defect
