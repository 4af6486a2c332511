"""Every fault, as a client sees it through the SDK: what is raised, what arrives, what is missing."""

from __future__ import annotations

import asyncio
import json
import time

import anthropic
import httpx2
import pytest
from anthropic import AsyncAnthropic

from simulator import Simulator
from tests.simulator.support import BOTH_WAYS, HELLO, KEY, MODEL, ask, fault, text_of

IMPATIENT = httpx2.Timeout(5, read=0.1)
"""Shorter than anybody's patience, longer than this machine needs for an answer."""


async def collect(client: AsyncAnthropic, texts: list[str]) -> None:
    """Keep every piece of text that arrives, also when the stream ends badly."""
    stream = await client.messages.create(
        model=MODEL, max_tokens=100, messages=[{"role": "user", "content": "Hi"}], stream=True
    )
    async for event in stream:
        if event.type == "content_block_delta" and event.delta.type == "text_delta":
            texts += [event.delta.text]


@BOTH_WAYS
@pytest.mark.parametrize(
    ("status", "expected", "kind"),
    [
        (400, anthropic.BadRequestError, "invalid_request_error"),
        (401, anthropic.AuthenticationError, "authentication_error"),
        (402, anthropic.PaymentRequiredError, "billing_error"),
        (403, anthropic.PermissionDeniedError, "permission_error"),
        (404, anthropic.NotFoundError, "not_found_error"),
        (408, anthropic.RequestTimeoutError, "timeout_error"),
        (409, anthropic.ConflictError, "conflict_error"),
        (412, anthropic.PreconditionFailedError, "invalid_request_error"),
        (413, anthropic.ContentTooLargeError, "request_too_large"),
        (422, anthropic.UnprocessableEntityError, "invalid_request_error"),
        (429, anthropic.RateLimitError, "rate_limit_error"),
        (431, anthropic.RequestHeaderFieldsTooLargeError, "invalid_request_error"),
        (499, anthropic.ClientClosedRequestError, "invalid_request_error"),
        (500, anthropic.InternalServerError, "api_error"),
        (501, anthropic.HTTPNotImplementedError, "api_error"),
        (502, anthropic.InternalServerError, "api_error"),
        (503, anthropic.ServiceUnavailableError, "api_error"),
        (504, anthropic.GatewayTimeoutError, "timeout_error"),
        (529, anthropic.OverloadedError, "overloaded_error"),
    ],
)
async def test_a_status_arrives_as_the_class_and_type_it_has_at_the_service(
    client: AsyncAnthropic,
    simulator: Simulator,
    stream: bool,
    status: int,
    expected: type[anthropic.APIStatusError],
    kind: str,
) -> None:
    """Code that looks at the class, the type or the request id finds what production would show it."""
    fault(simulator, "status", status=status)
    with pytest.raises(anthropic.APIStatusError) as raised:
        await ask(client, stream=stream)
    assert type(raised.value) is expected
    assert (raised.value.status_code, raised.value.type, raised.value.error_code) == (status, kind, None)
    assert raised.value.request_id == next(iter(simulator.journal)).request_id


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "organization_on_hold", anthropic.OrganizationOnHoldError),
        (402, "linked_organization_spend_limit_reached", anthropic.LinkedOrganizationSpendLimitReachedError),
        (429, "enforced_spend_limit_reached", anthropic.EnforcedSpendLimitReachedError),
        (429, "ramp_limit_exceeded", anthropic.RampLimitExceededError),
        (529, "some_code_of_the_future", anthropic.OverloadedError),
    ],
)
async def test_an_error_code_arrives_with_its_own_class(
    client: AsyncAnthropic,
    simulator: Simulator,
    status: int,
    code: str,
    expected: type[anthropic.APIStatusError],
) -> None:
    """The codes that name a cause travel in the details, where the SDK looks for them."""
    fault(simulator, "status", status=status, error_code=code, type="special_error", message="Because.")
    with pytest.raises(anthropic.APIStatusError) as raised:
        await ask(client)
    assert type(raised.value) is expected
    assert (raised.value.error_code, raised.value.type, raised.value.api_message) == (code, "special_error", "Because.")


