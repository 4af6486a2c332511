"""The journal in Valkey or Redis: one string under a key of its own for each answer, which the server lets expire."""

from __future__ import annotations

from datetime import timedelta

from redis import exceptions

from activities.journal.pages import PATIENCE
from activities.stores.address import StoreCorrupt
from activities.stores.valkey_server import ValkeyServer

PREFIX = "breakwater:answer:"


class ValkeyPages:
    """See ValkeyServer for how it is reached and lost."""

    def __init__(self, url: str, timeout: timedelta = PATIENCE) -> None:
        """Connects at the first use. Raises StoreAddressInvalid."""
        self._server = ValkeyServer(url, timeout, what="the journal")

    async def get(self, key: str) -> bytes | None:
        """See Pages."""
        pipeline = self._server.client.pipeline(transaction=False)
        pipeline.get(PREFIX + key)
        (entry,) = await self._server.answer(pipeline.execute(raise_on_error=False))
        if isinstance(entry, exceptions.ResponseError) and "WRONGTYPE" in str(entry):
            raise StoreCorrupt(f"{PREFIX}{key} in {self._server.name} is not a string; it is left as it is")
        if isinstance(entry, exceptions.RedisError):
            raise self._server.refusal(entry) from entry
        return None if entry is None else bytes(entry)

    async def put(self, key: str, entry: bytes, ttl: float) -> None:
        """See Pages."""
        await self._server.answer(self._server.client.set(PREFIX + key, entry, px=max(1, int(ttl * 1_000))))

    async def close(self) -> None:
        """See Pages."""
        await self._server.close()
