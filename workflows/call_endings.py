"""What ended the activity of a call, as the failure table names it."""

from __future__ import annotations

from temporalio.exceptions import ActivityError, ApplicationError, CancelledError, RetryState, TimeoutError, TimeoutType

from workflows.contracts import CallFailure, CallProgress, Usage
from workflows.failures import UNREADABLE


def failure_of(error: ActivityError) -> CallFailure:
    """What ended an activity, as the failure table names it."""
    cause = error.cause
    if isinstance(cause, ApplicationError) and cause.details:
        failure = CallFailure.model_validate(cause.details[0])
        if error.retry_state == RetryState.TIMEOUT:
            # The next attempt would begin after schedule-to-close, which is the deadline: the server ends it now.
            words = f"the run's deadline leaves no time for another attempt; the last one: {failure.message}"
            return failure.model_copy(update={"kind": "deadline", "message": words})
        return failure
    if isinstance(cause, ApplicationError):
        root = cause
        while isinstance(root.cause, ApplicationError):
            root = root.cause
        if root.type in UNREADABLE:
            return CallFailure(kind="unreadable", message=root.message, attempts=0)
        return CallFailure(kind="our_bug", message=f"{cause.type}: {cause.message}")
    if isinstance(cause, CancelledError):
        return CallFailure(kind="cancelled", message="cancelled", attempts=0)
    if isinstance(cause, TimeoutError):
        progress = [CallProgress.model_validate(each) for each in cause.last_heartbeat_details[:1]]
        billed = progress[0].billed if progress else Usage()
        attempts = progress[0].attempt if progress else 1
        if cause.type == TimeoutType.SCHEDULE_TO_CLOSE:
            words = "the run's deadline passed while it was under way"
            return CallFailure(kind="deadline", message=words, usage=billed, attempts=attempts)
        words = "no worker finished the call in time"
        return CallFailure(kind="timeout", message=words, usage=billed, attempts=attempts)
    return CallFailure(kind="our_bug", message=f"{type(cause).__name__}: {cause}")
