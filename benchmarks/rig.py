"""Breakwater on a test rig: a real Temporal server, the stand-in, and worker processes' worth of workers, all in here.

    async with rig(folder, "one", "two", settings=Settings(breaker_recovery_timeout=1)) as here:
        here.simulator.rules([...])
        await here.client.execute_workflow(...)

The benchmarks and the tests stand on the same one, so what is measured is what is tested. Workers that must be killed
need processes of their own: see benchmarks.storm_worker and tests/cli.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import structlog
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

import worker
from activities.circuit.gate import Gate
from activities.claude import Claude, claude
from hosting.connection import converter_of
from hosting.home import Home
from hosting.temporal_server import server_settings, temporal_binary
from simulator import ServerOptions, Simulator
from workflows.contracts import SILENCE

STORE_PATIENCE = timedelta(seconds=10)
"""For the circuits' store. Everything here shares one event loop, so a late answer says nothing about the store, and
a crew that gave it up would go on with circuits of its own, where whoever asks the shared ones does not see it."""


@dataclass(frozen=True)
class Crew:
    """The workers of one worker process, with a connection and a gate of their own."""

    client: Client
    gate: Gate


@dataclass(frozen=True)
class Rig:
    """What stands here."""

    client: Client
    """A connection to the server that no worker uses."""
    simulator: Simulator
    model: Claude
    """The client of the stand-in that all crews share: making one costs more than most tests."""
    home: Home
    """Where the crews keep what they share, their circuits first of all."""
    crews: Sequence[Crew] = ()

    @asynccontextmanager
    async def crew(self, name: str, settings: worker.Settings) -> AsyncIterator[Crew]:
        """One more worker process's worth of workers; leaving drains them, as SIGTERM drains a process."""
        async with AsyncExitStack() as stack:
            client = await connected(self.client)
            gate = worker.breaker(settings, self.home, name, STORE_PATIENCE)
            journal = worker.answers(settings, self.home)
            stack.push_async_callback(gate.close)
            stack.push_async_callback(journal.close)
            for each in worker.workers(client, self.model, gate, journal, settings):
                await stack.enter_async_context(each)
            yield Crew(client, gate)


@asynccontextmanager
async def temporal_server(home: Home, *more: str) -> AsyncIterator[Client]:
    """A real server with the embedded default's settings, in memory, on free ports, for as long as this is open.

    Its clients put large values aside in `home`. `more` are options of its command line.
    """
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(temporal_binary()),
        dev_server_extra_args=[*server_settings(), *more],
        data_converter=converter_of(home, one_machine=True, environment={}),
    ) as environment:
        yield environment.client


def quiet(level: int = logging.CRITICAL) -> None:
    """For a benchmark's program: its standard output is its table, and a line for each call would be measured too."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(level))


def address(client: Client) -> str:
    """host:port of the server a client talks to."""
    return client.service_client.config.target_host


async def connected(like: Client) -> Client:
    """Another connection to the same server: workers of one queue cannot share one."""
    return await Client.connect(address(like), namespace=like.namespace, data_converter=like.data_converter)


@asynccontextmanager
async def rig(
    home: Path,
    *crews: str,
    settings: worker.Settings | None = None,
    simulated: ServerOptions | None = None,
    silence: timedelta = SILENCE,
    server: Client | None = None,
) -> AsyncIterator[Rig]:
    """A rig with a crew for each name, all of the same settings (default: without the grace that a drain waits).

    `server` is one that runs already and has no other crews; otherwise the rig has its own.
    """
    settings = settings or worker.Settings(worker_grace_period=0)
    async with AsyncExitStack() as stack:
        here = Home(home)
        here.prepare()
        client = await stack.enter_async_context(temporal_server(here)) if server is None else server
        simulator = await stack.enter_async_context(Simulator(simulated))
        model = await stack.enter_async_context(claude(silence, simulator.url))
        bare = Rig(client, simulator, model, here)
        at_work = [await stack.enter_async_context(bare.crew(name, settings)) for name in crews]
        yield Rig(client, simulator, model, here, at_work)
