"""Pages for the tests here: a file, and a real server; and a page and an answer to keep on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from activities.journal.pages import Pages, open_pages
from activities.stores.address import File, Server
from tests.circuit.rules import PATIENT
from tests.circuit.servers import ValkeyServer


@pytest.fixture(scope="package")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """One server for every test here that leaves it alive; their keys differ."""
    server = ValkeyServer(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(params=["sqlite", "valkey"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> File | Server:
    """Each kind of place there is."""
    if request.param == "sqlite":
        return File(tmp_path / "journal.db")
    server: ValkeyServer = request.getfixturevalue("valkey")
    return Server(server.url)


@pytest.fixture
async def pages(place: File | Server) -> AsyncIterator[Pages]:
    """The pages in it."""
    found = open_pages(place, PATIENT)
    yield found
    await found.close()


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """A key of this test alone."""
    return str(request.node.name)
