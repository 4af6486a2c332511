"""What a worker shows of itself: metrics, health, and that every dashboard and alert asks for what is really there."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.request import urlopen

import click
import promql_parser
import pytest
import yaml
from temporalio.client import Client

from hosting import health
from hosting.errors import HostingError
from hosting.telemetry import start_telemetry
from tests.cli.conftest import ROOT, Shell, until
from tests.quiet_ports import quiet_port
from worker import Settings
from workflows import measures
from workflows.contracts import CIRCUIT_QUEUE, WORKFLOW_QUEUE
from workflows.models import SUBAGENT_QUEUES, TIERS

PGE = "plan-generate-evaluate"
OBSERVABILITY = ROOT / "deploy" / "observability"
OVERLOADED_ONCE = [{"fault": {"kind": "status", "status": 529}, "times": 1}]


def expressions() -> Iterator[tuple[str, str]]:
    """Every query of the dashboard and the alerts, with where it stands."""
    dashboard = json.loads((OBSERVABILITY / "grafana" / "breakwater.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield f"panel {panel['title']}", target["expr"].replace("$__rate_interval", "1m")
    for group in yaml.safe_load((OBSERVABILITY / "alerts.yml").read_text())["groups"]:
        for rule in group["rules"]:
            yield f"alert {rule['alert']}", rule["expr"]


def selected(expression: str) -> set[str]:
    """The metrics a query reads."""
    found: set[str] = set()

    def visit(node: promql_parser.Expr) -> bool:
        if isinstance(node, promql_parser.VectorSelector) and node.name:
            found.add(node.name)
        return True

    promql_parser.walk(promql_parser.parse(expression), visit)
    return found


def metrics(address: str) -> str:
    """What a worker shows there now; nothing if it does not."""
    with suppress(OSError), urlopen(f"http://{address}/metrics", timeout=5) as answer:
        return str(answer.read().decode())
    return ""


def series(address: str) -> dict[tuple[str, str], float]:
    """Every series by its name and its labels, which are in the alphabet's order."""
    lines = re.findall(r"^(\w+)(?:\{(.*)\})? (\S+)$", metrics(address), re.MULTILINE)
    return {(name, ",".join(sorted(re.findall(r'\w+="[^"]*"', labels)))): float(value) for name, labels, value in lines}


def sum_of(address: str, name: str, *labels: str) -> float:
    """All series of this name that have these labels, together."""
    found = series(address).items()
    return sum(value for (each, said), value in found if each == name and all(label in said for label in labels))


def free_address() -> str:
    """A port nobody listens on."""
    return f"127.0.0.1:{quiet_port()}"


async def started(process: Process) -> None:
    """Wait until `up` says that it is."""
    assert process.stderr is not None
    async with asyncio.timeout(60):
        while line := await process.stderr.readline():
            if line.startswith(b"up;"):
                return
    pytest.fail("`up` ended")


