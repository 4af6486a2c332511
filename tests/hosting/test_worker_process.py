"""The worker as a process: started, watched, started again, stopped. These are fakes that keep its promises."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import psutil
import pytest

from hosting import worker_process
from hosting.embedded import detached_workers, down
from hosting.errors import HostingError
from hosting.home import Home
from hosting.worker_process import WorkerProcess, WorkerReady, start_detached
from tests.hosting.conftest import killed, line_of, processes, python, until

READY = """
import json, os, signal, sys, threading, time
def ready():
    print(json.dumps({"event": "worker.ready", "pid": os.getpid(), "simulated": True, "identity": "fake"}), flush=True)
"""
GOOD = (
    READY
    + """
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
ready()
sys.stdin.read() if "--exit-with-stdin" in sys.argv else time.sleep(600)
"""
)
DEAF = READY + "signal.signal(signal.SIGTERM, signal.SIG_IGN); ready(); time.sleep(600)"
SHORT_LIVED = READY + "ready(); os.kill(os.getpid(), signal.SIGKILL)"
SILENT = "import time; time.sleep(600)"
REFUSING = "raise SystemExit('something else\\nworker.py: set ANTHROPIC_API_KEY')"


def program(code: str) -> tuple[str, ...]:
    """A program in the worker's place."""
    return (sys.executable, "-c", code)


@asynccontextmanager
async def supervised(worker: WorkerProcess) -> AsyncIterator[asyncio.Task[None]]:
    """Watched as long as the block lasts, then stopped."""
    watching = asyncio.create_task(worker.supervise())
    try:
        yield watching
    finally:
        await worker.stop()
        await asyncio.wait({watching})


async def test_its_ready_line_says_who_it_is(home: Home) -> None:
    """And it ends when asked; asking twice changes nothing."""
    worker = WorkerProcess(home, program=program(GOOD))
    assert await worker.ready() == WorkerReady(worker.pid, True, "fake")
    assert psutil.Process(worker.pid).environ()["BREAKWATER_HOME"] == str(home.root)
    await worker.stop()
    await worker.stop()
    assert not processes(home)


async def test_an_early_end_is_its_last_line(home: Home) -> None:
    """Not restarted: whoever waits and whoever watches learn the reason, in the worker's own words."""
    worker = WorkerProcess(home, program=program(REFUSING))
    with pytest.raises(HostingError, match=r"^worker\.py: set ANTHROPIC_API_KEY$"):
        await worker.ready()
    with pytest.raises(HostingError, match=r"^worker\.py: set ANTHROPIC_API_KEY$"):
        await worker.supervise()


