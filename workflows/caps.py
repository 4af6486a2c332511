"""The bounds of a run as values: caps, a child's share of them, and what was used of it. They cross processes."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from workflows.contracts import Frozen, Usage

Bound = Literal["agents", "depth", "tokens", "usd", "price", "deadline"]


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


class Grant(Frozen):
    """A share of a run's bounds that a child workflow may use; its parent holds it until the child returns."""

    number: int
    caps: Caps
    deadline: datetime | None = None
    """The child's own, never later than its parent's."""


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
