"""Who is the last one out turns off the light; whoever is in has it on."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import psutil
import pytest

from hosting.child import Child
from hosting.embedded import TakenDown, detached_workers, down, embedded, standing_in
from hosting.errors import HostingError
from hosting.home import Home
from hosting.lease import users
from hosting.process import Record
from hosting.temporal_server import running_server
from tests.hosting.conftest import killed, line_of, processes, python, until

USER = """
import asyncio
from hosting.home import Home; from hosting.embedded import embedded
async def main():
    async with embedded(Home.locate(), on_event=lambda line: print(line, flush=True)) as server:
        print(server.pid, flush=True)
        await asyncio.to_thread(input)
asyncio.run(main())
"""


async def test_the_last_one_out_stops_it(home: Home) -> None:
    """The one who started it may leave first."""
    other = await python(home, USER)
    async with embedded(home) as server:
        assert int(await line_of(other)) == server.pid
    assert running_server(home)
    await other.communicate(b"\n")
    assert other.returncode == 0
    assert running_server(home) is None
    assert not processes(home)
    assert not home.server_record.exists()
    assert not list(home.users.iterdir())


async def test_a_user_that_was_killed_does_not_keep_it_up(home: Home) -> None:
    """Its lease died with it, so we are the last."""
    other = await python(home, USER)
    async with embedded(home) as server:
        assert int(await line_of(other)) == server.pid
        await killed(other)
    assert not processes(home)


async def test_kept_it_stays_until_down(home: Home) -> None:
    """Whoever comes and goes after the one who asked; `down` names what it stopped, and forgets that it was asked."""
    async with embedded(home, keep_up=True) as server:
        assert server.kept
    async with embedded(home) as again:
        assert (again.pid, again.kept, again.started) == (server.pid, True, False)
    assert running_server(home)
    assert await down(home) == TakenDown([f"Temporal server {server.pid}"], [])
    assert not processes(home)
    assert not home.kept.exists()


async def test_an_error_inside_leaves_as_an_end_does(home: Home) -> None:
    """Ctrl-C is a cancelled task: it leaves properly as well."""

    async def use(started: asyncio.Event) -> None:
        async with embedded(home):
            started.set()
            await asyncio.Event().wait()

    started = asyncio.Event()
    using = asyncio.create_task(use(started))
    await started.wait()
    using.cancel()
    with pytest.raises(asyncio.CancelledError):
        await using
    assert not processes(home)


async def test_a_failed_start_leaves_no_user_behind(home: Home) -> None:
    """Nor a process."""
    home.prepare()
    home.database.write_text("this is no database")
    with pytest.raises(HostingError, match="did not start"):
        async with embedded(home):
            pytest.fail("there is no server")
    assert not list(home.users.iterdir())
    assert not processes(home)


async def test_killed_in_use_it_comes_back_and_one_user_says_so(home: Home) -> None:
    """Same address; the two users do not start two."""
    events: list[str] = []
    async with embedded(home, on_event=events.append) as one, embedded(home, on_event=events.append):
        psutil.Process(one.pid).kill()
        await until(lambda: events, "the news")
        back = running_server(home)
        assert back
        assert back.address == one.address
        assert events == [f"the Temporal server died; {back.pid} took over at {one.address}"]
    assert len(events) == 1
    assert not processes(home)


async def test_down_stops_what_others_use_and_says_who_they_are(home: Home) -> None:
    """They are told, and do not start it again."""
    other = await python(home, USER)
    pid = int(await line_of(other))
    assert await down(home) == TakenDown([f"Temporal server {pid}"], [other.pid])
    assert await line_of(other) == "the Temporal server was stopped by somebody else"
    assert running_server(home) is None
    await other.communicate(b"\n")
    assert other.returncode == 0


async def test_down_where_nothing_ran_is_no_error(home: Home) -> None:
    """No home: none is made. A home with records of the dead: they are removed."""
    assert await down(home) == TakenDown([], [])
    assert not home.root.exists()
    home.prepare()
    for file in (home.server_record, home.stand_in_record, home.workers / "1.json"):
        Record.of(os.getpid(), ["somebody", "else"]).write(file)
    (home.users / "1-dead.lock").touch()
    home.kept.touch()
    assert await down(home) == TakenDown([], [])
    assert [file.name for file in home.root.rglob("*") if file.is_file()] == ["start.lock"]


async def test_down_finds_a_server_whose_record_was_lost(home: Home) -> None:
    """By its command line, as a start would."""
    async with embedded(home, keep_up=True) as server:
        pass
    home.server_record.unlink()
    assert (await down(home)).stopped == [f"Temporal server {server.pid}"]


async def test_down_ends_workers_while_the_server_is_still_there(home: Home) -> None:
    """So they can tell it what they have finished; they leave as its users do."""
    async with embedded(home, keep_up=True) as server:
        code = f"""
import signal, sys, psutil
def leave(*_):
    open({str(home.root / "order")!r}, "w").write(str(psutil.pid_exists({server.pid})))
    sys.exit()
signal.signal(signal.SIGTERM, leave)
print(flush=True)
signal.pause()
"""
        environment = {**os.environ, "BREAKWATER_HOME": str(home.root)}
        worker = Child(
            [sys.executable, "-c", code], log=home.logs / "worker.log", environment=environment, reads_line=True
        )
        await worker.first_line()
        Record.of(worker.pid, worker.command).write(home.workers / f"{worker.pid}.json")
    assert detached_workers(home) == [worker.pid]
    assert (await down(home)).stopped == [f"worker {worker.pid}", f"Temporal server {server.pid}"]
    assert (home.root / "order").read_text() == "True"
    assert (await worker.ended(), detached_workers(home)) == (0, [])


async def test_the_stand_in_has_users_as_the_server_has(home: Home) -> None:
    """Killed in use it comes back at the same url; the last one out stops both."""
    events: list[str] = []
    async with embedded(home), standing_in(home, on_event=events.append) as url:
        record = Record.read(home.stand_in_record)
        assert record
        os.kill(record.pid, signal.SIGKILL)
        await until(lambda: events, "the news")
        assert events == [f"the stand-in died; another took over at {url}"]
        assert users(home) == [os.getpid()]
    assert not processes(home)
    assert not home.stand_in_record.exists()
