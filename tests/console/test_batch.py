"""The lines of a batch: each an input, and a mistake names its line before anything is started."""

from __future__ import annotations

import click
import pytest

from console.commands.batch import Lines, _inputs
from console.errors import Stop
from workflows.pipelines import discover
from workflows.pipelines.compliance_review import Input

REVIEW = discover()["compliance-review"]


def inputs(lines: str) -> list[str]:
    found = _inputs(REVIEW, "transaction", lines, {})
    return [each.transaction for each in found if isinstance(each, Input)]


def test_a_line_is_an_object_a_string_or_text() -> None:
    """Empty lines are none, and a line separator inside a string does not end the line."""
    lines = '{"a": 1}\r\n\n"two\\nlines"\nplain text\n{"b": "x\u2028y"}\n123\n'
    assert inputs(lines) == ['{"a": 1}', "two\nlines", "plain text", '{"b": "x\u2028y"}', "123"]


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ('{"a": 1}\n{"a": \n', "line 2: .*not JSON"),
        ('{"a": 1}\n\n""\n', "line 3: TRANSACTION: is empty"),
        ("[" * 100_000 + "\n" + "{" * 10, "line 2: .*not JSON"),
        ("", "1 to 10,000 lines"),
        ("\n \n", "1 to 10,000 lines"),
    ],
)
def test_a_mistake_names_its_line(lines: str, problem: str) -> None:
    """Nothing is started for a file with a mistake in it."""
    with pytest.raises(Stop, match=problem):
        inputs(lines)


def test_a_forgotten_at_sign_is_not_paid_for() -> None:
    """The name of a file is not an input."""
    with pytest.raises(click.BadParameter, match=r"give @reviews\.jsonl"):
        Lines().convert("reviews.jsonl", None, None)
