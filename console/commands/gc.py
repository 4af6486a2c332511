"""Clearing up: which large values no run refers to any more, and, when told so, removing them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import click
from rich.filesize import decimal
from temporalio.service import RPCError

from activities.vault.converter import files_of
from activities.vault.files import Blob
from activities.vault.references import referenced
from console.errors import Exit, Stop
from console.render import page, say
from console.session import session
from hosting.connection import Connection
from hosting.dial import describe, failed

MARGIN = timedelta(days=1)
"""Kept beyond the namespace's retention: the server removes an ended run some time after it has expired."""
LEAST = timedelta(hours=1)
"""A value is stored before the run that refers to it can be found."""


async def collect(older_than: timedelta | None, remove: bool, as_json: bool) -> Exit:
    """Show what may go; with `remove`, remove it. A value that an open or kept run refers to never may."""
    if older_than is not None and older_than < LEAST:
        raise Stop("--older-than is at least 1h: a younger value may be of a run that starts just now", Exit.USAGE)
    async with session(say, worker=False) as here:
        blobs = files_of(here.client.data_converter)
        if blobs is None:
            raise Stop(
                "large values are in a bucket (BREAKWATER_BLOBS) and gc is for files; let the bucket expire them by a "
                "lifecycle rule, some days after the namespace's retention",
                Exit.USAGE,
            )
        age = older_than or await _retention(here.connection) + MARGIN
        since = time.time() - age.total_seconds()
        everything = await asyncio.to_thread(blobs.listed)
        old = [blob for blob in everything if blob.touched <= since]
        try:
            in_use = await referenced(here.client) if old else set()
        except RPCError as error:
            raise failed(error, here.connection.address) from error
    idle = [blob for blob in old if blob.digest not in in_use]
    gone: list[Blob] = []
    if remove:
        gone = [blob for blob in idle if await asyncio.to_thread(blobs.remove, blob.digest, since)]
        await asyncio.to_thread(blobs.remove_drafts, since)
    _tell(blobs.root, age, everything, idle, gone if remove else None, as_json)
    return Exit.PASSED


async def _retention(connection: Connection) -> timedelta:
    """How long the server keeps a run after its end."""
    about = await describe(connection.client, connection.address, connection.namespace)
    return about.config.workflow_execution_retention_ttl.ToTimedelta()


def _tell(
    folder: Path, age: timedelta, everything: list[Blob], idle: list[Blob], gone: list[Blob] | None, as_json: bool
) -> None:
    if as_json:
        document = {
            "folder": str(folder),
            "older_than_seconds": age.total_seconds(),
            "values": _sum(everything),
            "unused": _sum(idle),
            "removed": _sum(gone or ()),
        }
        click.echo(json.dumps(document))
        return
    lines = [
        f"{_words(everything)} in {folder}",
        f"{_words(idle)} untouched for {age.total_seconds() / 86_400:.3g} d, and no run refers to them",
    ]
    if gone is not None:
        lines.append(f"removed {_words(gone)}")
    elif idle:
        lines.append("nothing was removed; add --yes to remove them")
    for line in lines:
        page().print(line, markup=False, highlight=False, soft_wrap=True)


def _sum(blobs: Sequence[Blob]) -> dict[str, int]:
    return {"count": len(blobs), "bytes": sum(blob.size for blob in blobs)}


def _words(blobs: Sequence[Blob]) -> str:
    return f"{len(blobs):,} large value{'' if len(blobs) == 1 else 's'} ({decimal(sum(blob.size for blob in blobs))})"
