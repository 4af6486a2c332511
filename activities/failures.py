"""From an exception to a failure kind: decided on `error_code`, then `type`, then status, then class; never on words.

The table itself is `workflows.failures`; this file only translates into it.
"""

from __future__ import annotations

import json
import math
import os
import random
import re
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import aiohttp
import anthropic
import httpx2
from anthropic.lib.credentials import WorkloadIdentityError
from anthropic.lib.foundry import MutuallyExclusiveAuthError
from pydantic import ValidationError
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.claude import (
    SIMULATOR_HEADER,
    Meter,
    NoCredential,
    RequestTooLarge,
    StreamBroken,
    StreamEnded,
    StreamSilent,
)
from workflows.contracts import CALL_RETRY, CIRCUIT_OPEN_ERROR, CallFailure, Usage
from workflows.failures import FAILURES, FailureKind

BY_CODE: dict[str, FailureKind] = {
    "ramp_limit_exceeded": "throttled",
    "enforced_spend_limit_reached": "spend",
    "contract_spend_limit_reached": "spend",
    "linked_organization_spend_limit_reached": "spend",
    "linked_organization_billing_unavailable": "spend",
    "organization_on_hold": "spend",
    "user_profile_not_billable": "spend",
    "user_profile_billing_not_authorized": "spend",
    "request_body_timeout": "transport",
}
"""Codes whose meaning differs from their status; any other code means what its `type` or status means."""

BY_TYPE: dict[str, FailureKind] = {
    "invalid_request_error": "request",
    "authentication_error": "credentials",
    "billing_error": "spend",
    "permission_error": "credentials",
    "not_found_error": "request",
    "request_too_large": "request",
    "rate_limit_error": "throttled",
    "timeout_error": "timeout",
    "api_error": "overloaded",
    "overloaded_error": "overloaded",
    "memory_precondition_failed_error": "request",
    "memory_path_conflict_error": "conflict",
    "conflict_error": "conflict",
}

BY_STATUS: dict[int, FailureKind] = {
    400: "request",
    401: "credentials",
    402: "spend",
    403: "credentials",
    404: "request",
    408: "timeout",
    409: "conflict",
    412: "request",
    413: "request",
    422: "request",
    429: "throttled",
    431: "request",
    499: "transport",
    501: "request",
    504: "overloaded",
}

BY_CLASS: tuple[tuple[type[BaseException], FailureKind], ...] = (
    (StreamSilent, "timeout"),
    (StreamEnded, "transport"),
    (StreamBroken, "transport"),
    (RequestTooLarge, "request"),
    (NoCredential, "credentials"),
    (anthropic.APITimeoutError, "timeout"),
    (anthropic.APIConnectionError, "transport"),
    (anthropic.APIResponseValidationError, "transport"),
    (anthropic.RetryableError, "transport"),
    (anthropic.CredentialsError, "credentials"),
    (WorkloadIdentityError, "credentials"),
    (MutuallyExclusiveAuthError, "credentials"),
    (httpx2.TimeoutException, "timeout"),
    (httpx2.UnsupportedProtocol, "request"),
    (httpx2.RequestError, "transport"),
    (TimeoutError, "timeout"),
    (aiohttp.ClientError, "transport"),
    (ssl.SSLError, "transport"),
    (ConnectionError, "transport"),
    (anthropic.APIWebhookValidationError, "our_bug"),
    (anthropic.APIError, "transport"),
    (anthropic.AnthropicError, "our_bug"),
    (json.JSONDecodeError, "transport"),
    (UnicodeDecodeError, "transport"),
    (ValidationError, "transport"),
    (ValueError, "request"),
)
"""First match wins. Anything else is a defect of ours, and would fail the same way again.

A ValueError is the SDK refusing to send a request; one that our own code raises is wrapped before it gets here."""

RETRY_AFTER_CAP = timedelta(hours=1)
"""No header holds a call longer than this in one go; after it the API is asked again."""
MESSAGE_LIMIT = 500
"""Characters of an error message kept: enough to act on, too little to carry a prompt into the history."""


SECRET_NAME = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD)$")
"""How variables are called whose values must never be repeated."""
SECRET_FORM = re.compile(r"sk-ant-[A-Za-z0-9_-]{8,}")
"""How the API's own keys look, wherever they come from."""
SHORTEST_SECRET = 8
"""Characters; a shorter value would blank out ordinary words."""


def classify(error: BaseException) -> FailureKind:
    """The failure kind of an exception raised by a call."""
    if isinstance(error, anthropic.APIStatusError):
        return _classify_status(error)
    if (why := _never_sent(error)) is not None:
        return classify(why)
    return next((kind for known, kind in BY_CLASS if isinstance(error, known)), "our_bug")


def _never_sent(error: BaseException) -> BaseException | None:
    """Why the SDK's transport did not send what it says it could not: a header or an address that is none.

    The network has nothing to do with it, so neither have retries or the circuit.
    """
    cause = error.__cause__ if isinstance(error, anthropic.APIConnectionError) else None
    return cause if cause is not None and classify(cause) == "request" else None


