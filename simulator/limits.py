"""How much the service allows per minute: token buckets, and the headers that tell a client where it stands.

A bucket holds one minute's worth and fills evenly. Requests and input are taken when a call is admitted; output is
taken when it is known, into debt if need be, as the service counts it while it is produced.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from simulator.errors import ApiError
from simulator.options import ServerOptions

MINUTE = 60.0
UNLIMITED = 1_000_000_000
"""What the headers say where there is no limit: they are always there, and a client may divide by them."""


class Bucket:
    """One allowance per minute. Not a clock: the time is passed in, in monotonic seconds."""

    def __init__(self, name: str, per_minute: int | None, now: float) -> None:
        self.name = name
        self.limit = UNLIMITED if per_minute is None else per_minute
        self.unlimited = per_minute is None
        self._level = float(self.limit)
        self._at = now

    def level(self, now: float) -> float:
        """What is left; below zero when more was taken than there was."""
        self._level = min(float(self.limit), self._level + (now - self._at) * self.limit / MINUTE)
        self._at = now
        return self._level

    def wait(self, amount: int, now: float) -> float:
        """Seconds until `amount` is there. More than the bucket can ever hold waits until it is full, not for ever."""
        missing = min(amount, self.limit) - self.level(now)
        return 0.0 if self.unlimited or missing <= 0 else missing * MINUTE / self.limit

    def take(self, amount: int, now: float) -> None:
        """Take `amount`, whether or not it is there."""
        if not self.unlimited:
            self._level = self.level(now) - amount

    def full_in(self, now: float) -> float:
        """Seconds until it is full again."""
        return 0.0 if self.unlimited else (self.limit - self.level(now)) * MINUTE / self.limit


class RateLimits:
    """The three allowances of the service. `now` is monotonic; `started` is the date and time when it was read."""

    def __init__(self, options: ServerOptions, started: datetime) -> None:
        self._now: Callable[[], float] = options.now
        began = options.now()
        self._epoch = started - timedelta(seconds=began)
        self._requests = Bucket("requests", options.requests_per_minute, began)
        self._input = Bucket("input-tokens", options.input_tokens_per_minute, began)
        self._output = Bucket("output-tokens", options.output_tokens_per_minute, began)

    def admit(self, input_tokens: int) -> None:
        """Take a request and its input. Raises ApiError 429 with the seconds after which it would be admitted."""
        now = self._now()
        wait, bucket = max(
            ((each.wait(amount, now), each) for each, amount in self._amounts(input_tokens)), key=lambda pair: pair[0]
        )
        if wait > 0:
            raise ApiError(
                429,
                f"This request would exceed the simulator's rate limit of {bucket.limit} "
                f"{bucket.name.replace('-', ' ')} per minute",
                headers={"retry-after": str(math.ceil(wait))},
            )
        for each, amount in ((self._requests, 1), (self._input, input_tokens)):
            each.take(amount, now)

    def spend(self, output_tokens: int) -> None:
        """Take the output of an admitted call."""
        self._output.take(output_tokens, self._now())

    def headers(self) -> dict[str, str]:
        """Limit, what remains, and when the bucket is full again, for each of the three."""
        now = self._now()
        told: dict[str, str] = {}
        for bucket in (self._requests, self._input, self._output):
            prefix = f"anthropic-ratelimit-{bucket.name}-"
            told[f"{prefix}limit"] = str(bucket.limit)
            told[f"{prefix}remaining"] = str(max(0, math.floor(bucket.level(now))))
            told[f"{prefix}reset"] = self._date(now + bucket.full_in(now))
        return told

    def _amounts(self, input_tokens: int) -> tuple[tuple[Bucket, int], ...]:
        return (self._requests, 1), (self._input, input_tokens), (self._output, 1)

    def _date(self, moment: float) -> str:
        whole = (self._epoch + timedelta(seconds=math.ceil(moment))).astimezone(UTC)
        return f"{whole:%Y-%m-%dT%H:%M:%S}Z"
