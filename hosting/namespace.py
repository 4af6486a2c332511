"""Preparing a Temporal server for a fleet, once: its namespace, and the search attributes of the runs.

    python -m hosting.namespace

For the server that TEMPORAL_ADDRESS or a profile names. It waits for the server, creates what is missing and changes
nothing that is there, so it may be run again at every deployment. Temporal Cloud has its own ways for both.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from hosting.connection import Configured, configured
from hosting.dial import describe, dial, failed
from hosting.errors import HostingError, NoNamespace, Unreachable
from hosting.leaving import run_and_leave
from hosting.patience import Patience
from hosting.search_attributes import add_search_attributes, missing_search_attributes

if TYPE_CHECKING:
    from temporalio.client import Client

RETENTION = timedelta(days=30)
"""How long a run is kept after its end, if the namespace is ours to create."""
PATIENCE = timedelta(minutes=5)
"""For a server that starts: its schema is laid out first."""
SETTLING = timedelta(seconds=90)
"""How long a new namespace may be unknown to some part of the server: its caches are refreshed within a minute."""
PAUSE = timedelta(seconds=1)


async def prepare(server: Configured, patience: Patience, say: Callable[[str], None]) -> None:
    """The namespace and its search attributes exist when this returns. Raises HostingError or Unreachable, one line."""

    async def attempt() -> Client:
        client = await dial(
            server.address, namespace=server.namespace, identity=f"setup {os.getpid()}@{socket.gethostname()}",
            **server.options,
        )  # fmt: skip
        try:
            await describe(client, server.address, server.namespace)
        except NoNamespace:
            await _create(client, server)
            say(f"created namespace {server.namespace!r} at {server.address}, runs kept {RETENTION.days} days")
        return client

    client = await patience.until_answered(attempt, say)
    await _make_searchable(client, server, say)


async def _create(client: Client, server: Configured) -> None:
    from google.protobuf.duration_pb2 import Duration
    from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
    from temporalio.service import RPCError, RPCStatusCode

    keep = Duration()
    keep.FromTimedelta(RETENTION)
    request = RegisterNamespaceRequest(namespace=server.namespace, workflow_execution_retention_period=keep)
    try:
        await client.workflow_service.register_namespace(request)
    except RPCError as error:
        if error.status != RPCStatusCode.ALREADY_EXISTS:
            raise failed(error, server.address) from error


async def _make_searchable(client: Client, server: Configured, say: Callable[[str], None]) -> None:
    """Add what is missing, again and again: a namespace just created is not known to every part of the server."""
    from temporalio.service import RPCError

    loop = asyncio.get_running_loop()
    deadline = loop.time() + SETTLING.total_seconds()
    asked: list[str] = []
    while missing := await missing_search_attributes(client):
        try:
            if missing != asked:
                say(f"adding search attributes: {', '.join(missing)}")
            asked = missing
            await add_search_attributes(client, missing)
        except RPCError as error:
            if loop.time() > deadline:
                raise failed(error, server.address) from error
        if loop.time() > deadline:
            raise HostingError(
                f"namespace {server.namespace!r} at {server.address} does not take the search attributes "
                f"{', '.join(missing)}; is one of them there with another type? "
                f"`temporal operator search-attribute list --address {server.address} -n {server.namespace}` shows them"
            )
        await asyncio.sleep(PAUSE.total_seconds())
    say(f"namespace {server.namespace!r} at {server.address} is ready")


def _server() -> Configured:
    if (server := configured()) is None:
        raise HostingError("no Temporal server is configured; set TEMPORAL_ADDRESS to the one to prepare")
    return server


def main() -> int:
    """The command; returns its exit code."""
    import structlog

    from activities.logs import log_to_stderr

    log_to_stderr(discreetly=False, as_json=os.environ.get("LOG_FORMAT") == "json")
    log = structlog.get_logger("namespace")
    try:
        asyncio.run(prepare(_server(), Patience(PATIENCE), lambda line: log.info("namespace", what=line)))
    except HostingError as error:
        print(f"hosting.namespace: {error}", file=sys.stderr)  # noqa: T201 - one line for a person
        return 4 if isinstance(error, Unreachable) else 2
    return 0


if __name__ == "__main__":
    run_and_leave(main)
