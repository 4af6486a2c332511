"""What a run may still use: reserve the worst case before a call is scheduled, settle what it used after.

Agents, tokens, dollars and depth, for a run and for the tree of runs below it. Pure and synchronous, so two branches
of a workflow cannot both see the last dollar: between `reserve` and the next `await` nothing else runs. A call whose
worst case does not fit is not started, so overshoot is zero by construction: under a cap `claude.call` makes no second
attempt after one that was billed (a stream that broke off), but hands back, and `delegate` settles and reserves again.
Attempts that cost nothing are retried freely.

A child workflow never sees its parent's money: it gets a grant, which its parent holds in full until the child returns
what it did not use. So five children cannot each see the same $9.90.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from workflows.caps import FIELDS, NOUNS, Bound, Caps, Grant, LedgerState, Spent, refusal, shown
from workflows.caps import BoundExceeded as BoundExceeded
from workflows.caps import NotRaised as NotRaised
from workflows.contracts import Usage
from workflows.models import PRICES, cost_nano, usd

BYTES_PER_TOKEN = 2
"""Of UTF-8, deliberately pessimistic: English is about 4; source code and other scripts come near 2."""


@dataclass(frozen=True)
class Reservation:
    """The worst case of one call, held until it is settled."""

    number: int
    model: str
    nano_usd: int | None
    tokens: int


@dataclass
class Ledger:
    """The books of one run, whole tree included. Money is in nanodollars."""

    caps: Caps = field(default_factory=Caps)
    spent: int = 0
    usage: Usage = field(default_factory=Usage)
    unpriced: bool = False
    """Some usage had no known price."""
    agents: int = 0
    """Started, here and in children that have returned."""
    lost_tokens: int = 0
    """Granted to children that never said what they used; counted as used, in no one's usage."""
    held: dict[int, Reservation] = field(default_factory=dict)
    granted: dict[int, Grant] = field(default_factory=dict)
    made: int = 0
    asking: Counter[int] = field(default_factory=Counter, compare=False)
    """Grants whose children wait for more: what they hold comes free for nobody meanwhile."""
    changes: int = field(default=0, compare=False)
    """Grows whenever something came free: who was refused may ask again."""

    @property
    def reserved(self) -> int:
        """Nanodollars that calls and children under way may still cost at most."""
        held = sum(each.nano_usd or 0 for each in self.held.values())
        return held + sum(grant.caps.nano_usd or 0 for grant in self.granted.values())

    @property
    def cost_usd(self) -> float | None:
        """Dollars spent so far, or None if some of it has no known price."""
        return None if self.unpriced else usd(self.spent)

    @property
    def capped(self) -> bool:
        """No attempt may follow a billed one without a new reservation."""
        return self.caps.nano_usd is not None or self.caps.tokens is not None

    @property
    def left(self) -> Caps:
        """What nobody has used or holds: the most that can be granted now."""
        rest = {bound: max(cap - used - held, 0) for bound, cap, used, held in self._books()}
        return Caps(
            nano_usd=rest.get("usd"), tokens=rest.get("tokens"), agents=rest.get("agents"), depth=self.caps.depth
        )

    @property
    def tight(self) -> tuple[Bound, ...]:
        """The bounds of which four fifths are used: no new optional work. What is only held does not count."""
        return tuple(bound for bound, cap, used, _ in self._books() if 5 * used >= 4 * cap)

    @property
    def total(self) -> Spent:
        """What this run and everything below it used: what a child returns to its parent."""
        return Spent(usage=self.usage, nano_usd=self.spent, agents=self.agents, unpriced=self.unpriced)

    # --- calls ----------------------------------------------------------------------------------------------------

    def reserve(self, *, model: str, input_bytes: int, max_tokens: int, agents: int = 0) -> Reservation:
        """Hold the worst case of one call, and start `agents` new agents (1 with an agent's first call, else 0).

        Raises BoundExceeded, holding nothing, if it does not fit.
        """
        worst = Usage(cache_write_tokens=input_bytes // BYTES_PER_TOKEN + 1, output_tokens=max_tokens)
        cost = cost_nano(model, worst)
        if self.caps.nano_usd is not None and cost is None:
            known = ", ".join(sorted(PRICES))
            raise BoundExceeded(
                "price",
                f"the price of {model} is not known, so a dollar budget cannot be kept; "
                f"use a model with a known price ({known}) or drop --budget-usd",
            )
        self._refuse_beyond(Caps(nano_usd=cost, tokens=worst.total, agents=agents))
        self.made += 1
        self.agents += agents
        reservation = Reservation(self.made, model, cost, worst.total)
        self.held[reservation.number] = reservation
        return reservation

    def settle(self, reservation: Reservation, usage: Usage) -> int | None:
        """Replace a reservation by what was really used, and return that cost. Raises KeyError if settled before."""
        del self.held[reservation.number]
        self.changes += 1
        cost = cost_nano(reservation.model, usage)
        self.usage = self.usage + usage
        if cost is None:
            self.unpriced = self.unpriced or usage != Usage()
        else:
            self.spent += cost
        return cost

    # --- children -------------------------------------------------------------------------------------------------

    def grant(
        self,
        *,
        agents: int | None = None,
        nano_usd: int | None = None,
        tokens: int | None = None,
        deadline: datetime | None = None,
    ) -> Grant:
        """Hold a share for a child workflow, one level deeper. `left` says how much there is to share.

        Raises BoundExceeded, holding nothing, if it does not fit or no child may go deeper; ValueError if it leaves a
        bound open that this run has.
        """
        asked = Caps(nano_usd=nano_usd, tokens=tokens, agents=agents)
        for name in ("nano_usd", "tokens", "agents"):
            if getattr(self.caps, name) is not None and getattr(asked, name) is None:
                raise ValueError(f"a child cannot be granted {name} without a limit by a run that has one")
        if self.caps.depth == 0:
            raise BoundExceeded("depth", "no child may be started below this one: --max-depth is reached")
        self._refuse_beyond(asked)
        self.made += 1
        depth = None if self.caps.depth is None else self.caps.depth - 1
        grant = Grant(number=self.made, caps=asked.model_copy(update={"depth": depth}), deadline=deadline)
        self.granted[grant.number] = grant
        return grant

    def keep_back(self, *, agents: int = 0, nano_usd: int = 0, tokens: int = 0) -> Grant:
        """Hold a share for a last step of this very run, until `returned` with Spent(). Raises BoundExceeded.

        It comes free only when everything else is done, so nobody is told to wait for it.
        """
        asked = Caps(nano_usd=nano_usd, tokens=tokens, agents=agents)
        self._refuse_beyond(asked)
        self.made += 1
        grant = Grant(number=self.made, caps=asked, kept_back=True)
        self.granted[grant.number] = grant
        return grant

    def extend(self, number: int, by: Caps) -> bool:
        """Add to a grant. Raises BoundExceeded, changing nothing, if it does not fit."""
        self._refuse_beyond(by)
        grant = self.granted[number]
        self.granted[number] = grant.model_copy(update={"caps": grant.caps + by})
        return True

    def returned(self, grant: Grant, spent: Spent | None) -> None:
        """Replace a grant by what its child used. Raises KeyError if it was returned before.

        None if nobody can say, as of a child that was terminated: then all of it counts as used, the cost is unknown.
        """
        grant = self.granted.pop(grant.number)  # as it is now: it may have been extended
        self.changes += 1
        if spent is None:
            self.agents += grant.caps.agents or 0
            self.spent += grant.caps.nano_usd or 0
            self.lost_tokens += grant.caps.tokens or 0
            self.unpriced = True
            return
        self.agents += spent.agents
        self.spent += spent.nano_usd
        self.usage = self.usage + spent.usage
        self.unpriced = self.unpriced or spent.unpriced

    # --- the caps themselves --------------------------------------------------------------------------------------

    def raised(self, *, nano_usd: int | None = None, tokens: int | None = None, agents: int | None = None) -> Caps:
        """The caps with these new totals. Raises NotRaised where there is no cap, or none that would grow."""
        asked = {"nano_usd": nano_usd, "tokens": tokens, "agents": agents}
        given = {name: total for name, total in asked.items() if total is not None}
        if not given:
            raise NotRaised("say what to raise: dollars, tokens or agents")
        for name, total in given.items():
            now = getattr(self.caps, name)
            if now is None:
                raise NotRaised(f"this run has no bound on {NOUNS[name]}, so there is nothing to raise")
            if total <= now:
                raise NotRaised(
                    f"the bound is {shown(name, now)} already: give the new total, which is more, not the addition"
                )
        return self.caps.model_copy(update=given)

    def raise_to(self, caps: Caps) -> None:
        """Go on with these caps, as `raised` made them."""
        self.caps = caps
        self.changes += 1

    # --- continue-as-new ------------------------------------------------------------------------------------------

    def carried(self) -> LedgerState:
        """Everything, for the next run of this workflow. Raises RuntimeError while a call is under way: calls end with
        the run that scheduled them, so they are settled first. Children go on, and so do their grants."""
        if self.held:
            raise RuntimeError(
                f"{len(self.held)} calls are under way; settle them before the workflow continues as new"
            )
        return LedgerState(
            caps=self.caps,
            spent=self.spent,
            usage=self.usage,
            unpriced=self.unpriced,
            agents=self.agents,
            lost_tokens=self.lost_tokens,
            granted=list(self.granted.values()),
            made=self.made,
        )

    @classmethod
    def resume(cls, state: LedgerState) -> Ledger:
        """The ledger that was carried."""
        return cls(
            caps=state.caps,
            spent=state.spent,
            usage=state.usage,
            unpriced=state.unpriced,
            agents=state.agents,
            lost_tokens=state.lost_tokens,
            granted={grant.number: grant for grant in state.granted},
            made=state.made,
        )

    # --- the rule -------------------------------------------------------------------------------------------------

    def _books(self) -> Iterator[tuple[Bound, int, int, int]]:
        """Each bound that has a cap, with the cap, what is used of it, and what is held."""
        grants = self.granted.values()
        if self.caps.agents is not None:
            yield "agents", self.caps.agents, self.agents, sum(grant.caps.agents or 0 for grant in grants)
        if self.caps.tokens is not None:
            tokens = sum(each.tokens for each in self.held.values()) + sum(grant.caps.tokens or 0 for grant in grants)
            yield "tokens", self.caps.tokens, self.usage.total + self.lost_tokens, tokens
        if self.caps.nano_usd is not None:
            yield "usd", self.caps.nano_usd, self.spent, self.reserved

    def _refuse_beyond(self, asked: Caps) -> None:
        """Raise BoundExceeded for the bound that `asked` passes; one that it passes for good before any other."""
        needs = _by_bound(asked)
        beyond = [
            (bound, cap, used, held)
            for bound, cap, used, held in self._books()
            if needs[bound] and used + held + needs[bound] > cap
        ]
        kept = self._kept_back() if beyond else Counter()
        refusals = [
            BoundExceeded(
                bound,
                refusal(bound, needs[bound], cap, used + held),
                for_good=used + kept[bound] + needs[bound] > cap,
                enough=shown(FIELDS[bound], used + held + needs[bound]),
                short=Caps.model_validate({FIELDS[bound]: used + held + needs[bound] - cap}),
            )
            for bound, cap, used, held in beyond
        ]
        if refusals:
            raise next((each for each in refusals if each.for_good), refusals[0])

    def _kept_back(self) -> Counter[Bound]:
        kept: Counter[Bound] = Counter()
        for grant in self.granted.values():
            if grant.kept_back or self.asking[grant.number]:
                kept.update(_by_bound(grant.caps))
        return kept


def _by_bound(amounts: Caps) -> dict[Bound, int]:
    return {"agents": amounts.agents or 0, "tokens": amounts.tokens or 0, "usd": amounts.nano_usd or 0}
