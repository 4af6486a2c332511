"""Figures as people read them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from console.render import dollars, seconds


@pytest.mark.parametrize(
    ("length", "shown"),
    [
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.7, "1 m 00 s"),
        (599.7, "10 m 00 s"),
        (200, "3 m 20 s"),
        (3599.9, "1 h 00 m"),
        (7500, "2 h 05 m"),
    ],
)
def test_a_length_of_time_has_no_sixtieth_second(length: float, shown: str) -> None:
    """Rounding carries over into minutes and hours."""
    assert seconds(timedelta(seconds=length)) == shown


@pytest.mark.parametrize(
    ("amount", "shown"),
    [(None, "cost unknown"), (0.0, "$0.0000"), (0.00003, "under $0.0001"), (0.0123, "$0.0123"), (12.5, "$12.50")],
)
def test_money_keeps_the_digits_that_matter(amount: float | None, shown: str) -> None:
    """A small cost is not shown as nothing, an unknown one not as a number."""
    assert dollars(amount) == shown
