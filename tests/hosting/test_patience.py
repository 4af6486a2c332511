"""A worker that is there before its server, or before its namespace, waits and says so; it does not die."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import pytest
from temporalio.client import Client

from hosting.connection import Configured
from hosting.errors import HostingError, Misconnected, NoNamespace, Unreachable, WaitEnded
from hosting.home import Home
from hosting.namespace import prepare
from hosting.patience import Patience
from hosting.search_attributes import missing_search_attributes
from hosting.temporal_server import ServerInfo
from tests.hosting.conftest import line_of, python, until
from workflows.contracts import SEARCH_ATTRIBUTES


async def test_what_may_pass_is_waited_for_and_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each new reason is a line with an end; the same one again is silence."""
    monkeypatch.setattr("hosting.patience.PAUSE", timedelta(milliseconds=1))
    fails: list[HostingError] = [Unreachable("nobody there; start it"), Unreachable("nobody there; start it")]
    fails.append(NoNamespace("no namespace; create it"))
    said: list[str] = []

    async def attempt() -> str:
        if fails:
            raise fails.pop(0)
        return "answered"

    assert await Patience(timedelta(minutes=1)).until_answered(attempt, said.append) == "answered"
    assert [line.partition(";")[0] for line in said] == ["nobody there", "no namespace"]
    assert all(re.search(r"; waiting until \d\d:\d\d:\d\d UTC$", line) for line in said)


@pytest.mark.parametrize("lasting", [Misconnected("speaks no TLS"), HostingError("refuses these credentials")])
async def test_what_stays_is_not_waited_for(lasting: HostingError) -> None:
    """Wrong credentials or TLS settings do not get better."""

    async def attempt() -> None:
        raise lasting

    with pytest.raises(HostingError) as caught:
        await Patience(timedelta(minutes=1)).until_answered(attempt)
    assert caught.value is lasting


async def test_patience_ends_with_the_last_reason() -> None:
    """None at all is the first failure; a signal ends the wait without waiting for its end."""

    async def attempt() -> None:
        raise Unreachable("nobody there")

    with pytest.raises(Unreachable):
        await Patience(timedelta(0)).until_answered(attempt)
    stopped = asyncio.Event()
    stopped.set()
    with pytest.raises(WaitEnded, match="nobody there"):
        await Patience(timedelta(minutes=1), stopped).until_answered(attempt)


@pytest.fixture
async def impatient(
    shared_server: ServerInfo, home: Home
) -> AsyncIterator[tuple[asyncio.subprocess.Process, Configured]]:
    """A worker as it is started, for a namespace that does not exist yet."""
    server = Configured(shared_server.address, f"fleet-{uuid4().hex[:8]}", {})
    worker = await asyncio.create_subprocess_exec(
        sys.executable,
        "worker.py",
        env={
            "PATH": "",
            "BREAKWATER_HOME": str(home.root),
            "TEMPORAL_ADDRESS": server.address,
            "TEMPORAL_NAMESPACE": server.namespace,
            "BREAKWATER_STAND_IN_URL": "http://127.0.0.1:1",
        },
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    yield worker, server
    if worker.returncode is None:
        worker.kill()
    await worker.communicate()


async def test_a_worker_waits_for_its_namespace(impatient: tuple[asyncio.subprocess.Process, Configured]) -> None:
    """It says what it waits for and until when, and works as soon as the namespace is prepared; it needed no restart.

    `prepare` creates it with every search attribute, and a second time finds nothing to do.
    """
    worker, server = impatient
    assert worker.stderr is not None
    waiting = (await worker.stderr.readline()).decode()
    assert f"has no namespace '{server.namespace}'; waiting until " in waiting, waiting

    said: list[str] = []
    await prepare(server, Patience(timedelta(0)), said.append)
    ready = json.loads(await line_of(worker))
    assert ready["event"] == "worker.ready"
    assert ready["simulated"]
    assert said[0].startswith(f"created namespace '{server.namespace}'")
    client = await Client.connect(server.address, namespace=server.namespace)
    assert await missing_search_attributes(client) == []
    assert all(name in said[1] for name in SEARCH_ATTRIBUTES)

    again: list[str] = []
    await prepare(server, Patience(timedelta(0)), again.append)
    assert [line.rpartition(" ")[2] for line in again] == ["ready"]
    worker.send_signal(signal.SIGTERM)
    assert await worker.wait() == 0


async def test_a_waiting_worker_stops_when_asked(impatient: tuple[asyncio.subprocess.Process, Configured]) -> None:
    """SIGTERM during the wait is an end, not a failure."""
    worker, _ = impatient
    assert worker.stderr is not None
    await worker.stderr.readline()
    worker.send_signal(signal.SIGTERM)
    await until(lambda: worker.returncode is not None, "the worker's end")
    assert worker.returncode == 0
    assert b"worker.stopped" in await worker.stderr.read()


async def test_preparing_needs_a_configured_server(home: Home) -> None:
    """Without one the command says what to set."""
    code = "import sys; from hosting.namespace import main; sys.exit(main())"
    program = await python(home, code)
    _, err = await program.communicate()
    assert (program.returncode, b"set TEMPORAL_ADDRESS" in err, err.count(b"\n")) == (2, True, 1), err
