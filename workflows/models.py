"""Which models there are and what they cost. Data with a date; a model that is not listed costs "unknown", never 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import StringConstraints

from workflows.contracts import MODEL_NAME, SUBAGENT_QUEUE, Usage

PRICES_AS_OF = "2026-11"

Model = Annotated[str, StringConstraints(pattern=MODEL_NAME)]
"""The name of a model, as an input may give it."""
Tier = Literal["small", "medium", "large"]

TIERS: dict[Tier, str] = {
    "small": "claude-haiku-5-5",
    "medium": "claude-sonnet-5-5",
    "large": "claude-opus-5-5",
}
"""The model a subagent of this tier uses unless the run names another."""

LANES: dict[str, str] = {model: f"{SUBAGENT_QUEUE}-{tier}" for tier, model in TIERS.items()}
"""The queue of calls, with slots of its own, that each tier's model has: calls of one that hangs take no slot another
could use (docs/decisions/010). All other models share SUBAGENT_QUEUE, so that any model has a queue that is served."""
SUBAGENT_QUEUES = (SUBAGENT_QUEUE, *LANES.values())
"""Every queue of calls; each worker serves all of them."""

NANO = 1_000_000_000
"""Money is counted in whole nanodollars, so that sums are exact and a cap cannot leak through rounding."""


@dataclass(frozen=True)
class Price:
    """Nanodollars per token (a dollar per million tokens is 1,000). Cache: reads a tenth, writes 1.25 times input."""

    input: int
    output: int

    def of(self, usage: Usage) -> int:
        """What `usage` costs, in nanodollars, rounded up to a whole one."""
        hundredths = (
            usage.input_tokens * self.input * 100
            + usage.output_tokens * self.output * 100
            + usage.cache_read_tokens * self.input * 10
            + usage.cache_write_tokens * self.input * 125
        )
        return -(-hundredths // 100)


PRICES: dict[str, Price] = {
    "claude-haiku-5-5": Price(100, 500),
    "claude-sonnet-5-5": Price(2_000, 10_000),
    "claude-opus-5-5": Price(4_000, 20_000),
    "claude-haiku-4-5": Price(1_000, 5_000),
    "claude-opus-4-5": Price(5_000, 25_000),
}


def subagent_queue(model: str) -> str:
    """The queue that calls of a model wait in."""
    return LANES.get(model, SUBAGENT_QUEUE)


def cost_nano(model: str, usage: Usage) -> int | None:
    """What `usage` costs on `model`, in nanodollars; None when the price is not known."""
    price = PRICES.get(model)
    return None if price is None else price.of(usage)


def nano(dollars: float) -> int:
    """Dollars as people write them, in whole nanodollars."""
    return round(dollars * NANO)


def usd(nano: int | None) -> float | None:
    """Nanodollars as dollars, for people and reports."""
    return None if nano is None else nano / NANO
