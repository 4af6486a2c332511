"""When the embedded server can be used: its port is open, its namespace answers, and runs can be searched."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from hosting.dial import describe, dial, load_sdk
from hosting.errors import HostingError, Unreachable
from hosting.search_attributes import add_search_attributes, missing_search_attributes

if TYPE_CHECKING:
    from temporalio.client import Client

log = logging.getLogger(__name__)

NAMESPACE = "default"
"""The one the embedded server has."""
RETENTION = timedelta(days=30)
"""How long the embedded server keeps a run after its end."""
PAUSE = timedelta(milliseconds=20)
"""Between two looks: a port that will open has no event for us."""


async def ready(address: str, within: timedelta) -> str:
    """Wait until the server at this address can be used; returns its version.

    Raises Unreachable, saying what was waited for.
    """
    waiting_for = "its port to open"
    try:
        async with asyncio.timeout(within.total_seconds()):
            # While the server starts, which takes as long.
            await load_sdk()
            await _port(address)
            waiting_for = f"namespace {NAMESPACE!r} to answer"
            client, version = await _answers(address)
            waiting_for = "the search attributes"
            await _searchable(client)
            await _keep_long(client)
            return version
    except TimeoutError as error:
        raise Unreachable(
            f"the server at {address} is not ready: waited {within.total_seconds():g} s for {waiting_for}"
        ) from error


async def _port(address: str) -> None:
    host, _, port = address.rpartition(":")
    while True:
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except OSError:
            await asyncio.sleep(PAUSE.total_seconds())
        else:
            writer.close()
            await writer.wait_closed()
            return


async def _answers(address: str) -> tuple[Client, str]:
    """A client, and the server's version."""
    from temporalio.api.workflowservice.v1 import GetSystemInfoRequest
    from temporalio.service import RPCError

    while True:
        try:
            client = await dial(address)
            await describe(client, address, NAMESPACE)
            return client, (await client.workflow_service.get_system_info(GetSystemInfoRequest())).server_version
        except (HostingError, RPCError):
            # Not answering yet, or not knowing its namespace yet: the deadline is the caller's.
            await asyncio.sleep(PAUSE.total_seconds())


async def _keep_long(client: Client) -> None:
    """Keep ended runs longer than the development server's one day: Friday's run is looked for on Monday."""
    from google.protobuf.duration_pb2 import Duration
    from temporalio.api.namespace.v1 import NamespaceConfig
    from temporalio.api.workflowservice.v1 import UpdateNamespaceRequest

    keep = Duration()
    keep.FromTimedelta(RETENTION)
    config = NamespaceConfig(workflow_execution_retention_ttl=keep)
    await client.workflow_service.update_namespace(UpdateNamespaceRequest(namespace=NAMESPACE, config=config))


async def _searchable(client: Client) -> None:
    """Register what is missing: the server's own option does so only when it creates its file (measured)."""
    from temporalio.service import RPCError

    if not (missing := await missing_search_attributes(client)):
        return
    try:
        await add_search_attributes(client, missing)
    except RPCError as error:
        # Somebody gave the name another type. Runs work without; whoever starts one asks what is missing.
        log.warning("temporal.search_attributes missing=%s error=%s", missing, error)
