"""Frameworks that run agents on Temporal, each one's worker in a process, all in an environment of their own.

`make peers` makes that environment from requirements.txt beside this file. Where it is missing, the storm goes on
without them and says so.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from types import MappingProxyType

from benchmarks.worker_process import PROJECT

ENVIRONMENT = PROJECT / ".venv-peers"
"""Where `make peers` installs them."""
NOT_INHERITED = ("OPENAI_", "LITELLM_", "PYDANTIC_AI_", "LOGFIRE_")
"""Variables of theirs that a benchmark must not inherit, beside Breakwater's."""


@dataclass(frozen=True)
class Framework:
    """One of them: how its worker is started, and what its runs are."""

    worker: str
    """The module that its environment's Python runs."""
    workflow: str
    queue: str
    distributions: tuple[str, ...]
    """What is measured, by the names it is installed under: the framework, then what it sends requests with."""


FRAMEWORKS: Mapping[str, Framework] = MappingProxyType(
    {
        "pydantic-ai": Framework(
            "benchmarks.peers.pydantic_ai_worker",
            "PydanticAiRun",
            "storm-pydantic-ai",
            ("pydantic-ai-slim", "anthropic", "temporalio"),
        ),
        "openai-agents": Framework(
            "benchmarks.peers.openai_agents_worker",
            "OpenAiAgentsRun",
            "storm-openai-agents",
            ("temporalio-openai-agents", "openai-agents", "litellm", "temporalio"),
        ),
    }
)


def versions(name: str, environment: Path | None = None) -> dict[str, str]:
    """What of a framework is installed: version by distribution. Empty if anything of it is missing."""
    found = _installed(environment or ENVIRONMENT)
    wanted = FRAMEWORKS[name].distributions
    return {each: found[each] for each in wanted} if found.keys() >= set(wanted) else {}


def missing(environment: Path | None = None) -> list[str]:
    """The frameworks that cannot be measured here."""
    return [name for name in FRAMEWORKS if not versions(name, environment)]


def left_out(names: Collection[str]) -> str:
    """One line about these, and what to do."""
    return f"left out: {', '.join(names)}, not installed in {ENVIRONMENT.name}; `make peers` installs them"


def command(name: str, server: str) -> list[str]:
    """What starts a worker."""
    return [str(_python(ENVIRONMENT)), "-m", FRAMEWORKS[name].worker, server]


def settings(inherited: Mapping[str, str], stand_in: str, scale: float) -> dict[str, str]:
    """A worker's variables: the stand-in is its API, and nothing else is spoken to."""
    kept = {name: value for name, value in inherited.items() if not name.startswith(NOT_INHERITED)}
    loopback = "127.0.0.1,localhost"
    return kept | {
        "ANTHROPIC_API_KEY": "stand-in",
        "ANTHROPIC_BASE_URL": stand_in,
        "STORM_SCALE": str(scale),
        "NO_PROXY": loopback,
        "no_proxy": loopback,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # otherwise it fetches its table of prices when it is imported
        "OPENAI_AGENTS_DISABLE_TRACING": "1",
    }


def _python(environment: Path) -> Path:
    return environment / "bin" / "python"


def _installed(environment: Path) -> dict[str, str]:
    """Version by name of what is in an environment's site-packages, if it has a Python."""
    if not _python(environment).exists():
        return {}
    places = [str(place) for place in environment.glob("lib/python*/site-packages")]
    return {each.name.lower(): each.version for each in distributions(path=places)}
