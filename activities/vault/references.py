"""Which large values runs still refer to: read from their histories, as they are, without any key."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator

from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from activities.vault.errors import VaultError
from activities.vault.files import DIGEST, DRIVER

READ_AT_ONCE = 8
"""Histories read at the same time."""


class UnknownReference(VaultError):
    """A history refers to a large value in a way that cannot be read, so nobody can say what may go."""


async def referenced(client: Client) -> set[str]:
    """The digests of every file that a run of this namespace refers to, open or kept. Raises UnknownReference."""
    found: set[str] = set()
    places = asyncio.Semaphore(READ_AT_ONCE)

    async def read(run: WorkflowExecution) -> None:
        async with places:
            try:
                async for message in _of(client, run):
                    found.update(digests(message, run.id))
            except RPCError as error:
                if error.status != RPCStatusCode.NOT_FOUND:
                    raise
                # It has expired since it was listed: what it referred to may go too.

    async with asyncio.TaskGroup() as reading:
        async for run in client.list_workflows():
            await places.acquire()  # list no faster than histories are read
            places.release()
            reading.create_task(read(run))
    return found


async def _of(client: Client, run: WorkflowExecution) -> AsyncIterator[Message]:
    """All that the server has of a run; what is pending is not in its history yet."""
    handle = client.get_workflow_handle(run.id, run_id=run.run_id)
    async for event in handle.fetch_history_events():
        yield event
    yield run.raw_info
    if run.status == WorkflowExecutionStatus.RUNNING:
        yield (await handle.describe()).raw_description


def digests(message: Message, run: str) -> Iterator[str]:
    """The files that a message refers to, however deep. Raises UnknownReference."""
    for payload in payloads(message):
        if not payload.external_payloads:
            continue
        try:
            reference = json.loads(payload.data)
            driver, claim = reference["driverName"], reference["claimData"]
        except (ValueError, KeyError, TypeError):
            driver, claim = None, {}
        if driver == DRIVER and DIGEST.fullmatch(claim.get("sha256", "")):
            yield claim["sha256"]
        elif driver is None or driver == DRIVER:
            raise UnknownReference(
                f"run {run} refers to a large value in a form that this version cannot read; nothing was removed"
            )


def payloads(message: Message) -> Iterator[Payload]:
    """Every payload in a message."""
    if isinstance(message, Payload):
        yield message
        return
    for descriptor, value in message.ListFields():
        if descriptor.message_type is None:
            continue
        if descriptor.message_type.GetOptions().map_entry:
            inner = list(value.values())
        else:
            inner = list(value) if descriptor.is_repeated else [value]
        for each in inner:
            if isinstance(each, Message):
                yield from payloads(each)
