"""What was asked and what became of it: one entry for each request, in order of arrival.

Drills and tests count here what really reached the service. With a file, every finished entry is also a JSON line
that is written at once, so it is still there after a kill.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic_core import to_json

from simulator.calls import Call, Caller

KEPT = 100_000
"""Entries kept in memory, the latest; a benchmark must not be a memory leak. The file keeps all."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One request. Times are seconds since the server started; what is not known (yet) is None.

    `outcome` is in_flight, answered, `fault:<kind>`, `error:<status>`, or disconnected when the connection ended
    before the answer did. A fault stays a fault even if the client leaves it, as it must leave a hanging call.
    `rule` is the number, from 0, of the rule that decided it.
    """

    seq: int
    at: float
    method: str
    path: str
    request_id: str
    run: str | None = None
    agent: str | None = None
    attempt: int | None = None
    model: str | None = None
    stream: bool | None = None
    outcome: str = "in_flight"
    status: int | None = None
    rule: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    finished_at: float | None = None
    prompt_sha256: str | None = None
    system: str | None = None
    prompt: str | None = None


class Journal:
    """The entries of one server. `now` is seconds since it started."""

    def __init__(self, now: Callable[[], float], *, file: Path | None = None, texts: bool = False) -> None:
        self._now = now
        self._texts = texts
        self._entries: dict[int, Entry] = {}
        self._waiting: list[tuple[Callable[[Journal], bool], asyncio.Future[None]]] = []
        self._prefix = secrets.token_hex(4)
        self._line_file = None if file is None else os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self.requests = 0
        self.in_flight = 0
        self.max_in_flight = 0

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries())

    def __len__(self) -> int:
        return len(self._entries)

    def entries(self, *, run: str | None = None, agent: str | None = None) -> list[Entry]:
        """The entries in order of arrival, of one run or one agent if asked."""
        return [
            entry
            for entry in self._entries.values()
            if (run is None or entry.run == run) and (agent is None or entry.agent == agent)
        ]

    def arrive(self, method: str, path: str, caller: Caller) -> Entry:
        """A request came in; its entry has an id no other request has, of this server or of one before it."""
        self.requests += 1
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        entry = Entry(
            seq=self.requests,
            at=self._now(),
            method=method,
            path=path,
            request_id=f"req_{self._prefix}{self.requests:08d}",
            run=caller.run,
            agent=caller.agent,
            attempt=caller.attempt,
        )
        self._entries[entry.seq] = entry
        if len(self._entries) > KEPT:
            del self._entries[next(iter(self._entries))]
        self._tell()
        return entry

    def understood(self, entry: Entry, call: Call) -> Entry:
        """The request turned out to be a valid call."""
        return self._put(
            replace(
                entry,
                model=call.model,
                stream=call.stream,
                input_tokens=call.input_tokens,
                prompt_sha256=call.prompt_sha256,
                system=call.system if self._texts else None,
                prompt=call.prompt if self._texts else None,
            )
        )

    def finish(
        self, entry: Entry, outcome: str, *, status: int | None, output_tokens: int | None, rule: int | None
    ) -> None:
        """The request is over, one way or another."""
        self.in_flight -= 1
        finished = replace(
            entry,
            outcome=outcome,
            status=status,
            output_tokens=output_tokens,
            rule=rule,
            finished_at=self._now(),
        )
        self._put(finished)
        if self._line_file is not None:
            os.write(self._line_file, to_json(finished) + b"\n")
        self._tell()

    def clear(self) -> None:
        """Forget the entries and the high-water mark. Requests under way are finished, but not remembered again."""
        self._entries.clear()
        self.max_in_flight = self.in_flight

    async def until(self, condition: Callable[[Journal], bool]) -> None:
        """Wait until `condition` holds; it is looked at whenever a request arrives or is over."""
        if condition(self):
            return
        reached = asyncio.get_running_loop().create_future()
        self._waiting.append((condition, reached))
        await reached

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._line_file is not None:
            os.close(self._line_file)
            self._line_file = None

    def _put(self, entry: Entry) -> Entry:
        if entry.seq in self._entries:
            self._entries[entry.seq] = entry
        return entry

    def _tell(self) -> None:
        still: list[tuple[Callable[[Journal], bool], asyncio.Future[None]]] = []
        for condition, reached in self._waiting:
            if reached.done():
                continue
            if condition(self):
                reached.set_result(None)
            else:
                still.append((condition, reached))
        self._waiting = still
