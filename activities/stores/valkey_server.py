"""A Valkey or Redis server that a fleet shares. Give it a database that does not evict.

It retries nothing of its own: a store that does not answer must not hold up a call.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable
from datetime import timedelta
from typing import TypeVar
from urllib.parse import urlsplit

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from activities.stores.address import NAMES, StoreAddressInvalid, StoreUnavailable

DATABASE = re.compile(r"/?\d*")
"""What may stand behind the port. The library takes any other path for none, and goes to database 0."""
UNKNOWN = re.compile(r" '\w+'$")
"""Where Python's error has the name of an argument that nobody takes."""

ResultT = TypeVar("ResultT")


class ValkeyServer:
    """One pool of connections to one server."""

    def __init__(self, url: str, timeout: timedelta, *, what: str) -> None:
        """Connects at the first use. `what` is what messages call it. Raises StoreAddressInvalid."""
        self._timeout = seconds = timeout.total_seconds()
        self._what = what
        url = url.replace("valkey", "redis", 1) if url.startswith("valkey") else url
        try:
            if not DATABASE.fullmatch(urlsplit(url).path):
                raise StoreAddressInvalid(f"{NAMES} names a database that is no number: end it in /0, or in the port")
            self.client = Redis.from_url(
                url,
                socket_timeout=seconds,
                socket_connect_timeout=seconds,
                retry=Retry(NoBackoff(), 0),
                decode_responses=False,
            )
            # It connects to nobody, and takes every option of the address.
            self.client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
        except TypeError as error:
            option = UNKNOWN.search(str(error))
            raise StoreAddressInvalid(
                f"{NAMES} has an option that does not exist{option[0] if option else ''}; leave it out"
            ) from error
        except (ValueError, OSError, exceptions.RedisError) as error:
            raise StoreAddressInvalid(f"{NAMES} is not an address of Valkey or Redis: {error}") from error
        where = self.client.connection_pool.connection_kwargs
        self.name = f"{where.get('host', 'localhost')}:{where.get('port', 6379)}"

    async def answer(self, asked: Awaitable[ResultT]) -> ResultT:
        """What it says, within the timeout. Raises StoreUnavailable."""
        try:
            return await asyncio.wait_for(asked, self._timeout)
        except exceptions.ResponseError as error:
            raise self.refusal(error) from error
        except (exceptions.RedisError, OSError, TimeoutError) as error:
            why = str(error) or type(error).__name__
            raise StoreUnavailable(f"{self._what} {self.name} does not answer: {why}") from error

    def refusal(self, error: exceptions.RedisError) -> StoreUnavailable:
        """The error of a server that answers, and says no."""
        return StoreUnavailable(f"{self._what} {self.name} refuses: {error}")

    async def close(self) -> None:
        """Let go of the connections."""
        await self.client.aclose()
