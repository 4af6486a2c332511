"""People in the loop, as they type it: a run that waits is seen without a worker, and outlives its server."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Shell, seen, until

PGE = "plan-generate-evaluate"


async def shown(shell: Shell, status: str) -> str:
    """What `show` says of the run, as soon as it has this status."""
    for _ in range(20):
        page = (await shell("show", "mine")).out
        if status in page:
            return page
    pytest.fail(f"not {status}: {page}")


async def test_a_run_that_waits_for_a_person_outlives_its_server(shell: Shell) -> None:
    """It waits for approval through a restart of everything, is amended, waits for money, gets it, and passes."""
    bounds = ("--approve", "plan", "--budget-usd", "0.01", "--on-budget", "pause")
    said = await shell("run", PGE, "A haiku about the sea.", "--id", "mine", "--detach", *bounds)
    assert said.code == 0, said.err
    await until(lambda: seen(shell, "planner-1"), "the planner's call")
    page = await shown(shell, "waiting_for_approval")
    assert "for your approval of the plan" in page
    assert "starter.py approve mine" in page
    assert (await shell("down")).code == 0
    assert not shell.processes()

    listed = await shell("list", "--json")
    assert [(run["id"], run["status"]) for run in listed.json["runs"]] == [("mine", "waiting_for_approval")]
    await shell.start("up")
    await until(lambda: shell.running("worker.py"), "a worker")
    proposed = await shell("proposal", "mine")
    assert proposed.code == 0, proposed.err
    plan = proposed.json
    plan["criteria"] = plan["criteria"][:1]
    wrong = await shell("amend", "mine", json.dumps({**plan, "goal": ""}))
    assert (wrong.code, wrong.out) == (2, "")
    assert "this cannot be the plan: goal:" in wrong.err.strip().splitlines()[-1]
    file = shell.home.parent / "plan.json"
    file.write_text(json.dumps(plan))
    amended = await shell("amend", "mine", f"@{file}")
    assert amended.code == 0, amended.err
    assert "amended the plan of mine" in amended.err

    assert "starter.py budget mine --usd TOTAL" in await shown(shell, "waiting_for_budget")
    raised = await shell("budget", "mine", "--usd", "5")
    assert raised.code == 0, raised.err
    assert "mine may now use $5.00 in all; 1 waiting agent tries again" in raised.err
    result = await shell("result", "mine", "--json")
    assert result.code == 0, result.err
    assert [row["id"] for row in result.json["result"]["criteria"]] == ["C1"]
    assert [each["outcome"] for each in result.json["decisions"]] == ["amended"]
