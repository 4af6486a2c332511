"""A divided task as a user runs it: real processes, and nothing paid twice when they die."""

from __future__ import annotations

import asyncio
import json
import signal
from collections import Counter

from tests.cli.conftest import Shell, journal, seen, until
from tests.pipelines.divided import answers, plan, subtask

DDS = "decompose-delegate-synthesize"


async def test_kill_9_of_the_workers_in_the_middle_of_a_tree_pays_only_for_the_call_under_way(shell: Shell) -> None:
    """Two levels, one call that hangs: when its worker dies it is asked again, and nobody else is."""
    script = shell.home.parent / "script.json"
    rules = [
        answers(plan(subtask("a", may_delegate=True), subtask("b")), run="tree"),
        answers(plan(subtask("aa"), subtask("ab")), run="tree.a"),
        {"match": {"run": "tree.a", "agent": "specialist-2", "nth": [1]}, "latency": 60},
    ]
    script.write_text(json.dumps(rules))
    shell.environment["BREAKWATER_STAND_IN_SCRIPT"] = str(script)
    process = await shell.start("run", DDS, "Say whether we should move.", "--id", "tree", "--json")
    await until(lambda: seen(shell, "specialist-2"), "the call that hangs")
    await until(lambda: len(journal(shell)) >= 4, "both plans and both other specialists")
    for worker in shell.running("worker.py"):
        worker.send_signal(signal.SIGKILL)
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    report = json.loads(out)
    assert report["passed"]
    hung = next(reply for reply in report["agents"] if reply["agent"] == "a/specialist-2")
    assert hung["attempts"] == 2
    asked = Counter((entry["run"], entry["agent"]) for entry in journal(shell))
    assert {who: times for who, times in asked.items() if times > 1} in ({}, {("tree.a", "specialist-2"): 2})
    assert len(asked) == report["agents_started"] == 7
    shown = (await shell("show", "tree")).out
    assert "tree.a " in shown
    listed = await shell("list", "--json")
    assert [run["id"] for run in listed.json["runs"]] == ["tree"]
