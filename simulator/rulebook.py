"""Which rule applies to a call: the first that matches, whose time it is, and that has firings left."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256

from simulator.calls import Call
from simulator.faults import Match, Rule


@dataclass(slots=True)
class _Page:
    """A rule in use: when it came in, how many calls it matched, how often it fired."""

    rule: Rule
    loaded_at: float
    matched: int = 0
    fired: int = 0


@dataclass(frozen=True, slots=True)
class Ruling:
    """The rule that decides a call, and its number in the book (from 0) for the journal."""

    number: int
    rule: Rule


class RuleBook:
    """The rules in order, and what each has done so far. `now` is monotonic seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._pages: list[_Page] = []

    def __len__(self) -> int:
        return len(self._pages)

    @property
    def rules(self) -> list[Rule]:
        return [page.rule for page in self._pages]

    def load(self, rules: Iterable[Rule], *, append: bool = False) -> int:
        """Replace the rules, or add to them; returns how many there are now. Replacing starts every count anew."""
        loaded = [_Page(rule, self._now()) for rule in rules]
        self._pages = [*self._pages, *loaded] if append else loaded
        return len(self._pages)

    def decide(self, call: Call) -> Ruling | None:
        """The rule for this call, counted as fired; None when the call is served as usual."""
        chosen: Ruling | None = None
        for number, page in enumerate(self._pages):
            if not _is_about(page.rule.match, call):
                continue
            page.matched += 1  # also after the choice: `nth` of a later rule counts calls, not leftovers
            if chosen is None and self._fires(number, page):
                page.fired += 1
                chosen = Ruling(number, page.rule)
        return chosen

    def _fires(self, number: int, page: _Page) -> bool:
        rule, age = page.rule, self._now() - page.loaded_at
        return (
            (rule.times is None or page.fired < rule.times)
            and (rule.match.nth is None or page.matched in rule.match.nth)
            and (rule.after is None or age >= rule.after)
            and (rule.until is None or age < rule.until)
            and (rule.probability == 1 or _fraction(rule.seed, number, page.matched) < rule.probability)
        )


def _is_about(match: Match, call: Call) -> bool:
    return (
        (match.model is None or match.model == call.model)
        and (match.run is None or match.run == call.caller.run)
        and (match.agent is None or match.agent == call.caller.agent)
        and (match.role is None or call.caller.plays(match.role))
    )


def _fraction(seed: int, number: int, matched: int) -> float:
    """A number in [0, 1) that looks random and is always the same: a drill must be repeatable."""
    return int.from_bytes(sha256(f"{seed}:{number}:{matched}".encode()).digest()[:7]) / 2**56
