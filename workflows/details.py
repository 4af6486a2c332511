"""A run's current details in the Temporal UI: Markdown, the stage in words, then a line for every reply.

A list, no table: the UI draws tables without space between their columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from workflows.contracts import Reply
from workflows.markdown import escaped, one_line
from workflows.signs import Waiting

_ROWS = 20
"""The latest replies that are shown; the history has all."""
_MESSAGE = 500
"""Characters of a failure's words; the report has all."""
_PROPOSAL = 8_000
"""Characters of a proposal; `starter.py proposal` prints all of it."""


def details(
    stage: str,
    replies: Sequence[Reply[Any]],
    cost_usd: float | None,
    *,
    circuits: Mapping[str, str],
    waiting: Waiting | None,
    room: str | None,
    proposal: BaseModel | None,
    warnings: Sequence[str],
    message: str | None = None,
) -> str:
    """The page as it stands. `circuits`: which agent waits for which; `room`: who waits for what others hold;
    `proposal`: what a person is asked to approve; `message`: why a run that has ended did not pass."""
    spent = "cost unknown" if cost_usd is None else f"${cost_usd:.4f}"
    lines = [f"**{stage}** · {len(replies)} {'reply' if len(replies) == 1 else 'replies'} · {spent}"]
    if message is not None:
        lines.append(f"\n{_words(message)}")
    if waiting is not None:
        lines.append(f"\n**The run waits: {waiting.why}.**\n\n`{waiting.todo}`")
    if proposal is not None:
        text = proposal.model_dump_json(indent=2)
        shown = text if len(text) <= _PROPOSAL else f"{text[:_PROPOSAL]}\n…"
        lines.append("\n" + "\n".join(f"    {line}" for line in shown.splitlines()))
    lines += [f"\n**{warning}.** Nothing optional is started any more." for warning in warnings]
    if room is not None:
        lines.append(f"\n**{room}.**")
    for agent, circuit in circuits.items():
        lines.append(f"\n**{agent} waits: the circuit of {circuit} is open.** Nothing is asked of it meanwhile.")
    if any(reply.simulated for reply in replies):
        lines.append("\n_Simulated: answers come from the local stand-in, not from a model._")
    if replies:
        lines += ["", *map(_line, replies[-_ROWS:])]
    return "\n".join(lines)


def _line(reply: Reply[Any]) -> str:
    """Who, on which model, and what became of it: of a failed one its kind and why."""
    made = f"{reply.attempts} attempt{'' if reply.attempts == 1 else 's'}"
    what = f"{made} · {reply.usage.output_tokens:,} tokens out"
    if reply.error_kind is not None:
        what = f"**{reply.error_kind}**: {_words(reply.error_message or '')} · {made}"
    return f"- **{reply.agent}** · {reply.model} · {what}"


def _words(text: str) -> str:
    line = one_line(text)
    return escaped(line if len(line) <= _MESSAGE else f"{line[: _MESSAGE - 1]}…")
