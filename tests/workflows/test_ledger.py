"""A cap is never passed: not by one call, not by many at once, whatever order they start and end in."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from workflows.caps import Caps
from workflows.contracts import Usage
from workflows.ledger import BYTES_PER_TOKEN, BoundExceeded, Ledger, Reservation
from workflows.models import NANO, PRICES, cost_nano

MODEL = "claude-haiku-5-5"


def ten_cents(ledger: Ledger) -> Reservation:
    """Reserve exactly ten cents: 4 tokens into the cache at 125 nanodollars and 199,999 out at 500."""
    return ledger.reserve(model=MODEL, input_bytes=6, max_tokens=199_999)


def worst(input_bytes: int, max_tokens: int) -> Usage:
    """The most a call of this size can use: every input token written to the cache, every output token spent."""
    return Usage(cache_write_tokens=input_bytes // BYTES_PER_TOKEN + 1, output_tokens=max_tokens)


def test_a_reservation_holds_the_worst_case_of_its_call() -> None:
    """All input at the dearest rate and the whole output cap are held before the call starts."""
    ledger = Ledger(Caps(nano_usd=NANO))
    reservation = ledger.reserve(model=MODEL, input_bytes=1_000, max_tokens=2_000)
    assert reservation.nano_usd == cost_nano(MODEL, worst(1_000, 2_000))
    assert ledger.reserved == reservation.nano_usd
    assert ledger.spent == 0


def test_settling_replaces_the_reservation_by_what_was_used() -> None:
    """What a call did not use is free again at once."""
    ledger = Ledger(Caps(nano_usd=NANO))
    reservation = ten_cents(ledger)
    used = Usage(input_tokens=3, output_tokens=10)
    assert ledger.settle(reservation, used) == cost_nano(MODEL, used)
    assert (ledger.reserved, ledger.spent, ledger.usage) == (0, cost_nano(MODEL, used), used)


def test_a_call_that_used_nothing_costs_nothing() -> None:
    """A refused connection gives everything back."""
    ledger = Ledger(Caps(nano_usd=NANO))
    assert ledger.settle(ten_cents(ledger), Usage()) == 0
    assert (ledger.reserved, ledger.spent, ledger.cost_usd) == (0, 0, 0.0)


def test_the_last_nanodollar_may_be_reserved_and_not_one_more() -> None:
    """A worst case that fits exactly is started; one above is not."""
    exactly = cost_nano(MODEL, worst(6, 199_999))
    assert exactly == NANO // 10
    ten_cents(Ledger(Caps(nano_usd=exactly)))
    with pytest.raises(BoundExceeded) as refused:
        ten_cents(Ledger(Caps(nano_usd=exactly - 1)))
    assert refused.value.bound == "usd"


def test_a_refusal_holds_nothing() -> None:
    """After a refusal the ledger is as it was, and a call that fits still fits."""
    ledger = Ledger(Caps(nano_usd=NANO // 10))
    with pytest.raises(BoundExceeded):
        ledger.reserve(model=MODEL, input_bytes=6, max_tokens=200_000)
    assert ledger == Ledger(Caps(nano_usd=NANO // 10))
    ten_cents(ledger)


def test_a_refusal_says_what_is_needed_what_is_left_and_what_the_budget_is() -> None:
    """The message has the three amounts that someone needs to decide."""
    ledger = Ledger(Caps(nano_usd=NANO // 4))
    ledger.settle(ten_cents(ledger), worst(6, 199_999))
    ten_cents(ledger)
    with pytest.raises(BoundExceeded, match=r"may cost \$0\.1000 but \$0\.0500 of the \$0\.2500 budget is left"):
        ten_cents(ledger)


def test_a_refusal_shows_a_small_budget_as_it_is() -> None:
    """A budget below a cent is not shown as none."""
    with pytest.raises(BoundExceeded) as refused:
        ten_cents(Ledger(Caps(nano_usd=4_000_000)))
    assert "$0.00 budget" not in str(refused.value)
    assert "0.004" in str(refused.value)


def test_settling_twice_is_an_error_and_changes_nothing() -> None:
    """A call is paid once: the second settlement raises KeyError and adds nothing."""
    ledger = Ledger(Caps(nano_usd=NANO))
    reservation = ten_cents(ledger)
    ledger.settle(reservation, Usage(output_tokens=5))
    spent, usage = ledger.spent, ledger.usage
    with pytest.raises(KeyError):
        ledger.settle(reservation, Usage(output_tokens=5))
    assert (ledger.spent, ledger.usage) == (spent, usage)


def test_two_equal_calls_are_two_reservations() -> None:
    """Settling one of two identical calls leaves the other held."""
    ledger = Ledger(Caps(nano_usd=NANO))
    first, second = ten_cents(ledger), ten_cents(ledger)
    ledger.settle(first, Usage())
    assert ledger.reserved == second.nano_usd


def test_a_cap_refuses_a_model_without_a_price_and_says_what_to_do() -> None:
    """The message names the model, the models with a price, and the option to drop; nothing is held."""
    ledger = Ledger(Caps(nano_usd=NANO))
    with pytest.raises(BoundExceeded) as refused:
        ledger.reserve(model="claude-nobody-9", input_bytes=10, max_tokens=10)
    assert refused.value.bound == "price"
    message = str(refused.value)
    assert "claude-nobody-9" in message
    assert "--budget-usd" in message
    assert all(known in message for known in PRICES)
    assert ledger == Ledger(Caps(nano_usd=NANO))


def test_without_a_cap_any_model_may_be_called_and_its_cost_is_unknown() -> None:
    """Usage without a price makes the run's cost unknown, for good, and never zero."""
    ledger = Ledger()
    reservation = ledger.reserve(model="claude-nobody-9", input_bytes=10, max_tokens=10)
    assert ledger.settle(reservation, Usage(output_tokens=1)) is None
    assert ledger.cost_usd is None
    ledger.settle(ten_cents(ledger), Usage(output_tokens=1))
    assert ledger.cost_usd is None


