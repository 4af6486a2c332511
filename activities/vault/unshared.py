"""A folder that nobody else may reach: it is read, and never written to, so that no run waits for what is only here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from temporalio.api.common.v1 import Payload
from temporalio.converter import StorageDriverClaim, StorageDriverStoreContext

from activities.vault.errors import NotShared
from activities.vault.files import FileBlobs


class UnsharedFiles(FileBlobs):
    """For whoever sends values to workers that may be on other machines, and has been told of no place they share."""

    def __init__(self, root: Path, limit: int) -> None:
        """`limit` is what a value may have without a place: bytes."""
        super().__init__(root)
        self._limit = limit

    async def store(
        self,
        context: StorageDriverStoreContext,
        payloads: Sequence[Payload],
    ) -> list[StorageDriverClaim]:
        """Raises NotShared: a workflow that cannot read its input fails its tasks for ever, and hears no deadline."""
        size = max(payload.ByteSize() for payload in payloads)
        raise NotShared(
            f"a value of {size:,} bytes was not sent: without a place for large values a history takes up to "
            f"{self._limit:,}; set BREAKWATER_BLOBS to a place that this machine and the workers share"
        )
