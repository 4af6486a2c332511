"""One subagent call, as an activity: send it, keep saying that it lives, and return what the API said.

Journal? then gate, Claude, journal, reply. An answer that was paid for by an attempt whose result got lost is found in
the journal, before anything else is asked.

It never judges the answer and never retries: whether the words are an answer is decided in `workflows.answers`,
whether to try again by Temporal, from the failure kind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import monotonic

import structlog
from temporalio import activity

from activities.circuit.gate import CircuitOpen, Gate
from activities.circuit.state import Permit
from activities.circuit.ticket import Ticket
from activities.claude import Claude, Meter
from activities.failures import CircuitOpenError, as_application_error, describe, is_unreachable
from activities.journal.journal import Journal, Page
from activities.measures import counted, denied, journal_hit, probed
from activities.pulse import billed_before, given_up, heartbeats
from workflows.contracts import (
    CALL_SUBAGENT,
    CallFailure,
    CallOutcome,
    SubagentCall,
    Usage,
)
from workflows.failures import FAILURES

log = structlog.get_logger("call")


class SubagentCalls:
    """The activity of calling a subagent, with the process's one client."""

    def __init__(self, claude: Claude, gate: Gate, journal: Journal) -> None:
        self._claude = claude
        self._gate = gate
        self._journal = journal

    @activity.defn(name=CALL_SUBAGENT)
    async def call_subagent(self, call: SubagentCall) -> CallOutcome:
        """Make one attempt. Raises ApplicationError with the failure kind as type and a CallFailure as detail."""
        page, before = _page(call), billed_before()
        if (paid := await self._journal.look_up(page, activity.info().attempt)) is not None:
            return await self._found(call, paid, before)
        _check_reservation(call, before)
        if await given_up(before):
            _log(log.warning, "call.given_up", call)
            raise as_application_error(_late(before))
        meter = Meter()
        ticket = await self._enter(call, before)
        try:
            async with counted(call, meter), heartbeats(meter, before, ticket):
                outcome = await self._ask(call, meter, before, ticket)
                await self._journal.keep(page, outcome)
            await ticket.succeeded()
            return outcome
        except asyncio.CancelledError:
            details = activity.cancellation_details()
            if details is None or not details.cancel_requested:
                raise  # the worker is shutting down or lost its server: another attempt will be made
            raise as_application_error(_cancelled(meter, before)) from None
        except Exception as error:  # noqa: BLE001 - classified, whatever it is; a defect is named as one
            failure = describe(error, attempt=activity.info().attempt, meter=meter, billed=before + meter.usage)
            await _tell(ticket, failure, error)
            _log(log.warning, "call.failed", call, kind=failure.kind, why=failure.message)
            raise as_application_error(failure) from None
        finally:
            await ticket.give_back()

    async def _found(self, call: SubagentCall, paid: CallOutcome, before: Usage) -> CallOutcome:
        """An answer of an earlier attempt: it needs no permit, and gives back the one it was handed."""
        if handed := self._handed(call):
            await handed.give_back()
        journal_hit()
        _log(log.info, "journal.hit", call, request_id=paid.request_id)
        # Both are running totals of this activity, so the larger holds the smaller and nothing is counted twice.
        return paid.model_copy(update={"usage": paid.usage | before})

    async def _ask(self, call: SubagentCall, meter: Meter, before: Usage, ticket: Ticket) -> CallOutcome:
        """The request itself. What it returns was said to its end, and is paid."""
        started, clock = datetime.now(UTC), monotonic()
        await self._claude.ask(call, _headers(call), meter, ticket.answering)
        _log(log.info, "call.answered", call, request_id=meter.request_id, model=meter.model, stop=meter.stop_reason)
        return CallOutcome(
            text=meter.whole_text(),
            stop_reason=meter.stop_reason or "",
            usage=before + meter.usage,
            model=meter.model or call.model,
            request_id=meter.request_id,
            attempts=activity.info().attempt,
            simulated=meter.simulated,
            started_at=started,
            duration=timedelta(seconds=monotonic() - clock),
        )

    def _handed(self, call: SubagentCall) -> Ticket | None:
        """The probe's slot this call was let through with; its first attempt uses it."""
        if call.permit is None or activity.info().attempt > 1:
            return None
        slot = Permit(call.permit.generation, call.permit.token, call.permit.at)
        return self._gate.adopt(self._claude.circuit_of(call.model), slot)

    async def _enter(self, call: SubagentCall, before: Usage) -> Ticket:
        """A permit for this attempt. Raises CircuitOpenError, having sent nothing, if there is none."""
        info = activity.info()
        key = self._claude.circuit_of(call.model)
        try:
            ticket = self._handed(call) or await self._gate.enter(key)
        except CircuitOpen as refusal:
            denied(key)
            failure = CallFailure(
                kind="circuit_open",
                message=str(refusal),
                circuit=key,
                retry_at=None if refusal.retry_at is None else datetime.fromtimestamp(refusal.retry_at, UTC),
                attempts=info.attempt - 1,
                usage=before,
            )
            raise CircuitOpenError(failure) from None
        if ticket.probe:
            probed(key)
        return ticket


def _page(call: SubagentCall) -> Page:
    """Where the journal has the answer to this call."""
    info = activity.info()
    return Page.of(
        call, workflow_id=info.workflow_id or "", run_id=info.workflow_run_id or "", activity_id=info.activity_id
    )


def _check_reservation(call: SubagentCall, before: Usage) -> None:
    """Under a cap no attempt follows a billed one: `delegate` settles that and reserves again."""
    if call.capped and before != Usage():
        raise as_application_error(
            CallFailure(
                kind="budget_exceeded",
                message="an earlier attempt used this call's reservation",
                attempts=activity.info().attempt - 1,
                usage=before,
            )
        )


def _late(before: Usage) -> CallFailure:
    """Nobody hears this: the server has another attempt."""
    words = "this attempt was given up before it began: its worker had been paused"
    return CallFailure(kind="timeout", message=words, attempts=activity.info().attempt - 1, usage=before)


def _cancelled(meter: Meter, before: Usage) -> CallFailure:
    """Somebody cancelled the call; what it had used by then is billed."""
    return CallFailure(
        kind="cancelled",
        message="cancelled",
        request_id=meter.request_id,
        attempts=activity.info().attempt,
        usage=before + meter.usage,
        simulated=meter.simulated,
    )


def _log(say: Callable[..., None], event: str, call: SubagentCall, **fields: object) -> None:
    info = activity.info()
    say(event, run=info.workflow_id, agent=call.agent, attempt=info.attempt, **fields)


async def _tell(ticket: Ticket, failure: CallFailure, error: BaseException) -> None:
    """The circuit's share of a failure: what counts, what pauses everybody, and what is none of its business."""
    if failure.kind == "throttled":
        await ticket.throttled(failure.retry_after.total_seconds() if failure.retry_after else None)
    elif FAILURES[failure.kind].counts:
        after = failure.retry_after.total_seconds() if failure.retry_after else None
        await ticket.failed(unreachable=is_unreachable(error), retry_after=after)


def _headers(call: SubagentCall) -> dict[str, str]:
    """Joins a gateway's log to a history."""
    info = activity.info()
    return {
        "x-breakwater-run": info.workflow_id or "",
        "x-breakwater-agent": call.agent,
        "x-breakwater-attempt": str(info.attempt),
    }
