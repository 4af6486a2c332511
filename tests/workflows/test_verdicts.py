"""From an evaluation to a verdict: code decides, an evaluator cannot, and what is not shown has not passed."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.revision.verdicts import PATIENCE, Judged, Round, assess, best, repeats, stalls
from workflows.subagents.evaluator import Assessment, Evaluation
from workflows.subagents.planner import Criterion

Level = Literal["must", "should"]
Finding = Literal["pass", "fail", "unverified"]


def criterion(id: str, level: Level = "must") -> Criterion:
    """A criterion of which only id and level matter."""
    return Criterion(id=id, statement=f"{id} holds.", how_to_verify="Read it.", level=level)


def assessment(id: str, verdict: Finding, evidence: str = "line 1", remedy: str = "") -> Assessment:
    """An assessment with evidence unless told otherwise."""
    return Assessment(id=id, evidence=evidence, verdict=verdict, place="line 1", remedy=remedy)


def evaluation(*assessments: Assessment) -> Evaluation:
    """What an evaluator answered."""
    return Evaluation(assessments=list(assessments))


def judged(id: str, verdict: Finding, level: Level = "must") -> Judged:
    """A row as `assess` makes it."""
    return Judged(id=id, statement=f"{id} holds.", level=level, verdict=verdict, evidence="", place="", remedy="")


def round_of(
    revision: int = 0, *, musts: str = "", shoulds: str = "", unjudged: bool = False, text: str | None = None
) -> Round:
    """A round in which the musts A, B, C and the shoulds X, Y pass, but for those named."""
    rows = [judged(id, "fail" if id in musts else "pass") for id in "ABC"]
    rows += [judged(id, "fail" if id in shoulds else "pass", "should") for id in "XY"]
    return Round(
        revision=revision,
        deliverable=f"version {revision}" if text is None else text,
        judged=[] if unjudged else rows,
    )


# --- assess ------------------------------------------------------------------------------------------------------


def test_an_assessment_becomes_the_row_of_its_criterion() -> None:
    """Verdict, evidence, place and remedy are the evaluator's; statement and level are the criterion's."""
    said = Assessment(id="C1", evidence="it says maybe", verdict="fail", place="line 3", remedy="say yes")
    assert assess([criterion("C1", "should")], evaluation(said)) == [
        Judged(
            id="C1",
            statement="C1 holds.",
            level="should",
            verdict="fail",
            evidence="it says maybe",
            place="line 3",
            remedy="say yes",
        )
    ]


def test_a_missing_assessment_is_unverified_and_says_so() -> None:
    """A criterion that the evaluator skipped has a row and has not passed."""
    rows = assess([criterion("C1"), criterion("C2")], evaluation(assessment("C1", "pass")))
    assert [(row.id, row.verdict) for row in rows] == [("C1", "pass"), ("C2", "unverified")]
    assert "did not assess" in rows[1].remedy


@pytest.mark.parametrize(
    ("said", "counts"),
    [
        (["pass", "fail"], "fail"),
        (["fail", "pass"], "fail"),
        (["pass", "unverified"], "unverified"),
        (["unverified", "fail", "pass"], "fail"),
        (["pass", "pass"], "pass"),
    ],
)
def test_of_several_assessments_the_worst_counts(said: list[Finding], counts: Finding) -> None:
    """An evaluator that contradicts itself is believed where it finds fault, in whatever order."""
    rows = assess([criterion("C1")], evaluation(*[assessment("C1", each) for each in said]))
    assert [row.verdict for row in rows] == [counts]


def test_assessments_of_criteria_nobody_asked_for_are_dropped() -> None:
    """Neither a pass nor a fail of an invented criterion leaves a row."""
    rows = assess([criterion("C1")], evaluation(assessment("C9", "fail"), assessment("C1", "pass")))
    assert [(row.id, row.verdict) for row in rows] == [("C1", "pass")]


@pytest.mark.parametrize("id", ["c1", " C1", "C1 ", "C1: C1 holds.", "C-1"])
def test_an_id_that_is_nearly_right_is_not_a_criterions(id: str) -> None:
    """Ids are matched as they are, so a sloppy one leaves its criterion unverified rather than passed."""
    assert assess([criterion("C1")], evaluation(assessment(id, "pass")))[0].verdict == "unverified"


@pytest.mark.parametrize("evidence", ["", " ", "\n\t"])
def test_a_pass_without_evidence_is_unverified(evidence: str) -> None:
    """A verdict that quotes nothing shows nothing."""
    row = assess([criterion("C1")], evaluation(assessment("C1", "pass", evidence)))[0]
    assert (row.verdict, row.remedy) == ("unverified", "passed without evidence")


@pytest.mark.parametrize("verdict", ["fail", "unverified"])
def test_a_fault_needs_no_evidence(verdict: Finding) -> None:
    """A missing quotation never turns a fault into anything better, and keeps its remedy."""
    row = assess([criterion("C1")], evaluation(assessment("C1", verdict, "", "mend it")))[0]
    assert (row.verdict, row.remedy) == (verdict, "mend it")


def test_a_pass_with_evidence_does_not_outvote_a_pass_without() -> None:
    """The worst of several is taken after evidence was asked for."""
    rows = assess([criterion("C1")], evaluation(assessment("C1", "pass"), assessment("C1", "pass", "")))
    assert rows[0].verdict == "unverified"


# --- the verdict of a round --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("musts", "shoulds", "verdict"),
    [
        ("", "", "PASSED"),
        ("", "XY", "PASSED"),
        ("A", "", "FAILED"),
        ("A", "XY", "FAILED"),
        ("ABC", "", "FAILED"),
    ],
)
def test_a_round_passes_if_all_musts_pass_whatever_the_shoulds(musts: str, shoulds: str, verdict: str) -> None:
    """A `should` never stops a run and never saves one."""
    assert round_of(musts=musts, shoulds=shoulds).verdict == verdict


def test_an_unverified_must_has_not_passed() -> None:
    """Not shown to pass is not passed."""
    round = Round(revision=0, deliverable="x", judged=[judged("A", "pass"), judged("B", "unverified")])
    assert round.verdict == "FAILED"
    assert round.unmet("must") == {"B"}


def test_a_round_that_nobody_judged_is_unverified() -> None:
    """No evaluation is neither a pass nor a failure."""
    assert round_of(unjudged=True).verdict == "UNVERIFIED"


def test_unmet_criteria_are_told_apart_by_level() -> None:
    """Musts and shoulds are counted each on their own."""
    round = round_of(musts="AC", shoulds="Y")
    assert round.unmet("must") == {"A", "C"}
    assert round.unmet("should") == {"Y"}


# --- the round to keep -------------------------------------------------------------------------------------------


def test_no_rounds_have_no_best() -> None:
    """Before the first version there is nothing to keep."""
    assert best([]) is None


@pytest.mark.parametrize(
    ("rounds", "revision"),
    [
        ([round_of(0, musts="AB"), round_of(1, musts="A"), round_of(2, musts="ABC")], 1),
        ([round_of(0, musts="A"), round_of(1, musts="B", shoulds="X")], 0),
        ([round_of(0, musts="A", shoulds="XY"), round_of(1, musts="B", shoulds="X")], 1),
        ([round_of(0, musts="A"), round_of(1, shoulds="XY")], 1),
        ([round_of(0, musts="A"), round_of(1, musts="B"), round_of(2, musts="C")], 0),
        ([round_of(0, musts="ABC", shoulds="XY"), round_of(1, unjudged=True)], 0),
        ([round_of(0, unjudged=True)], 0),
        ([round_of(0, unjudged=True), round_of(1, unjudged=True)], 0),
        ([round_of(0, unjudged=True), round_of(1, musts="ABC", shoulds="XY")], 1),
    ],
    ids=[
        "fewest musts",
        "then shoulds, worse",
        "then shoulds, better",
        "musts before shoulds",
        "the earliest at a tie",
        "unjudged last",
        "unjudged if there is nothing else",
        "the earliest of the unjudged",
        "the worst judged before an unjudged",
    ],
)
def test_the_best_round_is_the_one_shown_to_be_best(rounds: list[Round], revision: int) -> None:
    """Fewest unmet musts, then shoulds, then the earliest; what nobody judged comes last."""
    kept = best(rounds)
    assert kept is not None
    assert kept.revision == revision


def test_the_best_round_does_not_depend_on_the_order_they_are_given_in() -> None:
    """The earliest is told by its revision and not by its place in the list."""
    rounds = [round_of(0, musts="A"), round_of(1, musts="B")]
    assert best(rounds) == best(rounds[::-1]) == rounds[0]


# --- when revising goes nowhere ----------------------------------------------------------------------------------


def test_a_new_deliverable_repeats_nothing() -> None:
    """Other words are another version, and so is the first."""
    assert repeats([], "one") is None
    assert repeats([round_of(0, text="one")], "two") is None


@pytest.mark.parametrize("again", ["one two", "one two \n", "\none two"])
def test_handing_in_the_last_version_again_is_no_progress(again: str) -> None:
    """Blanks at the ends of lines and of the text aside, the same words are the same version."""
    assert repeats([round_of(0, text="zero"), round_of(1, text="one two")], again) == "no_progress"


def test_handing_in_an_earlier_version_again_is_oscillation() -> None:
    """A version before the last that comes back says that the generator goes round in circles."""
    assert repeats([round_of(0, text="one"), round_of(1, text="two")], "one") == "oscillation"


def test_a_version_that_only_mends_the_indentation_is_a_new_one() -> None:
    """In Python, YAML and Makefiles whitespace is content: this revision makes the program run."""
    broken, mended = "def f():\nreturn 1\n", "def f():\n    return 1\n"
    assert repeats([round_of(0, text=broken)], mended) is None


@pytest.mark.parametrize(
    ("unmet", "stall"),
    [
        ([], None),
        (["A"], None),
        (["A", "A"], None),
        (["A", "A", "A"], "no_progress"),
        (["AB", "A", "A", "A"], "no_progress"),
        (["A", "A", "B"], None),
        (["A", "B", "A"], "oscillation"),
        (["AB", "A", "AB"], "oscillation"),
        (["C", "A", "B", "A"], "oscillation"),
        (["A", "B", "C"], None),
        (["ABC", "AB", "A"], None),
        (["A", "B", "C", "A"], None),
    ],
)
def test_a_run_stalls_if_the_same_musts_stay_unmet_or_come_back(unmet: list[str], stall: str | None) -> None:
    """Two revisions that change nothing, or one that undoes the one before, and the next would do no better."""
    assert stalls([round_of(revision, musts=musts) for revision, musts in enumerate(unmet)]) == stall


def test_patience_is_two_revisions() -> None:
    """The number is a decision; the table above is written for it."""
    assert PATIENCE == 2


def test_shoulds_neither_make_nor_hide_a_stall() -> None:
    """Only musts keep a run going, so only they can stall it."""
    assert stalls([round_of(r, musts="A", shoulds=s) for r, s in enumerate(["X", "Y", "XY"])]) == "no_progress"
    assert stalls([round_of(r, musts=m, shoulds="X") for r, m in enumerate(["A", "B", "C"])]) is None


def test_rounds_that_nobody_judged_do_not_count_as_stalling() -> None:
    """Nothing is known about them, so they are passed over."""
    rounds = [round_of(0, musts="A"), round_of(1, unjudged=True), round_of(2, musts="A")]
    assert stalls(rounds) is None
    assert stalls([*rounds, round_of(3, musts="A")]) == "no_progress"


# --- for any evaluation ------------------------------------------------------------------------------------------

IDS = ["C1", "C2", "C3", "C4"]
UNKNOWN = ["C9", "", "c1", "all", "must"]

LEVELS: list[Level] = ["must", "should"]

criteria_lists = st.lists(
    st.builds(criterion, st.sampled_from(IDS), st.sampled_from(LEVELS)), min_size=1, unique_by=lambda each: each.id
)


def assessments_of(ids: list[str]) -> st.SearchStrategy[Assessment]:
    """Any assessment of one of these ids, with and without evidence."""
    return st.builds(
        Assessment,
        id=st.sampled_from(ids),
        evidence=st.sampled_from(["", "  ", "a quotation"]),
        verdict=st.sampled_from(["pass", "fail", "unverified"]),
        place=st.just("somewhere"),
        remedy=st.just("something"),
    )


any_assessments = st.lists(assessments_of(IDS + UNKNOWN), min_size=1)


@given(criteria_lists, any_assessments)
def test_there_is_always_one_row_per_criterion(criteria: list[Criterion], said: list[Assessment]) -> None:
    """Whatever the evaluator says, the denominator is what was asked for, in its order."""
    rows = assess(criteria, evaluation(*said))
    assert [(row.id, row.level, row.statement) for row in rows] == [(c.id, c.level, c.statement) for c in criteria]


@given(criteria_lists, any_assessments, st.lists(assessments_of(UNKNOWN)))
def test_assessing_unknown_criteria_changes_nothing(
    criteria: list[Criterion], said: list[Assessment], more: list[Assessment]
) -> None:
    """No number of invented assessments makes work pass, or fail."""
    assert assess(criteria, evaluation(*more, *said)) == assess(criteria, evaluation(*said))
    assert assess(criteria, evaluation(*said, *more)) == assess(criteria, evaluation(*said))


@given(criteria_lists, any_assessments, any_assessments)
def test_saying_more_never_makes_a_verdict_better(
    criteria: list[Criterion], said: list[Assessment], more: list[Assessment]
) -> None:
    """Once a criterion was assessed, further assessments of it can only find further fault."""
    order = ["fail", "unverified", "pass"]
    assessed = {each.id for each in said}
    before = assess(criteria, evaluation(*said))
    after = assess(criteria, evaluation(*said, *more))
    for one, other in zip(before, after, strict=True):
        if one.id in assessed:
            assert order.index(other.verdict) <= order.index(one.verdict)


@given(criteria_lists, any_assessments)
def test_a_round_passes_only_if_every_must_was_shown_to_pass(criteria: list[Criterion], said: list[Assessment]) -> None:
    """Each must has an assessment, and all it has are passes with evidence; nothing else is PASSED."""
    round = Round(revision=0, deliverable="x", judged=assess(criteria, evaluation(*said)))
    shown = all(
        (own := [each for each in said if each.id == must.id])
        and all(each.verdict == "pass" and each.evidence.strip() for each in own)
        for must in criteria
        if must.level == "must"
    )
    assert (round.verdict == "PASSED") == shown


@given(st.lists(st.tuples(st.sampled_from(["", "A", "AB", "ABC"]), st.sampled_from(["", "X"]), st.booleans())))
def test_nothing_beats_the_best_round(rounds: list[tuple[str, str, bool]]) -> None:
    """No other round is judged and has fewer unmet musts, or as many and fewer shoulds, or is as good and earlier."""
    made = [round_of(n, musts=m, shoulds=s, unjudged=u) for n, (m, s, u) in enumerate(rounds)]
    kept = best(made)
    assert (kept is None) == (not made)
    if kept is not None:
        others = [each for each in made if each.judged] or made
        assert kept in others
        scores = {each.revision: (len(each.unmet("must")), len(each.unmet("should"))) for each in others}
        assert scores[kept.revision] == min(scores.values())
        assert kept.revision == min(n for n, score in scores.items() if score == scores[kept.revision])