@pytest.mark.parametrize(
    ("given", "arrives"),
    [
        ({}, "1"),
        ({"retry_after": "12"}, "12"),
        ({"retry_after": "Wed, 21 Oct 2026 07:28:00 GMT"}, "Wed, 21 Oct 2026 07:28:00 GMT"),
        ({"retry_after": None}, None),
    ],
)
async def test_a_429_carries_the_wait_it_was_told_to(
    client: AsyncAnthropic, simulator: Simulator, given: dict[str, object], arrives: str | None
) -> None:
    """Seconds, a date, nothing at all, or one second when nobody said."""
    fault(simulator, "status", status=429, **given)
    with pytest.raises(anthropic.RateLimitError) as raised:
        await ask(client)
    assert raised.value.response.headers.get("retry-after") == arrives
    assert "anthropic-ratelimit-requests-reset" in raised.value.response.headers


async def test_a_status_can_bring_its_own_headers(client: AsyncAnthropic, simulator: Simulator) -> None:
    """For the headers that only some answers have."""
    fault(simulator, "status", status=529, headers={"retry-after-ms": "250", "x-should-retry": "false"})
    with pytest.raises(anthropic.OverloadedError) as raised:
        await ask(client)
    assert raised.value.response.headers["retry-after-ms"] == "250"
    assert "retry-after" not in raised.value.response.headers


@BOTH_WAYS
async def test_a_hang_sends_nothing_until_the_client_gives_up(
    any_client: AsyncAnthropic, simulator: Simulator, stream: bool
) -> None:
    """Only the client's own timeout ends it, and then the server lets go of the call."""
    fault(simulator, "hang")
    with pytest.raises(anthropic.APITimeoutError):
        await ask(any_client, stream=stream, timeout=IMPATIENT)
    await simulator.journal.until(lambda journal: journal.in_flight == 0)
    entry = next(iter(simulator.journal))
    assert (entry.outcome, entry.status) == ("fault:hang", None)


async def test_a_stalled_stream_keeps_pinging_and_says_no_more(client: AsyncAnthropic, simulator: Simulator) -> None:
    """Bytes arrive for ever, so a read timeout never fires: a client needs a limit for events that matter."""
    fault(simulator, "stall", ping_every=0.01)
    async with client.messages.with_streaming_response.create(
        model=MODEL, max_tokens=100, messages=[{"role": "user", "content": "Hi"}], stream=True
    ) as response:
        lines = response.iter_lines()
        seen: list[str] = []
        while seen.count("event: ping") < 5:
            seen.append(await anext(lines))
    events = [line for line in seen if line.startswith("event: ")]
    last_text = len(events) - 1 - events[::-1].index("event: content_block_delta")
    assert events[0] == "event: message_start"
    assert set(events[last_text + 1 :]) == {"event: ping"}
    await simulator.journal.until(lambda journal: journal.in_flight == 0)
    assert next(iter(simulator.journal)).outcome == "fault:stall"


async def test_a_stalled_body_stops_in_the_middle(any_client: AsyncAnthropic, simulator: Simulator) -> None:
    """Without streaming the headers come, half of the JSON comes, and then a read timeout."""
    fault(simulator, "stall")
    with pytest.raises(anthropic.APITimeoutError):
        await ask(any_client, stream=False, timeout=IMPATIENT)


async def test_a_reset_in_a_stream_raises_a_transport_error_after_some_text(
    any_client: AsyncAnthropic, simulator: Simulator
) -> None:
    """The SDK does not wrap it: what escapes is the HTTP library's own exception."""
    fault(simulator, "reset")
    texts: list[str] = []
    with pytest.raises(httpx2.ReadError):
        await collect(any_client, texts)
    assert texts


