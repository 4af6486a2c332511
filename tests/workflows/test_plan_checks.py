"""A plan is checked before anything is dispatched: every fault by name, and what code mends by itself."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.division.plan_checks import Checked, Surroundings, check, clamped, worst_nano
from workflows.division.plans import COUNTS, LEAST_TOKENS, MOST_TOKENS, Complexity, Effort, Plan, Subtask, normal
from workflows.models import TIERS


def subtask(id: str, *depends_on: str, **fields: Any) -> Subtask:
    """A subtask with an objective of its own."""
    return Subtask(id=id, depends_on=list(depends_on), **{"objective": f"Find out {id}.", **fields})


def plan(*subtasks: Subtask, complexity: Complexity = "complex") -> Plan:
    """A plan of these."""
    return Plan(complexity=complexity, subtasks=list(subtasks))


def faults(checked: Checked) -> list[str]:
    """The names of all faults found."""
    return [problem.fault for problem in checked.problems]


def words(checked: Checked) -> str:
    """All reasons, as the decomposer is told them."""
    return "; ".join(problem.words for problem in checked.problems)


AROUND = Surroundings()


def test_a_sound_plan_is_run_as_it_is() -> None:
    """Nothing is changed and nothing is said."""
    given = plan(subtask("a"), subtask("b"), subtask("c", "a", "b"))
    checked = check(given, AROUND)
    assert (checked.problems, checked.sound, list(checked.subtasks)) == ((), True, given.subtasks)


def test_an_empty_plan_is_no_plan() -> None:
    """There is nothing to carry out."""
    checked = check(plan(), AROUND)
    assert faults(checked) == ["empty"]
    assert not checked.sound


@pytest.mark.parametrize("id", ["", "a b", "../x", "-a", "a" * 33, "ä", "a\n"])
def test_an_id_that_cannot_be_part_of_a_key_is_refused(id: str) -> None:
    """An id becomes part of a state key and of a workflow id."""
    assert faults(check(plan(subtask("x").model_copy(update={"id": id})), AROUND)) == ["id"]


def test_ids_must_differ_also_from_those_of_earlier_plans() -> None:
    """Results are kept by id: a second one would be another's."""
    around = Surroundings(known={"old": subtask("old")})
    checked = check(plan(subtask("a"), subtask("a", objective="Else."), subtask("old", objective="New.")), around)
    assert faults(checked) == ["id", "id"]
    assert "two subtasks have the id a" in words(checked)
    assert "old is the id of a subtask of an earlier plan" in words(checked)


def test_a_dangling_dependency_is_named() -> None:
    """Who depends on what, in the words of the plan."""
    checked = check(plan(subtask("a", "nowhere")), AROUND)
    assert faults(checked) == ["dependency"]
    assert "a depends on 'nowhere'" in words(checked)
    assert not checked.sound


def test_a_finished_subtask_of_an_earlier_plan_may_be_built_on_but_not_a_failed_one() -> None:
    """Only a result that is there can be handed on."""
    around = Surroundings(known={"done": subtask("done"), "lost": subtask("lost")}, finished=frozenset({"done"}))
    assert check(plan(subtask("a", "done")), around).sound
    assert faults(check(plan(subtask("a", "lost")), around)) == ["dependency"]


def test_a_circle_is_named_with_its_members_alone() -> None:
    """What hangs on a circle, before or behind it, is not part of it."""
    checked = check(
        plan(subtask("first"), subtask("a", "c", "first"), subtask("b", "a"), subtask("c", "b"), subtask("last", "c")),
        AROUND,
    )
    assert faults(checked) == ["cycle"]
    assert words(checked).endswith("in a circle: a, b, c")


def test_a_subtask_that_waits_for_itself_is_a_circle() -> None:
    """The smallest one."""
    assert faults(check(plan(subtask("a", "a")), AROUND)) == ["cycle"]


def test_an_unknown_form_of_answer_is_refused_with_the_known_ones() -> None:
    """The decomposer is told what it may ask for."""
    checked = check(plan(subtask("a", output="poem")), AROUND)
    assert faults(checked) == ["shape"]
    assert "text, findings, table, decision" in words(checked)


def test_every_reason_is_named_at_once() -> None:
    """There is one repair, so it must not find out the second fault afterwards."""
    checked = check(plan(subtask("a", "a"), subtask("a", "zz", output="poem")), AROUND)
    assert set(faults(checked)) == {"id", "dependency", "cycle", "shape"}


def test_siblings_that_do_the_same_work_share_one_result() -> None:
    """Same role, words and inputs: run once, required if any of them is, and whoever waits for one has the other."""
    one = subtask("one", objective="Find the PRICE of tea.", inputs=["tea", "EUR"], criticality="optional")
    same = subtask("same", objective="  find the price, of tea", inputs=["eur", "tea"])
    checked = check(plan(one, same, subtask("sum", "same", "one")), AROUND)
    assert checked.sound
    assert checked.shared == {"same": "one"}
    assert [(each.id, each.depends_on) for each in checked.subtasks] == [("one", []), ("sum", ["one"])]
    assert checked.subtasks[0].criticality == "required"


