"""Large values as files: each named by the digest of its bytes, so that the same value is stored once.

    <root>/ab/ab12…   mode 0600, written beside its place and moved there whole

A file is on the disk before its name is: a history that names it must never survive a power cut that the value does
not. That costs a few milliseconds, for large values only, in a thread. Every store touches the file, so its age is the
time since anybody last referred to it, which is what `starter.py gc` goes by.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import re
import secrets
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from google.protobuf.message import DecodeError
from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    StorageDriver,
    StorageDriverClaim,
    StorageDriverRetrieveContext,
    StorageDriverStoreContext,
)

from activities.vault.errors import BlobDamaged, BlobMissing, BlobsUnavailable

ValueT = TypeVar("ValueT")
MadeT = TypeVar("MadeT")

DRIVER = "breakwater.files"
"""The driver's name in every reference; histories hold it, so it never changes."""
DIGEST = re.compile(r"[0-9a-f]{64}")
FOLDER, FILE = 0o700, 0o600
"""For their owner only, as everything in a home."""
AT_ONCE = 16
"""Files read or written at the same time by one batch: more only queue for the same disk."""


@dataclass(frozen=True)
class Blob:
    """One stored value, as `gc` sees it."""

    digest: str
    size: int
    touched: float
    """Seconds since the epoch: when it was last stored."""


class FileBlobs(StorageDriver):
    """The driver that keeps payloads in a folder."""

    def __init__(self, root: Path) -> None:
        """Nothing is created before the first store."""
        self.root = root

    def name(self) -> str:
        """As references name it."""
        return DRIVER

    def type(self) -> str:
        """The kind of driver, the same in every version."""
        return DRIVER

    async def store(
        self,
        context: StorageDriverStoreContext,
        payloads: Sequence[Payload],
    ) -> list[StorageDriverClaim]:
        """Keep each payload. Raises BlobsUnavailable."""
        digests = await _each(lambda payload: self._put(payload.SerializeToString()), payloads)
        return [StorageDriverClaim({"sha256": digest, "host": socket.gethostname()}) for digest in digests]

    async def retrieve(
        self,
        context: StorageDriverRetrieveContext,
        claims: Sequence[StorageDriverClaim],
    ) -> list[Payload]:
        """What was kept. Raises BlobMissing, BlobDamaged or BlobsUnavailable."""
        return await _each(self._get, claims)

    def _path(self, digest: str) -> Path:
        return self.root / digest[:2] / digest

    def _put(self, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        path = self._path(digest)
        try:
            with self._lock(fcntl.LOCK_SH):
                if not _touched(path, len(data)):
                    path.parent.mkdir(mode=FOLDER, exist_ok=True)
                    _write(path, data)
        except OSError as error:
            raise BlobsUnavailable(
                f"cannot keep a value of {len(data):,} bytes in {self.root}: {error.strerror}; free or repair that "
                "place; the run goes on by itself then"
            ) from None
        return digest

    def _get(self, claim: StorageDriverClaim) -> Payload:
        digest = claim.claim_data.get("sha256", "")
        if not DIGEST.fullmatch(digest):
            raise BlobDamaged("a reference to a large value names no digest; it was not written by Breakwater")
        try:
            data = self._path(digest).read_bytes()
        except FileNotFoundError:
            raise BlobMissing(self._where_else(digest, claim.claim_data.get("host", ""))) from None
        except OSError as error:
            raise BlobsUnavailable(f"cannot read a large value in {self.root}: {error.strerror}; repair it") from None
        payload = Payload()
        try:
            whole = hashlib.sha256(data).hexdigest() == digest and payload.ParseFromString(data) is not None
        except DecodeError:
            whole = False
        if not whole:
            raise BlobDamaged(f"the large value {self._path(digest)} was changed; restore that file from a backup")
        return payload

    def _where_else(self, digest: str, host: str) -> str:
        here = socket.gethostname()
        words = f"the large value {digest[:12]}… is not in {self.root}"
        if host and host != here:
            return (
                f"{words}: it was written on {host} and this is {here}; for several machines set BREAKWATER_BLOBS to "
                "a place that all of them reach"
            )
        return f"{words}; set BREAKWATER_HOME and BREAKWATER_BLOBS as they were when the run was started"

    # --- clearing up -------------------------------------------------------------------------------------------

    def listed(self) -> list[Blob]:
        """Every value there is. Raises BlobsUnavailable."""
        found = []
        try:
            for path in self.root.glob("??/*"):
                if DIGEST.fullmatch(path.name):
                    with suppress(FileNotFoundError):  # another `gc` was faster
                        facts = path.stat()
                        found.append(Blob(path.name, facts.st_size, facts.st_mtime))
        except OSError as error:
            raise BlobsUnavailable(f"cannot read {self.root}: {error.strerror}; repair it") from None
        return found

    def remove(self, digest: str, untouched_since: float) -> bool:
        """Remove a value unless somebody has stored it again meanwhile; whether it is gone. Raises BlobsUnavailable."""
        path = self._path(digest)
        try:
            with self._lock(fcntl.LOCK_EX):
                if path.stat().st_mtime > untouched_since:
                    return False
                path.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise BlobsUnavailable(f"cannot remove {path}: {error.strerror}; repair it") from None
        return True

    def remove_drafts(self, untouched_since: float) -> None:
        """Remove what was being written when its process died. Raises BlobsUnavailable."""
        try:
            for path in self.root.glob("??/*.draft"):
                with suppress(FileNotFoundError):
                    if path.stat().st_mtime <= untouched_since:
                        path.unlink()
        except OSError as error:
            raise BlobsUnavailable(f"cannot clear up {self.root}: {error.strerror}; repair it") from None

    @contextmanager
    def _lock(self, kind: int) -> Iterator[None]:
        """Shared while a value is touched or written, exclusive while one is removed: never both at once."""
        for folder in (self.root.parent, self.root):
            folder.mkdir(mode=FOLDER, parents=True, exist_ok=True)
        lock = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT, FILE)
        try:
            fcntl.flock(lock, kind)
            yield
        finally:
            os.close(lock)


async def _each(do: Callable[[ValueT], MadeT], values: Sequence[ValueT]) -> list[MadeT]:
    """Do it for every value, in threads: a disk may be slow and the loop has heartbeats to send."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(value: ValueT) -> MadeT:
        async with places:
            return await asyncio.to_thread(do, value)

    return await asyncio.gather(*map(one, values))


def _touched(path: Path, size: int) -> bool:
    """Whether the value is there, whole; then its age begins anew."""
    try:
        os.utime(path)
        return path.stat().st_size == size
    except FileNotFoundError:
        return False


def _write(path: Path, data: bytes) -> None:
    """The file, whole and on the disk, or none at all."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}.draft")
    try:
        with open(draft, "xb", opener=lambda name, flags: os.open(name, flags, FILE)) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
