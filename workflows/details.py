"""A run's current details in the Temporal UI: Markdown, the stage in words, then a row for every reply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from workflows.contracts import Reply
from workflows.signs import Waiting

_ROWS = 20
"""The latest replies that are shown; the history has all."""
_PROPOSAL = 8_000
"""Characters of a proposal; `starter.py proposal` prints all of it."""


def details(
    stage: str,
    replies: Sequence[Reply[Any]],
    cost_usd: float | None,
    *,
    circuits: Mapping[str, str],
    waiting: Waiting | None,
    proposal: BaseModel | None,
    warnings: Sequence[str],
) -> str:
    """The page as it stands. `circuits`: which agent waits for which; `proposal`: what a person is asked to approve."""
    spent = "cost unknown" if cost_usd is None else f"${cost_usd:.4f}"
    lines = [f"**{stage}** · {len(replies)} replies · {spent}"]
    if waiting is not None:
        lines.append(f"\n**The run waits: {waiting.why}.**\n\n`{waiting.todo}`")
    if proposal is not None:
        text = proposal.model_dump_json(indent=2)
        shown = text if len(text) <= _PROPOSAL else f"{text[:_PROPOSAL]}\n…"
        lines.append("\n" + "\n".join(f"    {line}" for line in shown.splitlines()))
    lines += [f"\n**{warning}.** Nothing optional is started any more." for warning in warnings]
    for agent, circuit in circuits.items():
        lines.append(f"\n**{agent} waits: the circuit of {circuit} is open.** Nothing is asked of it meanwhile.")
    if any(reply.simulated for reply in replies):
        lines.append("\n_Simulated: answers come from the local stand-in, not from a model._")
    if replies:
        lines += ["", "| agent | model | status | attempts | tokens out |", "|---|---|---|---|---|"]
        lines += [
            f"| {r.agent} | {r.model} | {r.error_kind or r.status} | {r.attempts} | {r.usage.output_tokens} |"
            for r in replies[-_ROWS:]
        ]
    return "\n".join(lines)