def _classify_status(error: anthropic.APIStatusError) -> FailureKind:
    if error.error_code in BY_CODE:
        return BY_CODE[error.error_code]
    if isinstance(error.type, str) and error.type in BY_TYPE:
        return BY_TYPE[error.type]
    if error.status_code in BY_STATUS:
        return BY_STATUS[error.status_code]
    if 400 <= error.status_code < 500:
        return "request"
    # A 5xx, or an error event of an unknown type inside a 200: the service failed while it answered.
    return "overloaded"


UNREACHABLE = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)


def is_unreachable(error: BaseException) -> bool:
    """No connection was made at all (DNS, connect, pool): perhaps our own fault, so one worker's word is not enough."""
    cause = error.__cause__ if isinstance(error, anthropic.APIConnectionError) else error
    return isinstance(cause, UNREACHABLE)


def describe(error: BaseException, *, attempt: int, meter: Meter, billed: Usage) -> CallFailure:
    """Everything worth keeping about a failed attempt: it travels in the history as the error's details."""
    kind = classify(error)
    failure = CallFailure(
        kind=kind,
        message=_message(error),
        request_id=meter.request_id,
        attempts=attempt,
        usage=billed,
        simulated=meter.simulated,
    )
    if isinstance(error, anthropic.APIStatusError):
        headers = error.response.headers
        failure = failure.model_copy(
            update={
                "request_id": error.request_id or meter.request_id,
                "http_status": error.status_code,
                "error_code": error.error_code,
                "retry_after": retry_after(headers, datetime.now(UTC)),
                "simulated": meter.simulated or SIMULATOR_HEADER in headers,
            }
        )
    return failure


class CircuitOpenError(ApplicationError):
    """No call is made: the circuit is open. Temporal's own retries stop at it; the run decides what happens next."""

    def __init__(self, failure: CallFailure) -> None:
        super().__init__(
            failure.message,
            failure,
            type=CIRCUIT_OPEN_ERROR,
            non_retryable=True,
            category=ApplicationErrorCategory.BENIGN,
        )


def as_application_error(failure: CallFailure) -> ApplicationError:
    """The error an activity raises: typed by kind, retryable if the table says so, and not before it makes sense."""
    retryable = FAILURES[failure.kind].retryable
    expected = ApplicationErrorCategory.BENIGN if failure.kind != "our_bug" else ApplicationErrorCategory.UNSPECIFIED
    return ApplicationError(
        failure.message,
        failure,
        type=failure.kind,
        non_retryable=not retryable,
        category=expected,  # one line in the log, ours, instead of a traceback for every attempt of an outage
        next_retry_delay=next_delay(failure, random.random()) if retryable else None,  # noqa: S311 - jitter
    )


def next_delay(failure: CallFailure, luck: float) -> timedelta:
    """When the next attempt may start: exponential with equal jitter, or what the API asked for plus up to a tenth.

    `luck` is uniform in [0, 1). A retry-after is a promise: never earlier, and not in lockstep with everyone else.
    """
    if failure.retry_after is not None:
        return failure.retry_after * (1 + luck / 10) + timedelta(seconds=luck)
    longest = CALL_RETRY.maximum_interval or CALL_RETRY.initial_interval
    exponential = CALL_RETRY.initial_interval * CALL_RETRY.backoff_coefficient ** min(failure.attempts - 1, 16)
    return min(exponential, longest) * (0.5 + luck / 2)


def retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """How long the API asks to wait, in any of the header's forms, capped; None if it does not say (or not clearly)."""
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return min(timedelta(milliseconds=milliseconds), RETRY_AFTER_CAP)
    value = headers.get("retry-after")
    if (seconds := _number(value)) is not None:
        return min(timedelta(seconds=seconds), RETRY_AFTER_CAP)
    if value is None:
        return None
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(max(at - now, timedelta(0)), RETRY_AFTER_CAP)


def _number(text: str | None) -> float | None:
    """A finite, non-negative number small enough for a timedelta; None for anything else."""
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return min(value, RETRY_AFTER_CAP.total_seconds() * 1000) if value >= 0 else None


def without_secrets(line: str, environment: Mapping[str, str]) -> str:
    """The line without any credential of this process: an endpoint may repeat what it was sent."""
    for name, value in environment.items():
        if SECRET_NAME.search(name) and len(value) >= SHORTEST_SECRET:
            line = line.replace(value, f"[{name}]")
    return SECRET_FORM.sub("[a key]", line)


def _message(error: BaseException) -> str:
    """One line for a person. The API's own words where it has some; the class name otherwise or in addition."""
    if isinstance(error, anthropic.APIStatusError):
        words = f"{error.status_code} {error.type or type(error).__name__}: {error.api_message or 'no message'}"
    elif (why := _never_sent(error)) is not None:
        # Without its own words: they may quote a header or the address.
        words = f"nothing was sent ({type(why).__name__}): a credential or ANTHROPIC_BASE_URL is malformed"
    else:
        words = f"{type(error).__name__}: {error}"
    line = without_secrets(" ".join(words.split()), os.environ)
    return line if len(line) <= MESSAGE_LIMIT else line[: MESSAGE_LIMIT - 1] + "…"
