"""How much of what is left a subtask needs, and how much it gets if it is divided again. Pure.

Every subtask that still waits must be able to start, so each keeps room for one agent. What then remains is shared
evenly among those that would be divided. A share too small for a plan, two pieces and a synthesis is not worth
dividing: then one specialist does the whole subtask.
"""

from __future__ import annotations

from collections.abc import Callable

from workflows.caps import Caps
from workflows.contracts import Usage
from workflows.division.plan_checks import PROMPT_BYTES
from workflows.division.plans import Subtask
from workflows.ledger import BYTES_PER_TOKEN
from workflows.models import Tier, cost_nano
from workflows.subagents.decomposer import DECOMPOSER
from workflows.subagents.specialist import SPECIALIST_ROLE
from workflows.subagents.synthesizer import SYNTHESIZER

LEAST_AGENTS = 4
"""A decomposer, two specialists and a synthesizer."""
LAST_AGENTS = 2
"""For the last one, when nobody else can use what is left."""

ModelOf = Callable[[str, Tier], str]
"""The model of a role and a tier in this run."""


def needs(subtask: Subtask, given_bytes: int, model_of: ModelOf) -> Caps:
    """What one specialist may use at most for a subtask that is given so much beside its own words."""
    size = len(subtask.model_dump_json().encode()) + PROMPT_BYTES + given_bytes
    return _worst(model_of(SPECIALIST_ROLE, subtask.effort.tier), size, subtask.effort.tokens)


def least(subtask: Subtask, given_bytes: int, model_of: ModelOf) -> Caps:
    """What the smallest division of a subtask may use: a plan, two pieces of its own size, and a synthesis."""
    piece = needs(subtask, given_bytes, model_of)
    plan = _worst(model_of(DECOMPOSER.role, DECOMPOSER.tier), PROMPT_BYTES + given_bytes, DECOMPOSER.max_tokens)
    ending = _worst(model_of(SYNTHESIZER.role, SYNTHESIZER.tier), PROMPT_BYTES + given_bytes, SYNTHESIZER.max_tokens)
    parts = (plan, piece, piece, ending)
    return Caps(nano_usd=sum(each.nano_usd or 0 for each in parts), tokens=sum(each.tokens or 0 for each in parts))


def fits(left: Caps, needed: Caps) -> bool:
    """Whether there is room for this now."""
    pairs = ((left.agents, needed.agents), (left.nano_usd, needed.nano_usd), (left.tokens, needed.tokens))
    return all(there is None or wanted is None or wanted <= there for there, wanted in pairs)


def both(one: Caps, other: Caps) -> Caps:
    """Two needs together."""
    return Caps(
        nano_usd=None if one.nano_usd is None or other.nano_usd is None else one.nano_usd + other.nano_usd,
        tokens=(one.tokens or 0) + (other.tokens or 0),
        agents=(one.agents or 0) + (other.agents or 0),
    )


def share(left: Caps, *, dividers: int, others: int, least: Caps) -> Caps | None:
    """What one of `dividers` subtasks may use of what is `left`; None if it is better done undivided.

    `others` still wait too and will be done by one agent each. `least` is what the smallest division may cost.
    """
    waiting = dividers + others
    found = Caps(
        agents=None if left.agents is None else max(left.agents - others, 0) // dividers,
        nano_usd=None if left.nano_usd is None else left.nano_usd // waiting,
        tokens=None if left.tokens is None else left.tokens // waiting,
    )
    agents = LAST_AGENTS if dividers == 1 else LEAST_AGENTS
    return found if left.depth != 0 and fits(found, least.model_copy(update={"agents": agents})) else None


def places(free: int, waiting: int) -> int:
    """How many of the `free` places of a run one of its `waiting` subtasks may fill with agents of its own."""
    return max(1, free // max(waiting, 1))


def _worst(model: str, size: int, max_tokens: int) -> Caps:
    usage = Usage(cache_write_tokens=size // BYTES_PER_TOKEN + 1, output_tokens=max_tokens)
    return Caps(nano_usd=cost_nano(model, usage), tokens=usage.total, agents=1)
