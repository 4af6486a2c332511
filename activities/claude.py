"""Talking to Claude: the only file that calls the `anthropic` SDK.

Every call is streamed, for four reasons: it can be cancelled, it can be seen to live, what it used is known even if
it breaks off, and there is no length limit. The stream has four traps, all handled here: an error event in an HTTP
200 (raised by the SDK with status 200; classified by its type), a clean end without `message_stop` (StreamEnded),
a malformed event (StreamBroken), and pings that keep a dead stream looking alive (StreamSilent).
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import anthropic
import httpx2
from anthropic.types import MessageDeltaUsage, RawMessageStreamEvent
from anthropic.types import Usage as ApiUsage

from activities.endpoint import check_endpoint
from activities.urls import without_login
from workflows.contracts import LARGEST_REQUEST, Phase, SubagentCall, Usage

SIMULATOR_HEADER = "x-breakwater-simulator"
"""The stand-in says what it is on every response; a reply that carries this was not written by a model."""

CONNECT_TIMEOUT = timedelta(seconds=10)
POOL = httpx2.Limits(max_connections=1_000, max_keepalive_connections=200)
"""More than a worker's subagent slots, so that a call never waits for a connection instead of for the API."""


class StreamEnded(Exception):
    """The response ended cleanly before `message_stop`: the answer is incomplete."""


class StreamBroken(Exception):
    """The response held something that is not an event of the Messages API."""


class StreamSilent(Exception):
    """No content event came for the silence timeout, though the connection lived."""


class RequestTooLarge(Exception):
    """More than the API takes in one request: nothing was sent."""


class NoCredential(Exception):
    """An endpoint is configured but nothing to authenticate with; `str()` says what to set."""


