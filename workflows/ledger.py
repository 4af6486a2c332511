"""What a run may still spend: reserve the worst case before a call is scheduled, settle what it used after.

Pure and synchronous, so two branches of a workflow cannot both see the last dollar: between `reserve` and the next
`await` nothing else runs. A call that cannot be paid in its worst case is not started, so overshoot is zero by
construction: under a cap `claude.call` makes no second attempt after one that was billed (a stream that broke off),
but hands back, and `delegate` settles and reserves again. Attempts that cost nothing are retried freely.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from workflows.contracts import Usage
from workflows.models import PRICES, cost_nano, usd

Bound = Literal["usd", "price"]

BYTES_PER_TOKEN = 2
"""Of UTF-8, deliberately pessimistic: English is about 4; source code and other scripts come near 2."""


@dataclass(frozen=True)
class Caps:
    """The most a run may use; None is no cap. `nano_usd` is in nanodollars."""

    nano_usd: int | None = None


@dataclass(frozen=True)
class Reservation:
    """The worst case of one call, held until it is settled."""

    number: int
    model: str
    nano_usd: int | None


class BoundExceeded(Exception):
    """The worst case of a call does not fit what is left. Nothing was reserved."""

    def __init__(self, bound: Bound, message: str) -> None:
        super().__init__(message)
        self.bound = bound


@dataclass
class Ledger:
    """The money of one run. Every amount is in nanodollars; `unpriced` tells that some usage had no known price."""

    caps: Caps = field(default_factory=Caps)
    spent: int = 0
    usage: Usage = field(default_factory=Usage)
    unpriced: bool = False
    held: dict[int, Reservation] = field(default_factory=dict)
    made: int = 0

    @property
    def reserved(self) -> int:
        """What calls under way may still cost at most."""
        return sum(each.nano_usd or 0 for each in self.held.values())

    @property
    def cost_usd(self) -> float | None:
        """Dollars spent so far, or None if some of it has no known price."""
        return None if self.unpriced else usd(self.spent)

    def reserve(self, *, model: str, input_bytes: int, max_tokens: int) -> Reservation:
        """Hold the worst case of one call. Raises BoundExceeded, holding nothing, if it does not fit."""
        worst = cost_nano(
            model,
            Usage(cache_write_tokens=input_bytes // BYTES_PER_TOKEN + 1, output_tokens=max_tokens),
        )
        if self.caps.nano_usd is not None:
            if worst is None:
                known = ", ".join(sorted(PRICES))
                raise BoundExceeded(
                    "price",
                    f"the price of {model} is not known, so a dollar budget cannot be kept; "
                    f"use a model with a known price ({known}) or drop --budget-usd",
                )
            left = self.caps.nano_usd - self.spent - self.reserved
            if worst > left:
                raise BoundExceeded(
                    "usd",
                    f"the next call may cost ${usd(worst):.4f} but ${usd(max(left, 0)):.4f} of the "
                    f"${usd(self.caps.nano_usd):.4f} budget is left",
                )
        self.made += 1
        reservation = Reservation(self.made, model, worst)
        self.held[reservation.number] = reservation
        return reservation

    def settle(self, reservation: Reservation, usage: Usage) -> int | None:
        """Replace a reservation by what was really used, and return that cost. Raises KeyError if settled before."""
        del self.held[reservation.number]
        cost = cost_nano(reservation.model, usage)
        self.usage = self.usage + usage
        if cost is None:
            self.unpriced = self.unpriced or usage != Usage()
        else:
            self.spent += cost
        return cost
