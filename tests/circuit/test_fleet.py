"""Real processes around one real store."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from activities.circuit.gate import CircuitOpen, Gate
from activities.circuit.state import Phase
from activities.circuit.store import open_store
from activities.circuit.ticket import Ticket
from tests.circuit.fleet import SOON
from tests.circuit.rules import PATIENT

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def workers(
    task: str, url: str, key: str, directory: Path, times: int, processes: int
) -> AsyncIterator[list[asyncio.subprocess.Process]]:
    """Some processes of `tests.circuit.fleet`; none is left behind."""
    started = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "error", "-m", "tests.circuit.fleet", task, url, key, str(directory), str(times)),
            cwd=ROOT,
            stderr=asyncio.subprocess.PIPE,
        )
        for _ in range(processes)
    ]
    try:
        yield started
    finally:
        for process in started:
            if process.returncode is None:
                process.kill()
            await process.communicate()


async def finished(started: list[asyncio.subprocess.Process]) -> None:
    """Wait for all of them, and show what the first unlucky one said."""
    for process in started:
        _, complaint = await process.communicate()
        assert process.returncode == 0, complaint.decode()


def notes(directory: Path) -> list[list[str]]:
    path = directory / "notes"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


async def noted(directory: Path, word: str, times: int = 1) -> None:
    """Until so many processes have noted it."""
    async with asyncio.timeout(30):
        while sum(note[2] == word for note in notes(directory)) < times:  # noqa: ASYNC110 - another process's file
            await asyncio.sleep(0.01)


@pytest.fixture
async def gate(url: str) -> AsyncIterator[Gate]:
    """This process's own gate to the same store."""
    gate = Gate(open_store(url, PATIENT), SOON, worker="test", report=lambda _, __: None)
    yield gate
    await gate.close()


async def enters(gate: Gate, key: str) -> Ticket:
    """Ask until it is let in."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await gate.enter(key)
            except CircuitOpen:
                await asyncio.sleep(0.01)


async def trip(gate: Gate, key: str) -> None:
    for _ in range(SOON.failure_threshold):
        await (await gate.enter(key)).failed()


async def test_four_processes_count_ten_thousand_failures_exactly(
    url: str, key: str, gate: Gate, tmp_path: Path
) -> None:
    """No update is lost, and nobody reports a transition there was not."""
    await gate.force(key, "closed", reason="only count", by="test")
    async with workers("count", url, key, tmp_path, 2_500, 4) as started:
        await finished(started)
    state, _ = await gate.look(key)
    assert state.failures == 10_000
    assert not [note for note in notes(tmp_path) if note[2] == "event"]
    assert sum(int(note[3]) for note in notes(tmp_path) if note[2] == "conflicts") > 0, "they did meet"


async def test_four_processes_asking_ten_thousand_times_never_have_two_probes_out(
    url: str, key: str, gate: Gate, tmp_path: Path
) -> None:
    """A second one would fail to create the file; each opening is told exactly once."""
    async with workers("probe", url, key, tmp_path, 2_500, 4) as started:
        await finished(started)
    state, _ = await gate.look(key)
    told = [note[3] for note in notes(tmp_path) if note[2] == "event"]
    probed = sum(note[2] == "probed" for note in notes(tmp_path))
    assert probed > 5
    assert told.count("circuit.opened") == state.openings
    assert told.count("circuit.half_opened") == state.openings - (state.phase is Phase.OPEN)


async def test_a_killed_probe_holder_is_followed_when_its_lease_ends(
    url: str, key: str, gate: Gate, tmp_path: Path
) -> None:
    """Not before, and not much later."""
    await trip(gate, key)
    async with workers("hold", url, key, tmp_path, 30, 1) as (holder,):
        await noted(tmp_path, "holding")
        taken = float(next(note[1] for note in notes(tmp_path) if note[2] == "holding"))
        holder.kill()
        await holder.wait()
        ticket = await enters(gate, key)
        waited = time.monotonic() - taken
        assert ticket.probe
        assert SOON.probe_lease - 0.1 <= waited < SOON.probe_lease + 5
        await ticket.give_back()


async def test_fifty_callers_in_three_processes_come_back_in_a_ramp(
    url: str, key: str, gate: Gate, tmp_path: Path
) -> None:
    """While the circuit is open none gets in, also none of a process that has just started; then 1, 2, 4, 8 at most."""
    await gate.force(key, "open", reason="until all are ready", by="test")
    async with workers("wait", url, key, tmp_path, 17, 3) as started:
        await noted(tmp_path, "ready", 3)
        assert not [note for note in notes(tmp_path) if note[2] == "begins"]
        await gate.force(key, "open", reason="and not longer", by="test", lasting=timedelta(seconds=0.2))
        await finished(started)
    calls = sorted((float(note[1]), note[2]) for note in notes(tmp_path) if note[2] in ("begins", "ends"))
    under_way = over = 0
    most = dict.fromkeys((1, 2, 4, 8), 0)
    for _, what in calls:
        under_way += 1 if what == "begins" else -1
        over += what == "ends"
        # 1 call passes the first stage, 2 more the second, 4 more the third, 8 more the last.
        stage = next((level for level, passed in ((1, 1), (2, 3), (4, 7), (8, 15)) if over < passed), None)
        if stage:
            most[stage] = max(most[stage], under_way)
    assert over == 51
    assert most == {1: 1, 2: 2, 4: 4, 8: 8}
    told = [note[3] for note in notes(tmp_path) if note[2] == "event"]
    assert told == ["circuit.half_opened", *["circuit.ramped"] * 3, "circuit.closed"], "each once in the fleet"