@dataclass
class Meter:
    """What a call has received so far; readable while it runs and after it failed."""

    text: list[str] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    stop_reason: str | None = None
    model: str | None = None
    request_id: str | None = None
    simulated: bool = False
    phase: Phase = "connecting"

    def headers(self, headers: Mapping[str, str]) -> None:
        """Note who answered and under which request id."""
        self.request_id = headers.get("request-id", self.request_id)
        self.simulated = SIMULATOR_HEADER in headers

    def whole_text(self) -> str:
        """The text blocks, joined. Half a surrogate pair, which no UTF-8 can carry, becomes a replacement mark."""
        return "".join(self.text).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class Claude:
    """One client for the whole process; close it at shutdown. SDK retries are off: Temporal owns them."""

    def __init__(self, client: anthropic.AsyncAnthropic, silence: timedelta, name: str | None = None) -> None:
        """`name` is what the endpoint is called among the circuits; its host by default."""
        self._client = client
        self._name = name or client.base_url.netloc.decode()
        self._silence = silence.total_seconds()

    @property
    def endpoint(self) -> str:
        """Where calls go."""
        return without_login(str(self._client.base_url))

    def circuit_of(self, model: str) -> str:
        """The circuit a call belongs to: one for each endpoint and model."""
        return f"{self._name} {model}"

    async def ask(
        self,
        call: SubagentCall,
        headers: Mapping[str, str],
        meter: Meter,
        answering: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Stream one answer into `meter`, until `message_stop`; `answering` is awaited at the first content event.

        Raises whatever the SDK raises, RequestTooLarge, NoCredential, StreamEnded, StreamBroken or StreamSilent;
        `meter` keeps what had come.
        """
        _check_size(call)
        if not _authenticates(self._client):
            raise NoCredential("there is no credential for the API")
        try:
            async with asyncio.timeout(self._silence):
                stream = await self._client.messages.create(
                    model=call.model,
                    max_tokens=call.max_tokens,
                    system=call.instructions,
                    messages=[{"role": "user", "content": call.prompt}],
                    output_config={
                        "format": {
                            "type": "json_schema",
                            "schema": anthropic.transform_schema(call.answer_schema),
                        }
                    },
                    extra_headers=dict(headers),
                    stream=True,
                )
        except TimeoutError as error:
            raise StreamSilent(f"no response for {self._silence:g} s") from error
        async with stream:
            meter.headers(stream.response.headers)
            async for event in self._audible(aiter(stream)):
                try:
                    complete = _take(event, meter)
                except (AttributeError, TypeError, ValueError) as error:
                    raise StreamBroken(f"an event of the response has an unknown form: {event.type}") from error
                if answering is not None and meter.phase == "answering":
                    await answering()
                    answering = None
                if complete:
                    return
        raise StreamEnded("the response ended before it was complete")

    async def _audible(self, events: AsyncIterator[RawMessageStreamEvent]) -> AsyncIterator[RawMessageStreamEvent]:
        """The events, as long as none is waited for longer than the silence timeout (the SDK hides pings)."""
        while True:
            try:
                async with asyncio.timeout(self._silence):
                    event = await anext(events)
            except StopAsyncIteration:
                return
            except TimeoutError as error:
                raise StreamSilent(f"no content for {self._silence:g} s") from error
            except (json.JSONDecodeError, UnicodeDecodeError) as error:
                raise StreamBroken("an event of the response is not JSON") from error
            yield event


def _take(event: RawMessageStreamEvent, meter: Meter) -> bool:
    """Add one event to the meter; True when the message is complete. Usage in a stream is cumulative: overwrite."""
    match event.type:
        case "message_start":
            meter.model = event.message.model
            meter.usage = _usage(event.message.usage, meter.usage)
            meter.phase = "thinking"
        case "content_block_start" if event.content_block.type == "text":
            meter.phase = "answering"
            meter.text.append(event.content_block.text)
        case "content_block_delta" if event.delta.type == "text_delta":
            meter.text.append(event.delta.text)
        case "message_delta":
            meter.stop_reason = event.delta.stop_reason
            meter.usage = _usage(event.usage, meter.usage)
        case "message_stop":
            if meter.stop_reason is None:
                raise StreamEnded("the response stopped without a stop reason")
            return True
    return False


def _usage(said: ApiUsage | MessageDeltaUsage, before: Usage) -> Usage:
    """The API's running totals; what a later event leaves out keeps its earlier value."""

    def latest(value: int | None, known: int) -> int:
        return known if value is None else value

    return Usage(
        input_tokens=latest(said.input_tokens, before.input_tokens),
        output_tokens=latest(said.output_tokens, before.output_tokens),
        cache_read_tokens=latest(said.cache_read_input_tokens, before.cache_read_tokens),
        cache_write_tokens=latest(said.cache_creation_input_tokens, before.cache_write_tokens),
    )


def _check_size(call: SubagentCall) -> None:
    """Raises RequestTooLarge. A character is at most 6 bytes of JSON, so ordinary calls are not even measured."""
    texts = [call.instructions, call.prompt]
    if sum(map(len, texts)) * 6 > LARGEST_REQUEST:
        size = len(json.dumps(texts, ensure_ascii=False).encode())
        if size > LARGEST_REQUEST:
            limit = f"the API takes {LARGEST_REQUEST:,} at once"
            raise RequestTooLarge(f"the request is {size:,} bytes and {limit}; nothing was sent")


def _authenticates(client: anthropic.AsyncAnthropic) -> bool:
    """Whether the SDK found a key, token, profile or workload identity (without one it raises a bare TypeError)."""
    return any((client.api_key, client.auth_token, client.credentials))


def needs_stand_in() -> bool:
    """Whether nothing is configured at all, so that the local stand-in answers.

    Raises NoCredential when an endpoint is named but no credential: a misconfiguration, never a reason to simulate.
    Raises EndpointInvalid for settings that nothing can be sent with.
    """
    check_endpoint(os.environ)
    if _authenticates(anthropic.AsyncAnthropic(max_retries=0)):
        return False
    if endpoint := os.environ.get("ANTHROPIC_BASE_URL"):
        raise NoCredential(
            f"ANTHROPIC_BASE_URL is {without_login(endpoint)} but there is no credential: set ANTHROPIC_API_KEY "
            "(any value if that endpoint needs none), or unset ANTHROPIC_BASE_URL to use the local stand-in"
        )
    return True


@asynccontextmanager
async def claude(silence: timedelta, stand_in_url: str | None = None) -> AsyncIterator[Claude]:
    """The process's client: for the stand-in at `stand_in_url`, or for whatever the environment configures.

    Proxies from the environment are respected for the real endpoint, and never used for the stand-in on loopback.
    """
    timeout = httpx2.Timeout(silence.total_seconds(), connect=CONNECT_TIMEOUT.total_seconds())
    http = anthropic.DefaultAioHttpClient(timeout=timeout, limits=POOL, trust_env=stand_in_url is None)
    if stand_in_url is None:
        client = anthropic.AsyncAnthropic(max_retries=0, http_client=http)
    else:
        client = anthropic.AsyncAnthropic(api_key="stand-in", base_url=stand_in_url, max_retries=0, http_client=http)
    async with client:
        # The stand-in's port changes from start to start; its circuits are the same ones.
        yield Claude(client, silence, None if stand_in_url is None else "stand-in")
