"""The Temporal UI tells the story of a run to somebody who opens no JSON; seen in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from console.dossier import gather
from console.page import html
from tests.browser.conftest import PATIENCE
from tests.browser.scenes import ELSEWHERE, SCENES, Scenes

pytestmark = pytest.mark.xdist_group("browser")
expect.set_options(timeout=PATIENCE)

SMALL, MEDIUM = "claude-haiku-5-5", "claude-sonnet-5-5"
EVERY = {scene.id for scene in SCENES}
PHONE = {"width": 390, "height": 844}


async def timeline(page: Page, stage: Scenes, id: str, state: str, *rows: str) -> None:
    """Open a run: its timeline has these rows, and the run this state."""
    await page.goto(stage.page(id))
    await expect(page.locator("body")).to_contain_text(state)
    for row in rows:
        await expect(page.get_by_text(row).first).to_be_visible()


async def details(page: Page, *words: str) -> None:
    """The current details of the run that is open say this."""
    await page.get_by_text("User Metadata", exact=True).click()
    shown = page.frame_locator("#user-metadata-current-details").locator("body")
    for each in words:
        await expect(shown).to_contain_text(each)


async def attributes(page: Page, **values: str) -> None:
    """The search attributes of the run that is open."""
    await page.get_by_text("Search Attributes", exact=True).click()
    for name, value in values.items():
        await expect(page.locator("body")).to_contain_text(f'"Breakwater{name}": {value}')


async def test_a_passed_run(page: Page, stage: Scenes) -> None:
    """Who did what on which model, that it passed and what it cost."""
    await timeline(
        page, stage, "haiku-passed", "Completed", f"planner · {SMALL}", f"generator · {MEDIUM}", f"evaluator · {SMALL}"
    )
    await details(page, "finished: satisfied", "3 replies", f"evaluator-1 · {SMALL} · 1 attempt", "Simulated")
    await attributes(page, Pipeline='"plan-generate-evaluate"', Status='"passed"', Circuit='"closed"', CostUsd="0.00")


async def test_a_revised_run(page: Page, stage: Scenes) -> None:
    """The second version and its second judgement have rows of their own."""
    await timeline(
        page,
        stage,
        "haiku-revised",
        "Completed",
        f"generator · {MEDIUM}",
        f"evaluator · {SMALL}",
        f"generator #2 · {MEDIUM}",
        f"evaluator #2 · {SMALL}",
    )
    await details(page, "finished: satisfied", "5 replies", "generator-2", "evaluator-2")


async def test_a_run_that_waits_for_an_open_circuit(page: Page, stage: Scenes) -> None:
    """The timeline shows who waits for what, the details say it in a sentence, and the list can be filtered by it."""
    await timeline(
        page,
        stage,
        "haiku-in-an-outage",
        "Running",
        f"generator · {ELSEWHERE}",
        f"generator-1 waits for the circuit of {ELSEWHERE}",
    )
    await details(page, "generating version 1", f"generator-1 waits: the circuit of stand-in {ELSEWHERE} is open.")
    await attributes(page, Status='"running"', Circuit='"open"')


async def test_a_run_over_budget(page: Page, stage: Scenes) -> None:
    """What was done is there, and who was not started any more and why, in words."""
    await timeline(page, stage, "haiku-over-budget", "Completed", f"planner · {SMALL}", f"generator · {MEDIUM}")
    await details(
        page,
        "finished: budget_exceeded",
        "all 2 agents of this run have been started",
        f"evaluator-1 · {SMALL} · budget_exceeded",
    )
    await attributes(page, Status='"not_passed"', CostUsd="0.00")


async def test_a_run_that_waits_for_approval(page: Page, stage: Scenes) -> None:
    """What is proposed, and what to type."""
    await timeline(page, stage, "haiku-to-approve", "Running", f"planner · {SMALL}")
    await details(
        page,
        "waiting for approval of the plan",
        "The run waits: for your approval of the plan.",
        "starter.py approve haiku-to-approve",
        "It is about the sea and nothing else.",
    )
    await attributes(page, Status='"waiting_for_approval"')


async def test_a_failed_run(page: Page, stage: Scenes) -> None:
    """The kind of the failure stands beside whom it happened to, with the API's words and what to do."""
    await timeline(page, stage, "haiku-failed", "Failed", f"generator · {MEDIUM}")
    await details(
        page,
        "failed: generator_error",
        f"generator-1 · {MEDIUM} · request: 400 invalid_request_error: Bad Request",
        "check the model",
    )
    await attributes(page, Status='"failed"')


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ('BreakwaterPipeline="compliance-review"', set()),
        ('BreakwaterStatus="waiting_for_approval"', {"haiku-to-approve"}),
        (
            'BreakwaterPipeline="plan-generate-evaluate" AND BreakwaterCostUsd>=0.001',
            {"haiku-passed", "haiku-revised", "haiku-over-budget", "haiku-of-an-address"},
        ),
        ('BreakwaterCircuit="open"', {"haiku-in-an-outage"}),
    ],
)
async def test_the_list_is_filtered(page: Page, stage: Scenes, query: str, ids: set[str]) -> None:
    """By pipeline, status, cost and circuit, from the list alone."""
    await stage.found(query, ids)
    await page.goto(stage.list(query))
    await expect(page.locator("h1")).to_contain_text(str(len(ids)))
    for id in sorted(EVERY):
        await expect(page.get_by_role("link", name=id, exact=True)).to_have_count(int(id in ids))


async def test_the_page_for_a_person_fits_a_phone_and_asks_nobody(page: Page, stage: Scenes, tmp_path: Path) -> None:
    """Every scene's page: nothing is asked for but the file, nothing refused by it, nothing wider than a phone."""
    requested: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    await page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    for scene in SCENES:
        file = tmp_path / f"{scene.id}.html"
        file.write_text(html(await gather(stage.client, scene.id, stage.page(scene.id))))
        await page.goto(file.as_uri())
        await expect(page.locator("h1")).to_contain_text(scene.id)
        assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], scene.id
    assert requested == [(tmp_path / f"{scene.id}.html").as_uri() for scene in SCENES]
    assert complaints == []
    await expect(page.locator(".verdict")).to_contain_text("failed")
