"""A fresh simulator for every test, and the vendor's SDK pointed at it over both of its transports."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
import pytest
from anthropic import AsyncAnthropic, DefaultAioHttpClient

from simulator import ServerOptions, Simulator
from tests.simulator.support import Clock


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator() as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def timed(clock: Clock) -> AsyncIterator[Simulator]:
    """A simulator that lives in the time of `clock`, with a second of latency."""
    async with Simulator(ServerOptions(latency=1.0, now=clock.now, sleep=clock.sleep)) as running:
        yield running


@pytest.fixture(scope="session")
async def sdk() -> AsyncIterator[AsyncAnthropic]:
    """One client for all tests, because making one costs more than most tests; no proxies, no retries."""
    async with AsyncAnthropic(
        api_key="any", max_retries=0, http_client=httpx2.AsyncClient(trust_env=False, timeout=20)
    ) as client:
        yield client


@pytest.fixture(scope="session")
async def aiohttp_sdk() -> AsyncIterator[AsyncAnthropic]:
    """The same over aiohttp, which is how the project talks to the service."""
    async with AsyncAnthropic(api_key="any", max_retries=0, http_client=DefaultAioHttpClient(timeout=20)) as client:
        yield client


@pytest.fixture
def client(sdk: AsyncAnthropic, simulator: Simulator) -> AsyncAnthropic:
    return sdk.with_options(base_url=simulator.url)


@pytest.fixture(params=["httpx2", "aiohttp"])
def any_client(
    request: pytest.FixtureRequest, sdk: AsyncAnthropic, aiohttp_sdk: AsyncAnthropic, simulator: Simulator
) -> AsyncAnthropic:
    """The client over each transport in turn: they report a broken connection differently."""
    return (sdk if request.param == "httpx2" else aiohttp_sdk).with_options(base_url=simulator.url)
