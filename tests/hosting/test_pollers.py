"""Who works on a queue: real workers, as they start, idle, leave and are killed."""

from __future__ import annotations

import asyncio
import signal
import socket
from asyncio.subprocess import Process
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.enums.v1 import WorkerStatus
from temporalio.api.worker.v1 import WorkerHeartbeat, WorkerHostInfo
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from hosting import pollers as module
from hosting.dial import dial
from hosting.errors import Unreachable
from hosting.home import Home
from hosting.pollers import pollers
from hosting.temporal_server import ServerInfo
from tests.hosting.conftest import killed, line_of, python

WORKER = """
import asyncio, os, signal, socket, sys
from datetime import timedelta
from temporalio import activity
from temporalio.client import Client
from temporalio.runtime import Runtime, TelemetryConfig
from temporalio.worker import Worker
@activity.defn
async def nothing() -> None: ...
async def main():
    runtime = Runtime(telemetry=TelemetryConfig(), worker_heartbeat_interval={interval})
    identity = f"worker {{os.getpid()}}@{{socket.gethostname()}} (test)"
    client = await Client.connect({address!r}, identity=identity, runtime=runtime)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with Worker(client, task_queue={queue!r}, activities=[nothing]):
        print("ready", flush=True)
        await stop.wait()
asyncio.run(main())
"""


def identity(worker: Process) -> str:
    """As worker.py names itself."""
    return f"worker {worker.pid}@{socket.gethostname()} (test)"


@dataclass(frozen=True)
class Queue:
    """A queue of the test's own."""

    client: Client
    home: Home
    address: str
    name: str

    async def worker(self, interval: str = "timedelta(seconds=1)") -> Process:
        """A worker process that is listed on it."""
        code = WORKER.format(interval=interval, address=self.address, queue=self.name)
        worker = await python(self.home, code)
        assert await line_of(worker) == "ready"
        await self.becomes([identity(worker)])
        return worker

    async def becomes(self, identities: list[str], on_this_machine: bool = True) -> None:
        """Wait until exactly these are on it."""
        seen: list[str] = []
        try:
            async with asyncio.timeout(15):
                while (seen := await pollers(self.client, self.name, on_this_machine=on_this_machine)) != identities:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        except TimeoutError:
            pytest.fail(f"on {self.name}: {seen}, not {identities}")


@pytest.fixture
async def queue(shared_server: ServerInfo, shared_home: Home, request: pytest.FixtureRequest) -> Queue:
    """One that nobody is on."""
    client = await dial(shared_server.address)
    return Queue(client, shared_home, shared_server.address, request.node.name)


async def test_a_worker_is_there_from_its_start_to_its_end(queue: Queue) -> None:
    """An empty queue has nobody; whoever leaves is gone as soon as it has said so."""
    assert await pollers(queue.client, queue.name) == []
    worker = await queue.worker()
    assert await pollers(queue.client, queue.name) == [identity(worker)]
    worker.send_signal(signal.SIGTERM)
    await worker.communicate()
    assert await pollers(queue.client, queue.name) == []


@pytest.mark.parametrize("interval", ["timedelta(seconds=1)", "None"], ids=["reports", "is silent"])
async def test_a_killed_worker_of_this_machine_is_gone_at_once(queue: Queue, interval: str) -> None:
    """The server still lists it, with a poll of a moment ago; the system knows better, by its report or its name."""
    worker = await queue.worker(interval)
    await killed(worker)
    assert await pollers(queue.client, queue.name, on_this_machine=True) == []


async def test_a_killed_worker_elsewhere_is_gone_when_its_reports_are(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One and a half intervals and some slack; its last poll is no proof of life."""
    monkeypatch.setattr(module, "POLL", timedelta(seconds=1))
    monkeypatch.setattr(module, "SLACK", timedelta(seconds=0.5))
    worker = await queue.worker()
    await killed(worker)
    assert await pollers(queue.client, queue.name) == [identity(worker)], "not yet"
    await queue.becomes([], on_this_machine=False)


@pytest.mark.parametrize(
    ("status", "age", "interval", "alive"),
    [
        (WorkerStatus.WORKER_STATUS_RUNNING, 0, 0, True),
        (WorkerStatus.WORKER_STATUS_RUNNING, 90, 0, True),
        (WorkerStatus.WORKER_STATUS_RUNNING, 100, 0, False),
        (WorkerStatus.WORKER_STATUS_RUNNING, 10, 5, True),
        (WorkerStatus.WORKER_STATUS_RUNNING, 15, 5, False),
        (WorkerStatus.WORKER_STATUS_RUNNING, -3, 5, True),
        (WorkerStatus.WORKER_STATUS_SHUTTING_DOWN, 0, 5, False),
        (WorkerStatus.WORKER_STATUS_SHUTDOWN, 0, 5, False),
    ],
)
def test_a_report_counts_for_one_and_a_half_intervals(
    status: WorkerStatus.ValueType, age: float, interval: int, alive: bool
) -> None:
    """The first does not know its interval: then it is the longest there is. Clocks may differ a little."""
    at = Timestamp()
    at.FromDatetime(datetime.now(UTC) - timedelta(seconds=age))
    report = WorkerHeartbeat(
        status=status,
        heartbeat_time=at,
        elapsed_since_last_heartbeat=Duration(seconds=interval),
        host_info=WorkerHostInfo(host_name="elsewhere", process_id="1"),
    )
    assert module._is_alive(report, on_this_machine=False) is alive


async def test_on_a_server_that_knows_no_reports_polls_count(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older one: whoever has polled within a minute is there."""

    async def unknown(*_: object) -> None:
        raise RPCError("unknown method", RPCStatusCode.UNIMPLEMENTED, b"")

    async def polling(*_: object) -> set[str]:
        return {"somebody"}

    monkeypatch.setattr(module, "_reports", unknown)
    monkeypatch.setattr(module, "_polling", polling)
    assert await pollers(queue.client, queue.name) == ["somebody"]


async def test_a_server_that_does_not_answer_is_unreachable(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not an empty list: nobody may conclude that there are no workers."""

    async def away(*_: object) -> None:
        raise RPCError("away", RPCStatusCode.UNAVAILABLE, b"")

    monkeypatch.setattr(module, "_polling", away)
    with pytest.raises(Unreachable, match=queue.address):
        await pollers(queue.client, queue.name)
