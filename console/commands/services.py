"""The commands about what runs on this machine: up, down."""

from __future__ import annotations

from console.errors import Exit, Stop
from console.render import notes
from console.session import session
from hosting.connection import configured
from hosting.home import Home
from hosting.stopping import asked_to_stop


async def keep_up() -> Exit:
    """Keep the embedded server, its UI and a worker up until SIGINT or SIGTERM."""
    console = notes()
    if configured():
        raise Stop(
            "a Temporal server is configured (TEMPORAL_ADDRESS or a profile), so there is nothing to keep up here; "
            "start a worker for it with `python worker.py`",
            Exit.USAGE,
        )

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    stop = asked_to_stop(with_stdin=False)
    async with session(say, worker=True) as here:
        say(f"Temporal  {here.connection.address}")
        say(f"UI        {here.connection.ui_url}")
        say("up; Ctrl-C stops it")
        await stop.wait()
        say("stopping: calls under way may finish")
    return Exit.PASSED


async def take_down() -> Exit:
    """Stop what runs for this home, whoever started it."""
    from hosting.embedded import down

    console = notes()
    found = await down(Home.locate())
    lines = [f"stopped {name}" for name in found.stopped] or ["nothing was running"]
    if found.users:
        lines.append(f"it was in use by process {', '.join(map(str, found.users))}")
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return Exit.PASSED
