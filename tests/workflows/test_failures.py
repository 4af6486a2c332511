"""The failure table of the design (FAILURES.md), spelled out: who retries, and what counts against the circuit."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from activities.vault import errors
from console.options import parameters
from workflows import failures
from workflows.failures import FAILURES, UNREADABLE, FailureKind
from workflows.pipelines import discover

RETRIED_AND_COUNTED = {"overloaded", "transport", "timeout", "conflict"}
RETRIED_NOT_COUNTED = {"throttled", "unreadable"}
NEVER_RETRIED = {
    "spend",
    "credentials",
    "request",
    "circuit_open",
    "answer_unusable",
    "refused",
    "truncated",
    "budget_exceeded",
    "deadline",
    "our_bug",
    "cancelled",
}


def test_every_kind_has_exactly_one_meaning() -> None:
    """The Literal and the table hold the same names, each once."""
    kinds = get_args(FailureKind)
    assert len(set(kinds)) == len(kinds)
    assert set(FAILURES) == set(kinds)


def test_every_kind_has_a_row_in_this_test() -> None:
    """A new kind must be decided here too, so that nobody adds one without saying what it means."""
    assert set(get_args(FailureKind)) == RETRIED_AND_COUNTED | RETRIED_NOT_COUNTED | NEVER_RETRIED


@pytest.mark.parametrize("kind", get_args(FailureKind))
def test_the_table_says_what_the_design_says(kind: FailureKind) -> None:
    """Retryable and counting are as FAILURES.md has them."""
    meaning = FAILURES[kind]
    assert meaning.retryable == (kind in RETRIED_AND_COUNTED | RETRIED_NOT_COUNTED)
    assert meaning.counts == (kind in RETRIED_AND_COUNTED)


def test_the_modules_own_page_agrees_with_its_data() -> None:
    """The table in the docstring of `workflows.failures` cannot drift from the dictionary below it."""
    lines = [re.split(r"\s{2,}", line) for line in (failures.__doc__ or "").splitlines() if re.search(r"\s{2,}", line)]
    written = {kind: (retries != "never", counts.startswith("yes")) for kind, _, retries, counts in lines[1:]}
    assert written == {kind: (meaning.retryable, meaning.counts) for kind, meaning in FAILURES.items()}


def test_nothing_counts_against_the_circuit_that_is_not_worth_retrying() -> None:
    """A failure that would repeat for ever says nothing about the service's health."""
    assert all(meaning.retryable for meaning in FAILURES.values() if meaning.counts)


def test_the_vaults_errors_are_known_by_name() -> None:
    """Whatever makes a value unreadable is told apart from a defect of ours, and nothing else is."""
    vault = {each.__name__ for each in errors.VaultError.__subclasses__() if each.__module__ == errors.__name__}
    assert vault - {"SettingInvalid", "NotShared"} == UNREADABLE  # neither is about a value that is there


@pytest.mark.parametrize("kind", get_args(FailureKind))
def test_every_advice_is_one_line_that_fits_into_a_sentence(kind: FailureKind) -> None:
    """Advice is appended to a message, so it is one line, starts small and has no full stop."""
    advice = FAILURES[kind].advice
    assert advice == advice.strip()
    assert "\n" not in advice
    assert advice[0].islower()
    assert not advice.endswith(".")


def test_every_option_that_an_advice_names_exists() -> None:
    """Nobody is told to use an option that `starter.py run` would not know."""
    known = {
        flag
        for pipeline in discover().values()
        for parameter in parameters(pipeline.input)
        for flag in (*parameter.opts, *parameter.secondary_opts)
    }
    named = {flag for meaning in FAILURES.values() for flag in re.findall(r"--[a-z-]+", meaning.advice)}
    assert named <= known