async def test_a_reset_of_a_body_is_an_error_and_not_half_an_answer(
    any_client: AsyncAnthropic, simulator: Simulator
) -> None:
    """Without streaming the SDK reads the whole body first."""
    fault(simulator, "reset")
    with pytest.raises(anthropic.APIConnectionError):
        await ask(any_client, stream=False)


async def test_a_reset_is_a_reset_on_the_wire(simulator: Simulator) -> None:
    """Not a polite end of the connection that only looks like one: the socket itself reports it."""
    fault(simulator, "reset")
    body = json.dumps({"model": MODEL, "max_tokens": 100, "messages": HELLO, "stream": True})
    head = "".join(f"{name}: {value}\r\n" for name, value in {**KEY, "content-length": len(body), "host": "x"}.items())
    reader, writer = await asyncio.open_connection("127.0.0.1", int(simulator.url.rsplit(":", 1)[1]))
    writer.write(f"POST /v1/messages HTTP/1.1\r\n{head}\r\n{body}".encode())
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()


async def test_a_clean_end_in_a_stream_raises_nothing(any_client: AsyncAnthropic, simulator: Simulator) -> None:
    """The trap: text without a stop reason, and no exception to say so."""
    fault(simulator, "eof")
    message = await ask(any_client)
    assert text_of(message)
    assert message.stop_reason is None


async def test_a_clean_end_of_a_body_is_not_json(client: AsyncAnthropic, simulator: Simulator) -> None:
    """Half a body with a proper end can only be found out by parsing it."""
    fault(simulator, "eof")
    with pytest.raises(json.JSONDecodeError):
        await ask(client, stream=False)


@pytest.mark.parametrize(
    ("given", "kind"), [({}, "overloaded_error"), ({"type": "api_error", "message": "Broken."}, "api_error")]
)
async def test_an_error_in_a_stream_comes_inside_a_200(
    any_client: AsyncAnthropic, simulator: Simulator, given: dict[str, object], kind: str
) -> None:
    """The status says 200 and the class is the bare one: only the type tells what happened."""
    fault(simulator, "sse_error", **given)
    with pytest.raises(anthropic.APIStatusError) as raised:
        await ask(any_client)
    assert type(raised.value) is anthropic.APIStatusError
    assert (raised.value.status_code, raised.value.type) == (200, kind)


async def test_without_a_stream_the_same_error_has_its_status(client: AsyncAnthropic, simulator: Simulator) -> None:
    """There is no stream to put an event in, so the type decides the status."""
    fault(simulator, "sse_error")
    with pytest.raises(anthropic.OverloadedError):
        await ask(client, stream=False)


@BOTH_WAYS
async def test_a_malformed_chunk_is_a_json_error(client: AsyncAnthropic, simulator: Simulator, stream: bool) -> None:
    """Neither the SDK's error nor the HTTP library's: the parser's."""
    fault(simulator, "malformed_chunk")
    with pytest.raises(json.JSONDecodeError):
        await ask(client, stream=stream)


@pytest.mark.parametrize("rule", [{"fault": {"kind": "hang"}}, {"fault": {"kind": "stall"}}, {"latency": 3_600}])
@BOTH_WAYS
async def test_stopping_ends_every_call_at_once(sdk: AsyncAnthropic, rule: dict[str, object], stream: bool) -> None:
    """A server that stops ends what it had promised never to end, well within a second."""
    simulator = Simulator()
    await simulator.start()
    simulator.rules([rule])
    call = asyncio.ensure_future(ask(sdk.with_options(base_url=simulator.url), stream=stream))
    await simulator.journal.until(lambda journal: journal.in_flight == 1)
    began = time.monotonic()
    await simulator.stop()
    assert time.monotonic() - began < 1
    with pytest.raises((anthropic.APIConnectionError, httpx2.TransportError)):
        await call
