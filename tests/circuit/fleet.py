"""A worker process of the fleet tests: python -m tests.circuit.fleet TASK URL KEY DIRECTORY COUNT."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from activities.circuit import machine
from activities.circuit.gate import CircuitOpen, Gate
from activities.circuit.line import Line, Step
from activities.circuit.link import Link
from activities.circuit.state import Denied, Outcome, Permit, Policy
from activities.circuit.store import Store, open_store
from tests.circuit.rules import PATIENT

QUICK = Policy(recovery_timeout=0.02, probe_lease=30.0)
"""For hammering: a probe every 20 ms, and a lease that no busy machine outlasts."""
SOON = Policy(recovery_timeout=0.5, probe_lease=0.75)
"""For waiting: half a second of OPEN, a lease that a test can sit out."""


def note(directory: Path, *words: object) -> None:
    """One line in the file all processes append to; so short that it is written whole."""
    line = " ".join(str(word) for word in (os.getpid(), f"{time.monotonic():.6f}", *words))
    with (directory / "notes").open("a") as notes:
        notes.write(line + "\n")


async def count(store: Store, key: str, directory: Path, times: int) -> None:
    """Fail so many calls, fifty at a time; nothing may get lost."""
    gate = Gate(store, worker=str(os.getpid()), report=lambda name, _: note(directory, "event", name))
    todo = iter(range(times))

    async def caller() -> None:
        for _ in todo:
            ticket = await gate.enter(key)
            await ticket.failed()

    await asyncio.gather(*(caller() for _ in range(50)))
    note(directory, "conflicts", gate.counts["conflicts"], "written", gate.counts["written"])


async def probe(store: Store, key: str, directory: Path, times: int) -> None:
    """Ask so many times, from twenty callers, for a service that never answers; a file shows whether a probe is out.

    A fast machine is through with that before a circuit can recover, so it goes on until it has probed twice.
    """
    line = Line(
        key,
        Link(store, lambda _, __: None, time.monotonic),
        QUICK,
        lambda name, _: note(directory, "event", name),
        Counter(),
        time.monotonic,
    )
    numbers = itertools.count()
    probed = 0
    out = directory / "probe-is-out"

    def ask(token: str) -> Step[Permit | Denied]:
        return lambda state, now: machine.permit(state, QUICK, now, token)

    def fail(permit: Permit) -> Step[None]:
        luck = random.random()
        return lambda state, now: (machine.settle(state, QUICK, permit, Outcome.FAILURE, now, luck), None)

    async def caller() -> None:
        nonlocal probed
        while (number := next(numbers)) < times or probed < 2:
            answer = await line.submit(ask(f"{os.getpid()}-{number}"))
            if not isinstance(answer, Permit):
                continue
            if answer.token is not None:
                os.close(os.open(out, os.O_CREAT | os.O_EXCL))  # raises if another probe is out
                await asyncio.sleep(random.random() * 0.004)
                out.unlink()
                note(directory, "probed")
                probed += 1
            await line.submit(fail(answer))

    await asyncio.gather(*(caller() for _ in range(20)))
    await line.drain()


async def hold(store: Store, key: str, directory: Path, times: int) -> None:
    """Take the probe and never give it back."""
    gate = Gate(store, SOON, worker=str(os.getpid()), report=lambda _, __: None)
    for _ in range(times * 100):
        with suppress(CircuitOpen):
            assert (await gate.enter(key)).probe
            note(directory, "holding")
            await asyncio.sleep(60)
        await asyncio.sleep(0.01)


async def wait(store: Store, key: str, directory: Path, times: int) -> None:
    """So many callers wait for the circuit, each makes one call of a tenth of a second."""
    gate = Gate(store, SOON, worker=str(os.getpid()), report=lambda name, _: note(directory, "event", name))

    async def caller() -> None:
        while True:
            with suppress(CircuitOpen):
                async with gate.call(key) as ticket:
                    note(directory, "begins")
                    for _ in range(5):
                        await asyncio.sleep(0.02)
                        await ticket.renew()
                    note(directory, "ends")
                    await ticket.succeeded()
                return
            await asyncio.sleep(0.005 + random.random() * 0.01)

    note(directory, "ready")
    await asyncio.gather(*(caller() for _ in range(times)))
    await gate.close()


async def main() -> None:
    task, url, key, directory, times = sys.argv[1:]
    store = open_store(url, PATIENT)
    work = {"count": count, "probe": probe, "hold": hold, "wait": wait}[task]
    await work(store, key, Path(directory), int(times))
    await store.close()


if __name__ == "__main__":
    asyncio.run(main())
