"""Encrypted and large values in the Temporal UI, in a real browser: readable through `starter.py codec` alone."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import PATIENCE
from tests.browser.sealed import PLAIN, Sealed, sealed, through_the_codec

pytestmark = [
    pytest.mark.xdist_group("browser"),
    pytest.mark.timeout(240),  # eight processes and a browser, on a machine that may be busy
]
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="session")
async def runs(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sealed]:
    """Encrypted runs, and a codec server for them."""
    async with sealed(tmp_path_factory.mktemp("sealed")) as here:
        yield here


@pytest.fixture(autouse=True)
async def forgotten(page: Page) -> AsyncIterator[None]:
    """The UI keeps the endpoint in the browser: the next test begins as somebody who has none."""
    yield
    await page.evaluate("localStorage.clear()")


async def nothing_is_readable(page: Page, runs: Sealed) -> None:
    """Every value is there, encrypted, and no word of it in plain text on its page."""
    for value in runs.values:
        await page.goto(value.page)
        await expect(page.locator("body"), value.name).to_contain_text(value.sealed)
        shown = await page.content()
        assert [word for word in PLAIN if word in shown] == [], value.name


async def test_through_the_codec_everything_is_readable(page: Page, runs: Sealed) -> None:
    """What README says, click by click; then an input, an answer, a large one that was put aside, and failures."""
    await page.goto(runs.values[0].page)
    await through_the_codec(page, runs.endpoint)
    for value in runs.values:
        await page.goto(value.page)
        await expect(page.locator("body"), value.name).to_contain_text(value.plain)
    await expect(page.get_by_test_id("data-encoder-status-success")).to_be_visible()


async def test_without_the_codec_nothing_is_readable(page: Page, runs: Sealed) -> None:
    """Who has the UI and not the endpoint has ciphertext and references."""
    await nothing_is_readable(page, runs)


async def test_with_a_wrong_token_nothing_is_readable(page: Page, runs: Sealed) -> None:
    """The codec refuses, and the UI says that there is something wrong with it."""
    await page.goto(runs.values[0].page)
    await through_the_codec(page, runs.endpoint[:-1] + ("A" if runs.endpoint[-1] != "A" else "B"))
    await nothing_is_readable(page, runs)
    await expect(page.get_by_test_id("data-encoder-status-error")).to_be_visible()


async def test_another_site_gets_nothing_even_with_the_token(page: Page, runs: Sealed) -> None:
    """The browser itself refuses a page that is not the UI's: it may neither ask nor read."""
    asked = """async ([url]) => {
        try { return (await fetch(url + "/decode", {method: "POST", body: '{"payloads": []}'})).status }
        catch (error) { return error.name }
    }"""
    await page.goto("data:text/html,<p>elsewhere</p>")
    assert await page.evaluate(asked, [runs.endpoint]) == "TypeError", "the browser keeps the answer from it"
    await page.goto(runs.endpoint)
    await expect(page.locator("body")).to_contain_text("glasses")
    assert await page.evaluate(asked, [runs.endpoint]) == 403
