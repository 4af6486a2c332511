"""From reviews to a report: one row for each domain asked for, counted by code, printed without surprises."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from workflows.compliance.domains import BUILT_IN, Domain
from workflows.compliance.narratives import contradictions
from workflows.compliance.reviews import Row, RowStatus, advice, headline, lost, overall, row_of
from workflows.compliance.tables import as_markdown, as_text
from workflows.contracts import Reply
from workflows.pipelines.compliance_review import Input
from workflows.policies import Policy
from workflows.subagents.narrator import Claim, Narrative
from workflows.subagents.reviewer import Issue, Review

AML = BUILT_IN["AML"]
SPLIT = Issue(code="SPLIT", severity="high", evidence="9,500", where="amount")


def reply(**said: Any) -> Reply[Any]:
    common = {"agent": "reviewer-aml-1", "role": "reviewer-aml", "status": "error", "model": "m", "attempts": 1}
    times = {"started_at": datetime(2026, 11, 24, tzinfo=UTC), "duration": timedelta(seconds=1)}
    return Reply(**{**common, **times, **said})


def rows(**statuses: RowStatus) -> list[Row]:
    """Rows with these statuses; a name in lower case is an optional domain."""
    return [
        Row(domain=name.upper(), required=name.isupper(), status=status, run_id="r")
        for name, status in statuses.items()
    ]


@pytest.mark.parametrize(
    ("kind", "attempts", "status"),
    [
        ("overloaded", 8, "error"),
        ("answer_unusable", 2, "error"),
        ("refused", 1, "error"),
        ("timeout", 8, "timeout"),
        ("deadline", 1, "timeout"),
        ("deadline", 0, "not_run"),
        ("budget_exceeded", 0, "not_run"),
        ("circuit_open", 0, "not_run"),
        ("circuit_open", 3, "error"),
        ("cancelled", 1, "not_run"),
    ],
)
def test_a_reviewer_without_a_verdict_is_a_row_with_its_cause(kind: str, attempts: int, status: str) -> None:
    """Tried and failed, out of time, or never asked: three things that a report must not mix up."""
    row = row_of(AML, "r", None, None, reply(error_kind=kind, error_message="why", attempts=attempts))
    assert (row.status, row.cause) == (status, f"{kind}: why")


def test_a_pass_with_issues_is_none() -> None:
    """It is inconclusive and keeps its issues; a failure without issues stays one."""
    doubtful = Review(issues=[SPLIT], status="pass", confidence=1)
    row = row_of(AML, "r", doubtful, "reviewer-aml-1", reply(status="success"))
    assert (row.status, row.cause, row.issues, row.model) == ("inconclusive", "passed with issues", [SPLIT], "m")
    bare = row_of(AML, "r", Review(issues=[], status="fail", confidence=1), "reviewer-aml-1", reply(status="success"))
    assert (bare.status, bare.cause) == ("fail", None)


def test_a_verdict_of_somebody_else_is_named_and_is_no_models() -> None:
    """Also where the reviewer failed or has not answered; what it cost stays."""
    said = Review(issues=[], status="pass", confidence=1)
    failed = row_of(AML, "r", said, "Alice", reply(error_kind="overloaded", error_message="529", cost_usd=0.5))
    assert (failed.status, failed.reviewer, failed.model, failed.cost_usd) == ("pass", "Alice", None, 0.5)
    assert failed.cause == "given by Alice; reviewer-aml-1: overloaded"
    assert row_of(AML, "r", said, "Alice", None).cause == "given by Alice"


@pytest.mark.parametrize(
    ("require", "found", "expected"),
    [
        ("all", {"A": "pass", "B": "pass"}, "2 pass, 0 fail, 0 not checked → PASS"),
        ("all", {"A": "pass", "B": "pass", "C": "error"}, "2 pass, 0 fail, 1 not checked → INCOMPLETE"),
        ("all", {"A": "pass", "B": "pass", "c": "error"}, "2 pass, 0 fail, 1 not checked → PASS"),
        ("all", {"A": "pass", "b": "fail"}, "1 pass, 1 fail, 0 not checked → FAIL"),
        ("all", {"a": "error"}, "0 pass, 0 fail, 1 not checked → INCOMPLETE"),
        ("all", {"A": "inconclusive", "B": "timeout"}, "0 pass, 0 fail, 1 inconclusive, 1 not checked → INCOMPLETE"),
        ("quorum:2", {"A": "pass", "B": "pass", "C": "not_run"}, "2 pass, 0 fail, 1 not checked → PASS"),
        ("quorum:2", {"A": "pass", "B": "pass", "C": "fail"}, "2 pass, 1 fail, 0 not checked → FAIL"),
        ("best-effort", {"A": "pass", "B": "error", "C": "error"}, "1 pass, 0 fail, 2 not checked → PASS"),
    ],
)
def test_the_headline_adds_up_to_what_was_asked_for(require: str, found: dict[str, RowStatus], expected: str) -> None:
    """A failure fails it whatever the policy; what was not checked is counted even where it does not matter."""
    made = rows(**found)
    assert headline(made, overall(made, Policy.parse(require))) == expected


def test_early_stop_knows_when_it_cannot_be_a_pass_any_more() -> None:
    """A failure at once; an error only where the policy cannot do without it; open rows are no evidence."""
    assert lost(rows(A="fail", B="not_run"), ["B"], Policy.parse("best-effort"))
    assert lost(rows(A="error", B="not_run"), ["B"], Policy.parse("all"))
    assert not lost(rows(a="error", B="not_run"), ["B"], Policy.parse("all"))
    assert not lost(rows(A="error", B="not_run", C="not_run"), ["B", "C"], Policy.parse("quorum:2"))
    assert lost(rows(A="error", B="error", C="not_run"), ["C"], Policy.parse("quorum:2"))


def test_the_advice_is_a_command() -> None:
    """What is missing can be pasted."""
    said = advice(rows(A="pass", B="error", C="timeout"), "INCOMPLETE", "run-1") or ""
    assert "`starter.py rerun run-1 --only B,C`" in said
    assert advice(rows(A="pass"), "PASS", "run-1") is None
    said = advice(rows(A="pass", B="timeout"), "INCOMPLETE", "run-1", {"deadline", "usd"}) or ""
    assert "`starter.py rerun run-1 --only B --budget-usd TOTAL --deadline TIME`" in said


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("AML passed.", "says 'passed' of AML"),
        ("AML did not fail.", "says 'not fail' of AML"),
        ("KYC and AML passed.", "says 'passed'"),
        ("KYC passed while AML failed.", "says"),
        ("Everything is fine.", "counts: 'everything'"),
        ("Both were looked at.", "counts: 'both'"),
        ("The review passed.", "of the whole"),
        ("Nothing stands in the way; approved.", "says 'approved' of the whole"),
        ("AML failed for 95 payments.", "figure '95'"),
        ("AML failed for ½ of it.", "figure '½'"),
        ("FATF is silent.", "mentions FATF and claims nothing"),
        ("FATF was checked.", "mentions FATF and claims nothing"),
    ],
)
def test_a_narrative_that_says_more_than_the_table_is_found_out(words: str, problem: str) -> None:
    """Statuses in prose, counts in words, figures nobody quoted, domains nobody claimed for."""
    table = rows(AML="fail", KYC="pass", FATF="error")
    table[0] = table[0].model_copy(update={"issues": [SPLIT]})
    claims = [Claim(domain="AML", status="fail"), Claim(domain="kyc", status="PASS")]
    found = contradictions(Narrative(narrative=words, claims=claims), table, "FAIL")
    assert any(problem in each for each in found), found


def test_a_narrative_that_keeps_to_the_table_is_let_through() -> None:
    """Negations, quoted figures and the outcome may be said."""
    table = rows(AML="fail", KYC="pass", FATF="error")
    table[0] = table[0].model_copy(update={"issues": [SPLIT]})
    words = "The review failed. AML did not pass: SPLIT, for 9,500. KYC is clear. FATF was not checked."
    claims = [Claim(domain=row.domain, status=row.status) for row in table]
    assert contradictions(Narrative(narrative=words, claims=claims), table, "FAIL") == []
    wrong = [Claim(domain="PEP", status="pass"), Claim(domain="AML", status="pass")]
    found = contradictions(Narrative(narrative="So it is.", claims=wrong), table, "FAIL")
    assert [each[:14] for each in found] == ["it speaks of '", "it says AML is"]


def test_what_a_model_quotes_cannot_move_a_terminal_or_draw_in_a_page() -> None:
    """Escapes are gone, a line stays a line, and Markdown shows the words instead of obeying them."""
    evil = Issue(
        code="X|Y", severity="low", evidence="\x1b[2Jgone\n| AML | pass |\n![p](http://a.b/c) <img>\\|", where="a\nb"
    )
    made = [Row(domain="AML", required=True, status="fail", issues=[evil], reviewer="\x1b[31mMallory", run_id="r")]
    text = as_text("t", made, ["\x9b2Jremark\nFAKE"])
    page = as_markdown("t", made, ["\x1b[2J# remark"])
    assert all(each.isprintable() or each == "\n" for each in text + page)
    assert len([line for line in text.splitlines() if "AML" in line]) == 2
    assert "FAKE" in next(line for line in text.splitlines() if "remark" in line and "confidence" not in line)
    (shown,) = [line for line in page.splitlines() if "gone" in line]
    assert "\\| AML \\| pass \\| \\!\\[p\\](" in shown
    assert "\\<img\\>\\\\\\|" in shown
    assert "\\# remark" in page


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"domains": ""}, "no domain to review for"),
        ({"domains": "AML,aml"}, "AML is named twice"),
        ({"domains": "AML,SANCTIONS"}, "no domain 'SANCTIONS'; there are AML, KYC, FATF"),
        ({"domains": [{"name": "a b", "instructions": "x"}]}, "name"),
        ({"domains": [{"name": "PEP"}]}, "instructions"),
        ({"add_domains": [{"name": "kyc", "instructions": "x"}]}, "KYC is named twice"),
        ({"require": "quorum:4"}, "can never be met by 3 domains"),
        ({"require": "most"}, "is none of"),
        ({"domains": [{"name": f"D{number}", "instructions": "x"} for number in range(21)]}, "at most 20"),
        ({"only": []}, "name at least one domain"),
        ({"only": ["PEP"]}, "no domain 'PEP' in this review"),
    ],
)
def test_what_cannot_be_reviewed_is_refused_before_it_is_started(given: dict[str, Any], problem: str) -> None:
    """Duplicates, unknown names, none at all, more than are taken, and policies nobody can meet."""
    with pytest.raises(ValueError, match=problem):
        Input(transaction="x", **given)


def test_domains_are_data() -> None:
    """By name in any case, as a record, or both; a record may be optional and name a model."""
    pep = {"name": "PEP", "instructions": "Look for office.", "required": False, "model": "claude-haiku-5-5"}
    asked = Input(transaction="x", domains="fatf,AML", add_domains=pep)
    assert asked.all_domains == [BUILT_IN["FATF"], AML, Domain(**pep)]
