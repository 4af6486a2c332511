"""A Breakwater worker: runs pipelines and calls subagents until it is told to stop.

    python worker.py

Reads the environment once, here and nowhere else:

    ANTHROPIC_API_KEY, …           the model's credentials, as the SDK reads them; none at all: the local stand-in
    ANTHROPIC_BASE_URL             any endpoint that speaks the Messages API
    TEMPORAL_ADDRESS, …            a Temporal server, as `temporalio.envconfig` reads it; none: the embedded one
    BREAKWATER_HOME                where the embedded server keeps its data (default: .breakwater beside this file)
    BREAKWATER_BLOBS               where large values are: file:///folder, s3://bucket/prefix (default: in the home)
    BREAKWATER_BLOB_THRESHOLD      bytes from which a value is large (default 16384; see README's settings)
    BREAKWATER_ENCRYPTION_KEY      seals every value; id:base64 or base64, several by commas (default: none)
    MAX_CONCURRENT_SUBAGENTS       model calls at once in this process, for each tier's model and for all others
                                   together (default 100)
    MAX_CACHED_WORKFLOWS           runs kept in memory between their steps; others are replayed (default 1000)
    MAX_POLLERS                    requests for work at once, for each queue; they grow with the backlog (default 20)
    SUBAGENT_SILENCE_TIMEOUT       seconds without content after which a call counts as hung (default 60)
    BREAKWATER_STORE               where circuits and paid answers are kept: sqlite:///file, redis://…, rediss://…
                                   (default: files in the home; BREAKER_STORE is its older name)
    JOURNAL_TTL                    seconds a paid answer is kept for an attempt that lost it (default 86400, a day)
    BREAKER_FAILURE_THRESHOLD      failures in a row that open a circuit (default 5)
    BREAKER_FAILURE_RATE           share of failed calls in the window that opens it (default 0.5)
    BREAKER_WINDOW                 calls the rate looks at (default 20)
    BREAKER_RECOVERY_TIMEOUT       seconds an open circuit waits before it probes (default 60)
    BREAKER_ON_STORE_LOSS          `local`: the same rules per process meanwhile; `deny`: no calls (default local)
    METRICS_ADDRESS                host:port where Prometheus metrics are served (default: not served)
    LOG_FORMAT                     `text` for people, `json` for whoever collects logs (default text)
    HEALTH_ADDRESS                 [host:]port where /live and /ready answer, on loopback if no host is said (default:
                                   not served)
    OTEL_EXPORTER_OTLP_ENDPOINT    an OpenTelemetry collector for traces, and OpenTelemetry's other variables (default:
                                   no traces)
    WORKER_PATIENCE                seconds to wait for a configured Temporal server and its namespace (default 300)
    BREAKWATER_STAND_IN_URL        a stand-in that runs elsewhere, instead of one of our own (a fleet's, for example)
    WORKER_GRACE_PERIOD            seconds that calls under way may take to finish at SIGTERM (default 30)
    BREAKWATER_DEPLOYMENT          with BREAKWATER_BUILD_ID, the version of this worker: runs stay with the version they
                                   began on (default: none; see README, "Changing a pipeline that has runs in flight")

SIGTERM or SIGINT drains: no new work is taken, calls under way finish within the grace period, the rest is retried
elsewhere. Standard output is one line of JSON when the worker is ready; everything else goes to standard error.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from contextlib import AsyncExitStack
from datetime import timedelta

import click
import structlog
from temporalio.client import Client
from temporalio.worker import PollerBehaviorAutoscaling, Worker

from activities.circuit.activity import CircuitWaits
from activities.circuit.gate import Gate
from activities.circuit.state import Policy
from activities.circuit.store import STORE_TIMEOUT, StoreAddressInvalid, open_store
from activities.claude import Claude, NoCredential, claude, needs_stand_in
from activities.endpoint import EndpointInvalid
from activities.journal.journal import Journal
from activities.journal.pages import beside_the_circuits, open_pages
from activities.logs import log_to_stderr
from activities.measures import circuit_event, journal_event, surveyed
from activities.stores.address import parse_address
from activities.subagent import SubagentCalls
from activities.vault.check import check_keys
from activities.vault.errors import VaultError
from activities.vault.keeper import Keeper
from activities.vault.seal import ENCRYPTION_KEY, Seal
from hosting.connection import connect
from hosting.embedded import standing_in
from hosting.errors import HostingError, Unreachable, WaitEnded
from hosting.health import Vitals, serving_health
from hosting.home import Home
from hosting.leaving import run_and_leave
from hosting.patience import Patience
from hosting.sandbox import sandbox
from hosting.settings import Settings
from hosting.stopping import asked_to_stop
from hosting.telemetry import start_telemetry
from hosting.tracing import tracing
from hosting.versions import take_up
from workflows.contracts import CIRCUIT_QUEUE, HEARTBEAT_EVERY, STAND_IN_MARK, WORKFLOW_QUEUE
from workflows.measures import BUCKETS
from workflows.models import SUBAGENT_QUEUES, TIERS
from workflows.pipelines import NotAPipeline, discover

__all__ = ["Settings", "answers", "breaker", "main", "serve", "workers"]

MOST_WAITS = 10_000
"""Waiting for a circuit costs a coroutine, not a slot: more than a server allows to be pending anyway."""
STICKY_TIMEOUT = timedelta(seconds=1)
"""How long a run waits for the worker that has it in cache: after a kill -9, 3 s instead of 12 (measured)."""

MISTAKES = (
    *(NoCredential, EndpointInvalid, NotAPipeline, HostingError, StoreAddressInvalid, VaultError, click.UsageError),
)
"""What is said in one line and ends the process."""

log = structlog.get_logger("worker")


def breaker(settings: Settings, home: Home, name: str, timeout: timedelta = STORE_TIMEOUT) -> Gate:
    """The circuits this process shares with every other that has the same store, which it waits for so long.

    Raises StoreAddressInvalid if BREAKWATER_STORE is no address of one.
    """
    policy = Policy(
        failure_threshold=settings.breaker_failure_threshold,
        failure_rate=settings.breaker_failure_rate,
        window=settings.breaker_window,
        minimum_calls=min(Policy().minimum_calls, settings.breaker_window),
        recovery_timeout=settings.breaker_recovery_timeout,
    )
    if settings.breakwater_store is None:
        home.prepare()
    store = open_store(settings.breakwater_store or home.breaker_store, timeout)
    return Gate(store, policy, worker=name, on_store_loss=settings.breaker_on_store_loss, report=circuit_event)


def answers(settings: Settings, home: Home, seal: Seal | None = None) -> Journal:
    """The answers already paid for, of this process and of every other that has the same store.

    Raises StoreAddressInvalid if BREAKWATER_STORE is no address of one.
    """
    if settings.breakwater_store is None:
        home.prepare()
        place = parse_address(home.journal)
    else:
        place = beside_the_circuits(settings.breakwater_store)
    return Journal(open_pages(place), timedelta(seconds=settings.journal_ttl), seal=seal, report=journal_event)


def workers(client: Client, model: Claude, gate: Gate, journal: Journal, settings: Settings) -> list[Worker]:
    """The workers of this process: orchestrators on one queue, model calls and waits for a circuit on their own."""
    grace = timedelta(seconds=settings.worker_grace_period)
    pollers = PollerBehaviorAutoscaling(minimum=1, maximum=settings.max_pollers, initial=min(2, settings.max_pollers))
    # All queues: the calls of a run belong to its version as well, whatever queue they are on.
    version = settings.version.config if settings.version else None
    orchestrators = Worker(
        client,
        task_queue=WORKFLOW_QUEUE,
        workflows=[pipeline.workflow for pipeline in discover().values()],
        workflow_runner=sandbox(),
        deployment_config=version,
        max_cached_workflows=settings.max_cached_workflows,
        workflow_task_poller_behavior=pollers,
        sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
        graceful_shutdown_timeout=grace,
    )
    activities = [SubagentCalls(model, gate, journal).call_subagent]
    calls = [
        Worker(
            client,
            task_queue=lane,
            deployment_config=version,
            interceptors=[Keeper(client.data_converter)],
            activities=activities,
            max_concurrent_activities=settings.max_concurrent_subagents,
            activity_task_poller_behavior=pollers,
            max_heartbeat_throttle_interval=HEARTBEAT_EVERY,
            default_heartbeat_throttle_interval=HEARTBEAT_EVERY,
            graceful_shutdown_timeout=grace,
        )
        for lane in SUBAGENT_QUEUES
    ]
    waits = Worker(
        client,
        task_queue=CIRCUIT_QUEUE,
        deployment_config=version,
        activities=[CircuitWaits(gate).await_circuit],
        max_concurrent_activities=MOST_WAITS,
        max_heartbeat_throttle_interval=HEARTBEAT_EVERY,
        default_heartbeat_throttle_interval=HEARTBEAT_EVERY,
    )
    return [orchestrators, *calls, waits]


async def serve(settings: Settings, exit_with_stdin: bool) -> None:
    """Connect, work until told to stop, drain. Raises one of MISTAKES, one line each."""
    stop = asked_to_stop(exit_with_stdin)
    simulated = needs_stand_in()
    identity = f"worker {os.getpid()}@{socket.gethostname()}" + (f" {STAND_IN_MARK}" if simulated else "")
    home = Home.locate()
    vitals = Vitals(identity)

    def say(line: str) -> None:
        log.warning("hosting", what=line)
        vitals.waiting(line)

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serving_health(settings.health_address, vitals))
        plugins = stack.enter_context(tracing("breakwater-worker"))
        patience = Patience(timedelta(seconds=settings.worker_patience), stop)
        connection = await stack.enter_async_context(
            connect(home, identity=identity, plugins=plugins, on_event=say, patience=patience, keeps_large=True)
        )
        await check_keys(connection.client, WORKFLOW_QUEUE)
        stand_in = settings.breakwater_stand_in_url if simulated else None
        if simulated and stand_in is None:
            stand_in = await stack.enter_async_context(standing_in(home, on_event=say))
        silence = timedelta(seconds=settings.subagent_silence_timeout)
        model = await stack.enter_async_context(claude(silence, stand_in))
        gate = breaker(settings, home, identity)
        stack.push_async_callback(gate.close)
        journal = answers(settings, home, Seal.of(os.environ))
        stack.push_async_callback(journal.close)
        survey = await stack.enter_async_context(surveyed(gate, [model.circuit_of(name) for name in TIERS.values()]))
        for each in workers(connection.client, model, gate, journal, settings):
            await stack.enter_async_context(each)
        if settings.version and (line := await take_up(settings.version, connection, WORKFLOW_QUEUE)):
            say(line)
        vitals.working(connection, (WORKFLOW_QUEUE, *SUBAGENT_QUEUES, CIRCUIT_QUEUE), survey.facts)
        if simulated:
            why = "no credential is set: answers come from the stand-in, not from Claude"
            log.warning("model.simulated", why=why, stand_in=stand_in)
        log.info("worker.ready", temporal=connection.address, model=model.endpoint, identity=identity)
        ready = {"event": "worker.ready", "pid": os.getpid(), "identity": identity, "simulated": simulated}
        click.echo(json.dumps(ready))
        await stop.wait()
        vitals.draining()
        log.info("worker.draining", grace_seconds=settings.worker_grace_period)
    log.info("worker.stopped")


@click.command()
@click.option("--exit-with-stdin", is_flag=True, help="Stop when standard input ends: for whoever starts a worker.")
def main(exit_with_stdin: bool) -> None:
    """Run a Breakwater worker until SIGTERM or SIGINT."""
    log_to_stderr(bool(os.environ.get(ENCRYPTION_KEY)), as_json=os.environ.get("LOG_FORMAT") == "json")
    try:
        settings = Settings.read(os.environ)
        start_telemetry(settings.metrics_address, BUCKETS)
        asyncio.run(serve(settings, exit_with_stdin))
    except WaitEnded as ended:
        log.info("worker.stopped", why=str(ended))
    except MISTAKES as error:
        click.echo(f"worker.py: {error}", err=True)
        sys.exit(4 if isinstance(error, Unreachable) else 2)


if __name__ == "__main__":
    run_and_leave(main)
