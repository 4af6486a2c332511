"""A rule: which calls it is about, when, how often, and what happens to them instead of a good answer in good time.

    {"match": {"role": "evaluator", "nth": [2]}, "times": 1, "fault": {"kind": "status", "status": 529}}

Unknown keys are refused, here and below: a rule with a typing error would be a drill that proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError, model_validator

from simulator.errors import STATUSES, ApiError, one_line

HeaderValue = Annotated[str, Field(pattern=r"^[\x20-\x7e]*$")]
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")]

ContentKind = Literal[
    "refusal",
    "truncation",
    "context_window",
    "empty",
    "empty_text",
    "thinking_only",
    "thinking_first",
    "fenced",
    "prose",
    "wrong_enum",
    "wrong_schema",
    "apology",
    "json_array",
]
"""What is wrong with the answer, although it arrives as it should."""

BreakKind = Literal["hang", "reset", "eof", "malformed_chunk"]
"""How the connection or the stream breaks off. Without streaming, the same happens to the JSON body."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StatusFault(_Strict):
    """An error response. Type and message follow from the status unless they are given.

    `retry_after` goes out as it is: seconds or an HTTP date. A 429 that does not mention it gets one second, because
    the service always says; `"retry_after": null` leaves the header away.
    """

    kind: Literal["status"]
    status: int = Field(ge=400, le=599)
    type: str | None = None
    message: str | None = None
    error_code: str | None = None
    retry_after: HeaderValue | None = None
    headers: Mapping[HeaderName, HeaderValue] = Field(default_factory=dict)

    def error(self) -> ApiError:
        """The error to answer with, headers included."""
        unsaid = self.status == 429 and "retry_after" not in self.model_fields_set
        after = "1" if unsaid else self.retry_after
        headers = self.headers if after is None else {"retry-after": after, **self.headers}
        return ApiError(self.status, self.message, type=self.type, error_code=self.error_code, headers=headers)


class StreamErrorFault(_Strict):
    """An `event: error` inside a 200, after some text. Without streaming, the status that has this type."""

    kind: Literal["sse_error"]
    type: str = "overloaded_error"
    message: str | None = None
    error_code: str | None = None

    def error(self) -> ApiError:
        """The error to send; its status only counts where there is no stream."""
        status = STATUSES.get(self.type, 500)
        return ApiError(status, self.message, type=self.type, error_code=self.error_code)


class StallFault(_Strict):
    """Headers, the beginning of the answer, then only pings for ever. Without streaming, no pings either."""

    kind: Literal["stall"]
    ping_every: float = Field(default=0.2, gt=0)
    """Seconds; short, so that a client whose read timeout is reset by pings is found out quickly."""


class BreakFault(_Strict):
    """`hang`: no byte, ever. `reset`: a TCP reset in the middle. `eof`: a clean end in the middle.

    `malformed_chunk`: in the middle a line of data that is not JSON.
    """

    kind: BreakKind


class ContentFault(_Strict):
    """A whole response whose content is unusable, or usable only for a client that looks closely."""

    kind: ContentKind


Fault = Annotated[StatusFault | StreamErrorFault | StallFault | BreakFault | ContentFault, Field(discriminator="kind")]


class Match(_Strict):
    """Which calls of `POST /v1/messages`: everything that is given must be so; nothing given is every call.

    `role` is the first word of the agent's name. `nth` counts the calls for which the rest of the match holds, from
    1 and from when the rule was loaded, whether or not another rule answered them.
    """

    role: str | None = None
    agent: str | None = None
    model: str | None = None
    run: str | None = None
    nth: frozenset[Annotated[int, Field(ge=1)]] | None = None


class Rule(_Strict):
    """One rule. A fault, or an answer to send instead; and a latency, alone or with either.

    `times` is how often it fires (null: always). `after` and `until` are seconds since the rule was loaded.
    `probability` is decided by `seed` and the number of the matching call: the same in every run.
    """

    match: Match = Match()
    times: int | None = Field(default=None, ge=0)
    after: float | None = Field(default=None, ge=0)
    until: float | None = Field(default=None, ge=0)
    probability: float = Field(default=1.0, ge=0, le=1)
    seed: int = 0
    fault: Fault | None = None
    answer: JsonValue = None
    latency: float | None = Field(default=None, ge=0)

    @property
    def has_answer(self) -> bool:
        """Whether an answer was given: null is one."""
        return "answer" in self.model_fields_set

    @model_validator(mode="after")
    def _does_one_thing(self) -> Rule:
        if self.fault is not None and self.has_answer:
            raise ValueError("a rule has a fault or an answer, not both")
        if self.fault is None and not self.has_answer and self.latency is None:
            raise ValueError("a rule needs a fault, an answer or a latency")
        return self


class RulesError(ValueError):
    """What is wrong with a set of rules, in one line."""


_RULES = TypeAdapter(list[Rule])


def parse_rules(raw: bytes) -> list[Rule]:
    """The rules in a JSON list. Raises RulesError."""
    try:
        return _RULES.validate_json(raw)
    except ValidationError as error:
        raise RulesError(one_line(error)) from error


def as_rules(rules: Iterable[Rule | Mapping[str, object]]) -> list[Rule]:
    """The same for rules that are already Python values. Raises RulesError."""
    try:
        return _RULES.validate_python([each if isinstance(each, Rule) else dict(each) for each in rules])
    except ValidationError as error:
        raise RulesError(one_line(error)) from error


def load_rules(script: Path) -> list[Rule]:
    """The rules in a file. Raises RulesError, also when the file cannot be read."""
    try:
        return parse_rules(script.read_bytes())
    except OSError as error:
        raise RulesError(f"cannot read it: {error.strerror}") from error


def rules_body(rules: Iterable[Rule]) -> bytes:
    """The rules as they could be posted again."""
    return _RULES.dump_json(list(rules), exclude_unset=True)
