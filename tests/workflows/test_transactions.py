"""What may be submitted for review, and that what may not is said in one line before anything is paid."""

from __future__ import annotations

import json

import pytest

from workflows.compliance.transactions import MOST_BYTES, fits, read


@pytest.mark.parametrize(
    ("text", "format", "problem"),
    [
        ('{"a": 1', "auto", "is not JSON"),
        ("[1", "json", "is not JSON"),
        ("[1]", "json", "no object with members"),
        ("{}", "auto", "no object with members"),
        ('{"amount": 1, "amount": 9500}', "auto", "says 'amount' twice"),
        ('{"amount": NaN}', "auto", "NaN is no number"),
        ('{"amount": 1e999}', "auto", "more digits"),
        ('{"amount": 1e-99999999999999999999}', "auto", "number 1e-99999999999999999999 has more digits"),
        ('{"amount": 0e99999999999999999999}', "auto", "more digits"),
        ('{"amount": ' + "9" * 5_000 + "}", "auto", "999… has more digits than .* write it as a string"),
        ('{"amount": 12345678901234567.89}', "auto", "write it as a string"),
        ('{"name": "\\ud800"}', "auto", "U+D800"),
        ('{"name": "\\u001b[31m"}', "auto", "U+001B behind an escape"),
        ('{"\\u0000": 1}', "auto", "U+0000"),
        ("red \x1b[31m", "text", "U+001B"),
        ("half \udcff", "auto", "U+DCFF"),
        ('{"a":' * 300 + "1" + "}" * 300, "auto", "nested too deeply"),
        ('{"a":' * 100_000, "text", "bytes"),
    ],
)
def test_what_two_readers_could_read_differently_is_refused(text: str, format: str, problem: str) -> None:
    """One line that says what is wrong; nothing is guessed and nothing repaired."""
    with pytest.raises(ValueError, match=problem.replace("+", r"\+")) as refused:
        read(text, format)  # type: ignore[arg-type]
    assert "\n" not in str(refused.value)


def test_json_and_text_arrive_as_they_were_written() -> None:
    """Digits, order and line breaks included; what only looks like JSON can be submitted as text."""
    assert json.dumps(read('{"b": 10.10, "a": [1, null, "x\\ny"]}', "auto")) == '{"b": 10.1, "a": [1, null, "x\\ny"]}'
    assert read("{see the attachment}", "text") == "{see the attachment}"
    assert read("line\n\tanother", "auto") == "line\n\tanother"


def test_what_would_not_fit_into_the_calls_is_refused_by_its_size_there() -> None:
    """Escapes and indentation count, and many reviewers share one message to the server."""
    fits("x" * 100_000, 20)
    with pytest.raises(ValueError, match="each reviewer can be given 400,000"):
        fits('"' * (MOST_BYTES // 2), 1)
    with pytest.raises(ValueError, match="each reviewer can be given 125,000"):
        fits("x" * 200_000, 20)
