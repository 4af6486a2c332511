"""What a run shows of itself to those who ask no worker: search attributes and memo. Each upsert is an event of the
history, so only a change is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from temporalio import workflow
from temporalio.common import SearchAttributeUpdate

from workflows.contracts import CIRCUIT_ATTRIBUTE, COST_ATTRIBUTE, PIPELINE_ATTRIBUTE, STATUS_ATTRIBUTE, Frozen

WAITING_MEMO = "waiting"
"""A `Waiting` while the run waits for a person."""
WARNINGS_MEMO = "warnings"
"""A list of lines: the bounds that are nearly used up."""


class Waiting(Frozen):
    """What a run waits for that only a person can give."""

    status: Literal["waiting_for_budget", "waiting_for_approval"]
    why: str
    todo: str
    """The command, or commands, to type."""


class Signs:
    """A run's search attributes and memo."""

    def __init__(self) -> None:
        attributes = workflow.info().typed_search_attributes
        self._searchable = attributes.get(PIPELINE_ATTRIBUTE) is not None
        """The starter sets attributes only where the server knows them; an upsert elsewhere would wedge the run."""
        self._waiting: Waiting | None = None
        self._circuit_open = False
        self._warnings = 0

    def waiting(self, waiting: Waiting | None) -> None:
        """Show what the run waits for, or that it goes on. More agents that wait for the same are no news."""
        before, self._waiting = self._waiting, waiting
        if (before and before.todo) == (waiting and waiting.todo):
            return
        workflow.upsert_memo({WAITING_MEMO: waiting})
        if (before and before.status) != (waiting and waiting.status):
            self._search(STATUS_ATTRIBUTE.value_set(waiting.status if waiting else "running"))

    def circuit(self, is_open: bool) -> None:
        """Show whether any agent waits for an open circuit."""
        if is_open != self._circuit_open:
            self._circuit_open = is_open
            self._search(CIRCUIT_ATTRIBUTE.value_set("open" if is_open else "closed"))

    def warned(self, warnings: Sequence[str]) -> None:
        """Show the warnings there are."""
        if len(warnings) != self._warnings:
            self._warnings = len(warnings)
            workflow.upsert_memo({WARNINGS_MEMO: list(warnings)})

    def ended(self, status: str, cost_usd: float | None) -> None:
        """Show how the run ended and what it cost, as far as that is known."""
        updates: list[SearchAttributeUpdate[Any]] = [STATUS_ATTRIBUTE.value_set(status)]
        if cost_usd is not None:
            updates.append(COST_ATTRIBUTE.value_set(cost_usd))
        self._search(*updates)

    def _search(self, *updates: SearchAttributeUpdate[Any]) -> None:
        if self._searchable:
            workflow.upsert_search_attributes(updates)


@contextmanager
def lasting(begin: Callable[[], object], end: Callable[[], object]) -> Iterator[None]:
    """Say `begin` before the block and `end` after it, however the block is left."""
    begin()
    try:
        yield
    except GeneratorExit:
        raise  # the run is put out of a worker's memory: it does not end here, and nothing may be said any more
    except BaseException:
        end()
        raise
    end()
