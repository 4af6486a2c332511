"""What the CLI tells a person when something is wrong: one line, the next step in it, and an exit code."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from enum import IntEnum
from typing import Any, NoReturn


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
    """Run a command to its end and leave with its exit code.

    Ctrl-C lets it leave in order, a second one in a hurry. A third is not heard: within seconds all that the command
    started has ended, and it would stay instead.
    """
    with asyncio.Runner() as runner:
        try:
            code = runner.run(command)
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            raise
    raise SystemExit(code)
