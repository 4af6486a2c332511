"""Stores for the tests here: a fake, a file, and a real server.

Hypothesis has no deadline: pytest-timeout limits each test, so a slow machine must not fail a single example.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from activities.circuit.store import Store, open_store
from tests.circuit.memory import MemoryStore
from tests.circuit.rules import PATIENT
from tests.circuit.servers import ValkeyServer

settings.register_profile("breakwater", deadline=None)
settings.load_profile("breakwater")


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """One server for every test that leaves it alive; their keys differ."""
    server = ValkeyServer(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[ValkeyServer]:
    """A server to kill."""
    server = ValkeyServer(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture(params=["sqlite", "valkey"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a real store."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'circuits.db'}"
    server: ValkeyServer = request.getfixturevalue("valkey")
    return server.url


@pytest.fixture(params=["memory", "sqlite", "valkey"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """Each store there is, the fake too."""
    if request.param == "memory":
        yield MemoryStore()
        return
    address = f"sqlite:///{tmp_path / 'circuits.db'}"
    if request.param == "valkey":
        address = request.getfixturevalue("valkey").url
    real = open_store(address, PATIENT)
    yield real
    await real.close()


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """A circuit of this test alone."""
    return f"api.test {request.node.name}"
