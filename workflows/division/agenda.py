"""The agenda of a run that divides its task: what became of every subtask, and what may start next.

Pure and serialisable. It knows nothing of calls: whoever carries a subtask out tells how it ended. A subtask starts
when everything it depends on has ended and everything of that which is required has passed; what can no longer start
says why, so that nothing is silently missing at the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel

from workflows.division.plan_checks import Checked
from workflows.division.plans import Plan, Subtask
from workflows.policies import Tally

State = Literal["waiting", "running", "passed", "failed", "not_started", "shared", "left_out"]

_OPEN: frozenset[State] = frozenset({"waiting", "running"})


class Item(BaseModel):
    """One subtask of one plan and what became of it."""

    subtask: Subtask
    state: State = "waiting"
    plan: int
    """Which plan it is from; 0 is the first."""
    why: str | None = None
    """Why it has not passed, in words."""
    shares: str | None = None
    """The id of the subtask that does the same work."""
    curable: bool = False
    """It failed in a way that another way of doing it may avoid."""
    partial: bool = False
    """It failed, but what was done of it is kept and can be used."""


class Missing(BaseModel):
    """Something the task needs and the run does not have, and why: for the synthesiser and for the reader."""

    id: str
    objective: str
    why: str


class Agenda(BaseModel):
    """Every subtask of every plan of a run, in the order of the plans."""

    items: dict[str, Item] = {}
    plans: int = 0

    # --- what is told -------------------------------------------------------------------------------------------

    def take(self, plan: Plan, checked: Checked) -> None:
        """Take a sound plan on."""
        to_run = {each.id: each for each in checked.subtasks}
        for each in plan.subtasks:
            item = Item(subtask=to_run.get(each.id, each), plan=self.plans)
            if each.id in checked.shared:
                original = checked.shared[each.id]
                item.state, item.shares, item.why = "shared", original, f"the same work as {original}"
            elif each.id in checked.left_out:
                item.state, item.why = "left_out", checked.left_out[each.id]
            self.items[each.id] = item
        self.plans += 1

    def started(self, id: str) -> None:
        """It is being done. Raises ValueError unless it was waiting."""
        self._move(id, "waiting", "running")

    def passed(self, id: str, why: str | None = None) -> None:
        """Its result is there; `why` says what the result itself calls missing. Raises ValueError unless it ran."""
        self._move(id, "running", "passed", why)

    def failed(self, id: str, why: str, *, curable: bool = False, partial: bool = False) -> None:
        """It ended without a whole result. Raises ValueError unless it ran."""
        self._move(id, "running", "failed", why)
        self.items[id].curable, self.items[id].partial = curable, partial

    def refused(self, id: str, why: str) -> None:
        """It was to start, and no room was given to it. Raises ValueError unless it ran."""
        self._move(id, "running", "not_started", why)

    def drop(self, ids: Iterable[str], why: str) -> None:
        """These will not be started any more. Raises ValueError for one that is not waiting."""
        for id in ids:
            self._move(id, "waiting", "not_started", why)

    def settle(self) -> None:
        """Give up whatever waits for something required that has ended without a result: nobody will replace it."""
        while lost := [(item, need) for item in self._in("waiting") for need in self._needs(item) if self._lost(need)]:
            item, need = lost[0]
            self.drop([item.subtask.id], f"not started: it needs {need.subtask.id}, which has no result")

    # --- what is asked ------------------------------------------------------------------------------------------

    def ready(self, *, optional: bool = True) -> list[Subtask]:
        """What may start now, required ones first, in the order of the plan; optional ones only if wanted."""
        found = [
            item
            for item in self._in("waiting")
            if (optional or item.subtask.criticality == "required") and all(map(self._served, self._needs(item)))
        ]
        return [item.subtask for item in sorted(found, key=lambda item: item.subtask.criticality == "optional")]

    def waiting(self) -> list[Subtask]:
        """What has neither started nor been given up."""
        return [item.subtask for item in self._in("waiting")]

    def results(self, subtask: Subtask) -> tuple[list[str], list[Missing]]:
        """What a subtask is given: ids of the results that stand for what it depends on, and what of it is missing."""
        needs = self._needs(self.items[subtask.id])
        found = [(item, self._source(item.subtask.id)) for item in needs]
        there = [source for _, source in found if source is not None]
        return there, [_missing(item) for item, source in found if source is None]

    def finished(self) -> list[Subtask]:
        """Everything that has a whole result, in order."""
        return [item.subtask for item in self._in("passed")]

    def usable(self) -> list[Subtask]:
        """Everything that has a result, whole or in part, in order."""
        return [item.subtask for item in self.items.values() if item.state == "passed" or item.partial]

    def missing(self) -> list[Missing]:
        """Everything asked for that has no result and that nothing replaces, or whose result names gaps of its own."""
        found = []
        for id, item in self.items.items():
            gaps = item.state == "passed" and item.why
            if gaps or (item.state != "shared" and self._source(id) is None):
                found.append(_missing(item))
        return found

    def unmet(self) -> list[Item]:
        """Required subtasks that failed and that nothing replaces yet: what a later plan may do in another way."""
        return [
            item
            for id, item in self.items.items()
            if item.state == "failed" and item.subtask.criticality == "required" and self._verdict(id) == "failed"
        ]

    def tally(self) -> Tally:
        """The counts a policy decides by. A replacement counts for what it replaces, a duplicate not at all."""
        # Looked at once for each subtask that ends, so the common cases are answered here.
        counted = Counter(
            (
                "passed" if item.state == "passed" else "open" if item.state in _OPEN else self._verdict(id),
                item.subtask.criticality,
            )
            for id, item in self.items.items()
            if item.state not in {"shared", "left_out"} and item.subtask.replaces is None
        )
        required_passed, required_failed = counted["passed", "required"], counted["failed", "required"]
        return Tally(
            total=counted.total(),
            passed=required_passed + counted["passed", "optional"],
            failed=required_failed + counted["failed", "optional"],
            required=required_passed + required_failed + counted["open", "required"],
            required_passed=required_passed,
            required_failed=required_failed,
        )

    def cut(self) -> bool:
        """Whether anything required was left out of a plan from the start."""
        return any(item.subtask.criticality == "required" for item in self._in("left_out"))

    # --- how ------------------------------------------------------------------------------------------------------

    def _in(self, state: State) -> list[Item]:
        return [item for item in self.items.values() if item.state == state]

    def _needs(self, item: Item) -> list[Item]:
        return [self.items[need] for need in item.subtask.depends_on]

    def _served(self, item: Item) -> bool:
        """Whether what depends on this need not wait for it any longer."""
        verdict = self._verdict(item.subtask.id)
        return verdict == "passed" or (verdict == "failed" and item.subtask.criticality == "optional")

    def _lost(self, item: Item) -> bool:
        return item.subtask.criticality == "required" and self._verdict(item.subtask.id) == "failed"

    def _verdict(self, id: str) -> Literal["passed", "failed", "open"]:
        """How it ended, itself or by whatever replaces it."""
        item = self.items[id]
        if item.state in _OPEN:
            return "open"
        if item.state == "passed":
            return "passed"
        verdicts = [self._verdict(each) for each in self._replacements(id)]
        return "passed" if "passed" in verdicts else "open" if "open" in verdicts else "failed"

    def _source(self, id: str) -> str | None:
        """The id of the result that stands for this subtask; None while there is none."""
        if self.items[id].state == "passed":
            return id
        found = (self._source(each) for each in self._replacements(id))
        return next((source for source in found if source is not None), None)

    def _replacements(self, id: str) -> list[str]:
        return [each for each, item in self.items.items() if item.subtask.replaces == id]

    def _move(self, id: str, before: State, after: State, why: str | None = None) -> None:
        item = self.items[id]
        if item.state != before:
            raise ValueError(f"{id} is {item.state}, not {before}")
        item.state, item.why = after, why


def _missing(item: Item) -> Missing:
    return Missing(id=item.subtask.id, objective=item.subtask.objective, why=item.why or item.state.replace("_", " "))
