"""An answer nobody thought about: any value that fits the schema, or some prose, the same for the same request."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import cast

from pydantic import JsonValue

from simulator.errors import ApiError
from simulator.schemas import DEEPEST, Schema, fits, number_of, properties_of, required_of, resolve, types_of

_THRIFTY_DEPTH = 4
"""From here on only what is required: a schema that refers to itself ends instead of growing."""

_FORMATS: Mapping[str, str] = {
    "date": "2026-11-23",
    "time": "12:00:00Z",
    "date-time": "2026-11-23T12:00:00Z",
    "duration": "PT1H",
    "email": "someone@example.com",
    "hostname": "example.com",
    "uri": "https://example.com/",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
}


def as_text(value: object) -> str:
    """A JSON value in the words a model would use: no ASCII escapes, no spare spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def prose(seed: str, prompt: str) -> str:
    """What is said when no form was asked for."""
    opening = " ".join(prompt.split()[:12]) or "nothing"
    return (
        "This is Breakwater's simulator speaking, not a model. "
        f"You wrote {len(prompt)} characters that begin with: {opening}. "
        f"The same words always get this same answer, number {int(seed[:8], 16)}."
    )


def any_answer(schema: Schema, seed: str) -> JsonValue:
    """A value that fits `schema`. Raises ApiError 400 when the schema is broken or nothing could fit it."""
    answer = _value(schema, schema, seed, "answer", 0)
    if not fits(answer, schema, schema):
        raise ApiError(400, "output_config.format.schema: the simulator found no value for this schema")
    return answer


def _value(schema: object, root: Schema, seed: str, place: str, depth: int) -> JsonValue:
    if depth > DEEPEST:
        raise ApiError(400, "output_config.format.schema: recursive schemas are not supported")
    rules = resolve(schema, root)
    if "const" in rules:
        return cast(JsonValue, rules["const"])
    allowed = rules.get("enum")
    if isinstance(allowed, list) and allowed:
        return cast(JsonValue, allowed[0])
    for keyword in ("anyOf", "oneOf"):
        choices = rules.get(keyword)
        if isinstance(choices, list) and choices:
            return _value(_choice(choices, root, depth), root, seed, place, depth + 1)
    kinds = types_of(rules) or ["object" if "properties" in rules else "array" if "items" in rules else "string"]
    kind = next((each for each in kinds if each != "null"), "null")
    match kind:
        case "object":
            return _object(rules, root, seed, place, depth)
        case "array":
            return _array(rules, root, seed, place, depth)
        case "string":
            return _string(rules, seed, place)
        case "integer" | "number":
            return _number(rules, seed, place, whole=kind == "integer")
        case "boolean":
            return True
        case _:
            return None


def _choice(choices: list[object], root: Schema, depth: int) -> object:
    """The first choice that says something; deep down null, if it is offered, because it ends the recursion."""
    nulls = [each for each in choices if types_of(resolve(each, root)) == ["null"]]
    if nulls and depth >= _THRIFTY_DEPTH:
        return nulls[0]
    return next((each for each in choices if each not in nulls), choices[0])


def _object(rules: Schema, root: Schema, seed: str, place: str, depth: int) -> JsonValue:
    required = required_of(rules)
    members = properties_of(rules)
    wanted = members if depth < _THRIFTY_DEPTH else {name: members.get(name, True) for name in required}
    return {
        name: _value(each, root, seed, f"{place}.{name}", depth + 1)
        for name, each in {**wanted, **{name: members.get(name, True) for name in required}}.items()
    }


def _array(rules: Schema, root: Schema, seed: str, place: str, depth: int) -> JsonValue:
    least = int(number_of(rules, "minItems") or 0)
    most = number_of(rules, "maxItems")
    prefix = rules.get("prefixItems")
    places = prefix if isinstance(prefix, list) else []
    count = max(least, len(places), 1 if depth < _THRIFTY_DEPTH else 0)
    count = count if most is None else min(count, int(most))
    rest = rules.get("items", True)
    if rest is False:
        count = min(count, len(places))
    return [
        _value(places[index] if index < len(places) else rest, root, seed, f"{place}.{index + 1}", depth + 1)
        for index in range(count)
    ]


def _string(rules: Schema, seed: str, place: str) -> str:
    form = rules.get("format")
    if form == "uuid":
        digest = _digest(seed, place)
        return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"
    if isinstance(form, str) and form in _FORMATS:
        return _FORMATS[form]
    words = re.sub(r"[._]+", " ", place.removeprefix("answer").lstrip(".")) or "answer"
    text = f"simulated {words} {_digest(seed, place)[:6]}"
    most = number_of(rules, "maxLength")
    return text.ljust(int(number_of(rules, "minLength") or 0), ".")[: None if most is None else int(most)]


def _number(rules: Schema, seed: str, place: str, *, whole: bool) -> int | float:
    """A small number within the bounds: the first that fits, from one that varies to the very edges."""
    step = number_of(rules, "multipleOf") or (1 if whole else 0.5)
    low = _outermost(rules, ("minimum", "exclusiveMinimum"), max)
    high = _outermost(rules, ("maximum", "exclusiveMaximum"), min)
    first = 0.0 if low is None else math.ceil(low / step) * step
    last = first if high is None else math.floor(high / step) * step
    middle = first if low is None or high is None else (low + high) / 2
    wish = first + int(_digest(seed, place)[:4], 16) % 10 * step
    for candidate in (wish, first, first + step, last, last - step, middle):
        value = int(candidate) if whole else float(candidate)
        if fits(value, rules, rules):
            return value
    return 0


def _outermost(rules: Schema, keywords: tuple[str, str], choose: Callable[[list[float]], float]) -> float | None:
    bounds = [bound for keyword in keywords if (bound := number_of(rules, keyword)) is not None]
    return choose(bounds) if bounds else None


def _digest(seed: str, place: str) -> str:
    return sha256(f"{seed}\0{place}".encode()).hexdigest()
