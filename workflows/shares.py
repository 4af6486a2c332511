"""How much of what is left a subtask gets that is divided again: its fair share, or nothing and it is done undivided.

Every subtask that still waits must be able to start, so each keeps room for one agent. What then remains is shared
evenly among those that would be divided. A share too small for a plan, two pieces and a synthesis is not worth
dividing. Pure.
"""

from __future__ import annotations

from workflows.caps import Caps

LEAST_AGENTS = 4
"""A decomposer, two specialists and a synthesizer."""
LAST_AGENTS = 2
"""For the last one, when nobody else can use what is left."""


def share(left: Caps, *, dividers: int, others: int, least: Caps) -> Caps | None:
    """What one of `dividers` subtasks may use of what is `left`; None if it is better done undivided.

    `others` still wait too and will be done by one agent each. `least` is what the smallest division may cost.
    """
    waiting = dividers + others
    agents = None if left.agents is None else (left.agents - others) // dividers
    nano_usd = None if left.nano_usd is None else left.nano_usd // waiting
    tokens = None if left.tokens is None else left.tokens // waiting
    if agents is not None and agents < (LAST_AGENTS if dividers == 1 else LEAST_AGENTS):
        return None
    if nano_usd is not None and nano_usd < (least.nano_usd or 0):
        return None
    if tokens is not None and tokens < (least.tokens or 0):
        return None
    return Caps(agents=agents, nano_usd=nano_usd, tokens=tokens)


def slots(free: int, waiting: int) -> int:
    """How many of the `free` places of a run one of its `waiting` subtasks may fill with agents of its own."""
    return max(1, free // max(waiting, 1))
