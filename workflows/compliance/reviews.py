"""From reviews to a compliance report: made by code from the domains that were asked for, exactly one row each.

The denominator is what was requested. A domain that nobody answered for is a row that says so; a pass with issues is
none. Pure; a narrative is checked here too, because it may not say what the table does not.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

from pydantic import BaseModel

from workflows.caps import Bound
from workflows.compliance.domains import Domain
from workflows.contracts import Reply
from workflows.policies import Policy, Tally
from workflows.subagents.reviewer import Issue, Review

RowStatus = Literal["pass", "fail", "inconclusive", "error", "timeout", "not_run"]
Overall = Literal["PASS", "FAIL", "INCOMPLETE"]


class Row(BaseModel):
    """One requested domain: what was found, or why nothing was."""

    domain: str
    required: bool
    status: RowStatus
    cause: str | None = None
    """Why there is no plain verdict: the failure in words, or what makes a pass inconclusive."""
    issues: list[Issue] = []
    confidence: float | None = None
    reviewer: str | None = None
    """Who wrote the verdict: an agent of the run, or somebody who put it into the state."""
    model: str | None = None
    attempts: int = 0
    started_at: datetime | None = None
    duration: timedelta | None = None
    cost_usd: float | None = None
    request_id: str | None = None
    run_id: str
    """The run that reviewed it: an earlier one for a row that a rerun took over."""


def row_of(domain: Domain, run_id: str, review: Review | None, writer: str | None, reply: Reply[Any] | None) -> Row:
    """The row of a domain: its review if there is one, else what became of its reviewer."""
    row = Row(domain=domain.name, required=domain.required, status="not_run", run_id=run_id)
    if reply is not None:
        row = row.model_copy(
            update={
                "reviewer": reply.agent,
                "model": reply.model,
                "attempts": reply.attempts,
                "started_at": reply.started_at,
                "duration": reply.duration,
                "cost_usd": reply.cost_usd,
                "request_id": reply.request_id,
            }
        )
    if review is not None:
        doubtful = review.status == "pass" and bool(review.issues)
        causes = ["passed with issues"] if doubtful else []
        changes: dict[str, Any] = {
            "status": "inconclusive" if doubtful else review.status,
            "issues": review.issues,
            "confidence": review.confidence,
            "reviewer": writer,
        }
        if reply is None or writer != reply.agent:
            causes.append(_by_another(writer, reply))
            changes |= {"model": None, "request_id": None}  # what was paid stays; the verdict is no model's
        return row.model_copy(update={**changes, "cause": "; ".join(causes) or None})
    if reply is None:
        return row.model_copy(update={"cause": "it had no verdict when this was written"})
    return row.model_copy(update={"status": _unreviewed(reply), "cause": f"{reply.error_kind}: {reply.error_message}"})


def _by_another(writer: str | None, reply: Reply[Any] | None) -> str:
    """What is said of a verdict that the domain's reviewer did not give."""
    if reply is None:
        return f"given by {writer}"
    if reply.error_kind is not None:
        return f"given by {writer}; {reply.agent}: {reply.error_kind}"
    said = f"said {reply.answer.status}" if isinstance(reply.answer, Review) else "answered"
    return f"given by {writer}; {reply.agent} {said} later, which is in the log"


def _unreviewed(reply: Reply[Any]) -> RowStatus:
    if reply.error_kind == "cancelled" or reply.attempts == 0:
        return "not_run"
    return "timeout" if reply.error_kind in ("timeout", "deadline") else "error"


def tally_of(rows: Sequence[Row], open_: Sequence[str] = ()) -> Tally:
    """What has passed and what has not; the domains in `open_` may still do either."""
    settled = [row for row in rows if row.domain not in open_]
    required = [row for row in settled if row.required]
    passed = [row for row in settled if row.status == "pass"]
    return Tally(
        total=len(rows),
        passed=len(passed),
        failed=len(settled) - len(passed),
        required=sum(row.required for row in rows),
        required_passed=sum(row.status == "pass" for row in required),
        required_failed=sum(row.status != "pass" for row in required),
    )


def overall(rows: Sequence[Row], policy: Policy) -> Overall:
    """FAIL if any domain failed, else PASS if the policy is met, else INCOMPLETE."""
    if any(row.status == "fail" for row in rows):
        return "FAIL"
    return "PASS" if policy.met(tally_of(rows)) else "INCOMPLETE"


def lost(rows: Sequence[Row], open_: Sequence[str], policy: Policy) -> bool:
    """Whether it cannot be a PASS any more, whatever the open domains say."""
    failed = any(row.status == "fail" and row.domain not in open_ for row in rows)
    return failed or policy.hopeless(tally_of(rows, open_))


def headline(rows: Sequence[Row], outcome: Overall) -> str:
    """`2 pass, 0 fail, 1 not checked → INCOMPLETE`: the counts add up to what was asked for."""
    count = {status: sum(row.status == status for row in rows) for status in ("pass", "fail", "inconclusive")}
    unchecked = len(rows) - sum(count.values())
    doubtful = f"{count['inconclusive']} inconclusive, " if count["inconclusive"] else ""
    return f"{count['pass']} pass, {count['fail']} fail, {doubtful}{unchecked} not checked → {outcome}"


_LARGER: Mapping[Bound, str] = {
    "usd": "--budget-usd TOTAL",
    "tokens": "--max-tokens TOTAL",
    "agents": "--max-agents TOTAL",
    "deadline": "--deadline TIME",
}
"""What gives a rerun more than the run that a bound stopped."""


def advice(rows: Sequence[Row], outcome: Overall, run_id: str, met: Collection[Bound] = ()) -> str | None:
    """What a person can do about a review that is no PASS, in one sentence. `met`: the bounds that stopped reviewers,
    which would stop them again."""
    if outcome == "PASS":
        return None
    named = {status: ", ".join(row.domain for row in rows if row.status == status) for status in get_args(RowStatus)}
    unchecked = [row.domain for row in rows if row.status in ("error", "timeout", "not_run")]
    command = ["starter.py", "rerun", run_id, "--only", ",".join(unchecked)]
    command += [option for bound, option in _LARGER.items() if bound in met]
    again = f"`{' '.join(command)}` reviews what is missing"
    found = [
        f"{named['fail']} failed: see the issues" if named["fail"] else None,
        f"{named['inconclusive']} inconclusive: a person decides" if named["inconclusive"] else None,
        f"{', '.join(unchecked)} not checked: {again}" if unchecked else None,
    ]
    return "; ".join(filter(None, found))
