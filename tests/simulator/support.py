"""What the tests of the simulator share: a clock that nobody waits for, and short ways to ask."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Literal

import aiohttp
import pytest
from anthropic import AsyncAnthropic
from anthropic.types import Message
from pydantic import BaseModel

from simulator import Simulator

MODEL = "claude-haiku-5-5"
HELLO = [{"role": "user", "content": "Hello"}]
BOTH_WAYS = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
KEY = {"x-api-key": "any", "anthropic-version": "2023-06-01"}


class Verdict(BaseModel):
    """An answer with an enum in it, two levels down."""

    class Finding(BaseModel):
        id: str
        verdict: Literal["pass", "fail"]

    summary: str
    findings: list[Finding]


VERDICT = {"format": {"type": "json_schema", "schema": Verdict.model_json_schema()}}


@dataclass
class Clock:
    """Time that passes when it is told to, or when somebody would have slept."""

    seconds: float = 100.0
    pauses: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(round(seconds, 6))
        self.seconds += seconds
        await asyncio.sleep(0)


def fault(simulator: Simulator, kind: str, **more: object) -> None:
    """From now on every call meets this fault."""
    simulator.rules([{"fault": {"kind": kind, **more}}])


def data(**fields: object) -> str:
    """A prompt as Breakwater writes it: every field a fenced block."""
    return "\n\n".join(
        f"<<<DATA {name} 3f9a1c22\n{value if isinstance(value, str) else json.dumps(value)}\nDATA 3f9a1c22>>>"
        for name, value in fields.items()
    )


async def ask(client: AsyncAnthropic, *, stream: bool = True, agent: str | None = None, **changes: Any) -> Message:
    """One message from the simulator, streamed or whole."""
    request: dict[str, Any] = {"model": MODEL, "max_tokens": 4_000, "messages": HELLO, **changes}
    if agent is not None:
        request["extra_headers"] = {"x-breakwater-agent": agent, **request.get("extra_headers", {})}
    if not stream:
        whole: Message = await client.messages.create(**request)
        return whole
    async with client.messages.stream(**request) as events:
        streamed: Message = await events.get_final_message()
        return streamed


def text_of(message: Message) -> str:
    """The text blocks of a message, as one."""
    return "".join(block.text for block in message.content if block.type == "text")


async def send(
    simulator: Simulator,
    method: str,
    path: str,
    *,
    body: object = None,
    raw: bytes | None = None,
    headers: Mapping[str, str] = KEY,
) -> tuple[int, Any, Mapping[str, str]]:
    """One request without the SDK, for what the SDK would never send: status, body, headers (lower case)."""
    content = json.dumps(body).encode() if raw is None and body is not None else raw
    async with (
        aiohttp.ClientSession() as session,
        session.request(
            method, simulator.url + path, data=None if content is None else BytesIO(content), headers=dict(headers)
        ) as response,
    ):
        answer = await (response.json() if response.content_type == "application/json" else response.text())
        return response.status, answer, {name.lower(): value for name, value in response.headers.items()}