async def test_a_worker_shows_all_that_dashboards_and_alerts_ask_for(shell: Shell) -> None:
    """Through one outage and one run that cannot go on: a waiter, denials, an open circuit that leaves the worker
    ready, the money; and every metric that a panel, an alert or `measures` names is there."""
    script = shell.home.parent / "faults.json"
    script.write_text(json.dumps(OVERLOADED_ONCE))
    metrics_at, health_at = free_address(), free_address()
    shell.environment |= {"BREAKWATER_STAND_IN_SCRIPT": str(script), "BREAKER_FAILURE_THRESHOLD": "1"}
    await started(await shell.start("up", METRICS_ADDRESS=metrics_at, HEALTH_ADDRESS=health_at))
    run = await shell.start("run", PGE, "x", "--json")

    value = partial(sum_of, metrics_at)

    def ready() -> dict[str, Any]:
        well, said = health.ask(f"http://{health_at}/ready")
        return {**json.loads(said), "well": well}

    await until(lambda: value(measures.CIRCUIT_WAITERS) == 1, "a waiter", 60)
    await until(lambda: any(each["phase"] == "open" for each in ready()["circuits"]), "the survey of the circuits")
    assert ready()["well"], ready()
    assert ready()["temporal"]["polling"] == dict.fromkeys((WORKFLOW_QUEUE, *SUBAGENT_QUEUES, CIRCUIT_QUEUE), True)
    assert value(measures.CIRCUIT_STATE, 'circuit="stand-in ') == 2
    assert value(measures.CIRCUIT_DENIALS) >= 1
    assert value(measures.CIRCUIT_TRANSITIONS, 'event="circuit.opened"') == 1
    assert value(measures.CALLS, 'outcome="error"', 'kind="overloaded"') == 1

    assert (await shell("breaker", "reset")).code == 0
    out, err = await run.communicate()
    assert run.returncode == 0, err.decode()
    assert value(measures.CALLS, 'outcome="success"') == 3
    assert value(measures.CALLS, 'role="planner"', 'kind="overloaded"') == 1
    assert value(measures.REPLIES, 'outcome="success"') == 3
    assert value(f"{measures.DOLLARS}_sum") == pytest.approx(json.loads(out)["cost_usd"])
    assert value(measures.TOKENS, 'direction="output"') == json.loads(out)["usage"]["output_tokens"]

    server = json.loads((shell.home / "temporal.json").read_text())["facts"]["address"]
    stuck = await (await Client.connect(server)).start_workflow(PGE, {}, id="stuck", task_queue=WORKFLOW_QUEUE)
    await until(lambda: value("temporal_workflow_task_execution_failed") >= 1, "a run that cannot go on")
    await stuck.terminate()

    exported = set(re.findall(r"^([a-z_]+)(?=[{ ])", metrics(metrics_at), re.MULTILINE))
    named = {name for name in vars(measures).values() if isinstance(name, str) and name.startswith("breakwater_")}
    assert not {name for name in named if not {name, f"{name}_sum"} & exported}
    for where, expression in expressions():
        assert selected(expression), where
        assert selected(expression) <= exported, where


async def test_a_probe_is_counted_whoever_took_its_slot(shell: Shell) -> None:
    """The wait for the circuit takes it and hands it over, and the call that goes out is the probe: one for each of a
    recovery's, and none for the calls of models that never failed."""
    script = shell.home.parent / "faults.json"
    script.write_text(json.dumps(OVERLOADED_ONCE))
    metrics_at = free_address()
    shell.environment |= {
        "BREAKWATER_STAND_IN_SCRIPT": str(script),
        "BREAKER_FAILURE_THRESHOLD": "1",
        "BREAKER_RECOVERY_TIMEOUT": "3",  # longer than Temporal waits before its retry, which is denied
    }
    await started(await shell.start("up", METRICS_ADDRESS=metrics_at))
    value = partial(sum_of, metrics_at)
    for circuit in map("stand-in {}".format, TIERS.values()):
        assert value(measures.CIRCUIT_PROBES, f'circuit="{circuit}"') == 0
        assert f'{measures.CIRCUIT_PROBES}{{circuit="{circuit}"}}' in metrics(metrics_at), "there before the first"
    said = await shell("run", PGE, "x", "--json")
    assert said.code == 0, said.err
    planner, *others = said.json["agents"]
    failed = f'circuit="stand-in {planner["model"]}"'
    assert value(measures.CIRCUIT_DENIALS, failed) == 1
    # What it was denied it was let through with, by a wait; a later call of that model asks for itself.
    later = [each for each in others if each["model"] == planner["model"]]
    assert value(measures.CIRCUIT_PROBES, failed) == 1 + len(later)
    assert value(measures.CIRCUIT_PROBES) == 1 + len(later)


async def test_the_first_event_is_an_increase(shell: Shell) -> None:
    """A counter that is born at 1 has not increased: each is there as 0 before, with the labels it will be counted by.
    Calls have a role besides, which nobody knows beforehand; tests/fleet/alerts.yml has what the alert makes of that.
    """
    metrics_at = free_address()
    await started(await shell.start("up", METRICS_ADDRESS=metrics_at))
    before = series(metrics_at)
    for event in ("journal.lost", "journal.back", "journal.not_read", "journal.not_kept"):
        assert before[measures.JOURNAL_EVENTS, f'event="{event}"'] == 0
    for model in TIERS.values():
        for name in (measures.CIRCUIT_DENIALS, measures.CIRCUIT_PROBES):
            assert before[name, f'circuit="stand-in {model}"'] == 0
        assert before[measures.CIRCUIT_TRANSITIONS, f'circuit="stand-in {model}",event="circuit.opened"'] == 0


