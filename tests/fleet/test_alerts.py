"""Alerts and Prometheus' settings, run by Prometheus' own tool: each alert fires when it should and not before."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from hosting.home import PROJECT
from tests.fleet.test_compose import services

RULES = PROJECT / "deploy" / "observability" / "alerts.yml"
CASES = Path(__file__).with_name("alerts.yml")
REQUIRED = "BREAKWATER_TESTS_NEED_PROMTOOL"
"""Set where a missing tool is a mistake, as in `.ci/run`: the tests fail then, and are not skipped."""


@pytest.fixture(scope="module")
def promtool() -> str:
    """The program, from the PATH or from where `.ci/run` puts it."""
    if found := shutil.which("promtool") or shutil.which("promtool", path=str(Path(sys.executable).parent)):
        return found
    if os.environ.get(REQUIRED):
        pytest.fail(
            f"there is no promtool here and {REQUIRED} is set: install it, on Debian with `apt install prometheus`"
        )
    pytest.skip("there is no promtool here: on Debian it is in the package prometheus, and tests the alerts")


def passes(*command: str) -> None:
    """The tool has nothing to say against it."""
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr


def test_prometheus_accepts_the_rules(promtool: str) -> None:
    """Every expression and every template in them."""
    passes(promtool, "check", "rules", "--lint=all", "--lint-fatal", str(RULES))


def test_prometheus_accepts_its_settings(promtool: str, tmp_path: Path) -> None:
    """With every path in them replaced by what the compose file puts there."""
    mounted = {each["target"]: each["source"] for each in services()["prometheus"]["volumes"] if each["type"] == "bind"}
    (settings,) = (path for path in mounted if path.endswith("prometheus.yml"))
    text = Path(mounted[settings]).read_text()
    for inside, here in mounted.items():
        text = text.replace(inside, here)
    copy = tmp_path / "prometheus.yml"
    copy.write_text(text)
    passes(promtool, "check", "config", "--lint=all", "--lint-fatal", str(copy))


def test_alerts_fire_when_they_should(promtool: str) -> None:
    """The cases beside this file: series as workers show them, and who hears of what at which minute."""
    passes(promtool, "test", "rules", str(CASES))


def test_every_alert_has_a_case_that_fires_and_one_that_does_not() -> None:
    """No alert without an example of either."""
    alerts = {rule["alert"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]}
    looks: list[dict[str, Any]] = [
        look for case in yaml.safe_load(CASES.read_text())["tests"] for look in case["alert_rule_test"]
    ]
    for fires in (True, False):
        assert {look["alertname"] for look in looks if bool(look["exp_alerts"]) == fires} == alerts
