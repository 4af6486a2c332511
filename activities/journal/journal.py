"""The journal: what the API has said to a call is kept before Temporal is told, and asked for before a call is made.

It covers the moment between a paid answer and its record in the history. A worker that dies in it, or a server that is
away and loses a result, costs an attempt, and the attempt finds the answer here instead of paying for it again.

A journal that is lost costs no call its success and none more than a moment: calls go on, and whatever they then risk
to pay twice is told.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Literal, Protocol, TypeVar

import structlog
from pydantic import ValidationError

from activities.journal.pages import Pages
from activities.stores.address import StoreError
from workflows.contracts import CallOutcome, Frozen, SubagentCall

BACK_OFF = timedelta(seconds=1)
"""How long a journal that failed is left alone, so that not every call pays its timeout."""

Report = Callable[[str, Mapping[str, object]], None]
"""Takes an event: its dotted name and its fields."""

PURPOSE = "journal"
"""What entries are sealed for."""

ResultT = TypeVar("ResultT")
log = structlog.get_logger("journal")


class Seal(Protocol):
    """How entries are made unreadable to whoever can look into the store."""

    def seal(self, value: bytes, purpose: str) -> bytes:
        """Encrypt. What was sealed for one purpose opens for no other."""
        ...

    def open(self, data: bytes, purpose: str) -> bytes:
        """Decrypt. Raises, whatever it likes, for what is not sealed by a key it has."""
        ...


@dataclass(frozen=True)
class Page:
    """Which answer: the one of this activity of this run to these words.

    Not part of it is what differs between two attempts at the same answer: permit, attempt, the run's bounds.
    """

    workflow_id: str
    run_id: str
    activity_id: str
    words: str

    @classmethod
    def of(cls, call: SubagentCall, *, workflow_id: str, run_id: str, activity_id: str) -> Page:
        """The page of a call: its words are everything that determines what the API says."""
        said = [call.model, call.instructions, call.prompt, call.answer_schema, call.max_tokens]
        return cls(workflow_id, run_id, activity_id, _digest(said))

    @property
    def key(self) -> str:
        """Of one length, and without a word of anybody's in it."""
        return _digest([self.workflow_id, self.run_id, self.activity_id, self.words])


class Illegible(Exception):
    """What is under a key is no entry for us."""


class Entry(Frozen):
    """What is written, so that it can be recognised: a sealed entry that was moved to another key is none."""

    breakwater_answer: Literal[1] = 1
    key: str
    outcome: CallOutcome


def log_event(name: str, fields: Mapping[str, object]) -> None:
    """The default report: one line in the log."""
    (log.info if name == "journal.back" else log.warning)(name, **fields)


class Journal:
    """The journal of one process. One per process and event loop."""

    def __init__(
        self,
        pages: Pages,
        ttl: timedelta,
        *,
        seal: Seal | None = None,
        report: Report = log_event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`ttl` is how long an answer is kept: longer than the longest outage that shall cost nothing."""
        self._pages = pages
        self._ttl = ttl.total_seconds()
        self._seal = seal
        self._report = report
        self._clock = clock
        self._again_at = float("-inf")
        self._lost_at: float | None = None
        self._why = ""
        self._writing: set[asyncio.Task[None]] = set()

    async def look_up(self, page: Page, attempt: int) -> CallOutcome | None:
        """The answer, if it was paid for before. None also if nobody can say: that is told, and the call goes on.

        A first attempt does not ask a journal that has just failed. A later one does, for it may be there to be paid.
        """
        if attempt == 1 and self._rests():
            return None
        try:
            sealed = await self._asked(self._pages.get(page.key))
            return None if sealed is None else self._read(page, sealed)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not cost a call
            self._tell("journal.not_read", page, attempt=attempt, why=_words(error))
            return None

    async def keep(self, page: Page, outcome: CallOutcome) -> None:
        """Write down what was paid. Done even if the caller is cancelled meanwhile; never fails, but tells."""
        writing = asyncio.create_task(self._write(page, outcome))
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)
        await asyncio.shield(writing)

    async def close(self) -> None:
        """Write what is still to be written, then let go of the store."""
        while self._writing:
            await asyncio.wait(self._writing)
        await self._pages.close()

    def _read(self, page: Page, sealed: bytes) -> CallOutcome:
        clear = sealed if self._seal is None else self._seal.open(sealed, PURPOSE)
        try:
            entry = Entry.model_validate_json(clear)
        except ValidationError:
            # Its message would quote the answer.
            raise Illegible("the entry is of another version, or sealed") from None
        if entry.key != page.key:
            raise Illegible("the entry belongs to another call")
        return entry.outcome

    async def _write(self, page: Page, outcome: CallOutcome) -> None:
        if self._rests():
            self._tell("journal.not_kept", page, request_id=outcome.request_id, why=self._why)
            return
        try:
            clear = Entry(key=page.key, outcome=outcome).model_dump_json().encode()
            sealed = clear if self._seal is None else self._seal.seal(clear, PURPOSE)
            await self._asked(self._pages.put(page.key, sealed, self._ttl))
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not cost the answer
            self._tell("journal.not_kept", page, request_id=outcome.request_id, why=_words(error))

    def _rests(self) -> bool:
        """Whether it failed a moment ago."""
        return self._clock() < self._again_at

    async def _asked(self, asked: Awaitable[ResultT]) -> ResultT:
        """What the pages say. Their loss and their return are told once."""
        try:
            answer = await asked
        except StoreError as error:
            self._why = str(error)
            self._again_at = self._clock() + BACK_OFF.total_seconds()
            if self._lost_at is None:
                self._lost_at = self._clock()
                self._report("journal.lost", {"why": self._why})
            raise
        if self._lost_at is not None:
            self._report("journal.back", {"after": round(self._clock() - self._lost_at, 3)})
            self._lost_at, self._again_at = None, float("-inf")
        return answer

    def _tell(self, event: str, page: Page, **fields: object) -> None:
        self._report(event, {"run": page.workflow_id, "activity": page.activity_id, **fields})


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, (StoreError, Illegible)) else f"{type(error).__name__}: {error}"


def _digest(value: object) -> str:
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
