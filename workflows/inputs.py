"""What every pipeline can be told: its bounds, and what to do when it meets one."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator

from workflows.caps import MOST_AGENTS, MOST_TOKENS, MOST_USD, Caps, Grant
from workflows.carried import Carried
from workflows.models import PRICES, nano
from workflows.precedence import Precedence

HARD_DEPTH = 3
"""Levels of child workflows, whatever anybody asks for: work divided four times over is nobody's plan any more."""
DEFAULT_AGENTS = 100
"""Far above what a pipeline needs by itself (eleven versions are 23 agents), far below what a runaway would start."""


BOUNDS = ("budget_usd", "max_tokens", "max_agents", "deadline", "on_budget")
"""The fields of a RunInput that a rerun may be given anew; the depth is the pipeline's."""


class RunInput(Precedence):
    """What every pipeline can be told. A pipeline's `Input` extends it; each field becomes an option of the CLI.

    Unknown fields are refused: a misspelt cap must not start a run without one.
    """

    model_config = ConfigDict(extra="forbid")

    budget_usd: float | None = Field(
        default=None,
        gt=0,
        le=MOST_USD,
        allow_inf_nan=False,
        description="Spend at most this many dollars; stop before passing it.",
    )
    max_tokens: int | None = Field(
        default=None,
        gt=0,
        le=MOST_TOKENS,
        description="Use at most this many tokens, in and out together; stop before passing it.",
    )
    max_agents: int = Field(
        default=DEFAULT_AGENTS, ge=1, le=MOST_AGENTS, description="Start at most this many agents in the whole run."
    )
    max_depth: int = Field(
        default=1, ge=0, le=HARD_DEPTH, description="Levels of runs that this run may start below itself."
    )
    deadline: timedelta | None = Field(
        default=None,
        gt=timedelta(0),
        le=timedelta(days=365),
        description="Stop after this long, e.g. 90s, 10m, 2h; keep what is done.",
    )
    on_budget: Literal["stop", "pause"] = Field(
        default="stop",
        description="When dollars, tokens or agents are used up: stop with what is done, or wait for "
        "`starter.py budget`, as long as the deadline allows.",
    )
    on_open_circuit: Literal["wait", "fail"] = Field(
        default="wait", description="While the API is down: wait for as long as it takes, or end with an error at once."
    )
    grant: Grant | None = Field(
        default=None,
        json_schema_extra={"internal": True},
        description="What the run that started this one lets it use; its own bounds do not count then.",
    )
    carried: Carried | None = Field(
        default=None,
        json_schema_extra={"internal": True},
        description="The run as it stood when this workflow continued as new; no other bounds count then.",
    )

    @model_validator(mode="after")
    def _a_dollar_budget_needs_prices(self) -> Self:
        unknown = [model for model in dict.fromkeys(self.models_used) if model not in PRICES]
        if self.budget_usd is not None and unknown:
            raise ValueError(
                f"the price of {', '.join(unknown)} is not known, so --budget-usd cannot be kept: use a model with a "
                f"known price ({', '.join(sorted(PRICES))}) or bound the run with --max-tokens instead"
            )
        return self

    @property
    def models(self) -> dict[str, str]:
        """The models this input names, by role: its fields `<role>_model`."""
        return {name.removesuffix("_model"): value for name, value in self if name.endswith("_model") and value}

    @property
    def models_used(self) -> list[str]:
        """Every model that this input has a run use beside the tiers'; one that names models elsewhere adds them."""
        return list(self.models.values())

    @property
    def caps(self) -> Caps:
        """The bounds as a ledger keeps them."""
        return Caps(
            nano_usd=None if self.budget_usd is None else nano(self.budget_usd),
            tokens=self.max_tokens,
            agents=self.max_agents,
            depth=self.max_depth,
        )
