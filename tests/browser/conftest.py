"""One server with its UI, one browser, for all tests of this folder."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, BrowserContext, Page

from tests.browser.chromium import chromium, executable
from tests.browser.scenes import Scenes, scenes

REQUIRED = "BREAKWATER_TESTS_NEED_A_BROWSER"
"""Set where a missing browser is a mistake, as in `.ci/run`: the tests fail then, and are not skipped."""
PATIENCE = 30_000
"""Milliseconds for a page of the UI to show something, on a machine that does much else."""


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """The machine's own Chromium."""
    path = executable()
    if path is None and os.environ.get(REQUIRED):
        pytest.fail(
            f"there is no Chromium here and {REQUIRED} is set: install it, on Debian with `apt install chromium`"
        )
    if path is None:
        pytest.skip("there is no Chromium here: install it to test what people see, on Debian `apt install chromium`")
    async with chromium(path) as found:
        yield found


@pytest.fixture(scope="session")
async def stage(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scenes]:
    """All the runs that are looked at; nothing is started where nobody can look."""
    async with scenes(tmp_path_factory.mktemp("scenes")) as here:
        yield here


@pytest.fixture(scope="session")
async def window(browser: Browser) -> AsyncIterator[BrowserContext]:
    """As wide as a laptop's. All tests share it, because the UI's own files are then loaded once."""
    opened = await browser.new_context(viewport={"width": 1_300, "height": 900}, reduced_motion="reduce")
    opened.set_default_timeout(PATIENCE)
    yield opened
    await opened.close()


@pytest.fixture
async def page(window: BrowserContext) -> AsyncIterator[Page]:
    """A page of its own."""
    opened = await window.new_page()
    yield opened
    await opened.close()