@pytest.mark.parametrize(
    "other", [{"role": "sceptic"}, {"inputs": ["coffee"]}, {"objective": "Find the price of coffee."}]
)
def test_another_role_other_inputs_or_words_are_other_work(other: dict[str, Any]) -> None:
    """Two points of view on the same question are wanted."""
    same = {"objective": "Find the price of tea.", "inputs": ["tea"], "role": "buyer"}
    assert check(plan(subtask("a", **same), subtask("b", **{**same, **other})), AROUND).shared == {}


def test_a_later_plan_cannot_redo_what_is_finished() -> None:
    """The result that is there is shared; what failed may be tried again under a new id."""
    old = subtask("old", objective="Find the price of tea.")
    around = Surroundings(known={"old": old}, finished=frozenset({"old"}))
    again = subtask("again", objective="Find the price of tea.")
    assert check(plan(again, subtask("b", "again")), around).shared == {"again": "old"}
    assert check(plan(again), Surroundings(known={"old": old}, unfinished=frozenset({"old"}))).shared == {}


def test_what_an_ancestor_is_doing_is_refused_alone() -> None:
    """The rest of the plan is carried out, and the report names what was refused."""
    around = Surroundings(ancestors=frozenset({normal("Compare the two markets")}))
    checked = check(plan(subtask("a"), subtask("again", objective="Compare the two markets!")), around)
    assert checked.sound
    assert [each.id for each in checked.subtasks] == ["a"]
    assert "being done above it" in checked.left_out["again"]


def test_a_plan_of_nothing_but_its_ancestors_work_is_refused() -> None:
    """It would divide the same task for ever."""
    around = Surroundings(ancestors=frozenset({normal("Compare the two markets")}))
    checked = check(plan(subtask("again", objective="Compare the two markets!")), around)
    assert faults(checked) == ["ancestor"]
    assert not checked.sound


def test_a_replacement_replaces_something_that_failed() -> None:
    """Nothing else can be replaced."""
    around = Surroundings(known={"lost": subtask("lost")}, unfinished=frozenset({"lost"}))
    assert check(plan(subtask("b", replaces="lost")), around).sound
    assert faults(check(plan(subtask("b", replaces="other")), around)) == ["replaces"]


@pytest.mark.parametrize(("complexity", "most"), COUNTS.items())
def test_a_plan_that_is_too_large_is_cut_to_what_its_complexity_allows(complexity: Complexity, most: int) -> None:
    """The fault is named for the repair; a plan that insists runs as far as it may, and says what was cut."""
    checked = check(plan(*(subtask(f"s{n}") for n in range(50)), complexity=complexity), AROUND)
    assert faults(checked) == ["count"]
    assert checked.sound
    assert len(checked.subtasks) == most
    assert len(checked.left_out) == 50 - most


def test_the_callers_cap_counts_for_every_complexity() -> None:
    """It may allow more for a complex task, and less for any."""
    many = [subtask(f"s{n}") for n in range(50)]
    assert len(check(plan(*many), Surroundings(most_subtasks=30)).subtasks) == 30
    assert len(check(plan(*many, complexity="comparison"), Surroundings(most_subtasks=30)).subtasks) == 4
    assert len(check(plan(*many, complexity="comparison"), Surroundings(most_subtasks=2)).subtasks) == 2


@given(
    st.lists(st.tuples(st.sampled_from(["required", "optional"]), st.sets(st.integers(0, 11))), max_size=12),
    st.integers(1, 12),
)
def test_a_cut_plan_has_everything_it_depends_on(rows: list[tuple[str, set[int]]], most: int) -> None:
    """At most that many, nothing without its dependencies, and full unless what is left does not fit whole."""
    subtasks = [
        subtask(f"s{n}", *(f"s{need}" for need in needs if need < n), criticality=criticality)
        for n, (criticality, needs) in enumerate(rows)
    ]
    chosen = clamped(subtasks, most)
    ids = {each.id for each in chosen}
    assert len(chosen) <= most
    assert all(need in ids for each in chosen for need in each.depends_on)
    assert all(each.depends_on for each in subtasks if each.id not in ids and len(chosen) < most)


def test_a_subtask_that_can_never_be_paid_is_a_fault_the_decomposer_can_mend() -> None:
    """What one call may cost at most is known before it is made; a smaller tier or cap helps."""
    around = Surroundings(left_nano=50_000_000, model_of=TIERS.__getitem__)
    dear = subtask("a", effort=Effort(tier="large", max_tokens=16_000))
    checked = check(plan(dear, subtask("b", effort=Effort(tier="small", max_tokens=4_000))), around)
    assert faults(checked) == ["cost"]
    assert "a may cost $0.3" in words(checked)
    assert checked.sound


def test_the_worst_case_counts_what_its_dependencies_may_say() -> None:
    """Their answers become its input."""
    one, two = subtask("one"), subtask("two", "one")
    alone, fed = worst_nano(two, TIERS["medium"]), worst_nano(two, TIERS["medium"], [one])
    assert alone is not None
    assert fed is not None
    assert fed > alone
    assert worst_nano(two, "a-model-of-unknown-price") is None


@pytest.mark.parametrize(("asked", "used"), [(1, LEAST_TOKENS), (5_000, 5_000), (10**9, MOST_TOKENS)])
def test_effort_is_kept_within_reason(asked: int, used: int) -> None:
    """A cap that cuts the answer off would pay twice; one without end is none."""
    assert Effort(max_tokens=asked).tokens == used
