"""Whether a plan can be carried out, decided by code before anything is dispatched. Pure.

Faults are of two kinds. A plan that makes no sense (ids that clash, dependencies that are unknown or go round in a
circle, a form of answer nobody knows) gets one repair, with every reason named; then it is refused as a whole. A plan
that is only too large, or too dear in places, gets the same repair; if it comes back as it was it is cut to what is
allowed, and what was cut is named in the report. Doing the same work twice is never an error of form: siblings share
one result, and what an ancestor is doing already is refused alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from workflows.contracts import Usage
from workflows.division.plans import COUNTS, SHAPES, Criticality, Plan, Subtask, normal
from workflows.ledger import BYTES_PER_TOKEN
from workflows.models import Tier, cost_nano, usd

Fault = Literal["empty", "id", "dependency", "cycle", "shape", "replaces", "ancestor", "count", "cost"]

CURABLE: frozenset[Fault] = frozenset({"count", "cost"})
"""What code can mend by itself if the decomposer does not."""

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
"""An id becomes part of a state key and of a child's workflow id."""

PROMPT_BYTES = 6_000
"""What a call carries beside its subtask's own words: instructions, fences, the schema of the answer."""
TOKEN_BYTES = 4
"""An answer's tokens as bytes, when it becomes the input of another call."""


@dataclass(frozen=True)
class Problem:
    """One reason why a plan is not good as it is."""

    fault: Fault
    words: str


@dataclass(frozen=True)
class Surroundings:
    """What a plan must fit into: earlier plans of the run, the work above it, and the caps."""

    known: Mapping[str, Subtask] = field(default_factory=dict)
    """Subtasks of earlier plans, by id: their ids are taken."""
    finished: frozenset[str] = frozenset()
    """Those of them whose results are there."""
    unfinished: frozenset[str] = frozenset()
    """Those that failed: what a later plan may replace."""
    ancestors: frozenset[str] = frozenset()
    """Normalised objectives of everything that is being done above this plan."""
    most_subtasks: int = COUNTS["complex"]
    left_nano: int | None = None
    """Nanodollars that may still be spent; None if there is no cap."""
    model_of: Callable[[Tier], str] | None = None
    """The model a tier means in this run; needed to say what a subtask may cost."""


@dataclass(frozen=True)
class Checked:
    """A plan as it would be carried out, and every reason against it."""

    problems: tuple[Problem, ...]
    subtasks: tuple[Subtask, ...]
    """What is to be run: without duplicates, dependencies on a duplicate turned to what it is a duplicate of."""
    shared: dict[str, str]
    """A duplicate's id and the id of the subtask, of this plan or an earlier one, whose result it shares."""
    left_out: dict[str, str]
    """Ids of subtasks that will not be run, and why."""

    @property
    def sound(self) -> bool:
        """Whether it can be carried out as far as it goes."""
        return all(problem.fault in CURABLE for problem in self.problems)


def check(plan: Plan, around: Surroundings) -> Checked:
    """Every reason against `plan`, and what would be run if there is none that matters."""
    problems = [*_ids(plan, around), *_forms(plan, around)]
    shared = _duplicates(plan, around)
    subtasks = [_redirected(each, shared) for each in plan.subtasks if each.id not in shared]
    required = {shared.get(each.id, each.id) for each in plan.subtasks if each.criticality == "required"}
    subtasks = [each.model_copy(update={"criticality": _criticality(each.id in required)}) for each in subtasks]
    problems += _dependencies(subtasks, around.finished)
    repeated = {
        each.id: "refused: it repeats work that is being done above it"
        for each in subtasks
        if normal(each.objective) in around.ancestors
    }
    if not plan.subtasks:
        problems.append(Problem("empty", "the plan has no subtasks"))
    elif len(repeated) == len(subtasks) and subtasks:
        problems.append(Problem("ancestor", "every subtask repeats the work that the plan was asked to divide"))
    kept = [each for each in subtasks if each.id not in repeated]
    most = around.most_subtasks
    if plan.complexity != "complex":
        most = min(COUNTS[plan.complexity], most)
    if len(kept) > most:
        words = f"a {plan.complexity} task has at most {most} subtasks here, the plan has {len(kept)}"
        problems.append(Problem("count", words))
    problems += _costs(kept, around)
    left_out = dict(repeated)
    if all(problem.fault in CURABLE for problem in problems):
        chosen = clamped(kept, most)
        why = f"not started: a {plan.complexity} task has at most {most} subtasks here"
        started = {each.id for each in chosen}
        left_out |= {each.id: why for each in kept if each.id not in started}
        kept = chosen
    return Checked(tuple(problems), tuple(kept), shared, left_out)


def clamped(subtasks: Sequence[Subtask], most: int) -> list[Subtask]:
    """At most `most` of them, in their order: required ones first, and none without what it depends on."""
    by_id = {each.id: each for each in subtasks}
    chosen: set[str] = set()
    for each in sorted(subtasks, key=lambda each: each.criticality == "optional"):
        wanted = _with_needs(each.id, by_id) - chosen
        if len(chosen) + len(wanted) <= most:
            chosen |= wanted
    return [each for each in subtasks if each.id in chosen]


