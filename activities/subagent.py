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

from temporalio import activity

from activities.claude import Claude, Meter
from activities.failures import as_application_error, describe
from workflows.contracts import (
    CALL_SUBAGENT,
    HEARTBEAT_EVERY,
    CallFailure,
    CallOutcome,
    CallProgress,
    SubagentCall,
    Usage,
)


class SubagentCalls:
    """The activity of calling a subagent, with the process's one client."""

    def __init__(self, claude: Claude) -> None:
        self._claude = claude

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
        started, clock = datetime.now(UTC), monotonic()
        try:
            async with _heartbeats(meter, before):
                await self._claude.ask(call, _headers(call), meter)
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
            activity.logger.warning(
                "call.failed", extra={"agent": call.agent, "kind": failure.kind, "why": failure.message}
            )
            raise as_application_error(failure) from None
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
async def _heartbeats(meter: Meter, before: Usage) -> AsyncIterator[None]:
    """Heartbeat while the body runs, from the same loop, so that a stuck process falls silent; once more at its end,
    so that the next attempt knows what this one used."""

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
            await asyncio.sleep(HEARTBEAT_EVERY.total_seconds())

    pulsing = asyncio.create_task(pulse())
    try:
        yield
    finally:
        pulsing.cancel()
        beat()
