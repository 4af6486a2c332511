"""One stage for all drills of the short form; they follow one another on it, so that few processes are started."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.drills.fleet import QUICK, Fleet, fleet

LATENCY = 0.1
"""Seconds of a call: twelve of them in under two."""


@pytest.fixture(scope="package")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    """A server, the stand-in, a store, and whatever workers a drill asks for."""
    async with fleet(tmp_path_factory.mktemp("drills"), QUICK, LATENCY) as made:
        yield made
