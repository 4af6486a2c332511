"""One run of a pipeline: who was called, what it cost, where it stands, and how it ended. Kept in workflow state.

A pipeline makes one `Run` and hands its story to `conduct`, which turns every way a story can end into a report.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from temporalio import workflow
from temporalio.common import SearchAttributeUpdate
from temporalio.exceptions import ApplicationError, is_cancelled_exception

from workflows.caps import Caps
from workflows.contracts import (
    CIRCUIT_ATTRIBUTE,
    COST_ATTRIBUTE,
    PIPELINE_ATTRIBUTE,
    STATUS_ATTRIBUTE,
    Reply,
    RunReport,
    RunStatus,
)
from workflows.failures import FAILURES, FailureKind
from workflows.ledger import Ledger
from workflows.live_state import LiveState
from workflows.measures import count_reply
from workflows.models import NANO, TIERS, Tier
from workflows.state import Slot

ResultT = TypeVar("ResultT", bound="RunResult")
AnswerT = TypeVar("AnswerT")

BOUNDS: frozenset[FailureKind] = frozenset({"budget_exceeded", "deadline"})
"""Endings the run's owner chose beforehand: the run finished, incomplete; it did not fail."""


class RunInput(BaseModel):
    """What every pipeline can be told. A pipeline's `Input` extends it; each field becomes an option of the CLI.

    Unknown fields are refused: a misspelt cap must not start a run without one.
    """

    model_config = ConfigDict(extra="forbid")

    budget_usd: float | None = Field(
        default=None,
        gt=0,
        le=1_000_000,
        description="Spend at most this many dollars; stop before passing it.",
    )
    on_open_circuit: Literal["wait", "fail"] = Field(
        default="wait", description="While the API is down: wait for as long as it takes, or end with an error at once."
    )
    deadline: timedelta | None = Field(
        default=None,
        gt=timedelta(0),
        le=timedelta(days=365),
        description="Stop after this long, e.g. 90s, 10m, 2h; keep what is done.",
    )


class RunResult(BaseModel):
    """What a pipeline produces. A pipeline's `Result` extends it."""

    def text(self) -> str:
        """The result as `starter.py run` prints it on stdout; override it where one field is what people want."""
        return self.model_dump_json(indent=2)

    def markdown(self) -> str:
        """The result as `--report FILE.md` has it; the text, set off, unless it is overridden."""
        return "".join(f"    {line}\n" for line in self.text().splitlines())

    def summary(self) -> list[tuple[str, str, str]]:
        """Rows (what, verdict, remark) shown beside the result; none by default."""
        return []


@dataclass(frozen=True)
class Outcome(Generic[ResultT]):
    """How a story ended, in the pipeline's own terms."""

    stop_reason: str
    passed: bool
    result: ResultT | None
    message: str | None = None


class SubagentFailed(Exception):
    """`require` met an error reply: the story stops here and no later stage sees the error as data."""

    def __init__(self, reply: Reply[Any]) -> None:
        super().__init__(f"{reply.agent}: {reply.error_message}")
        self.reply = reply


def require(reply: Reply[AnswerT]) -> AnswerT:
    """The answer of a successful reply. Raises SubagentFailed for any other."""
    if reply.status != "success" or reply.answer is None:
        raise SubagentFailed(reply)
    return reply.answer


def stop_reason_of(reply: Reply[Any]) -> str:
    """The stop reason an error reply gives its run: the bound or the refusal by name, else `<role>_error`."""
    kind = reply.error_kind
    if kind == "refused" or kind in BOUNDS:
        return str(kind)
    return f"{reply.role}_error"


