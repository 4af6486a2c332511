"""What a run says of itself while an agent waits, and when it must say nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from workflows.run import Run


class Quiet(Run[Any]):
    """A run outside any workflow, whose words are kept instead of said."""

    def __init__(self) -> None:
        self.said: list[dict[str, str]] = []
        self._waiting = {}

    def _waits(self, change: Callable[[], object]) -> None:
        change()
        self.said.append(dict(self._waiting))


def waiting(run: Quiet) -> Coroutine[Any, Any, None]:
    """An agent of `run` that waits and never stops by itself, begun."""

    async def wait() -> None:
        with run.waiting_for("planner-1", "api claude"):
            await asyncio.sleep(3_600)

    begun = wait()
    try:
        begun.send(None)
    except RuntimeError:
        pytest.fail("it should wait")
    return begun


async def test_a_wait_is_shown_while_it_lasts() -> None:
    """Said at its beginning, and again at its end, whatever ended it."""
    run = Quiet()
    begun = waiting(run)
    assert run.said == [{"planner-1": "api claude"}]
    with pytest.raises(asyncio.CancelledError):
        begun.throw(asyncio.CancelledError())
    assert run.said == [{"planner-1": "api claude"}, {}]


async def test_a_run_put_out_of_memory_while_it_waits_says_nothing() -> None:
    """A worker closes the coroutine outside the workflow, where to speak to it raises; the wait goes on elsewhere."""
    run = Quiet()
    waiting(run).close()
    assert run.said == [{"planner-1": "api claude"}]