def test_an_unpriced_call_that_used_nothing_leaves_the_cost_known() -> None:
    """Nothing at an unknown price is still nothing."""
    ledger = Ledger()
    ledger.settle(ledger.reserve(model="claude-nobody-9", input_bytes=10, max_tokens=10), Usage())
    assert ledger.cost_usd == 0.0


def test_a_bill_above_the_worst_case_is_recorded_and_stops_the_next_call() -> None:
    """Should the API ever bill more than its own limit, the ledger tells the truth and starts nothing more."""
    ledger = Ledger(Caps(nano_usd=NANO // 10))
    ledger.settle(ten_cents(ledger), Usage(output_tokens=400_000))
    assert ledger.spent == NANO // 5
    with pytest.raises(BoundExceeded, match=r"\$0\.0000 of the"):
        ledger.reserve(model=MODEL, input_bytes=0, max_tokens=1)


async def test_a_dollar_starts_ten_of_fifty_concurrent_ten_cent_calls() -> None:
    """Fifty branches that ask at once spend at most the dollar, and exactly ten of them start."""
    ledger = Ledger(Caps(nano_usd=NANO))
    everyone_asked = asyncio.Event()
    asked = started = 0

    async def call() -> None:
        nonlocal asked, started
        asked += 1
        if asked == 50:
            everyone_asked.set()
        try:
            reservation = ten_cents(ledger)
        except BoundExceeded:
            return
        started += 1
        await everyone_asked.wait()
        ledger.settle(reservation, worst(6, 199_999))

    await asyncio.gather(*(call() for _ in range(50)))
    assert started == 10
    assert ledger.spent == NANO
    assert ledger.reserved == 0


def test_a_dollar_pays_for_more_calls_when_they_use_less_than_they_might() -> None:
    """One after the other, each call frees what it did not use, so far more than ten fit."""
    ledger = Ledger(Caps(nano_usd=NANO))
    for _ in range(50):
        ledger.settle(ten_cents(ledger), Usage(output_tokens=20_000))
    assert ledger.spent == NANO // 2


@dataclass(frozen=True)
class Call:
    """A call under way: its reservation and its size."""

    reservation: Reservation
    input_bytes: int
    max_tokens: int


class LedgerModel(RuleBasedStateMachine):
    """Any interleaving of calls that start and end, none using more than its worst case."""

    under_way: Bundle[Call] = Bundle("under_way")
    settled: Bundle[Call] = Bundle("settled")

    @initialize(cap=st.integers(min_value=0, max_value=NANO))
    def a_cap(self, cap: int) -> None:
        self.cap = cap
        self.ledger = Ledger(Caps(nano_usd=cap))
        self.held: dict[int, int] = {}
        self.spent = 0
        self.usage = Usage()

    @rule(
        target=under_way,
        model=st.sampled_from(sorted(PRICES)),
        input_bytes=st.integers(min_value=0, max_value=200_000),
        max_tokens=st.integers(min_value=1, max_value=64_000),
    )
    def start(self, model: str, input_bytes: int, max_tokens: int) -> Call | MultipleResults[Call]:
        needed = cost_nano(model, worst(input_bytes, max_tokens))
        assert needed is not None
        fits = self.spent + sum(self.held.values()) + needed <= self.cap
        held_before = dict(self.ledger.held)
        try:
            reservation = self.ledger.reserve(model=model, input_bytes=input_bytes, max_tokens=max_tokens)
        except BoundExceeded:
            assert not fits
            assert self.ledger.held == held_before
            return multiple()
        assert fits
        self.held[reservation.number] = needed
        return Call(reservation, input_bytes, max_tokens)

    @rule(target=settled, call=consumes(under_way), data=st.data())
    def end(self, call: Call, data: st.DataObject) -> Call:
        most = call.input_bytes // BYTES_PER_TOKEN + 1
        plain = data.draw(st.integers(0, most))
        read = data.draw(st.integers(0, most - plain))
        written = data.draw(st.integers(0, most - plain - read))
        used = Usage(
            input_tokens=plain,
            cache_read_tokens=read,
            cache_write_tokens=written,
            output_tokens=data.draw(st.integers(0, call.max_tokens)),
        )
        cost = self.ledger.settle(call.reservation, used)
        assert cost is not None
        assert cost <= self.held.pop(call.reservation.number)
        self.spent += cost
        self.usage = self.usage + used
        return call

    @rule(call=settled)
    def end_again(self, call: Call) -> None:
        with pytest.raises(KeyError):
            self.ledger.settle(call.reservation, Usage(output_tokens=1))

    @rule()
    def ask_for_a_model_without_a_price(self) -> None:
        with pytest.raises(BoundExceeded):
            self.ledger.reserve(model="claude-nobody-9", input_bytes=0, max_tokens=1)

    @invariant()
    def the_cap_is_kept(self) -> None:
        assert self.ledger.spent + self.ledger.reserved <= self.cap

    @invariant()
    def the_books_agree(self) -> None:
        assert self.ledger.spent == self.spent
        assert self.ledger.reserved == sum(self.held.values())
        assert set(self.ledger.held) == set(self.held)
        assert self.ledger.usage == self.usage
        assert not self.ledger.unpriced


def test_no_interleaving_of_calls_passes_the_cap() -> None:
    """Hypothesis looks for an order of reserving and settling in which the books do not agree or the cap is passed."""
    run_state_machine_as_test(LedgerModel)
