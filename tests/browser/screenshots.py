"""Take README's pictures again: a revised run, one in an outage and an encrypted one in the Temporal UI; a run's page.

python -m tests.browser.screenshots [FOLDER]    # docs/img; a minute, needs a Chromium
"""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.async_api import Browser, FloatRect, Page, ViewportSize

from console.dossier import gather
from console.page import html
from tests.browser.chromium import chromium, executable
from tests.browser.scenes import Scenes, scenes
from tests.browser.sealed import Sealed, sealed, through_the_codec

FOLDER = Path(__file__).parents[2] / "docs" / "img"
WIDE: ViewportSize = {"width": 1_200, "height": 820}
TALL: ViewportSize = {"width": 1_200, "height": 1_100}
PHONE: ViewportSize = {"width": 390, "height": 820}
FRAME, LABEL = 36, 40
"""Pixels of the page that are left beside and above what is shown of it."""
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
    with TemporaryDirectory() as home:
        async with sealed(Path(home)) as runs, chromium(path) as browser:
            await with_and_without(await browser.new_page(viewport=TALL), runs, folder / "ui-codec.png")


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


async def with_and_without(page: Page, runs: Sealed, file: Path) -> None:
    """An encrypted run without the codec server and with it, one above the other."""
    input = runs.values[0]
    await page.goto(input.page)
    await page.get_by_text(input.sealed).wait_for()
    without = await values_and_timeline(page)
    await through_the_codec(page, runs.endpoint)
    await page.reload()
    await page.get_by_text("generator · ").first.wait_for()
    write(file, joined([without, await values_and_timeline(page)], below=True))


async def values_and_timeline(page: Page) -> bytes:
    """What stands below a run's tabs."""
    input = page.get_by_role("textbox", name="Input")
    await input.wait_for()
    begin = await input.bounding_box()
    assert begin is not None
    left, top = begin["x"] - FRAME, begin["y"] - LABEL
    clip: FloatRect = {"x": left, "y": top, "width": TALL["width"] - left, "height": TALL["height"] - top}
    return await page.screenshot(clip=clip)


async def for_a_person(browser: Browser, stage: Scenes, id: str, source: Path, file: Path) -> None:
    """The page that `starter.py report` writes, on a desk and on a phone."""
    await asyncio.to_thread(source.write_text, html(await gather(stage.client, id, stage.page(id))))
    taken = []
    for viewport in (WIDE, PHONE):
        page = await browser.new_page(viewport=viewport, color_scheme="light")
        await page.goto(source.as_uri())
        taken.append(await page.screenshot())
    write(file, joined(taken))


def joined(pngs: Sequence[bytes], *, below: bool = False) -> bytes:
    """One picture of several, beside each other or each below the one before."""
    parts = [Image.open(io.BytesIO(png)) for png in pngs]
    widths, heights = [part.width for part in parts], [part.height for part in parts]
    size = (max(widths), sum(heights)) if below else (sum(widths), max(heights))
    whole = Image.new("RGB", size, "white")
    at = 0
    for part in parts:
        whole.paste(part, (0, at) if below else (at, 0))
        at += part.height if below else part.width
    data = io.BytesIO()
    whole.save(data, "PNG")
    return data.getvalue()


def write(file: Path, png: bytes) -> None:
    """A small file of it."""
    Image.open(io.BytesIO(png)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)
    print(f"{file}: {file.stat().st_size // 1000} kB")


if __name__ == "__main__":
    asyncio.run(take(Path(sys.argv[1]) if sys.argv[1:] else FOLDER))
