"""`starter.py gc`: what no run refers to may go, what any run refers to stays, however old it is."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.converter import StorageDriverStoreContext

from activities.vault.converter import files_of
from activities.vault.files import FileBlobs
from activities.vault.references import UnknownReference, digests
from hosting.connection import connect
from hosting.home import PROJECT, Home
from tests.pipelines.conftest import Bench

WEEK = 7 * 86_400


def aged(blobs: FileBlobs) -> None:
    """Make everything look as if nobody had stored it for a week."""
    for blob in blobs.listed():
        os.utime(blobs.root / blob.digest[:2] / blob.digest, (blob.touched - WEEK, blob.touched - WEEK))


async def gc(*arguments: str) -> tuple[int, str, str]:
    """The command, as a program of its own."""
    program = [sys.executable, str(PROJECT / "starter.py"), "gc", *arguments]
    process = await asyncio.create_subprocess_exec(*program, stdout=PIPE, stderr=PIPE)
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_only_what_no_run_refers_to_is_removed(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in a dry run, not if it is young, not if a run has it as input or memo, be that open or ended and kept."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", bench.client.service_client.config.target_host)
    monkeypatch.setenv("BREAKWATER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BREAKWATER_BLOBS", (tmp_path / "blobs").as_uri())
    run = f"gc-{uuid4().hex[:8]}"
    async with connect(Home(tmp_path / "home"), identity="test") as connection:
        client, blobs = connection.client, files_of(connection.client.data_converter)
        assert blobs is not None
        await client.start_workflow(
            "nobodys", "input " * 30_000, id=run, task_queue="nobodys", memo={"note": "memo " * 30_000}
        )
        await blobs.store(StorageDriverStoreContext(), [Payload(data=b"idle" * 5_000)])
        assert len(blobs.listed()) == 3

        code, young, _ = await gc("--older-than", "1d", "--yes", "--json")
        assert (code, json.loads(young)["unused"]["count"]) == (0, 0)
        aged(blobs)
        _, dry, _ = await gc("--older-than", "1d")
        assert "3 large values" in dry
        assert "1 large value (20.0 kB) untouched for 1 d, and no run refers to them" in dry
        assert "add --yes to remove them" in dry
        assert len(blobs.listed()) == 3
        _, done, _ = await gc("--older-than", "1d", "--yes", "--json")
        assert json.loads(done)["removed"]["count"] == 1
        assert len(blobs.listed()) == 2
        assert (await client.get_workflow_handle(run).describe()).status is not None

        await client.get_workflow_handle(run).terminate()
        await gc("--older-than", "1d", "--yes")
        assert len(blobs.listed()) == 2, "an ended run that is still kept has its values"


async def test_an_age_that_could_hit_a_run_that_starts_now_is_refused() -> None:
    """One line, before anything is started."""
    code, out, err = await gc("--older-than", "10m", "--yes")
    assert (code, out) == (2, "")
    assert "at least 1h" in err


def test_a_reference_that_cannot_be_read_stops_everything() -> None:
    """Whoever does not know what a run refers to must not remove anything; another driver's is none of our files."""
    strange = Payload(data=b"\xff")
    strange.external_payloads.add().size_bytes = 20_000
    with pytest.raises(UnknownReference, match=r"run-1 .* nothing was removed"):
        list(digests(strange, "run-1"))
    bucket = Payload(data=json.dumps({"driverName": "aws.s3driver", "claimData": {"key": "k"}}).encode())
    bucket.external_payloads.add().size_bytes = 20_000
    assert list(digests(bucket, "run-1")) == []
