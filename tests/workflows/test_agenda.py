"""The agenda: what may start, what can no longer, and that nothing is silently missing at the end."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.division.agenda import Agenda
from workflows.division.plan_checks import Surroundings, check
from workflows.division.plans import Plan, Subtask
from workflows.policies import Policy


def subtask(id: str, *depends_on: str, **fields: Any) -> Subtask:
    """A subtask with an objective of its own."""
    return Subtask(id=id, depends_on=list(depends_on), **{"objective": f"Find out {id}.", **fields})


def agenda(*subtasks: Subtask, most: int = 50) -> Agenda:
    """An agenda that has taken this plan on."""
    found = Agenda()
    add(found, *subtasks, most=most)
    return found


def add(to: Agenda, *subtasks: Subtask, most: int = 50) -> None:
    """One more plan for this agenda."""
    plan = Plan(complexity="complex", subtasks=list(subtasks))
    around = Surroundings(
        known={id: item.subtask for id, item in to.items.items()},
        finished=frozenset(each.id for each in to.finished()),
        unfinished=frozenset(item.subtask.id for item in to.unmet()),
        most_subtasks=most,
    )
    checked = check(plan, around)
    assert checked.sound, checked.problems
    to.take(plan, checked)


def ready(of: Agenda, **which: bool) -> list[str]:
    """Ids of what may start."""
    return [each.id for each in of.ready(**which)]


def runs(of: Agenda, *ids: str) -> None:
    """These are done, with a result each."""
    for id in ids:
        of.started(id)
        of.passed(id)


def loses(of: Agenda, id: str, why: str = "it failed", *, curable: bool = False) -> None:
    """This one fails."""
    of.started(id)
    of.failed(id, why, curable=curable)


def test_a_subtask_starts_when_everything_it_depends_on_is_done() -> None:
    """Not with its wave, but at once."""
    todo = agenda(subtask("a"), subtask("b"), subtask("c", "a"), subtask("d", "a", "b"))
    assert ready(todo) == ["a", "b"]
    runs(todo, "a")
    assert ready(todo) == ["b", "c"]
    todo.started("b")
    assert ready(todo) == ["c"]
    todo.passed("b")
    assert ready(todo) == ["c", "d"]


def test_required_subtasks_go_first_and_optional_ones_only_if_wanted() -> None:
    """When money is short the optional ones wait."""
    todo = agenda(subtask("a", criticality="optional"), subtask("b"))
    assert ready(todo) == ["b", "a"]
    assert ready(todo, optional=False) == ["b"]


def test_what_needs_a_failed_one_is_given_up_with_the_reason() -> None:
    """The whole chain, each naming what it needed."""
    todo = agenda(subtask("a"), subtask("b", "a"), subtask("c", "b"), subtask("d"))
    loses(todo, "a", "the model declined")
    assert ready(todo) == ["d"]
    todo.settle()
    assert [(each.id, each.why) for each in todo.missing()] == [
        ("a", "the model declined"),
        ("b", "not started: it needs a, which has no result"),
        ("c", "not started: it needs b, which has no result"),
        ("d", "waiting"),
    ]


def test_what_needs_an_optional_one_goes_on_without_it_and_is_told() -> None:
    """Optional means that the rest can do without."""
    todo = agenda(subtask("a", criticality="optional"), subtask("b"), subtask("c", "a", "b"))
    loses(todo, "a", "no answer")
    runs(todo, "b")
    assert ready(todo) == ["c"]
    there, missing = todo.results(todo.items["c"].subtask)
    assert there == ["b"]
    assert [(each.id, each.why) for each in missing] == [("a", "no answer")]


def test_a_later_plan_replaces_what_failed_and_its_dependents_go_on() -> None:
    """Nobody has to plan the dependents again; what is replaced is no longer missing."""
    todo = agenda(subtask("a"), subtask("b", "a"))
    loses(todo, "a", curable=True)
    assert [item.subtask.id for item in todo.unmet()] == ["a"]
    add(todo, subtask("a2", objective="Another way.", replaces="a"))
    assert todo.unmet() == []
    assert ready(todo) == ["a2"]
    runs(todo, "a2")
    assert todo.results(todo.items["b"].subtask) == (["a2"], [])
    runs(todo, "b")
    assert todo.missing() == []
    assert Policy("all").met(todo.tally())
    assert todo.tally().total == 2


def test_a_replacement_that_fails_too_leaves_both_named() -> None:
    """The task is still unmet, and the policy knows it once."""
    todo = agenda(subtask("a"))
    loses(todo, "a", "declined", curable=True)
    add(todo, subtask("a2", objective="Another way.", replaces="a"))
    loses(todo, "a2", "declined again")
    assert [each.id for each in todo.missing()] == ["a", "a2"]
    assert todo.tally().required_failed == 1
    assert Policy("all").hopeless(todo.tally())


def test_a_finished_subtask_cannot_be_redone_by_a_later_plan() -> None:
    """The same work under a new id is shared: it never becomes ready."""
    todo = agenda(subtask("a", objective="Find the price."), subtask("b"))
    runs(todo, "a")
    loses(todo, "b", curable=True)
    add(todo, subtask("again", objective="Find the price."), subtask("b2", "again", objective="Else.", replaces="b"))
    assert ready(todo) == ["b2"]
    assert todo.results(todo.items["b2"].subtask) == (["a"], [])


def test_duplicates_count_once() -> None:
    """Two of three are the same work: the policy counts two."""
    todo = agenda(subtask("a", objective="Same."), subtask("b", objective="same"), subtask("c"))
    assert ready(todo) == ["a", "c"]
    runs(todo, "a", "c")
    assert todo.tally().total == 2
    assert todo.missing() == []
    assert Policy("all").met(todo.tally())


def test_what_was_left_out_of_a_plan_is_missing_from_the_start() -> None:
    """A run that did three of five required things has not done all, and must be able to say so."""
    todo = agenda(*(subtask(f"s{n}") for n in range(5)), most=3)
    assert not Policy("all").hopeless(todo.tally())
    runs(todo, "s0", "s1", "s2")
    assert [each.id for each in todo.missing()] == ["s3", "s4"]
    assert Policy("all").met(todo.tally())
    assert todo.cut()


def test_gaps_that_a_result_names_itself_are_missing_although_it_passed() -> None:
    """A specialist may say what it could not find."""
    todo = agenda(subtask("a"))
    todo.started("a")
    todo.passed("a", "no figures for 2025")
    assert [(each.id, each.why) for each in todo.missing()] == [("a", "no figures for 2025")]
    assert Policy("all").met(todo.tally())


def test_a_subtask_that_no_room_was_given_to_was_not_started() -> None:
    """Nothing was paid for it, and the report says why."""
    todo = agenda(subtask("a"))
    todo.started("a")
    todo.refused("a", "all 3 agents have been started")
    assert todo.items["a"].state == "not_started"
    assert [each.why for each in todo.missing()] == ["all 3 agents have been started"]
    assert todo.unmet() == []


def test_part_of_a_result_can_be_used_but_does_not_pass() -> None:
    """It is put together with the rest, and named as incomplete."""
    todo = agenda(subtask("a"), subtask("b"))
    todo.started("a")
    todo.failed("a", "two of five pieces are missing", partial=True)
    runs(todo, "b")
    assert [each.id for each in todo.usable()] == ["a", "b"]
    assert [each.id for each in todo.finished()] == ["b"]
    assert [each.id for each in todo.missing()] == ["a"]
    assert not Policy("all").met(todo.tally())


@pytest.mark.parametrize("move", ["started", "passed"])
def test_a_move_that_makes_no_sense_raises_and_changes_nothing(move: str) -> None:
    """Nothing ends twice and nothing is done twice."""
    todo = agenda(subtask("a"))
    runs(todo, "a")
    with pytest.raises(ValueError, match="a is passed"):
        getattr(todo, move)("a")
    assert todo.items["a"].state == "passed"


def test_an_agenda_survives_being_written_down() -> None:
    """It goes along when a run continues as new."""
    todo = agenda(subtask("a"), subtask("b", "a"))
    loses(todo, "a", curable=True)
    assert Agenda.model_validate_json(todo.model_dump_json()) == todo


@given(
    st.lists(
        st.tuples(st.sampled_from(["required", "optional"]), st.sets(st.integers(0, 9)), st.booleans()),
        min_size=1,
        max_size=10,
    ),
    st.integers(1, 4),
    st.randoms(use_true_random=False),
)
def test_every_subtask_ends_somewhere_and_none_before_its_time(
    rows: list[tuple[str, set[int], bool]], parallel: int, chance: Any
) -> None:
    """Whatever fails, in whatever order: it all ends, everything has a result or is named missing with a reason."""
    todo = agenda(
        *(
            subtask(f"s{n}", *(f"s{need}" for need in needs if need < n), criticality=criticality)
            for n, (criticality, needs, _) in enumerate(rows)
        )
    )
    lucky = {f"s{n}": luck for n, (_, _, luck) in enumerate(rows)}
    running: list[str] = []
    while True:
        for each in todo.ready()[: parallel - len(running)]:
            assert all(todo.items[need].state not in {"waiting", "running"} for need in each.depends_on)
            assert all(
                todo.items[need].state == "passed" or todo.items[need].subtask.criticality == "optional"
                for need in each.depends_on
            )
            todo.started(each.id)
            running.append(each.id)
        if not running:
            todo.settle()
            if not todo.ready():
                break
            continue
        ended = running.pop(chance.randrange(len(running)))
        if lucky[ended]:
            todo.passed(ended)
        else:
            todo.failed(ended, "unlucky")
    finished, missing = {each.id for each in todo.finished()}, {each.id for each in todo.missing()}
    assert finished | missing == set(lucky)
    assert not finished & missing
    assert all(lucky[id] for id in finished)
    tally = todo.tally()
    assert (tally.total, tally.pending) == (len(rows), 0)
