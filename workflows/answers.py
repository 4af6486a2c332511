"""Whether what a model said is an answer: stop reason first, then one JSON value, then the answer's own model.

This is the only gate to `status: "success"`. Pure; the messages are for people and for the one repair.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, TypeVar
from weakref import WeakKeyDictionary

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from workflows.contracts import CallOutcome
from workflows.failures import FailureKind

AnswerT = TypeVar("AnswerT", bound=BaseModel)

FINISHED = frozenset({"end_turn", "stop_sequence"})
"""The stop reasons that say the model had finished what it wanted to say."""

_FENCED = re.compile(r"^```(?:json|JSON)?[ \t]*\r?\n(?P<value>.*?)(?:\r?\n)?```$", re.DOTALL)
_PROBLEMS_SHOWN = 5


@dataclass(frozen=True)
class Unusable:
    """Why an answer is none, and what may be tried once: a larger cap, a repair, or nothing."""

    kind: FailureKind
    message: str
    remedy: Literal["larger_cap", "repair", "none"]


def form_of(answer: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of an answer, made once for each model: making one costs more than all else in a delegation.

    It is shared by everybody who asks, so nobody may change it.
    """
    form = _FORMS.get(answer)
    if form is None:
        form = _FORMS[answer] = answer.model_json_schema()
    return form


_FORMS: WeakKeyDictionary[type[BaseModel], dict[str, Any]] = WeakKeyDictionary()
"""Weak, because the models of a pipeline's own file are made anew for every run."""


def judge(outcome: CallOutcome, answer: type[AnswerT]) -> AnswerT | Unusable:
    """The answer, validated, or why there is none."""
    match outcome.stop_reason:
        case "refusal":
            return Unusable("refused", "the model declined to answer", "none")
        case "max_tokens":
            return Unusable("truncated", "the answer was cut off at the output token limit", "larger_cap")
        case "model_context_window_exceeded":
            return Unusable("truncated", "request and answer together exceed the model's context window", "none")
        case reason if reason not in FINISHED:
            return Unusable("answer_unusable", f"the model stopped with {reason!r} instead of finishing", "none")
    text = outcome.text.strip()
    if not text:
        return Unusable("answer_unusable", "the answer has no text", "repair")
    fenced = _FENCED.match(text)
    value = fenced["value"] if fenced else text
    try:
        return answer.model_validate_json(value)
    except ValidationError as error:
        return Unusable("answer_unusable", f"the answer does not fit its form: {problems(error)}", "repair")


def problems(error: ValidationError) -> str:
    """A validation error in one line: where and what, without echoing the offending value."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    shown = [f"{_place(each['loc'])}: {_fault(each)}" for each in found[:_PROBLEMS_SHOWN]]
    more = len(found) - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more else "")


def _place(location: tuple[int | str, ...]) -> str:
    """Where, in one line; a key may be the model's own invention, of any length."""
    return ".".join(" ".join(str(part).split())[:60] for part in location) or "answer"


def _fault(error: ErrorDetails) -> str:
    # Pydantic quotes the tag here, and the tag is the model's.
    return "is of an unknown kind" if error["type"] == "union_tag_invalid" else error["msg"]
