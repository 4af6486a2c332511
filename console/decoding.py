"""What the values in a history say, read with the codec of the client that looks; gaps where one cannot be read."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from temporalio.api.common.v1 import Payloads
from temporalio.api.failure.v1 import Failure
from temporalio.converter import DataConverter

from activities.vault.errors import KeyMissing
from workflows.contracts import CallFailure, CallProgress

T = TypeVar("T")

LINE = 400
"""Characters of a failure's message that are shown; ours are shorter, and end in what to do."""


async def failure_seen(failure: Failure, converter: DataConverter) -> dict[str, Any]:
    """What a failure says: our own details where it has them, its message where not."""
    if failure.HasField("application_failure_info"):
        info = failure.application_failure_info
        details = await decoded(info.details, CallFailure, converter)
        if details:
            return {
                "why": f"{details.kind}: {details.message}",
                "attempt": details.attempts,
                "usage": details.usage,
                "simulated": details.simulated,
                "state": "cancelled" if details.kind == "cancelled" else "failed",
            }
    timed_out = failure.HasField("timeout_failure_info")
    message = failure.message
    if failure.HasField("encoded_attributes"):
        words = await decoded(Payloads(payloads=[failure.encoded_attributes]), dict, converter)
        message = str(words.get("message")) if words else message
    said: dict[str, Any] = {"why": message or ("timed out" if timed_out else "failed")}
    if timed_out:
        progress = await decoded(failure.timeout_failure_info.last_heartbeat_details, CallProgress, converter)
        if progress:
            said |= {"usage": progress.billed, "attempt": progress.attempt}
    return said


async def decoded(payloads: Payloads, kind: type[T], converter: DataConverter) -> T | None:
    """The first value in these payloads if it is a `kind`; None if there is none or it is something else."""
    if not payloads.payloads:
        return None
    try:
        values = await converter.decode(payloads.payloads[:1], [kind])
    except KeyMissing:
        raise  # nothing else of this run could be read either: one line about the key says more than a page of gaps
    except Exception:  # noqa: BLE001 - a codec may raise anything; what cannot be read is shown without its details
        return None
    value = values[0]
    return value if isinstance(value, kind) else None


def line_of(words: str) -> str:
    """Somebody else's words as one line that a terminal shows and does not obey."""
    line = " ".join("".join(each if each.isprintable() else " " for each in words).split())
    return line if len(line) <= LINE else line[: LINE - 1] + "…"


def headline(text: str, field: str | None) -> str | None:
    """The value of one field of an answer that is a JSON object; None where there is none to show."""
    if field is None:
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return None  # judged by the run, which will say what is wrong with it
    found = value.get(field) if isinstance(value, dict) else None
    return found if isinstance(found, str) else None
