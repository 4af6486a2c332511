"""What the service refuses: which requests, with which status, and what the SDK makes of it."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest
from anthropic import AsyncAnthropic

from simulator import Simulator
from simulator.api import LARGEST_BODY
from tests.simulator.support import HELLO, KEY, MODEL, ask, send

VALID: dict[str, Any] = {"model": MODEL, "max_tokens": 10, "messages": HELLO}


@pytest.mark.parametrize(
    "headers",
    [
        {"anthropic-version": "2023-06-01"},
        {**KEY, "x-api-key": " "},
        {"anthropic-version": "2023-06-01", "authorization": "Basic YTpi"},
        {"anthropic-version": "2023-06-01", "authorization": "Bearer "},
    ],
)
async def test_without_credentials_nothing_is_answered(simulator: Simulator, headers: dict[str, str]) -> None:
    """No key and no bearer token is a 401, as at the service."""
    status, body, _ = await send(simulator, "POST", "/v1/messages", body=VALID, headers=headers)
    assert (status, body["error"]["type"]) == (401, "authentication_error")


async def test_a_bearer_token_is_as_good_as_a_key(simulator: Simulator) -> None:
    """Any token will do: there is nothing here to protect."""
    headers = {"anthropic-version": "2023-06-01", "authorization": "Bearer any"}
    status, _, _ = await send(simulator, "POST", "/v1/messages", body=VALID, headers=headers)
    assert status == 200


async def test_the_api_version_must_be_named(simulator: Simulator) -> None:
    """The header the SDK always sends is missed when it is not there."""
    status, body, _ = await send(simulator, "POST", "/v1/messages", body=VALID, headers={"x-api-key": "any"})
    assert (status, body["error"]["type"]) == (400, "invalid_request_error")
    assert "anthropic-version" in body["error"]["message"]


@pytest.mark.parametrize("missing", ["model", "max_tokens", "messages"])
async def test_a_missing_parameter_is_named(simulator: Simulator, missing: str) -> None:
    """The message says which one, as the service's does."""
    body = {name: value for name, value in VALID.items() if name != missing}
    status, answer, _ = await send(simulator, "POST", "/v1/messages", body=body)
    assert status == 400
    assert answer["error"] == {"type": "invalid_request_error", "message": f"{missing}: Field required"}


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "10"}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "robot", "content": "Hi"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.0.content"),
        ({"temperature": 0.5}, "temperature"),
        ({"top_p": 0.5}, "top_p"),
        ({"top_k": 5}, "top_k"),
        ({"max_token": 5}, "max_token"),
        ({"tool_choice": {"type": "any"}}, "tool_choice"),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
        (
            {"output_config": {"format": {"type": "json_schema", "schema": {"type": "text"}}}},
            "output_config.format.schema",
        ),
        (
            {"output_config": {"format": {"type": "json_schema", "schema": {"$ref": "#/$defs/Nobody"}}}},
            "output_config.format.schema",
        ),
    ],
)
async def test_a_wrong_parameter_is_refused_by_name(client: AsyncAnthropic, change: dict[str, Any], place: str) -> None:
    """Wrong values, withdrawn parameters, typing errors and broken schemas are all a 400 that names the place."""
    with pytest.raises(anthropic.BadRequestError) as refused:
        await client.post("/v1/messages", cast_to=object, body={**VALID, **change})
    assert refused.value.type == "invalid_request_error"
    assert str(refused.value.api_message).startswith(f"{place}")


async def test_a_body_that_is_not_json_is_a_bad_request(simulator: Simulator) -> None:
    """Not a crash, and not a guess."""
    status, body, _ = await send(simulator, "POST", "/v1/messages", raw=b'{"model": ')
    assert (status, body["type"], body["error"]["type"]) == (400, "error", "invalid_request_error")
    assert "JSON" in body["error"]["message"]


@pytest.mark.parametrize("stream", [True, False])
async def test_an_unknown_model_is_not_found(client: AsyncAnthropic, stream: bool) -> None:
    """A typing error in a model's name shows here as it would in production."""
    with pytest.raises(anthropic.NotFoundError) as refused:
        await ask(client, stream=stream, model="claude-haiku-9")
    assert refused.value.type == "not_found_error"
    assert refused.value.api_message == "model: claude-haiku-9"
    assert refused.value.request_id == refused.value.response.headers["request-id"]
    with pytest.raises(anthropic.NotFoundError):
        await client.models.retrieve("claude-haiku-9")


async def test_a_body_over_32_megabytes_is_too_large(simulator: Simulator) -> None:
    """The documented limit of the API, with its own error type."""
    status, body, _ = await send(simulator, "POST", "/v1/messages", raw=b" " * (LARGEST_BODY + 1))
    assert (status, body["error"]["type"]) == (413, "request_too_large")


async def test_a_wrong_method_is_an_error_in_the_shape_of_the_api(simulator: Simulator) -> None:
    """Also what the web server itself refuses has a request id and a body that can be parsed."""
    status, body, headers = await send(simulator, "DELETE", "/v1/messages")
    assert (status, body["type"], body["request_id"]) == (405, "error", headers["request-id"])
