"""Whether a value fits a JSON schema: the part of JSON Schema that structured outputs and pydantic use.

Unknown keywords are ignored, as the standard says. Schemas come from requests, so a broken one is a 400, not a crash.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import isfinite

from simulator.errors import ApiError

Schema = Mapping[str, object]

DEEPEST = 64
"""Levels of nesting before a schema is taken to be endless; the service refuses recursive ones altogether."""


def resolve(schema: object, root: Schema) -> Schema:
    """The schema itself, with a `$ref` followed (siblings win) and `allOf` merged. Raises ApiError 400."""
    resolved = _as_schema(schema)
    for _ in range(DEEPEST):
        reference, combined = resolved.get("$ref"), resolved.get("allOf")
        if isinstance(reference, str):
            siblings = {key: value for key, value in resolved.items() if key != "$ref"}
            resolved = {**_lookup(reference, root), **siblings}
        elif isinstance(combined, list):
            rest = {key: value for key, value in resolved.items() if key != "allOf"}
            resolved = _merged([rest, *(resolve(part, root) for part in combined)])
        else:
            return resolved
    raise ApiError(400, "output_config.format.schema: references without end")


def fits(value: object, schema: object, root: Schema, *, depth: int = 0) -> bool:
    """Whether `value` is valid for `schema`, whose references are found in `root`. Raises ApiError 400."""
    if isinstance(schema, bool):
        return schema
    if depth > DEEPEST:
        raise ApiError(400, "output_config.format.schema: recursive schemas are not supported")
    rules = resolve(schema, root)
    if "const" in rules and not _same(value, rules["const"]):
        return False
    allowed = rules.get("enum")
    if isinstance(allowed, list) and not any(_same(value, each) for each in allowed):
        return False
    for keyword in ("anyOf", "oneOf"):
        choices = rules.get(keyword)
        if isinstance(choices, list):
            matches = sum(fits(value, choice, root, depth=depth + 1) for choice in choices)
            if matches == 0 or (keyword == "oneOf" and matches > 1):
                return False
    kinds = types_of(rules)
    if kinds and not any(_is_a(value, kind) for kind in kinds):
        return False
    if isinstance(value, dict):
        return _object_fits(value, rules, root)
    if isinstance(value, list):
        return _array_fits(value, rules, root)
    return _scalar_fits(value, rules)


def types_of(rules: Schema) -> list[str]:
    """The types a schema names, if any."""
    named = rules.get("type")
    return [named] if isinstance(named, str) else [str(each) for each in named] if isinstance(named, list) else []


def properties_of(rules: Schema) -> Mapping[str, object]:
    """The named members of an object schema."""
    members = rules.get("properties")
    return members if isinstance(members, dict) else {}


def required_of(rules: Schema) -> list[str]:
    """The members an object cannot do without."""
    required = rules.get("required")
    return [str(each) for each in required] if isinstance(required, list) else []


def number_of(rules: Schema, keyword: str) -> float | None:
    """A numeric keyword's value; None when it is absent or no number."""
    value = rules.get(keyword)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _object_fits(value: Mapping[str, object], rules: Schema, root: Schema) -> bool:
    members = properties_of(rules)
    others = rules.get("additionalProperties", True)
    return all(name in value for name in required_of(rules)) and all(
        fits(each, members.get(name, others), root) for name, each in value.items()
    )


def _array_fits(value: Sequence[object], rules: Schema, root: Schema) -> bool:
    least, most = number_of(rules, "minItems"), number_of(rules, "maxItems")
    if (least is not None and len(value) < least) or (most is not None and len(value) > most):
        return False
    prefix = rules.get("prefixItems")
    places = prefix if isinstance(prefix, list) else []
    rest = rules.get("items", True)
    return all(fits(each, places[index] if index < len(places) else rest, root) for index, each in enumerate(value))


def _scalar_fits(value: object, rules: Schema) -> bool:
    if isinstance(value, str):
        least, most, pattern = number_of(rules, "minLength"), number_of(rules, "maxLength"), rules.get("pattern")
        return (
            (least is None or len(value) >= least)
            and (most is None or len(value) <= most)
            and (not isinstance(pattern, str) or _found(pattern, value))
        )
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        above, over = number_of(rules, "minimum"), number_of(rules, "exclusiveMinimum")
        below, under = number_of(rules, "maximum"), number_of(rules, "exclusiveMaximum")
        step = number_of(rules, "multipleOf")
        return (
            (above is None or value >= above)
            and (over is None or value > over)
            and (below is None or value <= below)
            and (under is None or value < under)
            and (not step or value % step == 0)
        )
    return True


def _is_a(value: object, kind: str) -> bool:
    match kind:
        case "null":
            return value is None
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            whole = isinstance(value, float) and isfinite(value) and value == int(value)
            return whole or (isinstance(value, int) and not isinstance(value, bool))
        case "number":
            return isinstance(value, (int, float)) and not isinstance(value, bool)
        case "string":
            return isinstance(value, str)
        case "array":
            return isinstance(value, list)
        case "object":
            return isinstance(value, dict)
    raise ApiError(400, f"output_config.format.schema: there is no type {kind!r}")


def _same(left: object, right: object) -> bool:
    """Equal as JSON: Python thinks True is 1."""
    return isinstance(left, bool) == isinstance(right, bool) and left == right


def _found(pattern: str, value: str) -> bool:
    try:
        return re.search(pattern, value) is not None
    except re.error as error:
        raise ApiError(400, f"output_config.format.schema: bad pattern {pattern!r}: {error}") from error


def _as_schema(schema: object) -> Schema:
    if isinstance(schema, bool):
        return {} if schema else {"enum": []}
    if not isinstance(schema, dict):
        raise ApiError(400, "output_config.format.schema: every schema is an object or a boolean")
    return schema


def _lookup(reference: str, root: Schema) -> Schema:
    place: object = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        key = step.replace("~1", "/").replace("~0", "~")
        if key and isinstance(place, dict):
            place = place.get(key)
    if not reference.startswith("#") or place is None:
        raise ApiError(400, f"output_config.format.schema: {reference!r} refers to nothing in the schema")
    return _as_schema(place)


def _merged(parts: Sequence[Schema]) -> Schema:
    """The schemas as one: members and required add up, any other keyword is the last one's."""
    merged: dict[str, object] = {}
    for part in parts:
        merged.update(part)
    for keyword in ("properties", "required"):
        if keyword in merged:
            merged[keyword] = (
                {name: each for part in parts for name, each in properties_of(part).items()}
                if keyword == "properties"
                else [name for part in parts for name in required_of(part)]
            )
    return merged
