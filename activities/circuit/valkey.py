"""Circuits in Valkey or Redis: for a fleet. The clock is the server's, so that workers' clocks cannot disagree.

Compare-and-swap is a script of four lines, because a WATCH transaction costs three round trips. Each circuit is one
string under its own key with an expiry of its own, so clusters, replicas and eviction policies work as usual. Give it a
database that does not evict: a lost record only costs the fleet five failures, but it costs them during an outage.
"""

from __future__ import annotations

from datetime import timedelta

from redis import exceptions

from activities.circuit.store import STORE_TIMEOUT, Loaded, StoreCorrupt
from activities.stores.valkey_server import ValkeyServer

PREFIX = "breakwater:circuit:"
SWAP = """
local held = redis.call('GET', KEYS[1])
if (held or '') ~= ARGV[1] then return 0 end
if ARGV[3] == '' then redis.call('SET', KEYS[1], ARGV[2]) else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return 1
"""


class ValkeyStore:
    """See ValkeyServer for how it is reached and lost."""

    def __init__(self, url: str, timeout: timedelta = STORE_TIMEOUT) -> None:
        """Connects at the first use. Raises StoreAddressInvalid."""
        self._server = ValkeyServer(url, timeout, what="the circuit's store")
        self._swap = self._server.client.register_script(SWAP)

    async def load(self, key: str) -> Loaded:
        """See Store. GET goes before TIME, so the clock is never behind what was read."""
        pipeline = self._server.client.pipeline(transaction=False)
        pipeline.get(PREFIX + key)
        pipeline.time()
        text, clock = await self._server.answer(pipeline.execute(raise_on_error=False))
        if isinstance(text, exceptions.ResponseError) and "WRONGTYPE" in str(text):
            raise StoreCorrupt(f"the circuit {key!r} in {self._server.name} is not a string; it is left as it is")
        for answer in (text, clock):
            if isinstance(answer, exceptions.RedisError):
                raise self._server.refusal(answer) from answer
        seconds, micros = clock
        return Loaded(None if text is None else self._decoded(key, text), seconds + micros / 1e6)

    async def swap(self, key: str, text: str, expected: str | None, ttl: float | None) -> bool:
        """See Store."""
        milliseconds = "" if ttl is None else str(max(1, int(ttl * 1000)))
        swapped = await self._server.answer(self._swap(keys=[PREFIX + key], args=[expected or "", text, milliseconds]))
        return bool(swapped == 1)

    async def keys(self) -> tuple[str, ...]:
        """See Store."""

        async def scan() -> list[str]:
            return [
                name.decode()[len(PREFIX) :] async for name in self._server.client.scan_iter(PREFIX + "*", count=1_000)
            ]

        return tuple(sorted(set(await self._server.answer(scan()))))

    async def close(self) -> None:
        """See Store."""
        await self._server.close()

    def _decoded(self, key: str, text: bytes) -> str:
        try:
            return text.decode()
        except UnicodeDecodeError as error:
            raise StoreCorrupt(
                f"the circuit {key!r} in {self._server.name} is not text; it is left as it is"
            ) from error
