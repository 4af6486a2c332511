"""The words both sides share: names, call and reply, identifiers, task queues, timeouts derived from each other.

Safe to import inside the workflow sandbox: nothing here reads a clock, a file or the environment.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from temporalio.common import RetryPolicy, SearchAttributeKey

from workflows.failures import FailureKind

# --- names -----------------------------------------------------------------------------------------------------

WORKFLOW_QUEUE = "breakwater"
"""Workflows run here."""
SUBAGENT_QUEUE = "breakwater-subagents"
"""Model calls run here and in the tiers' own (models.LANES), apart, so that dispatch can be held without holding the
orchestrators."""
CIRCUIT_QUEUE = "breakwater-circuit"
"""Waiting for an open circuit happens here, so that it never takes a slot a call could use."""
CALL_SUBAGENT = "claude.call"
"""The activity type of one subagent call, as the Temporal UI's timeline shows it."""
AWAIT_CIRCUIT = "circuit.wait"
"""The activity type of waiting until an open circuit lets a call through."""
CIRCUIT_OPEN_ERROR = "CircuitOpenError"
"""The type of the ApplicationError that a denied call raises; nobody ever matches on its message."""

STAND_IN_MARK = "(stand-in)"
"""In the identity of a worker whose answers come from the stand-in, so that nobody has to guess."""

PIPELINE_ATTRIBUTE = SearchAttributeKey.for_keyword("BreakwaterPipeline")
STATUS_ATTRIBUTE = SearchAttributeKey.for_keyword("BreakwaterStatus")
COST_ATTRIBUTE = SearchAttributeKey.for_float("BreakwaterCostUsd")
CIRCUIT_ATTRIBUTE = SearchAttributeKey.for_keyword("BreakwaterCircuit")
SEARCH_ATTRIBUTES = {
    "BreakwaterPipeline": "Keyword",
    "BreakwaterStatus": "Keyword",
    "BreakwaterCostUsd": "Double",
    "BreakwaterCircuit": "Keyword",
}
"""Name and type of every custom search attribute, as `temporal operator search-attribute create` wants them."""

MODEL_NAME = r"^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}$"
"""What a model name may look like; whether the model exists is the API's to say."""

LARGEST_REQUEST = 32 * 1024 * 1024
"""Bytes of one request to the Messages API (documented); so no input of a run can be larger either."""

# --- timeouts, each derived from the one above -----------------------------------------------------------------

SILENCE = timedelta(seconds=60)
"""How long a stream may stay without a content event before the call counts as hung (pings do not help it)."""
START_TO_CLOSE = timedelta(minutes=30)
"""One attempt of one call. A stream that keeps talking may take this long; silence ends it far sooner."""
HEARTBEAT_TIMEOUT = timedelta(seconds=10)
"""A dead worker is noticed after this; the next attempt starts 5-9 s after a kill -9 (measured)."""
HEARTBEAT_EVERY = HEARTBEAT_TIMEOUT / 5
"""How often a call reports that it lives, and what it has used so far."""
LONGEST_WAIT = timedelta(days=30)
"""For an open circuit, when the run has no deadline of its own."""
MAX_ATTEMPTS = 8
CALL_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(seconds=60),
    maximum_attempts=MAX_ATTEMPTS,
)
"""Temporal owns every retry (the SDK's own are off): about two minutes of patience; jitter comes from the activity."""


# --- one subagent call -----------------------------------------------------------------------------------------


class Frozen(BaseModel):
    """A value that crosses a process: immutable, and unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Usage(Frozen):
    """Tokens as the API bills them. Cache reads and writes are priced apart from plain input."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0

    @property
    def total(self) -> int:
        """All tokens the API billed, of whatever sort."""
        return self.input_tokens + self.output_tokens + self.cache_read_tokens + self.cache_write_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cache_read_tokens=self.cache_read_tokens + other.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
        )

    def __or__(self, other: Usage) -> Usage:
        """The larger of two running totals of one thing."""
        return Usage(
            input_tokens=max(self.input_tokens, other.input_tokens),
            output_tokens=max(self.output_tokens, other.output_tokens),
            cache_read_tokens=max(self.cache_read_tokens, other.cache_read_tokens),
            cache_write_tokens=max(self.cache_write_tokens, other.cache_write_tokens),
        )


class HandedPermit(Frozen):
    """A probe's slot in a circuit that is recovering, handed from the one who waited to the call that uses it."""

    generation: int
    token: str
    at: float
    """Seconds on the store's clock."""


