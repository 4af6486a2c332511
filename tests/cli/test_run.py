"""The commands around a run, as a user types them."""

from __future__ import annotations

import asyncio
import json
import signal

import pytest

from tests.cli.conftest import Shell, journal, seen, until
from tests.quiet_ports import quiet_port

TASK = "Design and implement a simple to-do management CLI tool in Python."


async def test_one_command_runs_a_pipeline_and_leaves_nothing_running(shell: Shell) -> None:
    """README's first command: the deliverable on stdout, progress and the simulation notice on stderr, exit 0."""
    said = await shell("run", "plan-generate-evaluate", TASK)
    assert said.code == 0, said.err
    assert said.out.startswith("# ")
    assert "SIMULATED" in said.err
    assert "passed (satisfied)" in said.err
    for agent in ("planner-1", "generator-1", "evaluator-1"):
        assert agent in said.err
    assert "Traceback" not in said.err
    assert not shell.processes()


async def test_json_is_exactly_one_document(shell: Shell) -> None:
    """Every key that was promised, replies included, and nothing else on stdout."""
    said = await shell("run", "plan-generate-evaluate", TASK, "--json")
    assert said.code == 0, said.err
    document = said.json
    promised = {"run_id", "pipeline", "status", "stop_reason", "passed", "result", "agents", "usage", "cost_usd"}
    assert promised | {"simulated", "ui_url"} <= set(document)
    assert document["simulated"] is True
    assert document["status"] == "finished"
    assert [reply["status"] for reply in document["agents"]] == ["success"] * 3


async def test_the_same_id_attaches_instead_of_paying_again(shell: Shell) -> None:
    """Twice the same id and input, once the calls."""
    first = await shell("run", "plan-generate-evaluate", TASK, "--id", "mine", "--json")
    paid = len(journal(shell))
    again = await shell("run", "plan-generate-evaluate", TASK, "--id", "mine", "--json")
    assert (first.code, again.code) == (0, 0), again.err
    assert first.json["result"] == again.json["result"]
    assert len(journal(shell)) == paid == 3
    assert "attached to mine" in again.err


@pytest.mark.parametrize("options", [(), ("--json",), ("--detach",)])
async def test_the_same_id_with_another_input_is_refused(shell: Shell, options: tuple[str, ...]) -> None:
    """A script that reads stdout and the exit code would take the earlier run's answer for one to its own question."""
    await shell("run", "plan-generate-evaluate", TASK, "--id", "mine")
    other = await shell("run", "plan-generate-evaluate", "Something else.", "--id", "mine", *options)
    assert (other.code, other.out) == (2, "")
    assert other.err.splitlines()[-1].startswith("starter.py: mine was started with another input")
    assert "starter.py result mine" in other.err
    assert "satisfied" not in other.err
    assert len(journal(shell)) == 3


async def test_a_run_is_found_again_by_list_show_and_result(shell: Shell) -> None:
    """What happened is kept in the home, for the next process that asks."""
    await shell("run", "plan-generate-evaluate", TASK, "--id", "kept")
    listed = await shell("list", "--json")
    assert [(run["id"], run["status"]) for run in listed.json["runs"]] == [("kept", "passed")]
    assert [each["name"] for each in listed.json["pipelines"]] == [
        "compliance-review",
        "decompose-delegate-synthesize",
        "plan-generate-evaluate",
    ]
    shown = await shell("show", "kept", "--json")
    assert [call["id"] for call in shown.json["calls"]] == ["planner-1", "generator-1", "evaluator-1"]
    assert shown.json["cost_usd"] > 0
    result = await shell("result", "kept")
    assert (result.code, result.out.startswith("# ")) == (0, True)
    for command in (("list",), ("show", "kept"), ("watch", "kept")):
        said = await shell(*command)
        assert said.code == 0, said.err
        assert "kept" in said.out + said.err


async def test_detach_leaves_the_run_going_and_down_stops_what_was_left(shell: Shell) -> None:
    """The id on stdout, a run that ends by itself, and `down` names what it stopped."""
    said = await shell("run", "plan-generate-evaluate", TASK, "--detach", "--id", "alone")
    assert (said.code, said.out.strip()) == (0, "alone"), said.err
    assert shell.running("worker.py")
    result = await shell("result", "alone")
    assert result.code == 0, result.err
    assert shell.running("worker.py"), "result must not stop what somebody asked to be kept"
    down = await shell("down")
    assert down.code == 0
    assert "worker" in down.out + down.err
    assert not shell.processes()


async def test_exit_codes_tell_how_a_run_ended(shell: Shell, tmp_path_factory: object) -> None:
    """1 finished without passing, 3 failed; `result` exits as `run` did."""
    script = shell.home.parent / "faults.json"
    fail = {"assessments": [{"id": "C1", "evidence": "x", "verdict": "fail", "place": "p", "remedy": "r"}]}
    script.write_text(
        json.dumps(
            [
                {"match": {"run": "unmet", "role": "evaluator"}, "answer": fail},
                {"match": {"run": "broken", "role": "planner"}, "fault": {"kind": "status", "status": 400}},
            ]
        )
    )
    shell.environment["BREAKWATER_STAND_IN_SCRIPT"] = str(script)
    unmet = await shell("run", "plan-generate-evaluate", TASK, "--id", "unmet", "--max-revisions", "0")
    assert unmet.code == 1, unmet.err
    assert "not passed (max_revisions)" in unmet.err
    broken = await shell("run", "plan-generate-evaluate", TASK, "--id", "broken", "--json")
    assert (broken.code, broken.json["status"], broken.json["stop_reason"]) == (3, "failed", "planner_error")
    assert (await shell("result", "unmet")).code == 1
    again = await shell("result", "broken", "--json")
    assert (again.code, again.json["stop_reason"]) == (3, "planner_error")


