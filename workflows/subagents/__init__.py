"""A subagent: a role, its instructions, what it is asked and what it must answer. One file each in this folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, StringConstraints

from workflows.models import Tier

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
"""Words in an answer: there are some."""

RequestT = TypeVar("RequestT", bound=BaseModel)
AnswerT = TypeVar("AnswerT", bound=BaseModel)


@dataclass(frozen=True)
class Subagent(Generic[RequestT, AnswerT]):
    """Everything a subagent ever sees is `instructions` and one `request`; nothing of other subagents' contexts.

    `max_tokens` caps the answer; a truncated answer is asked for once more with `max_tokens_retry`.
    """

    role: str
    instructions: str
    request: type[RequestT]
    answer: type[AnswerT]
    tier: Tier
    max_tokens: int
    max_tokens_retry: int
    model: str | None = None
    """Runs on this model, whatever its tier's is."""
    headline: str | None = None
    """The field of the answer that `watch` shows beside the call: a verdict, say."""
