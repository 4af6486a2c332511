"""A call, as far as the simulator reads it: who asks, which model, the words, and the form the answer must have.

The models here are as strict as the service: a missing, misspelt or withdrawn parameter is a 400 that names it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from simulator.catalogue import known_model
from simulator.errors import ApiError, one_line

CHARACTERS_PER_TOKEN = 4
"""A rule of thumb for English and JSON. Usage only has to be plausible and the same every time."""

_FENCE = re.compile(r"(<<<DATA \w+ )(\w+)(?=\n)|(DATA )(\w+)(?=>>>)")


class ContentBlock(BaseModel):
    """One block of a turn. Only text is read; images, documents and the rest are accepted and ignored."""

    model_config = ConfigDict(extra="ignore")

    type: str
    text: str | None = None

    @model_validator(mode="after")
    def _text_has_text(self) -> ContentBlock:
        if self.type == "text" and self.text is None:
            raise ValueError("text: Field required")
        return self


class Turn(BaseModel):
    """One message of the conversation."""

    model_config = ConfigDict(extra="forbid")

    role: Literal["user", "assistant", "system"]
    content: str | list[ContentBlock]


class OutputFormat(BaseModel):
    """The form the answer must have."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["json_schema"]
    json_schema: dict[str, object] = Field(alias="schema")


class OutputConfig(BaseModel):
    """How to answer; of interest here is only the form."""

    model_config = ConfigDict(extra="forbid")

    effort: str | None = None
    format: OutputFormat | None = None


class CountBody(BaseModel):
    """The body of `POST /v1/messages/count_tokens`. What is typed `object` is accepted and has no effect."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: str
    messages: list[Turn] = Field(min_length=1)
    system: str | list[ContentBlock] = ""
    output_config: OutputConfig | None = None
    cache_control: object = None
    speed: object = None
    thinking: object = None
    tool_choice: object = None
    tools: object = None
    user_profile_id: object = None
    workspace_id: object = None


class MessagesBody(CountBody):
    """The body of `POST /v1/messages`. `temperature`, `top_p` and `top_k` are gone from the API, so from here."""

    max_tokens: int = Field(ge=1)
    stream: bool = False
    stop_sequences: list[str] | None = None
    container: object = None
    diagnostics: object = None
    inference_geo: object = None
    metadata: object = None
    service_tier: object = None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as the `x-breakwater-` headers say: all optional, none believed beyond rules and journal."""

    run: str | None = None
    agent: str | None = None
    attempt: int | None = None

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Caller:
        attempt = headers.get("x-breakwater-attempt", "")
        return cls(
            headers.get("x-breakwater-run"),
            headers.get("x-breakwater-agent"),
            int(attempt) if attempt.isdecimal() and len(attempt) < 10 else None,
        )

    def plays(self, role: str) -> bool:
        """Whether the agent's name begins with `role` as a whole word: evaluator-2 plays evaluator, not eval."""
        agent = self.agent or ""
        return agent.startswith(role) and re.match(r"\w", agent[len(role) :]) is None


@dataclass(frozen=True, slots=True)
class Call:
    """A valid request, reduced to what decides its answer."""

    caller: Caller
    model: str
    system: str
    prompt: str
    schema: Mapping[str, object] | None
    max_tokens: int
    stop_sequences: tuple[str, ...]
    stream: bool
    input_tokens: int

    @property
    def prompt_sha256(self) -> str:
        """The hash of the words alone, so that a repeated prompt can be recognised whoever sends it."""
        return _hash(self.system, self.prompt)

    @property
    def seed(self) -> str:
        """What makes one answer differ from another: words and form, but not the random fences around the data."""
        return _hash(self.system, _FENCE.sub(r"\1\3", self.prompt), json.dumps(self.schema, sort_keys=True))


def read_call(raw: bytes, caller: Caller) -> Call:
    """The call in a request body. Raises ApiError 400 or 404 in the service's words."""
    body = _validated(MessagesBody, raw)
    known_model(body.model)
    if isinstance(body.tool_choice, dict) and body.tool_choice.get("type") in ("any", "tool"):
        raise ApiError(400, "tool_choice: the simulator has no tools, so it cannot be made to use one")
    form = body.output_config.format if body.output_config else None
    return Call(
        caller=caller,
        model=body.model,
        system=_words(body.system),
        prompt="\n\n".join(_words(turn.content) for turn in body.messages if turn.role == "user"),
        schema=form.json_schema if form else None,
        max_tokens=body.max_tokens,
        stop_sequences=tuple(body.stop_sequences or ()),
        stream=body.stream,
        input_tokens=_input_tokens(body),
    )


def count_tokens(raw: bytes) -> int:
    """The input tokens the same messages would be charged. Raises ApiError 400 or 404."""
    body = _validated(CountBody, raw)
    known_model(body.model)
    return _input_tokens(body)


def tokens(text: str) -> int:
    """An estimate of the tokens in `text`; never 0, as the service's own counts never are."""
    return max(1, -(-len(text) // CHARACTERS_PER_TOKEN))


_BodyT = TypeVar("_BodyT", bound=BaseModel)


def _validated(body: type[_BodyT], raw: bytes) -> _BodyT:
    try:
        return body.model_validate_json(raw)
    except ValidationError as error:
        raise ApiError(400, one_line(error)) from error


def _input_tokens(body: CountBody) -> int:
    return tokens(_words(body.system) + "".join(_words(turn.content) for turn in body.messages))


def _words(content: str | Iterable[ContentBlock]) -> str:
    if isinstance(content, str):
        return content
    return "\n\n".join(block.text for block in content if block.text is not None)


def _hash(*parts: str) -> str:
    return sha256("\0".join(parts).encode()).hexdigest()
