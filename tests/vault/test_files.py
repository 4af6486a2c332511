"""Large values as files: once each, whole or not at all, for their owner only, and what is wrong with one is said."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.converter import StorageDriverClaim, StorageDriverRetrieveContext, StorageDriverStoreContext

from activities.vault.errors import BlobDamaged, BlobMissing, BlobsUnavailable
from activities.vault.files import FileBlobs

STORE, RETRIEVE = StorageDriverStoreContext(), StorageDriverRetrieveContext()


def value(text: str) -> Payload:
    """A payload that says this."""
    return Payload(metadata={"encoding": b"json/plain"}, data=text.encode())


@pytest.fixture
def blobs(tmp_path: Path) -> FileBlobs:
    """A folder that does not exist yet."""
    return FileBlobs(tmp_path / "home" / "blobs")


async def test_what_is_stored_comes_back(blobs: FileBlobs) -> None:
    """In the order of the claims, metadata included."""
    values = [value("a"), value("b" * 3_000_000), value("")]
    assert await blobs.retrieve(RETRIEVE, await blobs.store(STORE, values)) == values


async def test_the_same_value_is_stored_once(blobs: FileBlobs) -> None:
    """However many store it at the same time; what is left is whole and nothing else."""
    claims = await asyncio.gather(*(blobs.store(STORE, [value("same")]) for _ in range(20)))
    assert len({claim.claim_data["sha256"] for (claim,) in claims}) == 1
    assert len(blobs.listed()) == 1
    assert len([path for path in blobs.root.rglob("*") if path.is_file() and path.name != ".lock"]) == 1


async def test_files_and_folders_are_for_their_owner_only(blobs: FileBlobs) -> None:
    """Prompts and answers are in them."""
    await blobs.store(STORE, [value("private")])
    for path in (blobs.root, *blobs.root.rglob("*")):
        assert not path.stat().st_mode & 0o077, path


async def test_storing_again_begins_the_age_anew(blobs: FileBlobs) -> None:
    """A value that is still used must not look old."""
    await blobs.store(STORE, [value("used")])
    (blob,) = blobs.listed()
    os.utime(blobs.root / blob.digest[:2] / blob.digest, (1, 1))
    await blobs.store(STORE, [value("used")])
    (again,) = blobs.listed()
    assert again.touched > time.time() - 60


async def test_a_value_that_was_stored_again_is_not_removed(blobs: FileBlobs) -> None:
    """Whoever clears up looked a while ago; the file's age is looked at once more."""
    await blobs.store(STORE, [value("used")])
    (blob,) = blobs.listed()
    assert not blobs.remove(blob.digest, untouched_since=blob.touched - 1)
    assert blobs.remove(blob.digest, untouched_since=blob.touched)
    assert not blobs.remove(blob.digest, untouched_since=blob.touched)
    assert not blobs.listed()


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n"])
async def test_a_reference_that_is_no_digest_is_never_a_path(blobs: FileBlobs, digest: str) -> None:
    """Whatever a history says, only a digest is looked for."""
    with pytest.raises(BlobDamaged, match="no digest"):
        await blobs.retrieve(RETRIEVE, [StorageDriverClaim({"sha256": digest})])


async def test_a_missing_value_says_where_it_should_be(blobs: FileBlobs) -> None:
    """And, if another machine wrote it, that this is the reason."""
    claims = await blobs.store(STORE, [value("gone")])
    (blob,) = blobs.listed()
    blobs.remove(blob.digest, untouched_since=time.time() + 1)
    with pytest.raises(BlobMissing, match="BREAKWATER_HOME and BREAKWATER_BLOBS as they were"):
        await blobs.retrieve(RETRIEVE, claims)
    elsewhere = StorageDriverClaim({**claims[0].claim_data, "host": "another-machine"})
    with pytest.raises(BlobMissing, match=r"written on another-machine .* BREAKWATER_BLOBS"):
        await blobs.retrieve(RETRIEVE, [elsewhere])


@pytest.mark.parametrize("damage", [b"", b"\xff\xff\xff", b"something else"])
async def test_a_changed_value_is_never_returned(blobs: FileBlobs, damage: bytes) -> None:
    """Bytes that are not those of the name are an error, and storing the value again repairs what was cut short."""
    claims = await blobs.store(STORE, [value("true")])
    (blob,) = blobs.listed()
    (blobs.root / blob.digest[:2] / blob.digest).write_bytes(damage)
    with pytest.raises(BlobDamaged, match="was changed"):
        await blobs.retrieve(RETRIEVE, claims)
    await blobs.store(STORE, [value("true")])
    assert await blobs.retrieve(RETRIEVE, claims) == [value("true")]


async def test_a_place_that_takes_nothing_is_one_line(tmp_path: Path) -> None:
    """What is wrong, where, and that the run goes on by itself; nothing half written is left."""
    (tmp_path / "blobs").write_text("a file where a folder should be")
    with pytest.raises(BlobsUnavailable, match=r"cannot keep a value of 20,\d\d\d bytes .* goes on by itself"):
        await FileBlobs(tmp_path / "blobs").store(STORE, [value("x" * 20_000)])