async def test_a_taken_address_is_one_line() -> None:
    """For metrics and for health: which address, and which variable to set."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(HostingError, match=f"^cannot serve metrics at {address}: .*; set METRICS_ADDRESS"):
            start_telemetry(address, {})
        with pytest.raises(HostingError, match=f"^cannot answer for health at {address}: .*; set HEALTH_ADDRESS"):
            async with health.serving_health(address, health.Vitals("test")):
                pytest.fail("it is taken")
    with pytest.raises(HostingError, match="port must be 0-65535; set HEALTH_ADDRESS"):
        async with health.serving_health("99999", health.Vitals("test")):
            pytest.fail("there is no such port")


@pytest.mark.parametrize(
    ("name", "value", "like"),
    [
        ("HEALTH_ADDRESS", "nonsense", "8081"),
        ("METRICS_ADDRESS", "example.com:9464", "127.0.0.1:9464"),
        ("BREAKWATER_STAND_IN_URL", "stand-in", "http://host:1"),
    ],
)
def test_a_malformed_address_says_how_one_looks(name: str, value: str, like: str) -> None:
    """And not which regular expression it does not match."""
    with pytest.raises(click.UsageError, match=f"^{name}: give it like {like}$"):
        Settings.read({name: value})


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("8081", "http://127.0.0.1:8081/ready"),
        (":8081", "http://127.0.0.1:8081/ready"),
        ("localhost:8081", "http://localhost:8081/ready"),
        ("0.0.0.0:8081", "http://127.0.0.1:8081/ready"),
        ("[::1]:8081", "http://[::1]:8081/ready"),
        ("[::]:8081", "http://[::1]:8081/ready"),
    ],
)
def test_a_worker_is_asked_where_it_listens(address: str, url: str) -> None:
    """On IPv6 alone it does not answer at 127.0.0.1, and its container would never be healthy."""
    assert Settings.read({"HEALTH_ADDRESS": address}).health_address == address
    assert health.url_of(address) == url


@pytest.mark.parametrize(
    ("arguments", "address", "words"),
    [
        ([], "abc", "HEALTH_ADDRESS is no address; give it like 8081"),
        ([], "", "usage: python -m hosting.health URL"),
        ([], "99999", "is no URL to ask"),
        (["notaurl"], "", "'notaurl' is no URL to ask; give it like http://127.0.0.1:8081/ready"),
        (["file:///etc/hosts"], "", "is no URL to ask"),
        (["http://[::1"], "", "is no URL to ask"),
        (["http://h:99999/"], "", "is no URL to ask"),
        (["http://127.0.0.1:1/a b"], "", "is no URL to ask"),
    ],
)
def test_whom_health_cannot_ask_is_one_line(
    arguments: list[str],
    address: str,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A container's log has the reason, and no traceback."""
    monkeypatch.setenv("HEALTH_ADDRESS", address)
    assert health.main(arguments) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert words in err


async def test_a_worker_that_waits_is_live_and_not_ready(shell: Shell) -> None:
    """It is left alone, gets no work, and says what it waits for; the command for containers says the same."""
    address = free_address()
    worker = await shell.start(program="worker.py", TEMPORAL_ADDRESS="127.0.0.1:1", HEALTH_ADDRESS=address)
    await until(lambda: "nothing listens there" in health.ask(f"http://{address}/ready")[1], "the worker to wait")
    assert health.ask(f"http://{address}/live")[0]
    well, said = health.ask(f"http://{address}/ready")
    assert (well, json.loads(said)["stage"]) == (False, "waiting")
    assert health.host_and_port("8081") == health.host_and_port(":8081") == ("127.0.0.1", 8081)
    asked = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hosting.health", cwd=ROOT, env=shell.variables(HEALTH_ADDRESS=address), stdout=-1
    )
    out, _ = await asked.communicate()
    assert (asked.returncode, b"nothing listens there" in out) == (1, True)
    worker.terminate()
    assert await worker.wait() == 0
