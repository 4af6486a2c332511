"""A look at every circuit of the store, now and then: for whoever asks how a worker is, and for the gauges.

It counts nothing and writes nothing. A circuit that was never used is not in the store and not in the survey.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import structlog

from activities.circuit.gate import Gate
from activities.circuit.store import StoreError

EVERY = timedelta(seconds=5)
"""One round trip for each circuit and worker; as often as a worker reports to the Temporal server."""


log = structlog.get_logger("circuit")


@dataclass(frozen=True, slots=True)
class Standing:
    """One circuit, as far as a reader of a page or a graph wants to know it."""

    key: str
    phase: str
    """closed, half_open or open."""
    held: str | None
    """`open` or `closed` if a person holds it."""
    since: float
    """Unix time of its last transition."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a survey found."""

    standings: tuple[Standing, ...] = ()
    trouble: str | None = None
    """Why the store could not be asked; the standings are older then."""


class Survey:
    """The latest look at the circuits of one gate."""

    def __init__(self, gate: Gate, tell: Callable[[Seen], None] = lambda _: None) -> None:
        """`tell` gets every look."""
        self._gate = gate
        self._tell = tell
        self.seen = Seen(trouble="not looked at yet")

    async def look(self) -> Seen:
        """Ask the store now."""
        try:
            standings = [await self._standing(key) for key in await self._gate.keys()]
            self.seen = Seen(tuple(standings))
        except StoreError as error:
            self.seen = Seen(self.seen.standings, str(error))
        except Exception as error:  # noqa: BLE001 - a look that ends the looking leaves the last one standing for ever
            trouble = f"the circuits cannot be looked at: {type(error).__name__}"
            if self.seen.trouble != trouble:
                log.warning("survey.failed", error=repr(error))
            self.seen = Seen(self.seen.standings, trouble)
        self._tell(self.seen)
        return self.seen

    def facts(self) -> tuple[list[dict[str, Any]], str | None]:
        """What was seen last, as plain values, and why the store could not be asked if it could not."""
        return [asdict(each) for each in self.seen.standings], self.seen.trouble

    async def keep_looking(self, every: timedelta = EVERY) -> None:
        """Look again and again, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(every.total_seconds())

    async def _standing(self, key: str) -> Standing:
        state, now = await self._gate.look(key)
        forced = state.forced if state.forced and (state.forced.until is None or now < state.forced.until) else None
        return Standing(key, state.phase.value, forced.mode if forced else None, state.since)
