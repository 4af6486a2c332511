"""What BENCHMARKS.md says of the storm: requests wasted, to Breakwater's; a table; and what exactly the peers were."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CONTENDERS = {
    "breakwater": "Breakwater",
    "article": "a breaker in each process, denied callers back off",
    "waiting": "a breaker in each process, denied callers wait as told",
    "temporal": "plain Temporal retries",
    "asyncio": "exponential retries, no breaker",
    "pydantic-ai": "pydantic-ai's durable mode on Temporal",
    "openai-agents": "Temporal's plugin for OpenAI Agents",
}
RETRIES = {
    "pydantic-ai": "`retry-after` is heeded; the SDK's own retries are off, as its documentation advises for Temporal",
    "openai-agents": "the errors LiteLLM makes carry no `retry-after`, so the plugin does not see it",
}
COMPARED = ("temporal", "pydantic-ai", "openai-agents")
"""Whose wasted requests are compared with Breakwater's: everyone else here is a way to write it oneself."""
SCENARIOS = (("outage", "an API that is down"), ("throttle", "a throttled API"))


def storm_ratios(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Requests wasted, by those who do not share a circuit, to Breakwater's."""
    ratios = []
    for scenario, words in SCENARIOS:
        wasted = {each["contender"]: each["wasted"] for each in found["contenders"] if each["scenario"] == scenario}
        for name in COMPARED:
            if name in wasted and wasted.get("breakwater"):
                ratio = wasted[name] / wasted["breakwater"]
                ratios.append((f"requests wasted on {words}, by {CONTENDERS[name]} to Breakwater", f"{ratio:.0f} ×"))
    return ratios


def storm_table(found: Mapping[str, Any]) -> list[list[str]]:
    """A row for each contender in each scenario."""
    scaled = "" if found["scale"] == 1 else f"durations × {found['scale']:g}: no measurement"
    rows = [[scaled, "API", "wasted calls", "last run done", "failed runs", "probes at once"]]
    return rows + [
        [
            CONTENDERS.get(each["contender"], each["contender"]),
            each["scenario"],
            str(each["wasted"]),
            f"{each['last_done']:+.1f} s",
            str(each["failed"]),
            str(each["probes"]),
        ]
        for each in found["contenders"]
    ]


def storm_notes(found: Mapping[str, Any]) -> list[str]:
    """Which versions of the frameworks were measured; nothing if none was."""
    versions: Mapping[str, Mapping[str, str]] = found.get("versions", {})
    if not versions:
        return []
    notes = ["Frameworks, with Temporal's default retries as they leave them (1 s, doubled up to 100 s, for ever):", ""]
    for name, packages in versions.items():
        measured = ", ".join(f"{package} {version}" for package, version in packages.items())
        notes.append(f"- {CONTENDERS[name]}: {measured}; {RETRIES[name]}.")
    return notes