async def test_a_cancelled_run_keeps_what_it_had(shell: Shell) -> None:
    """`cancel` stops a call under way within seconds; the report is there afterwards, exit 3."""
    script = shell.home.parent / "faults.json"
    script.write_text(json.dumps([{"match": {"role": "generator"}, "fault": {"kind": "stall"}}]))
    shell.environment["BREAKWATER_STAND_IN_SCRIPT"] = str(script)
    said = await shell("run", "plan-generate-evaluate", TASK, "--detach", "--id", "halted")
    assert said.code == 0, said.err
    await until(lambda: seen(shell, "generator-1"), "the generator's call")
    cancelled = await shell("cancel", "halted")
    assert cancelled.code == 0, cancelled.err
    result = await shell("result", "halted", "--json")
    assert (result.code, result.json["status"], result.json["stop_reason"]) == (3, "cancelled", "cancelled")
    assert result.json["agents"][0]["agent"] == "planner-1"


async def test_a_second_starter_shares_the_running_server(shell: Shell) -> None:
    """Two runs at once in one home: one server, both pass, and whoever leaves last turns off the light."""
    shell.environment["BREAKWATER_STAND_IN_LATENCY"] = "0.5"
    one, two = await asyncio.gather(
        shell("run", "plan-generate-evaluate", "One.", "--json"),
        shell("run", "plan-generate-evaluate", "Two.", "--json"),
    )
    assert (one.code, two.code) == (0, 0), one.err + two.err
    assert one.json["ui_url"].split("/namespaces")[0] == two.json["ui_url"].split("/namespaces")[0]
    assert not shell.processes()


async def test_kill_9_of_the_worker_during_the_generator_resumes_by_itself(shell: Shell) -> None:
    """The worker dies, another takes over, the run passes, and the planner was called once."""
    script = shell.home.parent / "faults.json"
    script.write_text(json.dumps([{"match": {"role": "generator", "nth": [1]}, "latency": 60}]))
    shell.environment["BREAKWATER_STAND_IN_SCRIPT"] = str(script)
    process = await shell.start("run", "plan-generate-evaluate", TASK, "--json")
    await until(lambda: seen(shell, "generator-1"), "the generator's call")
    worker = (await until(lambda: shell.running("worker.py"), "the worker"))[0]
    worker.send_signal(signal.SIGKILL)
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    report = json.loads(out)
    assert report["passed"]
    generator = next(reply for reply in report["agents"] if reply["role"] == "generator")
    assert generator["attempts"] == 2
    assert [entry["agent"] for entry in journal(shell)].count("planner-1") == 1
    assert b"died" in err


async def test_kill_9_of_the_starter_leaves_a_run_that_watch_takes_up(shell: Shell) -> None:
    """The worker goes with its starter, the server with the last of them; the run goes on when somebody watches."""
    shell.environment["BREAKWATER_STAND_IN_LATENCY"] = "0.5"
    process = await shell.start("run", "plan-generate-evaluate", TASK, "--id", "orphan")
    await until(lambda: seen(shell, "generator-1"), "the generator's call")
    process.kill()
    await process.communicate()
    await until(lambda: not shell.processes(), "everything to stop", 45)
    watched = await shell("watch", "orphan")
    assert watched.code == 0, watched.err
    assert [entry["agent"] for entry in journal(shell)].count("planner-1") == 1


async def test_kill_9_of_the_server_is_survived(shell: Shell) -> None:
    """The embedded server comes back on its file while `run` waits, and the run passes."""
    shell.environment |= {
        "BREAKWATER_STAND_IN_LATENCY": "1",
        # The usual ones could be taken by another test's server while this one is away.
        "BREAKWATER_TEMPORAL_PORT": str(quiet_port()),
        "BREAKWATER_UI_PORT": str(quiet_port()),
    }
    process = await shell.start("run", "plan-generate-evaluate", TASK, "--json")
    await until(lambda: any(entry["agent"] == "planner-1" for entry in journal(shell)), "the planner's answer")
    (await until(lambda: shell.running("start-dev"), "the server"))[0].send_signal(signal.SIGKILL)
    async with asyncio.timeout(90):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    assert json.loads(out)["passed"]


async def test_ctrl_c_stops_what_run_started_and_says_how_to_go_on(shell: Shell) -> None:
    """The run is durable: interrupted, it says which command takes it up again."""
    shell.environment["BREAKWATER_STAND_IN_LATENCY"] = "2"
    process = await shell.start("run", "plan-generate-evaluate", TASK, "--id", "later")
    await until(lambda: seen(shell, "planner-1"), "the planner's call")
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(60):
        _, err = await process.communicate()
    assert process.returncode == 130
    assert b"starter.py watch later" in err
    assert b"Traceback" not in err
    assert not shell.processes()
    assert (await shell("watch", "later")).code == 0
