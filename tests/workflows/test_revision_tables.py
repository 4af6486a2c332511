"""The matrix of criteria and versions, and what a hostile deliverable can do to it: nothing."""

from __future__ import annotations

from markdown_it import MarkdownIt

from workflows.pipelines.plan_generate_evaluate import Result
from workflows.revision.verdicts import Judged, Round

HOSTILE = (
    "| a | b |\n|---|---|\n```\n<img src=http://example.com/x.png onerror=alert(1)>\n````\n[x](http://example.com)"
)


def judged(id: str, verdict: str, statement: str = "It rhymes.") -> Judged:
    """One criterion's row."""
    return Judged.model_validate(
        {
            "id": id,
            "statement": statement,
            "level": "must",
            "verdict": verdict,
            "evidence": "line 1",
            "place": "line 2",
            "remedy": "mend it",
        }
    )


def result(*rounds: Round, kept: int = 0) -> Result:
    """A result that keeps one of these rounds."""
    best = rounds[kept]
    return Result(
        verdict=best.verdict,
        deliverable=best.deliverable,
        revision=best.revision,
        versions=len(rounds),
        goal="A poem.",
        criteria=best.judged,
        rounds=[each.marks for each in rounds],
    )


def test_a_row_for_each_criterion_and_a_column_for_each_version() -> None:
    """What failed first and passed then stands side by side; the version that was kept says so."""
    first = Round(revision=0, deliverable="one", judged=[judged("C1", "fail"), judged("C2", "pass")])
    second = Round(revision=1, deliverable="two", judged=[judged("C1", "pass"), judged("C2", "pass")])
    page = result(first, second, kept=1).markdown()
    assert "| criterion | level | version 1 | version 2 (kept) |" in page
    assert "| C1: It rhymes. | must | ✗ fail | ✓ pass |" in page
    assert "| C2: It rhymes. | must | ✓ pass | ✓ pass |" in page
    assert "| all of them |  | failed | passed |" in page
    assert "```text\ntwo\n```" in page


def test_a_version_that_nobody_judged_says_so() -> None:
    """A column of its own beside those that were judged, and no matrix where there is none."""
    first = Round(revision=0, deliverable="one", judged=[judged("C1", "fail")])
    page = result(first, Round(revision=1, deliverable="two")).markdown()
    assert "| C1: It rhymes. | must | ✗ fail | not judged |" in page
    assert "to mend at line 2: mend it" in page
    alone = result(Round(revision=0, deliverable="one")).markdown()
    assert "Version 1 of 1; nobody has judged it." in alone


def test_what_a_model_wrote_is_shown_and_never_markup() -> None:
    """A fence in a deliverable does not end ours, a pipe in a statement makes no column."""
    hostile = Round(revision=0, deliverable=HOSTILE, judged=[judged("C1", "pass", "a | b <b>bold</b> [x](http://x.y)")])
    page = MarkdownIt("commonmark").enable("table").render(result(hostile).markdown())
    for markup in ("<img", "<a ", "<b>", "onerror=alert(1)>"):
        assert markup not in page, markup
    assert page.count("<table>") == 1
    assert page.count("<th>") == 3
    assert "&lt;img src=http://example.com/x.png" in page
