"""What the CLI tells a person when something is wrong: one line, the next step in it, and an exit code."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from enum import IntEnum
from typing import Any, NoReturn

HURRY = "ends at once at a second Ctrl-C"
"""The name of a task that lets something come to its end which may take long."""


class Exit(IntEnum):
    """The exit codes of `starter.py`."""

    PASSED = 0
    NOT_PASSED = 1
    """The run finished, but not passed or not complete."""
    USAGE = 2
    FAILED = 3
    """The run failed or was cancelled."""
    UNREACHABLE = 4
    """Temporal, or the circuits' store, cannot be reached."""
    INTERRUPTED = 130
    """Ctrl-C, as shells count it."""


class Stop(Exception):
    """End the command now: `str()` is the line a person reads."""

    def __init__(self, message: str, code: Exit) -> None:
        super().__init__(message)
        self.code = code


class Left(Stop):
    """Interrupted, and the person has been told what goes on and how to come back to it."""

    def __init__(self) -> None:
        super().__init__("interrupted", Exit.INTERRUPTED)


def finish(command: Coroutine[Any, Any, Exit]) -> NoReturn:
    """Run a command to its end and leave with its exit code; Ctrl-C lets it leave in order, with a line and 130.

    A second one ends at once what is named HURRY. The rest of the leaving has limits of its own and is not interrupted:
    what it would not wait for would stay.
    """

    async def heard() -> Exit:
        loop, main, presses = asyncio.get_running_loop(), asyncio.current_task(), 0

        def pressed() -> None:
            nonlocal presses
            presses += 1
            for task in asyncio.all_tasks():
                if (presses == 1 and task is main) or (presses == 2 and task.get_name() == HURRY):
                    task.cancel()

        # Between the steps of all tasks; by itself it would be raised in the middle of one, whichever that is.
        loop.add_signal_handler(signal.SIGINT, pressed)
        try:
            return await command
        except asyncio.CancelledError:
            if not presses:
                raise
            raise Stop("interrupted", Exit.INTERRUPTED) from None

    raise SystemExit(asyncio.run(heard()))
