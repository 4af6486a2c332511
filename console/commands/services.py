"""The commands about what runs on this machine: up, down."""

from __future__ import annotations

import asyncio
import signal

from rich.console import Console

from console.errors import Exit, Stop
from console.session import session
from hosting.connection import is_configured
from hosting.home import Home


async def keep_up() -> Exit:
    """Keep the embedded server, its UI and a worker up until SIGINT or SIGTERM."""
    console = Console(stderr=True)
    if is_configured():
        raise Stop(
            "a Temporal server is configured (TEMPORAL_ADDRESS or a profile), so there is nothing to keep up here; "
            "start a worker for it with `python worker.py`",
            Exit.USAGE,
        )

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    asked_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked_to_stop.set)
    async with session(say, worker=True) as here:
        say(f"Temporal  {here.connection.address}")
        say(f"UI        {here.connection.ui_url}")
        await here.ready()
        say("up; Ctrl-C stops it")
        await here.hold(asked_to_stop)
        say("stopping: calls under way may finish")
    return Exit.PASSED


async def take_down() -> Exit:
    """Stop what runs for this home, whoever started it."""
    from hosting.embedded import down

    console = Console(stderr=True)
    stopped = await down(Home.from_environment())
    for line in stopped or ["nothing was running"]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return Exit.PASSED
