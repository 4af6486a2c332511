"""What the CLI tells a person when something is wrong: one line, the next step in it, and an exit code."""

from __future__ import annotations

import asyncio
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


def finish(command: Coroutine[Any, Any, Exit]) -> NoReturn:
    """Run a command to its end and leave with its exit code."""
    raise SystemExit(asyncio.run(command))
