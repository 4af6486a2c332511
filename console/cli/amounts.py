"""Sums of money, as they are typed."""

from __future__ import annotations

import math
from typing import Any

import click


class Dollars(click.FloatRange):
    """A sum that is no more than anybody can spend. Click's own range lets nan through: it is on neither side of it."""

    name = "dollars"

    def __init__(self) -> None:
        super().__init__(min=0, max=1_000_000)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        amount = float(super().convert(value, param, ctx))
        if math.isnan(amount):
            self.fail(f"{value!r} is no amount of dollars", param, ctx)
        return amount
