"""The good case: messages, streamed and whole, token counts and models, as the SDK understands them."""

from __future__ import annotations

import inspect
import math
from typing import Any

import pytest
from anthropic import AsyncAnthropic
from anthropic.types import message_create_params

from simulator import ServerOptions, Simulator
from simulator.calls import MessagesBody
from tests.simulator.support import HELLO, MODEL, VERDICT, Clock, Verdict, ask, send, text_of

EVENTS_IN_ORDER = [
    "message_start",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop",
]


async def test_a_stream_and_a_whole_message_say_the_same(client: AsyncAnthropic) -> None:
    """Streaming changes how an answer travels and nothing else."""
    streamed, whole = [await ask(client, stream=stream, output_config=VERDICT) for stream in (True, False)]
    assert text_of(streamed) == text_of(whole)
    assert streamed.usage == whole.usage
    assert streamed.stop_reason == whole.stop_reason == "end_turn"


async def test_the_events_of_a_stream_come_in_the_documented_order(client: AsyncAnthropic) -> None:
    """Every event type appears, in order, with the deltas of the text together."""
    stream = await client.messages.create(
        model=MODEL, max_tokens=100, messages=[{"role": "user", "content": "Hi"}], stream=True
    )
    kinds = [event.type async for event in stream]
    assert list(dict.fromkeys(kinds)) == EVENTS_IN_ORDER
    assert kinds.count("content_block_delta") > 1


async def test_usage_at_the_end_of_a_stream_is_the_total(client: AsyncAnthropic) -> None:
    """The last usage is cumulative: overwriting is right, adding would count twice."""
    stream = await client.messages.create(
        model=MODEL, max_tokens=100, messages=[{"role": "user", "content": "Hi"}], stream=True
    )
    usages: list[Any] = [getattr(event, "usage", None) or getattr(event, "message", None) async for event in stream]
    start, end = [each for each in usages if each is not None]
    assert start.usage.output_tokens == 1
    assert end.output_tokens > 1
    assert end.input_tokens == start.usage.input_tokens == 1


async def test_every_answer_has_its_own_message_id_and_request_id(client: AsyncAnthropic) -> None:
    """Ids tell two equal answers apart."""
    first, second = [await ask(client, stream=False) for _ in range(2)]
    assert first.id.startswith("msg_")
    assert first.id != second.id
    assert first._request_id is not None
    assert first._request_id != second._request_id


async def test_every_response_says_that_this_is_a_simulator(simulator: Simulator) -> None:
    """Nobody can take an answer from here for one of a model, whatever they asked."""
    requests: list[tuple[str, str, object]] = [
        ("POST", "/v1/messages", {"model": MODEL, "max_tokens": 9, "messages": HELLO}),
        ("POST", "/v1/messages", {"model": MODEL, "max_tokens": 9, "messages": HELLO, "stream": True}),
        ("POST", "/v1/messages", {}),
        ("GET", "/v1/models", None),
        ("PUT", "/v1/models", None),
        ("GET", "/nowhere", None),
        ("GET", "/admin/health", None),
        ("POST", "/admin/rules", [{}]),
    ]
    for method, path, body in requests:
        _, _, headers = await send(simulator, method, path, body=body)
        assert headers["x-breakwater-simulator"] == "1", (method, path)


async def test_equal_requests_get_equal_answers_and_others_do_not(client: AsyncAnthropic) -> None:
    """Answers depend on the words and on nothing else."""
    texts = [
        text_of(await ask(client, output_config=VERDICT, messages=[{"role": "user", "content": words}]))
        for words in ("one", "one", "two")
    ]
    assert texts[0] == texts[1] != texts[2]


async def test_the_random_fence_around_data_does_not_change_the_answer(client: AsyncAnthropic) -> None:
    """Two runs of one task differ only in their fences, and must not differ in their answers."""
    prompts = [f"<<<DATA task {fence}\nwrite\nDATA {fence}>>>" for fence in ("aa11", "bb22")]
    first, second = [
        text_of(await ask(client, output_config=VERDICT, messages=[{"role": "user", "content": prompt}]))
        for prompt in prompts
    ]
    assert first == second


async def test_an_answer_with_a_schema_is_valid_for_it(client: AsyncAnthropic) -> None:
    """Structured output arrives as JSON text that the model behind the schema accepts."""
    message = await ask(client, output_config=VERDICT)
    assert Verdict.model_validate_json(text_of(message)).findings


