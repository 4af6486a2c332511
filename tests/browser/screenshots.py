"""Take README's pictures again: a revised run and one in an outage as the Temporal UI shows them, and a run's page.

python -m tests.browser.screenshots [FOLDER]    # docs/img; half a minute, needs a Chromium
"""

from __future__ import annotations

import asyncio
import io
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.async_api import Browser, Page, ViewportSize

from console.dossier import gather
from console.page import html
from tests.browser.chromium import chromium, executable
from tests.browser.scenes import Scenes, scenes

FOLDER = Path(__file__).parents[2] / "docs" / "img"
WIDE: ViewportSize = {"width": 1_200, "height": 820}
PHONE: ViewportSize = {"width": 390, "height": 820}
COLOURS = 64
"""Enough for text and a few tones; a quarter of the bytes of a picture with all of them."""


async def take(folder: Path) -> None:
    """Write the pictures. Raises SystemExit where there is no browser."""
    if (path := executable()) is None:
        raise SystemExit("there is no Chromium here: install it, on Debian with `apt install chromium`")
    with TemporaryDirectory() as home:
        async with scenes(Path(home)) as stage, chromium(path) as browser:
            page = await browser.new_page(viewport=WIDE)
            await timeline(page, stage, "haiku-revised", folder / "ui-revised.png")
            await details(page, stage, "haiku-in-an-outage", folder / "ui-outage.png")
            await for_a_person(browser, stage, "haiku-revised", Path(home) / "run.html", folder / "page.png")


async def timeline(page: Page, stage: Scenes, id: str, file: Path) -> None:
    """A run's timeline, from its heading down."""
    await page.goto(stage.page(id))
    await page.get_by_text("evaluator #2").first.wait_for()
    await page.get_by_role("heading", name="Timeline").scroll_into_view_if_needed()
    write(file, await page.screenshot())


async def details(page: Page, stage: Scenes, id: str, file: Path) -> None:
    """A run's current details, in words."""
    await page.goto(stage.page(id))
    await page.get_by_text("User Metadata", exact=True).click()
    await page.frame_locator("#user-metadata-current-details").get_by_text("is open").wait_for()
    write(file, await page.screenshot())


async def for_a_person(browser: Browser, stage: Scenes, id: str, source: Path, file: Path) -> None:
    """The page that `starter.py report` writes, on a desk and on a phone."""
    await asyncio.to_thread(source.write_text, html(await gather(stage.client, id, stage.page(id))))
    taken = []
    for viewport in (WIDE, PHONE):
        page = await browser.new_page(viewport=viewport, color_scheme="light")
        await page.goto(source.as_uri())
        taken.append(Image.open(io.BytesIO(await page.screenshot())))
    both = Image.new("RGB", (sum(each.width for each in taken), WIDE["height"]), "white")
    both.paste(taken[0], (0, 0))
    both.paste(taken[1], (taken[0].width, 0))
    data = io.BytesIO()
    both.save(data, "PNG")
    write(file, data.getvalue())


def write(file: Path, png: bytes) -> None:
    """A small file of it."""
    Image.open(io.BytesIO(png)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)
    print(f"{file}: {file.stat().st_size // 1000} kB")


if __name__ == "__main__":
    asyncio.run(take(Path(sys.argv[1]) if sys.argv[1:] else FOLDER))
