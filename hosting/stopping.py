"""When a process is to stop: a signal, or the end of whoever started it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys


def asked_to_stop(with_stdin: bool) -> asyncio.Event:
    """Set by SIGTERM, SIGINT, or (`with_stdin`) the end of standard input, which is the end of whoever started us."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if with_stdin:

        def read() -> None:
            if not os.read(sys.stdin.fileno(), 1024):
                loop.remove_reader(sys.stdin.fileno())
                stop.set()

        loop.add_reader(sys.stdin.fileno(), read)
    return stop
