"""A look at the circuits goes on whatever it meets, and says what it met."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from activities.circuit.gate import Gate
from activities.circuit.store import StoreUnavailable
from activities.circuit.survey import Seen, Survey
from tests.circuit.memory import MemoryStore


class Moody(MemoryStore):
    """A store that answers with these, then well."""

    def __init__(self, *troubles: Exception) -> None:
        super().__init__()
        self.troubles = list(troubles)

    async def keys(self) -> tuple[str, ...]:
        if self.troubles:
            raise self.troubles.pop(0)
        return await super().keys()


@pytest.mark.parametrize("trouble", [TypeError("an argument"), RuntimeError("a loop"), StoreUnavailable("gone")])
async def test_a_look_that_fails_is_not_the_last(trouble: Exception) -> None:
    """Whoever asks hears that it failed, as often as it does, and that it works again; the log has one line."""
    seen: asyncio.Queue[Seen] = asyncio.Queue()
    survey = Survey(Gate(Moody(trouble, trouble), worker="test"), seen.put_nowait)
    with capture_logs() as logs:
        looking = asyncio.create_task(survey.keep_looking(timedelta(0)))
        looks = [await seen.get() for _ in range(3)]
        looking.cancel()
    assert all(each.trouble for each in looks[:2])
    assert looks[2].trouble is None
    expected = 0 if isinstance(trouble, StoreUnavailable) else 1
    assert [each["event"] for each in logs].count("survey.failed") == expected
