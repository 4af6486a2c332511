"""One subagent call, as an activity: send it, keep saying that it lives, and return what the API said.

It never judges the answer and never retries: whether the words are an answer is decided in `workflows.answers`,
whether to try again by Temporal, from the failure kind.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from time import monotonic

import structlog
from temporalio import activity

from activities.circuit.gate import CircuitOpen, Gate
from activities.circuit.state import Permit
from activities.circuit.ticket import Ticket
from activities.claude import Claude, Meter
from activities.failures import CircuitOpenError, as_application_error, describe, is_unreachable
from workflows.contracts import (
    CALL_SUBAGENT,
    HEARTBEAT_EVERY,
    CallFailure,
    CallOutcome,
    CallProgress,
    SubagentCall,
    Usage,
)
from workflows.failures import FAILURES

log = structlog.get_logger("call")


class SubagentCalls:
    """The activity of calling a subagent, with the process's one client."""

    def __init__(self, claude: Claude, gate: Gate) -> None:
        self._claude = claude
        self._gate = gate

    @activity.defn(name=CALL_SUBAGENT)
    async def call_subagent(self, call: SubagentCall) -> CallOutcome:
        """Make one attempt. Raises ApplicationError with the failure kind as type and a CallFailure as detail."""
        info = activity.info()
        before = _billed_before()
        if call.capped and before != Usage():
            raise as_application_error(
                CallFailure(
                    kind="budget_exceeded",
                    message="an earlier attempt used this call's reservation",
                    attempts=info.attempt - 1,
                    usage=before,
                )
            )
        meter = Meter()
        ticket = await self._enter(call, before)
        started, clock = datetime.now(UTC), monotonic()
        try:
            async with _heartbeats(meter, before, ticket):
                await self._claude.ask(call, _headers(call), meter, ticket.answering)
            await ticket.succeeded()
        except asyncio.CancelledError:
            details = activity.cancellation_details()
            if details is None or not details.cancel_requested:
                raise  # the worker is shutting down or lost its server: another attempt will be made
            failure = CallFailure(
                kind="cancelled",
                message="cancelled",
                request_id=meter.request_id,
                attempts=info.attempt,
                usage=before + meter.usage,
                simulated=meter.simulated,
            )
            raise as_application_error(failure) from None
        except Exception as error:  # noqa: BLE001 - classified, whatever it is; a defect is named as one
            failure = describe(error, attempt=info.attempt, meter=meter, billed=before + meter.usage)
            await _tell(ticket, failure, error)
            log.warning(
                "call.failed",
                run=info.workflow_id,
                agent=call.agent,
                attempt=info.attempt,
                kind=failure.kind,
                why=failure.message,
            )
            raise as_application_error(failure) from None
        finally:
            await ticket.give_back()
        return CallOutcome(
            text=meter.whole_text(),
            stop_reason=meter.stop_reason or "",
            usage=before + meter.usage,
            model=meter.model or call.model,
            request_id=meter.request_id,
            attempts=info.attempt,
            simulated=meter.simulated,
            started_at=started,
            duration=timedelta(seconds=monotonic() - clock),
        )

    async def _enter(self, call: SubagentCall, before: Usage) -> Ticket:
        """A permit for this attempt. Raises CircuitOpenError, having sent nothing, if there is none."""
        info = activity.info()
        key = self._claude.circuit_of(call.model)
        if call.permit is not None and info.attempt == 1:
            return self._gate.adopt(key, Permit(call.permit.generation, call.permit.token, call.permit.at))
        metrics = activity.metric_meter().with_additional_attributes({"circuit": key})
        try:
            ticket = await self._gate.enter(key)
            if ticket.probe:
                metrics.create_counter("breakwater_circuit_probes").add(1)
            return ticket
        except CircuitOpen as denied:
            metrics.create_counter("breakwater_circuit_denials").add(1)
            failure = CallFailure(
                kind="circuit_open",
                message=str(denied),
                circuit=key,
                retry_at=None if denied.retry_at is None else datetime.fromtimestamp(denied.retry_at, UTC),
                attempts=info.attempt - 1,
                usage=before,
            )
            raise CircuitOpenError(failure) from None


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


def _billed_before() -> Usage:
    """What earlier attempts of this activity were billed, from the heartbeat the last of them left."""
    details = activity.info().heartbeat_details
    return CallProgress.model_validate(details[0]).billed if details else Usage()


@asynccontextmanager
async def _heartbeats(meter: Meter, before: Usage, ticket: Ticket) -> AsyncIterator[None]:
    """Heartbeat, to Temporal and to the circuit, while the body runs, from the same loop, so that a stuck process
    falls silent; once more at its end, so that the next attempt knows what this one used."""

    def beat() -> None:
        activity.heartbeat(
            CallProgress(
                attempt=activity.info().attempt,
                phase=meter.phase,
                output_tokens=meter.usage.output_tokens,
                billed=before + meter.usage,
            )
        )

    async def pulse() -> None:
        while True:
            beat()
            await ticket.renew()
            await asyncio.sleep(HEARTBEAT_EVERY.total_seconds())

    pulsing = asyncio.create_task(pulse())
    try:
        yield
    finally:
        pulsing.cancel()
        beat()
