"""Rate limits in a time that only passes when it is told to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import anthropic
import pytest
from anthropic import AsyncAnthropic
from hypothesis import given
from hypothesis import strategies as st

from simulator import ServerOptions, Simulator
from simulator.limits import UNLIMITED, Bucket
from tests.simulator.support import Clock, ask, send

Limited = Callable[..., AbstractAsyncContextManager[tuple[Simulator, AsyncAnthropic]]]


@pytest.fixture
def limited(sdk: AsyncAnthropic, clock: Clock) -> Limited:
    """A simulator with these limits, and a client for it."""

    @asynccontextmanager
    async def started(**limits: int) -> AsyncIterator[tuple[Simulator, AsyncAnthropic]]:
        async with Simulator(ServerOptions(now=clock.now, sleep=clock.sleep, **limits)) as simulator:  # type: ignore[arg-type]
            yield simulator, sdk.with_options(base_url=simulator.url)

    return started


async def refused(client: AsyncAnthropic, **changes: Any) -> anthropic.RateLimitError:
    """The 429 that the next call gets."""
    with pytest.raises(anthropic.RateLimitError) as raised:
        await ask(client, **changes)
    assert raised.value.type == "rate_limit_error"
    return raised.value


async def test_after_the_wait_it_was_told_a_call_is_admitted_and_not_before(limited: Limited, clock: Clock) -> None:
    """`retry-after` is true: a second less is too early, that long is enough."""
    async with limited(requests_per_minute=2) as (_, client):
        await ask(client)
        await ask(client)
        wait = int((await refused(client)).response.headers["retry-after"])
        assert wait == 30
        clock.seconds += wait - 1
        assert (await refused(client)).response.headers["retry-after"] == "1"
        clock.seconds += 1
        await ask(client)


async def test_input_tokens_are_limited(limited: Limited, clock: Clock) -> None:
    """A long prompt uses up what short ones could have had."""
    async with limited(input_tokens_per_minute=600) as (_, client):
        long = [{"role": "user", "content": "x" * 2_000}]
        await ask(client, messages=long)
        error = await refused(client, messages=long)
        assert "600 input tokens per minute" in error.message
        assert error.response.headers["retry-after"] == "40"
        await ask(client)


async def test_output_tokens_are_limited_by_what_was_really_produced(limited: Limited, clock: Clock) -> None:
    """The call that goes over is still answered; the debt is paid by waiting."""
    async with limited(output_tokens_per_minute=60) as (_, client):
        used = (await ask(client, messages=[{"role": "user", "content": "Hi"}])).usage.output_tokens
        owed = used - 60
        wait = int((await refused(client)).response.headers["retry-after"]) if owed >= 0 else 0
        assert wait == max(0, owed + 1)
        clock.seconds += wait
        await ask(client)


async def test_a_prompt_larger_than_a_minute_is_admitted_when_the_bucket_is_full(limited: Limited) -> None:
    """It waits for the whole bucket, not for ever."""
    async with limited(input_tokens_per_minute=10) as (_, client):
        await ask(client, messages=[{"role": "user", "content": "x" * 2_000}])
        assert int((await refused(client)).response.headers["retry-after"]) > 60


async def test_a_refused_call_uses_nothing_up(limited: Limited) -> None:
    """Knocking on a closed door does not keep it closed."""
    async with limited(requests_per_minute=1) as (_, client):
        await ask(client)
        waits = [(await refused(client)).response.headers["retry-after"] for _ in range(3)]
        assert waits == ["60"] * 3


async def test_the_headers_say_where_a_client_stands(limited: Limited, clock: Clock) -> None:
    """Limit, remaining and reset, on answers and on 429s; reset is when the bucket is full again."""
    async with limited(requests_per_minute=10, input_tokens_per_minute=1_000) as (_, client):
        response = await client.messages.with_raw_response.create(
            model="claude-haiku-5-5", max_tokens=10, messages=[{"role": "user", "content": "x" * 400}]
        )
        told = response.headers
        assert (told["anthropic-ratelimit-requests-limit"], told["anthropic-ratelimit-requests-remaining"]) == (
            "10",
            "9",
        )
        assert told["anthropic-ratelimit-input-tokens-remaining"] == "900"
        assert told["anthropic-ratelimit-output-tokens-limit"] == str(UNLIMITED)
        reset = datetime.fromisoformat(told["anthropic-ratelimit-requests-reset"])
        assert 0 < (reset - datetime.now(UTC)).total_seconds() < 10


async def test_without_limits_the_headers_are_there_all_the_same(simulator: Simulator) -> None:
    """A client may rely on them, and divide by them."""
    body = {"model": "claude-haiku-5-5", "max_tokens": 10, "messages": [{"role": "user", "content": "Hi"}]}
    _, _, headers = await send(simulator, "POST", "/v1/messages", body=body)
    for name in ("requests", "input-tokens", "output-tokens"):
        assert headers[f"anthropic-ratelimit-{name}-limit"] == str(UNLIMITED)
        assert headers[f"anthropic-ratelimit-{name}-remaining"] == str(UNLIMITED)
        assert headers[f"anthropic-ratelimit-{name}-reset"].endswith("Z")


@given(st.integers(1, 1_000), st.lists(st.tuples(st.integers(1, 2_000), st.floats(0, 200)), max_size=30))
def test_a_bucket_never_lets_through_more_than_a_minute_and_its_refill(
    limit: int, asked: list[tuple[int, float]]
) -> None:
    """Whatever is asked and whenever: what was taken fits what was there, and a wait is never too short."""
    bucket, now, taken = Bucket("requests", limit, 0.0), 0.0, 0.0
    for amount, pause in asked:
        now += pause
        wait = bucket.wait(amount, now)
        if wait == 0:
            bucket.take(amount, now)
            taken += min(amount, limit)
        else:
            assert bucket.wait(amount, now + wait + 1e-6) <= 1e-6
    assert taken <= limit + limit * now / 60 + 1e-6
