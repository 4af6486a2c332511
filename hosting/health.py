"""How a worker is, over HTTP: `/live` is whether to leave it alone, `/ready` whether it takes work, both as JSON.

    python -m hosting.health [URL]

asks, prints the answer and exits 0 or 1: for a container, where nothing else would ask. Without a URL it asks the
worker of this environment (HEALTH_ADDRESS).

Live: the process answers. Ready: the server says that it polls, and its circuits' store answers. An open circuit is
shown and does not count: a worker that waits an outage out does its work.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

from hosting.connection import Connection, pollers
from hosting.errors import HostingError

if TYPE_CHECKING:
    from aiohttp import web

HEALTH_VARIABLE = "HEALTH_ADDRESS"
ANSWER = timedelta(seconds=3)
"""For the server to say who polls: whoever asks for health wants to know within five."""
FRESH = timedelta(seconds=5)
"""An answer of the server is repeated for this long: it takes a few requests, and every probe of a fleet asks."""

Circuits = Callable[[], tuple[list[dict[str, Any]], str | None]]
"""The circuits as last seen, and why their store could not be asked if it could not."""


@dataclass
class Vitals:
    """What is known of one worker."""

    identity: str
    stage: str = "starting"
    """starting, waiting (what for stands beside it), working or draining."""
    waits_for: str | None = None
    _connection: Connection | None = None
    _queues: Sequence[str] = ()
    _circuits: Circuits = lambda: ([], None)
    _polling: dict[str, bool] = field(default_factory=dict)
    _why_not: str | None = None
    _asked_at: float = float("-inf")

    def waiting(self, what: str) -> None:
        """Something is waited for before work can begin."""
        if self.stage in ("starting", "waiting"):
            self.stage, self.waits_for = "waiting", what

    def working(self, connection: Connection, queues: Sequence[str], circuits: Circuits) -> None:
        """It takes work from these queues from now on."""
        self.stage, self.waits_for = "working", None
        self._connection, self._queues, self._circuits = connection, queues, circuits

    def draining(self) -> None:
        """It takes no more work."""
        self.stage = "draining"

    async def ready(self) -> tuple[bool, dict[str, Any]]:
        """Whether it takes work, and everything one needs to see why not."""
        polling, why_not = await self._polls()
        circuits, trouble = self._circuits()
        fit = self.stage == "working" and all(polling.values()) and bool(polling) and trouble is None
        facts: dict[str, Any] = {"ready": fit, "identity": self.identity, "stage": self.stage}
        if self.waits_for:
            facts["waits_for"] = self.waits_for
        temporal = {"polling": polling} if why_not is None else {"polling": polling, "why": why_not}
        store = {"reachable": trouble is None} if trouble is None else {"reachable": False, "why": trouble}
        return fit, {**facts, "temporal": temporal, "store": store, "circuits": circuits}

    async def _polls(self) -> tuple[dict[str, bool], str | None]:
        """For each queue, whether the server has this worker among those that take its tasks."""
        if self._connection is None or time.monotonic() - self._asked_at < FRESH.total_seconds():
            return self._polling, self._why_not
        try:
            async with asyncio.timeout(ANSWER.total_seconds()):
                found = await asyncio.gather(*(pollers(self._connection, queue) for queue in self._queues))
            known = zip(self._queues, found, strict=True)
            self._polling, self._why_not = {queue: self.identity in each for queue, each in known}, None
        except (HostingError, TimeoutError) as error:
            self._polling = dict.fromkeys(self._queues, False)
            self._why_not = str(error) or f"the server did not answer within {ANSWER.total_seconds():g} s"
        if all(self._polling.values()):
            # Only good news is kept: whoever waits for it should not wait longer.
            self._asked_at = time.monotonic()
        return self._polling, self._why_not


@asynccontextmanager
async def serving_health(address: str | None, vitals: Vitals) -> AsyncIterator[None]:
    """Answer at `address` for as long as the block lasts; None: not at all. Raises HostingError if it is taken."""
    if address is None:
        yield
        return
    from aiohttp import web

    async def live(_: web.Request) -> web.Response:
        return web.json_response({"live": True, "identity": vitals.identity, "pid": os.getpid()})

    async def ready(_: web.Request) -> web.Response:
        fit, facts = await vitals.ready()
        return web.json_response(facts, status=200 if fit else 503)

    app = web.Application()
    app.add_routes([web.get("/live", live), web.get("/ready", ready)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        host, port = host_and_port(address)
        try:
            await web.TCPSite(runner, host, port).start()
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or str(error).rstrip(".")
            raise HostingError(
                f"cannot answer for health at {host}:{port}: {why}; set {HEALTH_VARIABLE} to a free address"
            ) from error
        yield
    finally:
        await runner.cleanup()


def host_and_port(address: str) -> tuple[str, int]:
    """`8081` and `:8081` are on loopback; others are asked for by name."""
    host, _, port = address.rpartition(":")
    return host.strip("[]") or "127.0.0.1", int(port)


def url_of(address: str) -> str:
    """Where the worker that listens at this address is asked. Raises HostingError if it is none."""
    try:
        host, port = host_and_port(address)
    except ValueError:
        raise HostingError(f"{HEALTH_VARIABLE} is no address; give it like 8081 or 127.0.0.1:8081") from None
    near = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - every address of ours is this one too
    return f"http://{f'[{near}]' if ':' in near else near}:{port}/ready"


def checked_url(url: str) -> str:
    """A URL that can be asked. Raises HostingError if it is none."""
    from activities.urls import is_http

    if not is_http(url) or not url.isprintable() or " " in url:
        raise HostingError(f"{url!r} is no URL to ask; give it like http://127.0.0.1:8081/ready")
    return url


def ask(url: str) -> tuple[bool, str]:
    """Whether what is at `url` is well, and what it says. Never through a proxy: it is on this machine."""
    try:
        with build_opener(ProxyHandler({})).open(url, timeout=ANSWER.total_seconds() + 1) as answer:
            return True, answer.read().decode(errors="replace")
    except HTTPError as error:
        return False, error.read().decode(errors="replace")
    except (OSError, HTTPException) as error:
        return False, json.dumps({"ready": False, "why": f"nothing answers at {url}: {error}"})


def main(arguments: Sequence[str]) -> int:
    """The command; returns its exit code."""
    address = os.environ.get(HEALTH_VARIABLE)
    if not arguments and not address:
        print(f"usage: python -m hosting.health URL, or set {HEALTH_VARIABLE}", file=sys.stderr)  # noqa: T201
        return 2
    try:
        url = checked_url(arguments[0] if arguments else url_of(address or ""))
    except HostingError as error:
        print(f"hosting.health: {error}", file=sys.stderr)  # noqa: T201 - one line for a person
        return 2
    well, said = ask(url)
    print(said)  # noqa: T201 - its only answer
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
