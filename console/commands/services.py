"""The commands about what runs on this machine: up, down."""

from __future__ import annotations

from console.errors import Exit, Stop
from console.render import tell
from console.session import session
from hosting.connection import configured
from hosting.home import Home
from hosting.stopping import asked_to_stop


async def keep_up() -> Exit:
    """Keep the embedded server, its UI and a worker up until SIGINT or SIGTERM."""
    if configured():
        raise Stop(
            "a Temporal server is configured (TEMPORAL_ADDRESS or a profile), so there is nothing to keep up here; "
            "start a worker for it with `python worker.py`",
            Exit.USAGE,
        )
    stop = asked_to_stop(with_stdin=False)
    async with session(tell, worker=True) as here:
        tell(f"Temporal  {here.connection.address}")
        tell(f"UI        {here.connection.ui_url}")
        tell("up; Ctrl-C stops it")
        await stop.wait()
        tell("stopping: calls under way may finish")
    return Exit.PASSED


async def take_down() -> Exit:
    """Stop what runs for this home, whoever started it."""
    from hosting.embedded import down

    found = await down(Home.locate())
    lines = [f"stopped {name}" for name in found.stopped] or ["nothing was running"]
    if found.users:
        lines.append(f"it was in use by process {', '.join(map(str, found.users))}")
    for line in lines:
        tell(line)
    return Exit.PASSED
