"""The frameworks beside the storm: what is said where they are not installed, and what is pinned where they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import storm
from benchmarks.peers import frameworks
from benchmarks.peers.frameworks import FRAMEWORKS, command, missing, settings, versions
from benchmarks.storm_contenders import TOGETHER
from benchmarks.storm_figures import NAMES
from benchmarks.storm_section import CONTENDERS, storm_notes, storm_ratios
from hosting.home import PROJECT
from tests.benchmarks.storms import small_storm

PINS = (PROJECT / "benchmarks" / "peers" / "requirements.txt").read_text()


def installed(environment: Path, packages: dict[str, str]) -> Path:
    """An environment with a Python and these packages, as far as anybody looks."""
    python = environment / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    for name, version in packages.items():
        metadata = environment / "lib" / "python3.11" / "site-packages" / f"{name}-{version}.dist-info" / "METADATA"
        metadata.parent.mkdir(parents=True)
        metadata.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return environment


def test_every_package_is_pinned_and_nothing_says_where_from() -> None:
    """Another day's environment is the measured one; which index it comes from is not the project's business."""
    lines = [line for line in PINS.splitlines() if line and not line.startswith("#")]
    pins = [re.fullmatch(r"([\w.-]+)(\[[\w,]+\])?==[\w.]+", line) for line in lines]
    assert all(pins)
    wanted = {package for framework in FRAMEWORKS.values() for package in framework.distributions}
    assert wanted <= {pin[1] for pin in pins if pin}


def test_they_are_no_dependencies_of_breakwater() -> None:
    """Its locks and its pyproject do not know them."""
    ours = "".join(path.read_text() for path in (PROJECT / "pyproject.toml", *PROJECT.glob("requirements*.txt")))
    for package in ("pydantic-ai-slim", "temporalio-openai-agents", "openai-agents", "litellm"):
        assert not re.search(rf"^\W*{package}\b", ours, re.MULTILINE)


def test_without_an_environment_all_are_missing(tmp_path: Path) -> None:
    """As in every checkout until `make peers`."""
    assert missing(tmp_path / "nowhere") == list(FRAMEWORKS)


def test_what_is_installed_is_named_with_its_version(tmp_path: Path) -> None:
    """A framework counts as installed if all of it is; the other one may be missing."""
    packages = {name: f"1.{number}" for number, name in enumerate(FRAMEWORKS["pydantic-ai"].distributions)}
    environment = installed(tmp_path, packages)
    assert versions("pydantic-ai", environment) == packages
    assert versions("openai-agents", environment) == {}
    assert missing(environment) == ["openai-agents"]


def test_who_is_left_out_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It names them and the command; everyone else is measured."""
    monkeypatch.setattr(frameworks, "ENVIRONMENT", tmp_path / ".venv-peers")
    assert storm.who(()) == ["breakwater", "article", "waiting", "temporal", "asyncio"]
    said = capsys.readouterr().err
    assert said == "left out: pydantic-ai, openai-agents, not installed in .venv-peers; `make peers` installs them\n"
    assert storm.who(["asyncio", "breakwater"]) == ["breakwater", "asyncio"]
    assert capsys.readouterr().err == ""


def test_asking_for_a_missing_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is started, with the same line."""
    monkeypatch.setattr(frameworks, "ENVIRONMENT", tmp_path / ".venv-peers")
    done = CliRunner().invoke(storm.main, ["--contender", "pydantic-ai"])
    assert done.exit_code == 2
    assert "left out: pydantic-ai, not installed in .venv-peers; `make peers` installs them" in done.output


def test_a_worker_speaks_to_the_stand_in_alone() -> None:
    """No key, endpoint, proxy or trace of whoever measures reaches it."""
    said = settings({"OPENAI_API_KEY": "mine", "LITELLM_PROXY": "mine", "PATH": "/bin"}, "http://127.0.0.1:1", 0.5)
    assert "mine" not in said.values()
    assert said["PATH"] == "/bin"
    assert said["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:1"
    assert said["STORM_SCALE"] == "0.5"
    assert said["NO_PROXY"] == said["no_proxy"] == "127.0.0.1,localhost"
    assert said["OPENAI_AGENTS_DISABLE_TRACING"] == "1"


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_each_has_a_worker_a_name_and_a_group(name: str) -> None:
    """What the storm starts and what the figures are called is there; queue and workflow are the worker's own."""
    module = FRAMEWORKS[name].worker
    source = (PROJECT / f"{module.replace('.', '/')}.py").read_text()
    assert f'QUEUE = "{FRAMEWORKS[name].queue}"' in source
    assert f"class {FRAMEWORKS[name].workflow}:" in source
    assert command(name, "localhost:1")[1:] == ["-m", module, "localhost:1"]
    assert name in NAMES
    assert name in CONTENDERS
    assert (name,) in TOGETHER


def test_the_page_compares_them_and_names_their_versions() -> None:
    """Ratios to Breakwater for who was measured, and nothing about who was not."""
    rows = [("breakwater", 20), ("temporal", 420), ("pydantic-ai", 180)]
    found = {
        "contenders": [{"scenario": "throttle", "contender": name, "wasted": wasted} for name, wasted in rows],
        "versions": {"pydantic-ai": {"pydantic-ai-slim": "2.68.0", "anthropic": "2.13.0"}},
    }
    words = "requests wasted on a throttled API, by"
    assert storm_ratios(found) == [
        (f"{words} plain Temporal retries to Breakwater", "21 ×"),
        (f"{words} pydantic-ai's durable mode on Temporal to Breakwater", "9 ×"),
    ]
    assert "pydantic-ai-slim 2.68.0, anthropic 2.13.0" in storm_notes(found)[-1]
    assert storm_notes({"contenders": []}) == []


@pytest.mark.skipif(bool(missing()), reason="make peers")
def test_a_small_storm_of_frameworks(tmp_path: Path) -> None:
    """Where they are installed, no run of theirs fails, and their versions are in the figures."""
    said = small_storm(tmp_path / "storm.json", FRAMEWORKS, runs=4)
    assert {each["contender"]: each["failed"] for each in said["contenders"]} == dict.fromkeys(FRAMEWORKS, 0)
    assert said["versions"] == {name: versions(name) for name in FRAMEWORKS}
