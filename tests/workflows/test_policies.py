"""The policy of partial failure: what is enough, and when it can no longer be reached."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from workflows.policies import Policy, Require, Tally

POLICIES = [Policy("all"), Policy("quorum", 2), Policy("quorum", 9), Policy("best-effort")]


@st.composite
def tallies(draw: st.DrawFn) -> Tally:
    """Any state of any fan-out: each task required or not, passed, failed or open."""
    tasks = draw(
        st.lists(st.tuples(st.booleans(), st.sampled_from(["passed", "failed", "open"])), min_size=1, max_size=12)
    )
    return tally(tasks)


def tally(tasks: list[tuple[bool, str]]) -> Tally:
    """Counted from single tasks."""
    required = [state for needed, state in tasks if needed]
    states = [state for _, state in tasks]
    return Tally(
        total=len(states),
        passed=states.count("passed"),
        failed=states.count("failed"),
        required=len(required),
        required_passed=required.count("passed"),
        required_failed=required.count("failed"),
    )


@pytest.mark.parametrize("words", ["all", "best-effort", "quorum:1", "quorum:12"])
def test_a_policy_is_read_and_written_in_the_same_words(words: str) -> None:
    """What the user typed is what the report shows."""
    assert str(Policy.parse(words)) == words
    assert TypeAdapter(Require).validate_python(f" {words} ") == words


@pytest.mark.parametrize("words", ["", "some", "quorum", "quorum:0", "quorum:-1", "quorum:x", "ALL", "quorum:2 of 3"])
def test_other_words_are_refused_with_those_that_are_known(words: str) -> None:
    """One line that says what can be written instead."""
    with pytest.raises(ValidationError, match="best-effort"):
        TypeAdapter(Require).validate_python(words)


def test_all_means_all_required_ones() -> None:
    """An optional failure does not matter, a required one ends it at once."""
    policy = Policy("all")
    assert policy.met(tally([(True, "passed"), (False, "failed")]))
    assert not policy.met(tally([(True, "passed"), (True, "open")]))
    assert policy.hopeless(tally([(True, "failed"), (True, "open"), (True, "open")]))
    assert not policy.hopeless(tally([(False, "failed"), (True, "open")]))


def test_nothing_but_optional_failures_is_not_enough() -> None:
    """A plan without a required task still has to produce something."""
    assert not Policy("all").met(tally([(False, "failed")]))
    assert Policy("all").hopeless(tally([(False, "failed"), (False, "failed")]))


def test_a_quorum_counts_whichever_pass() -> None:
    """Two of three is two of three, also when all three are called required."""
    policy = Policy("quorum", 2)
    assert policy.met(tally([(True, "passed"), (True, "failed"), (True, "passed")]))
    assert policy.hopeless(tally([(True, "failed"), (True, "failed"), (True, "open")]))
    assert not policy.hopeless(tally([(True, "failed"), (True, "open"), (True, "open")]))


def test_a_quorum_above_what_was_asked_for_is_hopeless_from_the_start() -> None:
    """Nothing needs to be paid to know it."""
    assert Policy("quorum", 4).hopeless(tally([(True, "open")] * 3))


@given(tallies())
def test_what_is_met_is_never_hopeless(state: Tally) -> None:
    """The two verdicts exclude each other."""
    for policy in POLICIES:
        assert not (policy.met(state) and policy.hopeless(state))


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(["passed", "failed"])), min_size=1, max_size=12))
def test_when_nothing_is_open_it_is_one_or_the_other(tasks: list[tuple[bool, str]]) -> None:
    """There is no undecided end."""
    for policy in POLICIES:
        assert policy.met(tally(tasks)) != policy.hopeless(tally(tasks))


@given(
    st.lists(
        st.tuples(st.booleans(), st.sampled_from(["passed", "failed", "open"]), st.booleans()), min_size=1, max_size=9
    )
)
def test_a_verdict_once_given_stands(tasks: list[tuple[bool, str, bool]]) -> None:
    """However the open ones end, what was met stays met and what was hopeless stays hopeless."""
    before = tally([(required, state) for required, state, _ in tasks])
    ended = tally(
        [
            (required, ("passed" if lucky else "failed") if state == "open" else state)
            for required, state, lucky in tasks
        ]
    )
    for policy in POLICIES:
        assert policy.met(ended) or not policy.met(before)
        assert policy.hopeless(ended) or not policy.hopeless(before)
