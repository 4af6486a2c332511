"""Prices are data with a date; money is whole nanodollars; what is not known is not free."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.contracts import Usage
from workflows.models import NANO, PRICES, PRICES_AS_OF, TIERS, Price, Tier, cost_nano, usd

MILLION = 1_000_000

DOLLARS_PER_MILLION = {
    "claude-haiku-5-5": ("0.10", "0.50"),
    "claude-sonnet-5-5": ("2", "10"),
    "claude-opus-5-5": ("4", "20"),
    "claude-haiku-4-5": ("1", "5"),
    "claude-opus-4-5": ("5", "25"),
}
"""In and out, as the provider lists them (FAILURES.md)."""

tokens = st.integers(min_value=0, max_value=10 * MILLION)
usages = st.builds(
    Usage, input_tokens=tokens, output_tokens=tokens, cache_read_tokens=tokens, cache_write_tokens=tokens
)
models = st.sampled_from(sorted(PRICES))


def exact(model: str, usage: Usage) -> Fraction:
    """What `usage` costs in nanodollars, computed from the listed dollars without rounding."""
    per_input, per_output = (Fraction(dollars) * NANO / MILLION for dollars in DOLLARS_PER_MILLION[model])
    return (
        usage.input_tokens * per_input
        + usage.output_tokens * per_output
        + usage.cache_read_tokens * per_input / 10
        + usage.cache_write_tokens * per_input * 5 / 4
    )


@pytest.mark.parametrize("model", sorted(DOLLARS_PER_MILLION))
def test_a_million_tokens_cost_what_the_list_says(model: str) -> None:
    """Input and output are priced apart, in dollars per million tokens."""
    per_input, per_output = (float(dollars) for dollars in DOLLARS_PER_MILLION[model])
    assert usd(cost_nano(model, Usage(input_tokens=MILLION))) == per_input
    assert usd(cost_nano(model, Usage(output_tokens=MILLION))) == per_output


def test_this_list_and_the_products_list_have_the_same_models() -> None:
    """A model added to the prices is added here with its listed price."""
    assert set(PRICES) == set(DOLLARS_PER_MILLION)


@pytest.mark.parametrize("model", sorted(PRICES))
def test_cache_reads_cost_a_tenth_and_writes_a_quarter_more(model: str) -> None:
    """Cache tokens are priced apart from plain input, on every model."""
    plain = cost_nano(model, Usage(input_tokens=MILLION))
    assert plain is not None
    assert cost_nano(model, Usage(cache_read_tokens=MILLION)) == plain // 10
    assert cost_nano(model, Usage(cache_write_tokens=MILLION)) == plain * 5 // 4


@given(models, usages)
def test_a_cost_is_the_exact_price_rounded_up_to_a_whole_nanodollar(model: str, usage: Usage) -> None:
    """Rounding never favours the spender, and never adds as much as one nanodollar."""
    cost = cost_nano(model, usage)
    assert isinstance(cost, int)
    assert 0 <= cost - exact(model, usage) < 1


@given(models, usages)
def test_something_used_never_costs_nothing(model: str, usage: Usage) -> None:
    """Zero is the price of no tokens and of nothing else."""
    assert (cost_nano(model, usage) == 0) == (usage == Usage())


@given(models, usages, usages)
def test_using_more_never_costs_less(model: str, usage: Usage, more: Usage) -> None:
    """A worst case bounds whatever is really used."""
    before, after = cost_nano(model, usage), cost_nano(model, usage + more)
    assert before is not None
    assert after is not None
    assert after >= before


def test_a_fraction_of_a_nanodollar_is_rounded_up() -> None:
    """One cached token of the cheapest model is not free, even where it costs less than a nanodollar."""
    assert Price(input=1, output=1).of(Usage(cache_read_tokens=1)) == 1
    assert Price(input=1, output=1).of(Usage(cache_write_tokens=4)) == 5


@pytest.mark.parametrize("name", ["claude-nobody-9", "", "CLAUDE-HAIKU-5-5", "claude-haiku-5-5 "])
@pytest.mark.parametrize("usage", [Usage(), Usage(input_tokens=1), Usage(output_tokens=MILLION)])
def test_the_cost_of_an_unknown_model_is_unknown_never_zero(name: str, usage: Usage) -> None:
    """No price means None, whatever was used: a model is known by its exact name or not at all."""
    assert cost_nano(name, usage) is None
    assert usd(cost_nano(name, usage)) is None


def test_dollars_are_nanodollars_for_people() -> None:
    """Zero is zero dollars and not unknown."""
    assert usd(0) == 0.0
    assert usd(1_500_000_000) == 1.5


@pytest.mark.parametrize("tier", get_args(Tier))
def test_every_tier_names_a_model_with_a_known_price(tier: Tier) -> None:
    """A run that names no model can always keep a dollar budget."""
    assert TIERS[tier] in PRICES


def test_tiers_cost_more_the_larger_they_are() -> None:
    """Small, medium and large are in the order of their prices."""
    costs = [cost_nano(TIERS[tier], Usage(output_tokens=1)) or 0 for tier in get_args(Tier)]
    assert costs == sorted(set(costs))


def test_the_prices_have_a_date() -> None:
    """Whoever reads the list knows how old it is."""
    assert re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])", PRICES_AS_OF)
