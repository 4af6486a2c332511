"""Agents, tokens and grants: a tree of runs keeps every cap of its root, and its books add up to the last token."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from workflows.caps import Caps, Grant, LedgerState, Spent
from workflows.contracts import Usage
from workflows.ledger import BYTES_PER_TOKEN, BoundExceeded, Ledger, NotRaised, Reservation
from workflows.models import NANO, PRICES, cost_nano

MODEL = "claude-haiku-5-5"


def call(ledger: Ledger, tokens: int = 100, agents: int = 1) -> Reservation:
    """Reserve a call of exactly this many tokens in its worst case."""
    return ledger.reserve(model=MODEL, input_bytes=0, max_tokens=tokens - 1, agents=agents)


def used(usage: Usage) -> Spent:
    """A child that used this with one agent."""
    return Spent(usage=usage, nano_usd=cost_nano(MODEL, usage) or 0, agents=1)


# --- tokens and agents -----------------------------------------------------------------------------------------------


def test_the_last_token_may_be_reserved_and_not_one_more() -> None:
    """Input and output share one cap; the message says what is needed and what is left."""
    call(Ledger(Caps(tokens=100)))
    with pytest.raises(BoundExceeded, match="may use 100 tokens but 99 of 99 are left") as refused:
        call(Ledger(Caps(tokens=99)))
    assert (refused.value.bound, refused.value.for_good) == ("tokens", True)


def test_every_sort_of_token_counts_against_the_cap() -> None:
    """What is read from a cache is billed too, so it is counted."""
    ledger = Ledger(Caps(tokens=200))
    ledger.settle(
        call(ledger),
        Usage(input_tokens=25, output_tokens=25, cache_read_tokens=25, cache_write_tokens=25),
    )
    assert ledger.left.tokens == 100
    with pytest.raises(BoundExceeded, match="101 tokens but 100"):
        call(ledger, 101)


def test_agents_started_equal_the_cap_exactly() -> None:
    """An agent is counted with its first call and stays counted; its repair is the same agent."""
    ledger = Ledger(Caps(agents=3))
    for _ in range(3):
        ledger.settle(call(ledger), Usage())
        ledger.settle(call(ledger, agents=0), Usage())
    with pytest.raises(BoundExceeded, match="all 3 agents of this run have been started") as refused:
        call(ledger)
    assert (ledger.agents, refused.value.bound, refused.value.for_good) == (3, "agents", True)
    call(ledger, agents=0)


def test_a_refusal_starts_no_agent() -> None:
    """An agent that money or tokens refuse has not been started."""
    ledger = Ledger(Caps(agents=3, tokens=10))
    with pytest.raises(BoundExceeded):
        call(ledger)
    assert ledger == Ledger(Caps(agents=3, tokens=10))


def test_a_refusal_knows_whether_asking_again_could_help() -> None:
    """While a call is under way its worst case may yet come back; what even that would not free is refused for good."""
    ledger = Ledger(Caps(tokens=150))
    reservation = call(ledger)
    with pytest.raises(BoundExceeded) as refused:
        call(ledger)
    assert not refused.value.for_good
    with pytest.raises(BoundExceeded) as refused:
        call(ledger, 151)
    assert refused.value.for_good
    before = ledger.changes
    ledger.settle(reservation, Usage(output_tokens=50))
    assert ledger.changes > before
    call(ledger)


def test_a_bound_that_is_passed_for_good_is_named_before_one_that_may_come_free() -> None:
    """Nobody waits for a token when there will be no agent."""
    ledger = Ledger(Caps(tokens=150, agents=1))
    call(ledger)
    with pytest.raises(BoundExceeded) as refused:
        call(ledger)
    assert (refused.value.bound, refused.value.for_good) == ("agents", True)


async def test_a_dollar_for_fifty_ten_cent_agents_names_the_forty_that_were_not_started() -> None:
    """All fifty ask at once; those that may be lucky wait for what is held, and at most the dollar is spent."""
    ledger = Ledger(Caps(nano_usd=NANO))
    not_started: list[int] = []
    free = asyncio.Condition()
    worst = Usage(cache_write_tokens=4, output_tokens=199_999)

    async def agent(number: int) -> None:
        while True:
            try:
                reservation = ledger.reserve(model=MODEL, input_bytes=6, max_tokens=199_999, agents=1)
                break
            except BoundExceeded as refused:
                if refused.for_good:
                    not_started.append(number)
                    return
                async with free:
                    await free.wait()
        await asyncio.sleep(0)
        ledger.settle(reservation, worst)
        async with free:
            free.notify_all()

    await asyncio.gather(*map(agent, range(50)))
    assert (ledger.spent, ledger.agents, not_started) == (NANO, 10, list(range(10, 50)))


# --- what is nearly used up ------------------------------------------------------------------------------------------


def test_four_fifths_of_any_bound_are_tight() -> None:
    """Only what was really used counts; a reservation is a worst case."""
    ledger = Ledger(Caps(tokens=100, agents=5, nano_usd=NANO))
    reservation = call(ledger, 100)
    assert not ledger.tight
    ledger.settle(reservation, Usage(output_tokens=79))
    assert not ledger.tight
    ledger.settle(call(ledger, 2, agents=3), Usage(output_tokens=1))
    assert ledger.tight == ("agents", "tokens")


def test_without_caps_nothing_is_ever_tight() -> None:
    """There is nothing to be near to."""
    ledger = Ledger()
    ledger.settle(call(ledger), Usage(output_tokens=99))
    assert ledger.tight == ()
    assert ledger.left == Caps()


# --- grants ----------------------------------------------------------------------------------------------------------


def test_a_grant_is_held_in_full_until_it_is_returned() -> None:
    """Two children cannot both see the same money, and what one does not use is there again."""
    ledger = Ledger(Caps(tokens=100, agents=10, nano_usd=NANO, depth=1))
    grant = ledger.grant(agents=8, tokens=80, nano_usd=NANO // 2)
    assert ledger.left == Caps(tokens=20, agents=2, nano_usd=NANO // 2, depth=1)
    with pytest.raises(BoundExceeded, match="8 more agents are needed but 2 of 10 are left") as refused:
        ledger.grant(agents=8, tokens=1, nano_usd=1)
    assert not refused.value.for_good
    ledger.returned(grant, used(Usage(output_tokens=10)))
    assert (ledger.left.tokens, ledger.left.agents, ledger.usage) == (90, 9, Usage(output_tokens=10))
    assert ledger.spent == cost_nano(MODEL, Usage(output_tokens=10))


def test_a_grant_returned_twice_is_an_error_and_changes_nothing() -> None:
    """A child is settled once."""
    ledger = Ledger(Caps(tokens=100))
    grant = ledger.grant(tokens=10)
    ledger.returned(grant, used(Usage(output_tokens=1)))
    with pytest.raises(KeyError):
        ledger.returned(grant, used(Usage(output_tokens=1)))
    assert ledger.usage.total == 1


def test_a_child_that_never_said_what_it_used_has_used_it_all() -> None:
    """The caps hold although a child was terminated, and the cost is unknown, never too low."""
    ledger = Ledger(Caps(tokens=100, agents=5, nano_usd=NANO))
    ledger.returned(ledger.grant(agents=2, tokens=60, nano_usd=NANO // 2), None)
    assert ledger.left == Caps(tokens=40, agents=3, nano_usd=NANO // 2)
    assert (ledger.cost_usd, ledger.usage) == (None, Usage())


def test_a_grant_can_be_added_to_and_is_returned_as_it_is_then() -> None:
    """What was added is held as well, and is gone with a child that never said what it used."""
    ledger = Ledger(Caps(tokens=100, agents=5, depth=1))
    grant = ledger.grant(agents=1, tokens=60)
    ledger.extend(grant.number, Caps(tokens=20))
    assert ledger.left == Caps(tokens=20, agents=4, depth=1)
    with pytest.raises(BoundExceeded, match="21 tokens but 20 of 100 are left"):
        ledger.extend(grant.number, Caps(tokens=21))
    ledger.returned(grant, None)
    assert ledger.left == Caps(tokens=20, agents=4, depth=1)


def test_who_asks_for_more_holds_nothing_that_others_may_wait_for() -> None:
    """Two children that each lack what the other holds would wait for ever: both are refused for good."""
    ledger = Ledger(Caps(tokens=100))
    grants = [ledger.grant(tokens=50) for _ in range(2)]
    ledger.asking.update(grant.number for grant in grants)
    with pytest.raises(BoundExceeded) as refused:
        ledger.extend(grants[0].number, Caps(tokens=10))
    assert refused.value.for_good
    assert refused.value.short == Caps(tokens=10)


def test_depth_runs_out() -> None:
    """Each level of children may be one less deep; below the last none is started."""
    root = Ledger(Caps(depth=2))
    child = Ledger(root.grant(agents=1).caps)
    grandchild = Ledger(child.grant(agents=1).caps)
    assert (child.caps.depth, grandchild.caps.depth) == (1, 0)
    with pytest.raises(BoundExceeded, match="--max-depth") as refused:
        grandchild.grant(agents=0)
    assert (refused.value.bound, refused.value.for_good) == ("depth", True)


def test_a_capped_run_grants_nothing_without_a_limit() -> None:
    """A child without a bound that its parent has could pass it."""
    with pytest.raises(ValueError, match="tokens without a limit"):
        Ledger(Caps(tokens=10)).grant(agents=1)


# --- raising and carrying --------------------------------------------------------------------------------------------


def test_a_raised_cap_is_a_new_total() -> None:
    """What is given replaces the cap, so that sending it twice does not add twice."""
    ledger = Ledger(Caps(nano_usd=NANO, agents=2))
    ledger.raise_to(ledger.raised(nano_usd=5 * NANO))
    assert ledger.caps == Caps(nano_usd=5 * NANO, agents=2)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "say what to raise"),
        ({"nano_usd": NANO}, r"\$1\.0000 already: give the new total"),
        ({"tokens": 5}, "no bound on tokens"),
        ({"agents": 1}, "2 agents already"),
    ],
)
def test_a_cap_that_cannot_be_raised_says_why(asked: dict[str, int], words: str) -> None:
    """Less than before, or a bound the run does not have."""
    ledger = Ledger(Caps(nano_usd=NANO, agents=2))
    with pytest.raises(NotRaised, match=words):
        ledger.raised(**asked)


def test_a_ledger_goes_on_after_continue_as_new() -> None:
    """As JSON and back: what was used, what children hold, and numbers that are not given out twice."""
    ledger = Ledger(Caps(tokens=1_000, agents=9, nano_usd=NANO, depth=1))
    ledger.settle(call(ledger), Usage(output_tokens=7))
    grant = ledger.grant(agents=2, tokens=10, nano_usd=10, deadline=datetime(2026, 11, 24, tzinfo=UTC))
    ledger.returned(ledger.grant(agents=1, tokens=10, nano_usd=10), None)
    again = Ledger.resume(LedgerState.model_validate_json(ledger.carried().model_dump_json()))
    assert again == ledger
    again.returned(Grant.model_validate_json(grant.model_dump_json()), used(Usage(output_tokens=1)))
    assert call(again).number > grant.number


def test_a_call_under_way_is_not_carried() -> None:
    """It would be lost with the run that scheduled it, and its money with it."""
    ledger = Ledger()
    call(ledger)
    with pytest.raises(RuntimeError, match="1 calls are under way"):
        ledger.carried()


# --- every interleaving in a tree ------------------------------------------------------------------------------------


@dataclass
class Node:
    """A run of the tree: its ledger, its calls under way, and the grant it lives on."""

    ledger: Ledger
    parent: Node | None = None
    grant: Grant | None = None
    under_way: list[tuple[Reservation, int, int]] = field(default_factory=list)
    children: list[Node] = field(default_factory=list)


class TreeModel(RuleBasedStateMachine):
    """Any interleaving of calls, grants, returns and losses in a tree of runs, three levels deep."""

    @initialize(
        dollars=st.integers(0, NANO // 10), tokens=st.integers(0, 100_000), agents=st.integers(0, 8), data=st.data()
    )
    def a_tree(self, dollars: int, tokens: int, agents: int, data: st.DataObject) -> None:
        self.caps = Caps(nano_usd=dollars, tokens=tokens, agents=agents, depth=2)
        self.nodes = [Node(Ledger(self.caps))]
        self.usage, self.spent, self.agents, self.lost = Usage(), 0, 0, False

    def node(self, data: st.DataObject) -> Node:
        return self.nodes[data.draw(st.integers(0, len(self.nodes) - 1))]

    @rule(
        data=st.data(),
        model=st.sampled_from(sorted(PRICES)),
        input_bytes=st.integers(0, 20_000),
        max_tokens=st.integers(1, 16_000),
        agents=st.integers(0, 1),
    )
    def start(self, data: st.DataObject, model: str, input_bytes: int, max_tokens: int, agents: int) -> None:
        node = self.node(data)
        before = node.ledger.left
        try:
            made = node.ledger.reserve(model=model, input_bytes=input_bytes, max_tokens=max_tokens, agents=agents)
        except BoundExceeded:
            assert node.ledger.left == before
            return
        self.agents += agents
        node.under_way.append((made, input_bytes, max_tokens))

    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        node = self.node(data)
        if not node.under_way:
            return
        reservation, input_bytes, max_tokens = node.under_way.pop()
        usage = Usage(
            input_tokens=data.draw(st.integers(0, input_bytes // BYTES_PER_TOKEN + 1)),
            output_tokens=data.draw(st.integers(0, max_tokens)),
        )
        self.spent += node.ledger.settle(reservation, usage) or 0
        self.usage = self.usage + usage

    @rule(data=st.data(), share=st.integers(1, 4))
    def grant(self, data: st.DataObject, share: int) -> None:
        node = self.node(data)
        left = node.ledger.left
        asked: dict[str, Any] = {name: (getattr(left, name) or 0) // share for name in ("agents", "tokens", "nano_usd")}
        if left.depth == 0:
            with pytest.raises(BoundExceeded):
                node.ledger.grant(**asked)
            return
        grant = node.ledger.grant(**asked)
        child = Node(Ledger(grant.caps), node, grant)
        node.children.append(child)
        self.nodes.append(child)

    @rule(data=st.data(), lost=st.sampled_from([False, False, False, True]))
    @precondition(lambda self: len(self.nodes) > 1)
    def come_back(self, data: st.DataObject, lost: bool) -> None:
        node = self.node(data)
        if node.parent is None or node.grant is None or node.under_way or node.children:
            return
        node.parent.ledger.returned(node.grant, None if lost else node.ledger.total)
        node.parent.children.remove(node)
        self.nodes.remove(node)
        self.lost = self.lost or lost

    @rule(data=st.data())
    def continue_as_new(self, data: st.DataObject) -> None:
        node = self.node(data)
        if not node.under_way:
            node.ledger = Ledger.resume(node.ledger.carried())

    @invariant()
    def the_root_keeps_its_caps(self) -> None:
        """What the whole tree used, and what it may still use at most."""
        assert self.spent <= (self.caps.nano_usd or 0)
        assert self.usage.total <= (self.caps.tokens or 0)
        assert self.agents <= (self.caps.agents or 0)
        for node in self.nodes:
            for _, cap, taken, held in node.ledger._books():
                assert cap is not None
                assert taken + held <= cap

    @invariant()
    def the_books_add_up(self) -> None:
        """Every token, nanodollar and agent is in exactly one ledger."""
        if self.lost:
            return
        assert sum((node.ledger.usage for node in self.nodes), Usage()) == self.usage
        assert sum(node.ledger.spent for node in self.nodes) == self.spent
        assert sum(node.ledger.agents for node in self.nodes) == self.agents


def test_no_interleaving_in_a_tree_passes_a_cap_of_its_root() -> None:
    """Hypothesis looks for an order of calls, grants and returns in which the root's caps or the sums do not hold."""
    run_state_machine_as_test(TreeModel)