async def test_without_a_schema_the_answer_is_prose_that_admits_what_it_is(client: AsyncAnthropic) -> None:
    """Even a reader who never sees a header is told."""
    assert "simulator" in text_of(await ask(client))


@pytest.mark.parametrize("stream", [True, False])
async def test_max_tokens_really_cuts_the_answer(client: AsyncAnthropic, stream: bool) -> None:
    """A cap that is too small gives half an answer and says why it stopped."""
    message = await ask(client, stream=stream, max_tokens=5, output_config=VERDICT)
    assert message.stop_reason == "max_tokens"
    assert message.usage.output_tokens == 5
    assert len(text_of(message)) == 20


async def test_a_stop_sequence_ends_the_answer_before_it(client: AsyncAnthropic) -> None:
    """The sequence is named and not part of the text."""
    message = await ask(client, stop_sequences=["never", " not a model"])
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", " not a model")
    assert text_of(message).endswith("speaking,")


async def test_tokens_are_counted_as_a_call_would_be_charged(client: AsyncAnthropic) -> None:
    """The count before and the usage after agree."""
    prompt: Any = {
        "system": "Be brief.",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "x" * 399}]}],
    }
    counted = await client.messages.count_tokens(model=MODEL, **prompt)
    assert counted.input_tokens == (await ask(client, **prompt)).usage.input_tokens == 102


async def test_the_models_can_be_listed_and_looked_up(client: AsyncAnthropic) -> None:
    """The list and the single model agree."""
    models = [model async for model in client.models.list()]
    assert MODEL in [model.id for model in models]
    assert len(models) == 5
    assert await client.models.retrieve(MODEL) == next(each for each in models if each.id == MODEL)


def test_every_parameter_of_the_sdk_is_known() -> None:
    """A parameter the SDK can send is never refused as unknown; the ones the API withdrew are not in the SDK either."""
    known = {field.alias or name for name, field in MessagesBody.model_fields.items()}
    sendable = set(message_create_params.MessageCreateParamsStreaming.__annotations__)
    for part in inspect.getmro(message_create_params.MessageCreateParamsBase):
        sendable |= set(getattr(part, "__annotations__", {}))
    assert sendable - known == set()
    assert known & {"temperature", "top_p", "top_k"} == set()


async def test_latency_is_spread_over_the_text_of_a_stream(sdk: AsyncAnthropic, timed: Simulator, clock: Clock) -> None:
    """A stream takes the whole service time in equal steps, so that it can be watched."""
    await ask(sdk.with_options(base_url=timed.url))
    assert len(clock.pauses) > 1
    assert sum(clock.pauses) == pytest.approx(1.0)


async def test_a_whole_message_comes_after_the_whole_latency(
    sdk: AsyncAnthropic, timed: Simulator, clock: Clock
) -> None:
    """Without streaming there is one pause and then everything."""
    await ask(sdk.with_options(base_url=timed.url), stream=False)
    assert clock.pauses == [1.0]


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.10", "::", "example.com"])
def test_only_a_loopback_address_is_accepted(host: str) -> None:
    """A stand-in that any key opens must not be reachable from elsewhere."""
    with pytest.raises(ValueError, match="loopback"):
        ServerOptions(host=host)
    assert ServerOptions(host=host, exposed=True).host == host  # said in so many words, for a network of its own


@pytest.mark.parametrize(
    "options",
    [
        {"latency": -1.0},
        {"latency": math.nan},
        {"latency": math.inf},
        {"requests_per_minute": 0},
        {"requests_per_minute": 10**400},
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    """A wrong number is found when it is given, not in the middle of a run."""
    with pytest.raises(ValueError, match="cannot be"):
        ServerOptions(**options)


async def test_before_it_is_started_a_simulator_has_no_url() -> None:
    """Using it too early is a clear error."""
    with pytest.raises(RuntimeError, match="not running"):
        _ = Simulator().url


async def test_an_unknown_path_is_an_error_in_the_shape_of_the_api(simulator: Simulator) -> None:
    """A wrong base URL looks like it does at the service."""
    status, body, headers = await send(simulator, "GET", "/v2/messages")
    assert (status, body["error"]["type"]) == (404, "not_found_error")
    assert headers["request-id"] == body["request_id"]
