"""Every dirty answer, in each role, once and for ever: a named error or a legitimate success, never a false one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest

from tests.pipelines.conftest import Bench
from workflows.contracts import Reply
from workflows.failures import FailureKind

ROLES = ("planner", "generator", "evaluator")

CLEAN = {"thinking_first", "fenced"}
"""Odd, but complete and valid: legitimate at the first try."""

REPAIRED: dict[str, FailureKind] = {
    "prose": "answer_unusable",
    "wrong_schema": "answer_unusable",
    "json_array": "answer_unusable",
    "apology": "answer_unusable",
    "empty": "answer_unusable",
    "empty_text": "answer_unusable",
    "thinking_only": "answer_unusable",
    "truncation": "truncated",
}
"""Asked for once more by the step; an error if that does not help."""

FINAL: dict[str, FailureKind] = {"refusal": "refused", "context_window": "truncated"}
"""Never asked again."""

RETRIED: dict[str, FailureKind] = {
    "hang": "timeout",
    "stall": "timeout",
    "reset": "transport",
    "eof": "transport",
    "malformed_chunk": "transport",
    "sse_error": "overloaded",
}
"""Retried by Temporal."""

STATUSES: dict[int, tuple[FailureKind, bool]] = {
    400: ("request", False),
    401: ("credentials", False),
    402: ("spend", False),
    403: ("credentials", False),
    404: ("request", False),
    408: ("timeout", True),
    409: ("conflict", True),
    413: ("request", False),
    422: ("request", False),
    500: ("overloaded", True),
    502: ("overloaded", True),
    503: ("overloaded", True),
    504: ("timeout", True),  # the API gives it the type timeout_error, and type goes before status
    529: ("overloaded", True),
}


class Met(NamedTuple):
    """What became of a role whose calls met a fault."""

    role: str
    status: str
    kind: FailureKind | None
    attempts: int
    passed: bool


async def replies(bench: Bench, fault: dict[str, Any], times: int | None, roles: Sequence[str] = ROLES) -> list[Met]:
    """For each role, a run in which that role's calls meet `fault`: its first reply and whether the run passed."""

    async def meet(role: str) -> Met:
        report = await bench.run([{"match": {"role": role}, "times": times, "fault": fault}])
        assert report.passed == (report.stop_reason == "satisfied")
        reply = next(reply for reply in report.agents if reply.role == role)
        assert_honest(reply)
        return Met(role, reply.status, reply.error_kind, reply.attempts, report.passed)

    return await asyncio.gather(*map(meet, roles))


def assert_honest(reply: Reply[Any]) -> None:
    """Success has an answer and no error; error has a kind, a message and no answer."""
    if reply.status == "success":
        assert reply.answer is not None
        assert reply.error_kind is None
        assert reply.stop_reason == "end_turn"
    else:
        assert reply.answer is None
        assert reply.error_kind
        assert reply.error_message


def everywhere(
    status: str, kind: FailureKind | None, attempts: int, passed: bool, roles: Sequence[str] = ROLES
) -> list[Met]:
    """The same fate for every role."""
    return [Met(role, status, kind, attempts, passed) for role in roles]


@pytest.mark.parametrize("kind", sorted(CLEAN))
async def test_odd_but_complete_answers_are_used(bench: Bench, kind: str) -> None:
    """A thinking block first, or one JSON value in a fence, is an answer."""
    assert await replies(bench, {"kind": kind}, None) == everywhere("success", None, 1, True)


@pytest.mark.parametrize("kind", sorted(REPAIRED))
async def test_unusable_answers_are_asked_for_once_more(bench: Bench, kind: str) -> None:
    """One bad answer, then a good one: a legitimate success that says it took two attempts."""
    assert await replies(bench, {"kind": kind}, 1) == everywhere("success", None, 2, True)


@pytest.mark.parametrize("kind", sorted(REPAIRED))
async def test_answers_that_stay_unusable_are_named_errors(bench: Bench, kind: str) -> None:
    """Two bad answers: an error of its kind, and the run does not pass."""
    assert await replies(bench, {"kind": kind}, None) == everywhere("error", REPAIRED[kind], 2, False)


async def test_an_unknown_enum_value_is_repaired_or_an_error(bench: Bench) -> None:
    """A verdict or level that does not exist is never read as one that does (a generator's answer has no enum)."""
    roles = ("planner", "evaluator")
    once = await replies(bench, {"kind": "wrong_enum"}, 1, roles)
    assert once == everywhere("success", None, 2, True, roles)
    always = await replies(bench, {"kind": "wrong_enum"}, None, roles)
    assert always == everywhere("error", "answer_unusable", 2, False, roles)


@pytest.mark.parametrize("kind", sorted(FINAL))
async def test_refusals_and_full_contexts_are_never_asked_again(bench: Bench, kind: str) -> None:
    """One request, one named error."""
    assert await replies(bench, {"kind": kind}, None) == everywhere("error", FINAL[kind], 1, False)


@pytest.mark.parametrize("kind", sorted(RETRIED))
async def test_broken_streams_are_retried(bench: Bench, kind: str) -> None:
    """A stream that hangs, breaks or errs once is retried by Temporal, and the second answer counts."""
    assert await replies(bench, {"kind": kind}, 1) == everywhere("success", None, 2, True)


@pytest.mark.usefixtures("two_attempts")
@pytest.mark.parametrize("kind", sorted(RETRIED))
async def test_streams_that_stay_broken_are_named_errors(bench: Bench, kind: str) -> None:
    """When the attempts are used up the kind is named."""
    assert await replies(bench, {"kind": kind}, None) == everywhere("error", RETRIED[kind], 2, False)


@pytest.mark.usefixtures("two_attempts")
@pytest.mark.parametrize("status", sorted(STATUSES))
async def test_error_statuses_are_named_and_retried_as_the_table_says(bench: Bench, status: int) -> None:
    """Each status has its kind; only those that may pass are tried again."""
    kind, retried = STATUSES[status]
    assert await replies(bench, {"kind": "status", "status": status}, None) == everywhere(
        "error", kind, 2 if retried else 1, False
    )


async def test_throttling_is_waited_out_and_never_an_answer(bench: Bench) -> None:
    """A 429 holds the call until it may go out, whatever role meets it; throttled for ever, the deadline ends the run.

    Not counted in attempts: a throttled fleet may be let through one by one.
    """
    fault = {"kind": "status", "status": 429, "retry_after": "0"}
    once = await replies(bench, fault, 1)
    assert [(met.status, met.passed) for met in once] == [("success", True)] * 3
    always: list[dict[str, Any]] = [{"match": {"role": "planner"}, "fault": fault}]
    report = await bench.run(always, deadline="PT3S")
    assert (report.stop_reason, report.passed, report.agents[0].answer) == ("deadline", False, None)