class Run(Generic[ResultT]):
    """The bookkeeping of one run. Create it in the workflow's `__init__`; it answers the query `report`.

    `slots` declares the keys of the run's shared state, `{stage}/{task}` or `{stage}/*`, and what may stand there.
    """

    def __init__(self, input: RunInput, slots: Mapping[str, Slot] | None = None) -> None:
        info = workflow.info()
        self.id = info.workflow_id
        self.pipeline = info.workflow_type
        self.ledger = Ledger(Caps(nano_usd=None if input.budget_usd is None else int(input.budget_usd * NANO)))
        self.deadline: datetime | None = None
        if input.deadline is not None:
            self.deadline = info.workflow_start_time + input.deadline
        self.waits_for_circuit = input.on_open_circuit == "wait"
        self.state = LiveState(slots or {}, over=lambda: self._ended is not None)
        self.replies: list[Reply[Any]] = []
        self._roles: Counter[str] = Counter()
        self._models: dict[str, str] = {
            name.removesuffix("_model"): value for name, value in input if name.endswith("_model") and value
        }
        self._stage = "starting"
        self._waiting: dict[str, str] = {}
        self._kept: ResultT | None = None
        self._ended: RunReport[ResultT] | None = None
        self._searchable = info.typed_search_attributes.get(PIPELINE_ATTRIBUTE) is not None
        """The starter sets attributes only where the server knows them; an upsert elsewhere would wedge the run."""
        workflow.set_query_handler("report", self.report)
        self.at("starting")

    # --- what delegate asks -------------------------------------------------------------------------------------

    def name_agent(self, role: str) -> str:
        """The next agent of this role: `evaluator-1`, `evaluator-2`, …"""
        self._roles[role] += 1
        return f"{role}-{self._roles[role]}"

    def model_of(self, role: str, tier: Tier) -> str:
        """The model a role runs on: the input's `<role>_model` if given, else the tier's."""
        return self._models.get(role, TIERS[tier])

    def record(self, reply: Reply[Any]) -> None:
        """Keep a reply for the report and show it in the current details. An answer the state holds is not copied."""
        self.replies.append(reply if reply.kept_at is None else reply.model_copy(update={"answer": None}))
        count_reply(reply)
        self.at(self._stage)

    @contextmanager
    def waiting_for(self, agent: str, circuit: str) -> Iterator[None]:
        """Show, for as long as the block lasts, that `agent` waits for an open circuit."""
        self._waits(lambda: self._waiting.update({agent: circuit}))
        try:
            yield
        except GeneratorExit:
            raise  # the run is put out of a worker's memory: it does not end here, and nothing may be said any more
        except BaseException:
            self._waits(lambda: self._waiting.pop(agent))
            raise
        self._waits(lambda: self._waiting.pop(agent))

    # --- what a story tells -------------------------------------------------------------------------------------

    def at(self, stage: str) -> None:
        """Say in words where the run stands; shown in the Temporal UI's current details and by `show`."""
        self._stage = stage
        workflow.set_current_details(self._details())

    def keep(self, result: ResultT | None) -> None:
        """The best result so far: what the report shows if the run is stopped before its end."""
        self._kept = result

    async def conduct(self, story: Awaitable[Outcome[ResultT]]) -> RunReport[ResultT]:
        """Await the story and report how it ended.

        A finished run returns its report. A failed one raises ApplicationError with the stop reason as type and the
        report as detail, so that the UI shows it as failed and nothing is lost. A cancelled one ends as cancelled;
        its report answers the query `report`. A defect in workflow code is left to Temporal, which holds the run
        until a fixed worker takes it up.
        """
        try:
            outcome = await story
        except SubagentFailed as failed:
            outcome = self._stopped_by(failed.reply)
            if self._kept is None and failed.reply.error_kind not in BOUNDS:
                report = self._end("failed", outcome)
                raise ApplicationError(
                    outcome.message or outcome.stop_reason,
                    report,
                    type=outcome.stop_reason,
                    non_retryable=True,
                ) from failed
        except (asyncio.CancelledError, Exception) as error:
            if is_cancelled_exception(error):
                message = "cancelled; what was finished by then is kept"
                self._end("cancelled", Outcome("cancelled", False, self._kept, message))
            raise
        return self._end("finished", outcome)

    def report(self) -> RunReport[ResultT]:
        """The report as it stands: final once the run has ended, `running` before."""
        return self._ended or self._report("running", Outcome("running", False, self._kept))

    def _waits(self, change: Callable[[], object]) -> None:
        before = bool(self._waiting)
        change()
        self.at(self._stage)
        if self._searchable and before != bool(self._waiting):
            workflow.upsert_search_attributes([CIRCUIT_ATTRIBUTE.value_set("open" if self._waiting else "closed")])

    # --- how it is put --------------------------------------------------------------------------------------------

    def _stopped_by(self, reply: Reply[Any]) -> Outcome[ResultT]:
        advice = FAILURES[reply.error_kind].advice if reply.error_kind else "see the run's history"
        message = f"{reply.agent} ({reply.model}): {reply.error_message}; {advice}"
        return Outcome(stop_reason_of(reply), False, self._kept, message)

    def _end(self, status: RunStatus, outcome: Outcome[ResultT]) -> RunReport[ResultT]:
        self._ended = self._report(status, outcome)
        self.at(f"{status}: {outcome.stop_reason}")
        if self._searchable:
            shown = "passed" if outcome.passed else "not_passed" if status == "finished" else status
            updates: list[SearchAttributeUpdate[Any]] = [STATUS_ATTRIBUTE.value_set(shown)]
            if self.ledger.cost_usd is not None:
                updates.append(COST_ATTRIBUTE.value_set(self.ledger.cost_usd))
            workflow.upsert_search_attributes(updates)
        return self._ended

    def _report(self, status: RunStatus, outcome: Outcome[ResultT]) -> RunReport[ResultT]:
        return RunReport(
            run_id=self.id,
            pipeline=self.pipeline,
            status=status,
            stop_reason=outcome.stop_reason,
            message=outcome.message,
            passed=outcome.passed,
            result=outcome.result,
            agents=self.replies,
            usage=self.ledger.usage,
            cost_usd=self.ledger.cost_usd,
            simulated=any(reply.simulated for reply in self.replies),
        )

    def _details(self) -> str:
        """Markdown for the UI: the stage in words, then a row for every reply."""
        cost = self.ledger.cost_usd
        spent = "cost unknown" if cost is None else f"${cost:.4f}"
        lines = [f"**{self._stage}** · {len(self.replies)} replies · {spent}"]
        for agent, circuit in self._waiting.items():
            lines.append(f"\n**{agent} waits: the circuit of {circuit} is open.** Nothing is asked of it meanwhile.")
        if any(reply.simulated for reply in self.replies):
            lines.append("\n_Simulated: answers come from the local stand-in, not from a model._")
        if self.replies:
            lines += ["", "| agent | model | status | attempts | tokens out |", "|---|---|---|---|---|"]
            lines += [
                f"| {r.agent} | {r.model} | {r.error_kind or r.status} | {r.attempts} | {r.usage.output_tokens} |"
                for r in self.replies[-_DETAIL_ROWS:]
            ]
        return "\n".join(lines)


_DETAIL_ROWS = 20
"""The latest replies shown in the current details; the history has all."""
