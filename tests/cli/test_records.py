"""What a run leaves behind, as a user reads it: state, reruns, reports, audits, batches. Real processes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from tests.cli.conftest import Shell, journal, seen, until

REVIEW = "compliance-review"
CLEAN = '{"amount": "1200.00", "originator": {"name": "Ada Lovelace"}}'
HELD = 60
"""Seconds of a call that only its worker's death ends."""


def script(shell: Shell, *rules: dict[str, Any]) -> None:
    """What the stand-in does wrong, from its start."""
    file = shell.home.parent / "script.json"
    file.write_text(json.dumps(rules))
    shell.environment["BREAKWATER_STAND_IN_SCRIPT"] = str(file)


def paid(shell: Shell, run: str) -> list[str]:
    """Every request that was made for a run, by agent."""
    return sorted(str(entry["agent"]) for entry in journal(shell) if entry["run"] == run)


async def test_a_review_is_read_rerun_and_audited(shell: Shell, tmp_path: Path) -> None:
    """One dead domain: exit 1 and a report that says so; its state at any event; a rerun that pays for it alone; an
    audit that shows where it was touched; a batch."""
    script(shell, {"match": {"run": "one", "agent": "reviewer-fatf-1"}, "fault": {"kind": "status", "status": 400}})
    page, log = tmp_path / "one.md", tmp_path / "one.jsonl"

    said = await shell("run", REVIEW, "-", "--id", "one", "--keep-up", "--report", str(page), typed=CLEAN.encode())
    assert said.code == 1, said.err
    assert said.out.startswith("2 pass, 0 fail, 1 not checked → INCOMPLETE\n")
    assert "rerun one --only FATF" in said.err
    written = page.read_text()
    for fact in ("run one", "history http", "| AML | pass |", "| FATF | error |", "reviewer-aml-1", "request"):
        assert fact in written, fact

    shown, first, one, late, logged, used = await asyncio.gather(
        shell("state", "one", "--json"),
        shell("state", "one", "--at", "1", "--json"),
        shell("state", "one", "review/AML"),
        shell("state", "one", "--at", "9"),
        shell("state", "one", "--events", "--json"),
        shell("rerun", "one", "--only", "FATF", "--id", "one"),
    )
    assert set(shown.json["state"]) == {"transaction/submitted", "review/AML", "review/KYC"}
    assert set(first.json["state"]) == {"transaction/submitted"}
    assert json.loads(one.out)["status"] == "pass"
    assert (late.code, "there is no event 9; the log has 3" in late.err) == (2, True)
    assert [event["seq"] for event in logged.json["events"]] == [1, 2, 3]

    assert (used.code, "choose another --id" in used.err) == (2, True)
    lines = tmp_path / "lines.jsonl"
    lines.write_text(f'{CLEAN}\n{{"amount": "9500.00"}}\n')
    again, audited, several = await asyncio.gather(
        shell("rerun", "one", "--only", "FATF", "--id", "two"),
        shell("audit", "one", "-o", str(log)),
        shell("batch", REVIEW, f"@{lines}", "--id", "many"),
    )
    assert again.code == 0, again.err
    assert again.out.startswith("3 pass, 0 fail, 0 not checked → PASS\n")
    assert "addendum to the report of one" in again.out
    assert paid(shell, "two") == ["reviewer-fatf-1"]

    assert audited.code == 0, audited.err
    records = [json.loads(line) for line in log.read_text().splitlines()]
    assert [each["type"] for each in records] == ["audit", "started", *["call"] * 3, *["state"] * 3, "report", "end"]
    failed = next(each for each in records if each.get("agent") == "reviewer-fatf-1" and each["type"] == "call")
    assert (failed["error"], failed["http_status"], bool(failed["request_id"])) == ("request", 400, True)
    whole = await shell("audit", "--verify", str(log), "--expect", audited.out.split()[0])
    assert (whole.code, whole.out) == (0, audited.out), whole.err
    log.write_text(log.read_text().replace('"status":"pass"', '"status":"fail"', 1))
    touched = await shell("audit", "--verify", str(log))
    assert touched.code == 1
    number = next(n for n, each in enumerate(records, 1) if '"status": "pass"' in json.dumps(each))
    assert f"is broken at line {number}: " in touched.err

    assert several.code == 1, several.err
    found = {each["line"]: each for each in map(json.loads, several.out.splitlines())}
    assert {number: each["result"]["outcome"] for number, each in found.items()} == {1: "PASS", 2: "FAIL"}
    lines.write_text(f"{CLEAN}\n{CLEAN}\n")
    attached = await shell("batch", REVIEW, f"@{lines}", "--id", "many")
    assert attached.code == 2
    assert "many-2 was started with another input" in attached.err
    assert len(paid(shell, "many-2")) == 3


async def test_what_died_of_a_bound_is_run_again_with_more(shell: Shell, tmp_path: Path) -> None:
    """The command that is advised names the bound, and takes it: under the earlier bounds it could only die again."""
    script(shell, {"match": {"run": "dead", "agent": "reviewer-aml-1"}, "latency": 3600})
    page = tmp_path / "more.html"
    died = await shell("run", REVIEW, "-", "--id", "dead", "--deadline", "2s", "--keep-up", typed=CLEAN.encode())
    assert died.code == 1, died.err
    assert "starter.py rerun dead --only AML --deadline TIME" in died.err
    wrong = await shell("rerun", "dead", "--only", "AML", "--deadline", "500d")
    assert (wrong.code, "--deadline: " in wrong.err) == (2, True), wrong.err
    more = await shell(
        *("rerun", "dead", "--only", "AML", "--deadline", "5m", "--budget-usd", "3"),
        "--id",
        "more",
        "--report",
        str(page),
    )
    assert more.code == 0, more.err
    for bound in ("deadline after 300 s", "at most $3.00", "at most 100 agents"):
        assert bound in page.read_text()


async def test_a_worker_killed_in_the_middle_re_pays_only_the_calls_in_flight(shell: Shell) -> None:
    """One domain has answered, two are under way: the answered one is never asked again."""
    held = [f"reviewer-{name}-1" for name in ("kyc", "fatf")]
    script(shell, *({"match": {"agent": agent, "nth": [1]}, "latency": HELD} for agent in held))
    running = await shell.start("run", REVIEW, CLEAN, "--id", "killed")
    assert running.stderr
    await until(lambda: all(seen(shell, agent) for agent in held), "two reviewers to be asked")
    async with asyncio.timeout(30):
        while ((line := await running.stderr.readline()) and b"reviewer-aml-1" not in line) or b"answered" not in line:
            continue
    (worker,) = shell.running("worker.py")
    worker.kill()
    async with asyncio.timeout(60):
        out, err = await running.communicate()
    assert running.returncode == 0, err.decode()
    assert out.decode().startswith("3 pass")
    assert paid(shell, "killed") == sorted(["reviewer-aml-1", *held * 2])
