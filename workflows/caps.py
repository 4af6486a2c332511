"""The bounds of a run as values that cross processes: caps, a child's share of them, what was used of it; and what is
said of one that is met."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from workflows.contracts import Frozen, Usage
from workflows.models import usd

Bound = Literal["agents", "depth", "tokens", "usd", "price", "deadline"]

MOST_USD = 1_000_000
MOST_TOKENS = 1_000_000_000_000
MOST_AGENTS = 100_000
"""The largest bounds that can be asked for, at the start or by a raise: far above any plan, so more is a slip."""


class Caps(Frozen):
    """The most a run and everything below it may use; None is no cap."""

    nano_usd: int | None = Field(default=None, ge=0)
    """Nanodollars."""
    tokens: int | None = Field(default=None, ge=0)
    """All tokens the API counts, in and out, from a cache or into one. One cap and not two: a person thinks of one
    number, and two would end a run on one of them with half of the other left."""
    agents: int | None = Field(default=None, ge=0)
    depth: int | None = Field(default=None, ge=0)
    """Levels of child workflows below this run."""

    def __add__(self, more: Caps) -> Caps:
        """These caps, larger by `more` where there are any."""
        larger = {
            name: now + (getattr(more, name) or 0)
            for name in ("nano_usd", "tokens", "agents")
            if (now := getattr(self, name)) is not None
        }
        return self.model_copy(update=larger)


class Grant(Frozen):
    """A share of a run's bounds that a child workflow may use; its parent holds it until the child returns."""

    number: int
    caps: Caps
    deadline: datetime | None = None
    """The child's own, never later than its parent's."""
    kept_back: bool = False
    """It is no child's: the run keeps it for a last step of its own."""


class Spent(Frozen):
    """What a child and everything below it really used."""

    usage: Usage = Usage()
    nano_usd: int = 0
    agents: int = 0
    unpriced: bool = False
    """Some of the usage has no known price and is not in `nano_usd`."""


class LedgerState(Frozen):
    """A ledger between two runs of one workflow: what continue-as-new carries over."""

    caps: Caps
    spent: int
    usage: Usage
    unpriced: bool
    agents: int
    lost_tokens: int
    granted: list[Grant]
    made: int


class BoundsState(Frozen):
    """The bounds of a run between two executions of its workflow."""

    ledger: LedgerState
    began: datetime
    deadline: datetime | None
    warnings: list[str]


class BudgetRaise(Frozen):
    """New totals for a run's bounds, not additions: what is sent twice counts once. None leaves a bound as it is."""

    usd: float | None = Field(default=None, gt=0, le=MOST_USD, allow_inf_nan=False)
    tokens: int | None = Field(default=None, gt=0, le=MOST_TOKENS)
    agents: int | None = Field(default=None, gt=0, le=MOST_AGENTS)


class BoundExceeded(Exception):
    """What was asked for does not fit what is left. Nothing was reserved."""

    def __init__(
        self, bound: Bound, message: str, *, for_good: bool = True, enough: str = "", short: Caps | None = None
    ) -> None:
        super().__init__(message)
        self.bound = bound
        self.for_good = for_good
        """It would not even fit if everything under way used nothing; else it is worth asking again later."""
        self.enough = enough
        """The smallest cap with which it would fit, in words."""
        self.short = short
        """How much larger this bound would have to be; None if no size would do."""


class NotRaised(ValueError):
    """A cap cannot be raised like this; the message says why."""


FIELDS: dict[Bound, str] = {"usd": "nano_usd", "tokens": "tokens", "agents": "agents"}
"""Where a bound stands in Caps."""
NOUNS = {"nano_usd": "dollars", "tokens": "tokens", "agents": "agents"}


def shown(name: str, amount: int) -> str:
    """An amount of a bound for people."""
    # Rounded up, so that a total which is shown as enough is.
    return f"${-(-amount // 100_000) / 10_000:.4f}" if name == "nano_usd" else f"{amount:,} {name}"


def refusal(bound: Bound, needed: int, cap: int, taken: int) -> str:
    """What is needed, what is left and what the cap is: what someone needs to decide."""
    left = max(cap - taken, 0)
    if bound == "agents":
        if needed == 1:
            return f"all {cap:,} agents of this run have been started or granted"
        return f"{needed:,} more agents are needed but {left:,} of {cap:,} are left"
    if bound == "tokens":
        return f"the next call may use {needed:,} tokens but {left:,} of {cap:,} are left"
    return f"the next call may cost ${usd(needed):.4f} but ${usd(left):.4f} of the ${usd(cap):.4f} budget is left"