class CircuitWait(Frozen):
    """The input of one `circuit.wait` activity."""

    key: str
    """The circuit: endpoint and model."""
    agent: str
    model: str


class CircuitWaiting(Frozen):
    """What a waiting activity heartbeats: why, and until when if that is known."""

    reason: str
    until: datetime | None


class CircuitPassage(Frozen):
    """The circuit lets this caller through: freely, or as one of its probes."""

    permit: HandedPermit | None


class SubagentCall(Frozen):
    """The input of one `claude.call` activity: the exact words sent, so that a history can be read as it happened."""

    agent: str
    """Role and number within the run, `evaluator-2`; sent as `x-breakwater-agent`."""
    role: str
    model: str
    instructions: str
    """The system prompt."""
    prompt: str
    """The request, rendered: every field a fenced data block."""
    answer_schema: dict[str, Any]
    """JSON schema of the answer."""
    headline: str | None = None
    """The field of the answer that people are shown beside the call: a verdict, say."""
    max_tokens: int
    permit: HandedPermit | None = None
    """The probe's slot this call was let through with, for its first attempt."""
    capped: bool = False
    """The run has a dollar cap: no attempt may follow a billed one without a new reservation."""


Phase = Literal["connecting", "thinking", "answering"]
"""Where a call stands: sent, answered without text yet, text arriving."""


class CallProgress(Frozen):
    """What a running call heartbeats: read by `show` and `watch`, and by the next attempt if this one dies."""

    attempt: int
    phase: Phase
    output_tokens: int = 0
    billed: Usage = Usage()
    """Tokens billed so far by this call, earlier attempts included."""


class CallOutcome(Frozen):
    """What the API said, before anyone judged whether the answer fits the subagent's answer model."""

    text: str
    """The text blocks, joined; thinking blocks are never part of it."""
    stop_reason: str
    usage: Usage
    """All attempts of this activity together."""
    model: str
    request_id: str | None
    attempts: int
    simulated: bool
    started_at: datetime
    duration: timedelta


class CallFailure(Frozen):
    """The details of the ApplicationError that ends a call; its `type` is the failure kind."""

    kind: FailureKind
    message: str
    request_id: str | None = None
    http_status: int | None = None
    error_code: str | None = None
    retry_after: timedelta | None = None
    circuit: str | None = None
    """The circuit that denied the call."""
    retry_at: datetime | None = None
    """When it may let a call through; None if unknown (a probe is out, a person holds it)."""
    attempts: int = 1
    usage: Usage = Usage()
    simulated: bool = False


AnswerT = TypeVar("AnswerT")


class Reply(BaseModel, Generic[AnswerT]):
    """What a subagent returns, always: explicit status, and on error the kind, in words too.

    `status` is "success" only if the stop reason says the model had finished and the answer validates.
    """

    model_config = ConfigDict(frozen=True)

    agent: str
    role: str
    status: Literal["success", "error"]
    answer: AnswerT | None = None
    kept_at: str | None = Field(default=None, description="The key of the run's state that holds the answer.")
    error_kind: FailureKind | None = None
    error_message: str | None = None
    stop_reason: str | None = None
    usage: Usage = Usage()
    cost_usd: float | None = Field(default=None, description="None when the model's price is not known.")
    model: str
    request_id: str | None = None
    attempts: int = 0
    simulated: bool = False
    started_at: datetime
    duration: timedelta
    """From scheduling to the verdict, waiting and retries included."""


# --- one run ---------------------------------------------------------------------------------------------------

ResultT = TypeVar("ResultT")

RunStatus = Literal["running", "finished", "failed", "cancelled"]


class Decision(Frozen):
    """What a person said to a proposal of the run."""

    what: str
    outcome: Literal["approved", "amended", "rejected"]
    reason: str | None = None
    at: datetime


class RunReport(BaseModel, Generic[ResultT]):
    """How a run ended: computed by code, never by a model."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    pipeline: str
    status: RunStatus
    stop_reason: str
    """A name from the pipeline's own list: `satisfied`, `max_revisions`, …"""
    message: str | None = None
    """One sentence for a person when the run did not pass: what happened and what to do next."""
    passed: bool
    result: ResultT | None
    agents: list[Reply[Any]]
    usage: Usage
    cost_usd: float | None
    """None when any call's price is not known."""
    simulated: bool
    """True when any answer came from the stand-in rather than from a model."""
    agents_started: int = 0
    """In this run and every run below it."""
    not_started: list[str] = []
    """Agents that were asked for and not started, because a bound was reached."""
    warnings: list[str] = []
    """The bounds of which four fifths or more were used."""
    decisions: list[Decision] = []
