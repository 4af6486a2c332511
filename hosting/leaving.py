"""The end of a process that has used Temporal's SDK."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn


def run_and_leave(program: Callable[[], int]) -> NoReturn:
    """Run a program to its end and leave with its exit code, or with that of its SystemExit.

    Not by sys.exit: a thread of the SDK's runtime that holds something while the interpreter is taken apart aborts the
    process, and the exit code is lost. Whatever has to be put away, the program has put away.
    """
    try:
        code = program()
    except SystemExit as ended:
        code = int(ended.code or 0)
    for stream in (sys.stdout, sys.stderr):
        with suppress(BrokenPipeError):  # whoever read it has gone
            stream.flush()
    os._exit(code)
