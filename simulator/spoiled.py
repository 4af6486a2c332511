"""Answers that arrive and are of no use: one function for each way a good answer can be spoiled."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace

from simulator.answers import as_text
from simulator.calls import Call
from simulator.errors import ApiError
from simulator.faults import ContentKind
from simulator.replies import Part, Reply, said
from simulator.schemas import Schema, fits, properties_of, resolve

APOLOGY = "I'm sorry, but I can't help with that."
THOUGHTS = "The request is clear. I should weigh what is asked against what can be shown before I answer."
UNKNOWN = "simulated_unknown_value"

Spoiler = Callable[[str, Call], Reply]


def spoil(kind: ContentKind, text: str, call: Call) -> Reply:
    """The reply to `call` when the good answer would have been `text`. Raises ApiError 400 where it cannot be done."""
    return _SPOILERS[kind](text, call)


def _refusal(_text: str, _call: Call) -> Reply:
    details = {"type": "refusal", "category": None, "explanation": "Refused because a rule of the simulator says so."}
    return Reply((), "refusal", stop_details=details)


def _cut(reason: str) -> Spoiler:
    def cut(text: str, call: Call) -> Reply:
        return replace(said(text[: max(1, len(text) // 2)], call), stop_reason=reason, stop_sequence=None)

    return cut


def _thinking_first(text: str, call: Call) -> Reply:
    reply = said(text, call)
    return replace(reply, parts=(Part("thinking", THOUGHTS), *reply.parts))


def _wrong_enum(text: str, call: Call) -> Reply:
    answer, root = _structured(text, call)
    spoiled, done = _with_unknown(answer, root, root)
    if not done:
        raise _impossible("wrong_enum", "the answer to this schema has no enum in it")
    return said(as_text(spoiled), call)


def _wrong_schema(text: str, call: Call) -> Reply:
    _, root = _structured(text, call)
    candidates: tuple[object, ...] = ({"unexpected": "shape"}, ["unexpected", "shape"], "unexpected shape", 0, None)
    for candidate in candidates:
        if not fits(candidate, root, root):
            return said(as_text(candidate), call)
    raise _impossible("wrong_schema", "everything fits this schema")


def _json_array(text: str, call: Call) -> Reply:
    return said(f"[{text if call.schema is not None else as_text(text)}]", call)


def _with_unknown(value: object, schema: object, root: Schema) -> tuple[object, bool]:
    """The value with its first enum member replaced, and whether there was one. Walks value and schema together."""
    rules = resolve(schema, root)
    if "enum" in rules:
        return UNKNOWN, True
    for keyword in ("anyOf", "oneOf"):
        choices = rules.get(keyword)
        for choice in choices if isinstance(choices, list) else ():
            if fits(value, choice, root):
                spoiled, done = _with_unknown(value, choice, root)
                if done:
                    return spoiled, True
    if isinstance(value, dict):
        members = properties_of(rules)
        for name, each in value.items():
            spoiled, done = _with_unknown(each, members.get(name, True), root)
            if done:
                return {**value, name: spoiled}, True
    if isinstance(value, list):
        for index, each in enumerate(value):
            spoiled, done = _with_unknown(each, rules.get("items", True), root)
            if done:
                return [*value[:index], spoiled, *value[index + 1 :]], True
    return value, False


def _structured(text: str, call: Call) -> tuple[object, Schema]:
    if call.schema is None:
        raise ApiError(400, "simulator: the rule's fault needs a request with an output_config.format")
    return json.loads(text), call.schema


def _impossible(kind: str, why: str) -> ApiError:
    """A fault that cannot happen here is an error for everyone to see, not a good answer in silence."""
    return ApiError(400, f"simulator: the rule's fault {kind} cannot be done: {why}")


_SPOILERS: Mapping[str, Spoiler] = {
    "refusal": _refusal,
    "truncation": _cut("max_tokens"),
    "context_window": _cut("model_context_window_exceeded"),
    "empty": lambda _text, _call: Reply(()),
    "empty_text": lambda _text, _call: Reply((Part("text", ""),)),
    "thinking_only": lambda _text, _call: Reply((Part("thinking", THOUGHTS),)),
    "thinking_first": _thinking_first,
    "fenced": lambda text, call: said(f"```json\n{text}\n```", call),
    "prose": lambda text, call: said(f"Here is what you asked for:\n\n{text}\n\nI hope this helps.", call),
    "wrong_enum": _wrong_enum,
    "wrong_schema": _wrong_schema,
    "apology": lambda _text, call: said(APOLOGY, call),
    "json_array": _json_array,
}