def worst_nano(subtask: Subtask, model: str, needs: Collection[Subtask] = ()) -> int | None:
    """What one attempt of it may cost at most, in nanodollars; None if the model's price is not known."""
    given = len(subtask.model_dump_json().encode()) + PROMPT_BYTES
    given += sum(each.effort.tokens * TOKEN_BYTES for each in needs)
    return cost_nano(model, Usage(cache_write_tokens=given // BYTES_PER_TOKEN + 1, output_tokens=subtask.effort.tokens))


# --- one kind of fault each ------------------------------------------------------------------------------------


def _ids(plan: Plan, around: Surroundings) -> list[Problem]:
    found, seen = [], set[str]()
    for each in plan.subtasks:
        if not ID.fullmatch(each.id):
            words = f"{each.id[:40]!r} cannot be an id: use up to 32 letters, digits, - and _, beginning with the first"
            found.append(Problem("id", words))
        elif each.id in seen:
            found.append(Problem("id", f"two subtasks have the id {each.id}"))
        elif each.id in around.known:
            found.append(Problem("id", f"{each.id} is the id of a subtask of an earlier plan; choose a new one"))
        seen.add(each.id)
    return found


def _forms(plan: Plan, around: Surroundings) -> list[Problem]:
    found = []
    for each in plan.subtasks:
        if each.output not in SHAPES:
            known = ", ".join(SHAPES)
            found.append(Problem("shape", f"{each.id} asks for {each.output[:40]!r}; the known forms are {known}"))
        if each.replaces is not None and each.replaces not in around.unfinished:
            words = f"{each.id} replaces {each.replaces[:40]!r}, which is no subtask that failed"
            found.append(Problem("replaces", words))
    return found


def _duplicates(plan: Plan, around: Surroundings) -> dict[str, str]:
    """Each duplicate's id with the id of the first subtask that does the same work."""
    first = {each.same_work: id for id, each in around.known.items() if id in around.finished}
    shared = {}
    for each in plan.subtasks:
        original = first.setdefault(each.same_work, each.id)
        if original != each.id:
            shared[each.id] = original
    return shared


def _redirected(subtask: Subtask, shared: Mapping[str, str]) -> Subtask:
    """The subtask, waiting for the originals of what it depends on."""
    needs = list(dict.fromkeys(shared.get(each, each) for each in subtask.depends_on))
    return subtask.model_copy(update={"depends_on": needs})


def _criticality(required: bool) -> Criticality:
    """Of a subtask: it is required if it or any duplicate of it is."""
    return "required" if required else "optional"


def _dependencies(subtasks: Sequence[Subtask], finished: frozenset[str]) -> list[Problem]:
    ids = {each.id for each in subtasks}
    found = [
        Problem("dependency", f"{each.id} depends on {need[:40]!r}, which is no subtask of this plan")
        for each in subtasks
        for need in each.depends_on
        if need not in ids and need not in finished
    ]
    waits: dict[str, set[str]] = {id: set() for id in ids}
    for each in subtasks:
        waits[each.id].update(ids.intersection(each.depends_on))
    needed: dict[str, set[str]] = {id: set() for id in waits}
    for id, needs in waits.items():
        for need in needs:
            needed[need].add(id)
    circle = _peeled(_peeled(set(waits), waits), needed)
    if circle:
        members = ", ".join(each.id for each in subtasks if each.id in circle)
        found.append(Problem("cycle", f"these wait for one another in a circle: {members}"))
    return found


def _peeled(ids: set[str], waits: Mapping[str, set[str]]) -> set[str]:
    """What remains when everything that waits for nothing is taken away, again and again."""
    left = set(ids)
    while free := {id for id in left if not waits[id] & left}:
        left -= free
    return left


def _costs(subtasks: Sequence[Subtask], around: Surroundings) -> list[Problem]:
    """Subtasks that could never be started, because one of them alone may cost more than is left."""
    if around.left_nano is None or around.model_of is None:
        return []
    by_id = {**around.known, **{each.id: each for each in subtasks}}
    found = []
    for each in subtasks:
        needs = [by_id[need] for need in each.depends_on if need in by_id]
        worst = worst_nano(each, around.model_of(each.effort.tier), needs)
        if worst is not None and worst > around.left_nano:
            words = f"{each.id} may cost ${usd(worst):.4f} but ${usd(max(around.left_nano, 0)):.4f} is left"
            found.append(Problem("cost", f"{words}; choose a smaller tier or fewer tokens"))
    return found


def _with_needs(id: str, by_id: Mapping[str, Subtask]) -> set[str]:
    """The id and, as far as they are in this plan, the ids of everything it waits for."""
    found, open_ = set[str](), [id]
    while open_:
        each = open_.pop()
        if each not in found and each in by_id:
            found.add(each)
            open_ += by_id[each].depends_on
    return found
