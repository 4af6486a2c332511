"""One run of a pipeline: who was called, what it cost, where it stands, and how it ended. Kept in workflow state.

A pipeline makes one `Run` and hands its story to `conduct`, which turns every way a story can end into a report.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel
from temporalio import workflow
from temporalio.exceptions import ApplicationError, is_cancelled_exception

from workflows.approvals import Approvals, Rejected
from workflows.bounds import Bounds
from workflows.carried import Carried
from workflows.contracts import Reply, RunReport, RunStatus
from workflows.details import details
from workflows.failures import FAILURES, FailureKind
from workflows.inputs import RunInput as RunInput
from workflows.ledger import BoundExceeded, Ledger
from workflows.live_state import LiveState
from workflows.measures import count_reply
from workflows.models import TIERS, Tier
from workflows.signs import Signs, Waiting, lasting
from workflows.state import Slot

ResultT = TypeVar("ResultT", bound="RunResult")
AnswerT = TypeVar("AnswerT")
ModelT = TypeVar("ModelT", bound=BaseModel)

BOUNDS: frozenset[FailureKind] = frozenset({"budget_exceeded", "deadline"})
"""Endings the run's owner chose beforehand: the run finished, incomplete; it did not fail."""


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


def kind_of(bound: BoundExceeded) -> FailureKind:
    """What a bound that was met is called in a reply and as a stop reason."""
    return "deadline" if bound.bound == "deadline" else "budget_exceeded"


class Run(Generic[ResultT]):
    """The bookkeeping of one run. Create it in the workflow's `__init__`; it answers the query `report`.

    `slots` declares the keys of the run's shared state, `{stage}/{task}` or `{stage}/*`, and what may stand there.
    """

    def __init__(self, input: RunInput, slots: Mapping[str, Slot] | None = None) -> None:
        info = workflow.info()
        self.id = info.workflow_id
        self.pipeline = info.workflow_type
        self.signs = Signs()
        self.bounds = Bounds(input, self._changed)
        before = input.carried
        self.approvals = Approvals(self.bounds, self._changed, before.decisions if before else ())
        self.waits_for_circuit = input.on_open_circuit == "wait"
        self.state = LiveState(
            slots or {},
            over=lambda: self._ended is not None,
            log=before.log if before else (),
            runs=before.executions if before else (),
        )
        self.replies: list[Reply[Any]] = list(before.replies) if before else []
        self._roles: Counter[str] = Counter(before.roles if before else {})
        self._models = input.models
        self._stage = "starting"
        self._waiting: dict[str, str] = {}
        self._kept: ResultT | None = None
        self._ended: RunReport[ResultT] | None = None
        workflow.set_query_handler("report", self.report)
        self.at("starting")

    @property
    def ledger(self) -> Ledger:
        """The books of this run."""
        return self.bounds.ledger

    @property
    def deadline(self) -> datetime | None:
        """When the run stops, whatever it is doing."""
        return self.bounds.deadline

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
        self.bounds.look()
        count_reply(reply)
        self.at(self._stage)

    def adopt(self, child: str, replies: Sequence[Reply[Any]]) -> None:
        """Take the agents of a run below this one into its report, under the child's name and without their answers."""
        for reply in replies:
            self.replies.append(reply.model_copy(update={"agent": f"{child}/{reply.agent}", "answer": None}))
        self.at(self._stage)

    def waiting_for(self, agent: str, circuit: str) -> AbstractContextManager[None]:
        """Show, for as long as the block lasts, that `agent` waits for an open circuit."""
        return lasting(
            lambda: self._waits(lambda: self._waiting.update({agent: circuit})),
            lambda: self._waits(lambda: self._waiting.pop(agent)),
        )

    # --- what a story tells -------------------------------------------------------------------------------------

    def at(self, stage: str) -> None:
        """Say in words where the run stands; shown in the Temporal UI's current details and by `show`."""
        self._stage = stage
        page = details(
            stage,
            self.replies,
            self.ledger.cost_usd,
            circuits=self._waiting,
            waiting=self._waiting_for_a_person,
            room=self.bounds.room,
            proposal=self.approvals.proposal,
            warnings=self.bounds.warnings,
            message=self._ended.message if self._ended else None,
        )
        workflow.set_current_details(page)

    async def approval(self, name: str, proposal: ModelT, check: Callable[[ModelT], None] | None = None) -> ModelT:
        """Wait until a person has approved the proposal, and return it, perhaps amended.

        `check` raises ValueError for an amended one that fits the model and yet will not do. A rejection ends the run
        as `rejected`, a deadline that comes first as `deadline`.
        """
        return await self.approvals.ask(name, proposal, check)

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
        except BoundExceeded as bound:
            outcome = Outcome(kind_of(bound), False, self._kept, f"{bound}; {FAILURES[kind_of(bound)].advice}")
        except Rejected as rejected:
            outcome = Outcome("rejected", False, self._kept, str(rejected))
        except (asyncio.CancelledError, Exception) as error:
            if is_cancelled_exception(error):
                message = "cancelled; what was finished by then is kept"
                self._end("cancelled", Outcome("cancelled", False, self._kept, message))
            raise
        return self._end("finished", outcome)

    async def carry(self) -> Carried:
        """The run as it stands, for the next execution of its workflow: its input's `carried`. Nothing is under way.

        Raises RuntimeError while a call is.
        """
        await workflow.wait_condition(workflow.all_handlers_finished)
        return Carried(
            bounds=self.bounds.carried(),
            replies=self.replies,
            roles=dict(self._roles),
            log=list(self.state.log),
            executions=list(self.state.runs),
            decisions=self.approvals.decisions,
        )

    def report(self) -> RunReport[ResultT]:
        """The report as it stands: final once the run has ended, `running` before."""
        return self._ended or self._report("running", Outcome("running", False, self._kept))

    def _waits(self, change: Callable[[], object]) -> None:
        change()
        self.at(self._stage)
        self.signs.circuit(bool(self._waiting))

    @property
    def _waiting_for_a_person(self) -> Waiting | None:
        return self.approvals.waiting or self.bounds.waiting

    def _changed(self) -> None:
        """Show what the run waits for and what it warns of."""
        self.at(self._stage)
        self.signs.waiting(self._waiting_for_a_person)
        self.signs.warned(self.bounds.warnings)

    # --- how it is put --------------------------------------------------------------------------------------------

    def _stopped_by(self, reply: Reply[Any]) -> Outcome[ResultT]:
        advice = FAILURES[reply.error_kind].advice if reply.error_kind else "see the run's history"
        message = f"{reply.agent} ({reply.model}): {reply.error_message}; {advice}"
        return Outcome(stop_reason_of(reply), False, self._kept, message)

    def _end(self, status: RunStatus, outcome: Outcome[ResultT]) -> RunReport[ResultT]:
        self._ended = self._report(status, outcome)
        self.at(f"{status}: {outcome.stop_reason}")
        shown = "passed" if outcome.passed else "not_passed" if status == "finished" else status
        self.signs.ended(shown, self.ledger.cost_usd)
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
            agents_started=self.ledger.agents,
            not_started=[reply.agent for reply in self.replies if reply.error_kind in BOUNDS and not reply.attempts],
            warnings=self.bounds.warnings,
            decisions=self.approvals.decisions,
        )
