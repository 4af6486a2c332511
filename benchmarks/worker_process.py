"""A worker in a process of its own: it says `ready` when it works, and leaves when whoever started it lets go of it.

Both ends of that are here. Only the standard library is used: peers run this in an environment without Breakwater.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE

PROJECT = Path(__file__).resolve().parents[1]
READY = b"ready\n"
READY_WITHIN = 60.0
"""Seconds until a worker has loaded what it needs."""
STOP_WITHIN = 15.0
"""Seconds a worker process gets to leave."""


@asynccontextmanager
async def worker_process(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> AsyncIterator[None]:
    """The process, ready; what it says on standard error is in `log`. It ends when the pipe to it does.

    Raises RuntimeError if it does not become ready.
    """
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, stderr=errors, cwd=PROJECT, env=dict(environment)
        )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if await asyncio.wait_for(process.stdout.readline(), READY_WITHIN) != READY:
            raise RuntimeError(f"{log.stem} did not start; see {log}")
        yield
    finally:
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), STOP_WITHIN)
        except TimeoutError:
            process.kill()
            await process.wait()


async def ready_until_let_go() -> None:
    """The worker's end: say that it is ready, and return when standard input ends."""
    over = asyncio.Event()
    loop = asyncio.get_running_loop()

    def read() -> None:
        if not os.read(sys.stdin.fileno(), 1024):
            loop.remove_reader(sys.stdin.fileno())
            over.set()

    loop.add_reader(sys.stdin.fileno(), read)
    os.write(sys.stdout.fileno(), READY)
    await over.wait()