@pytest.mark.parametrize(
    ("code", "how"),
    [
        ("raise SystemExit(7)", "exit code 7"),
        (READY + "print('all is well', file=sys.stderr); os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
    ],
)
async def test_an_early_end_without_a_reason_says_how_it_ended(home: Home, code: str, how: str) -> None:
    """There must be something to go by; what was logged before a signal is not it."""
    worker = WorkerProcess(home, program=program(code))
    with pytest.raises(
        HostingError, match=rf"^the worker ended before it was ready \({how}\); its log is .*worker\.log$"
    ):
        await worker.ready()


async def test_one_that_is_never_ready_is_said_so(home: Home) -> None:
    """With the time and the log; it is still there to be stopped."""
    worker = WorkerProcess(home, program=program(SILENT))
    with pytest.raises(HostingError, match=r"not ready within 0\.1 s \(log: .*worker\.log\)"):
        await worker.ready(timedelta(milliseconds=100))
    await worker.stop()
    assert not processes(home)


async def test_another_line_is_quoted(home: Home) -> None:
    """Somebody printed where only one line belongs."""
    worker = WorkerProcess(home, program=program("print('hello', flush=True); import sys; sys.stdin.read()"))
    with pytest.raises(HostingError, match=r"said b'hello\\n' instead of being ready"):
        await worker.ready()
    await worker.stop()


async def test_a_worker_that_dies_is_started_again(home: Home) -> None:
    """And somebody is told who died of what, and who took over."""
    events: list[str] = []
    worker = WorkerProcess(home, program=program(GOOD), on_event=events.append)
    before = (await worker.ready()).pid
    async with supervised(worker):
        os.kill(before, signal.SIGKILL)
        await until(lambda: events, "the news")
        after = (await worker.ready()).pid
        assert events == [f"worker {before} died (SIGKILL); started {after}"]
    assert not processes(home)


async def test_a_worker_that_keeps_dying_is_given_up(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five restarts, then an error with the reason of the last."""
    monkeypatch.setattr(worker_process, "BACK_OFF", timedelta(0))
    events: list[str] = []
    worker = WorkerProcess(home, program=program(SHORT_LIVED), on_event=events.append)
    with pytest.raises(HostingError, match=r"died 6 times within 60 s, last of SIGKILL: .*worker\.log"):
        await worker.supervise()
    assert len(events) == 5


async def test_deaths_of_long_ago_are_forgiven(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only those within the window count."""
    monkeypatch.setattr(worker_process, "BACK_OFF", timedelta(milliseconds=1))
    monkeypatch.setattr(worker_process, "RESTART_WINDOW", timedelta(0))
    events: list[str] = []
    worker = WorkerProcess(home, program=program(SHORT_LIVED), on_event=events.append)
    async with supervised(worker):
        await until(lambda: len(events) > 6, "more deaths than are allowed in one window")


async def test_a_restart_that_fails_is_tried_again(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that was ready once can start: whatever is in its way may go away, a server that comes back."""
    monkeypatch.setattr(worker_process, "BACK_OFF", timedelta(milliseconds=1))
    mark = home.root / "mark"
    code = f"""{READY}
from pathlib import Path
mark = Path({str(mark)!r})
starts = int(mark.read_text()) + 1 if mark.exists() else 1
mark.write_text(str(starts))
if starts in (2, 3): sys.exit("not now")
ready()
sys.stdin.read()
"""
    worker = WorkerProcess(home, program=program(code))
    async with supervised(worker):
        os.kill((await worker.ready()).pid, signal.SIGKILL)
        await until(lambda: mark.read_text() == "4", "the fourth start")
        assert (await worker.ready()).pid == worker.pid


async def test_stopping_between_a_death_and_a_restart_starts_nothing(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The back-off ends at once."""
    monkeypatch.setattr(worker_process, "BACK_OFF", timedelta(minutes=10))
    worker = WorkerProcess(home, program=program(SHORT_LIVED))
    async with supervised(worker) as watching:
        await until(lambda: not processes(home), "its death")
    assert watching.exception() is None
    assert not processes(home)


async def test_one_that_does_not_want_to_end_is_killed_after_its_grace(home: Home) -> None:
    """Or at once, if whoever waits is cancelled."""
    worker = WorkerProcess(home, program=program(DEAF))
    await worker.ready()
    await worker.stop(timedelta(milliseconds=100))
    hasty = WorkerProcess(home, program=program(DEAF))
    await hasty.ready()
    stopping = asyncio.create_task(hasty.stop(timedelta(minutes=10)))
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert not processes(home), "who waits for it may stop what it used"


async def test_a_cancelled_watch_leaves_the_worker_to_be_stopped(home: Home) -> None:
    """Whoever watches may go before whoever stops."""
    worker = WorkerProcess(home, program=program(GOOD))
    watching = asyncio.create_task(worker.supervise())
    await worker.ready()
    watching.cancel()
    await asyncio.wait({watching})
    await worker.stop()
    assert not processes(home)


async def test_it_ends_with_a_starter_that_is_killed(home: Home) -> None:
    """Nobody is left to stop it: its standard input ends, and it hears that."""
    starter = await python(
        home,
        f"""
import asyncio
from hosting.home import Home; from hosting.worker_process import WorkerProcess
async def main():
    print((await WorkerProcess(Home.locate(), program={program(GOOD)!r}).ready()).pid, flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
""",
    )
    pid = int(await line_of(starter))
    assert psutil.pid_exists(pid)
    await killed(starter)
    await until(lambda: not processes(home), "the worker's end")


async def test_a_detached_worker_outlives_its_starter_until_down(home: Home) -> None:
    """It holds nothing of the starter's; its record is how it is found."""
    starter = await python(
        home,
        f"""
import asyncio
from hosting.home import Home; from hosting.worker_process import start_detached
print(asyncio.run(start_detached(Home.locate(), program={program(GOOD)!r})).pid, flush=True)
""",
    )
    pid = int(await line_of(starter))
    _, err = await starter.communicate()
    assert (starter.returncode, err) == (0, b"")
    assert detached_workers(home) == [pid]
    assert psutil.Process(pid).is_running()
    assert (await down(home)).stopped == [f"worker {pid}"]
    assert not processes(home)
    assert not list(home.workers.iterdir())


async def test_a_detached_worker_that_fails_leaves_no_record(home: Home) -> None:
    """Its own line, whether it ended or never got ready."""
    with pytest.raises(HostingError, match="set ANTHROPIC_API_KEY"):
        await start_detached(home, program=program(REFUSING))
    with pytest.raises(HostingError, match=r"not ready within 0\.1 s"):
        await start_detached(home, program=program(SILENT), within=timedelta(milliseconds=100))
    assert not list(home.workers.iterdir())
    assert not processes(home)
