"""Answers to any schema: what the generic persona says is valid, for pydantic as well as for our own check."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from simulator.answers import any_answer, as_text
from simulator.errors import ApiError
from simulator.schemas import fits
from simulator.spoiled import _with_unknown


class Leaf(BaseModel):
    model_config = ConfigDict(extra="forbid")

    kind: Literal["leaf"]
    colour: Literal["red", "green"] | None
    weight: Annotated[float, Field(gt=0.5, lt=0.75)]


class Branch(BaseModel):
    kind: Literal["branch"]
    leaves: Annotated[list[Leaf], Field(min_length=3, max_length=4)]
    below: Branch | None = None
    beside: list[Branch] = []


class Tree(BaseModel):
    root: Annotated[Leaf | Branch, Field(discriminator="kind")]
    planted: date
    seen: datetime
    id: UUID
    name: Annotated[str, Field(min_length=60)]
    code: Annotated[str, Field(max_length=3)]
    age: Annotated[int, Field(ge=100, multiple_of=7)]
    below_zero: Annotated[int, Field(lt=0)]
    alive: bool
    nothing: None
    pair: tuple[int, str]
    anything: Any
    counts: dict[str, int]


@pytest.mark.parametrize("form", [Leaf, Branch, Tree, list[Tree], int, str, bool, Literal["one"], Literal[1, None]])
def test_what_pydantic_describes_it_also_accepts(form: Any) -> None:
    """The schema goes out, an answer comes back, and the model behind the schema takes it."""
    adapter = TypeAdapter(form)
    schema = adapter.json_schema()
    schema = schema if isinstance(schema, dict) else {}
    adapter.validate_json(as_text(any_answer(schema, "seed")))


def test_min_items_is_honoured() -> None:
    """A list that must have three has three, and they are not the same."""
    schema = {"type": "array", "items": {"type": "string"}, "minItems": 3}
    answer = any_answer(schema, "seed")
    assert isinstance(answer, list)
    assert len({str(each) for each in answer}) == 3


def test_references_and_combinations_are_followed() -> None:
    """Siblings of a reference, allOf, oneOf and escaped names."""
    schema = {
        "$defs": {"a/b": {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}},
        "allOf": [
            {"$ref": "#/$defs/a~1b", "description": "a sibling"},
            {"properties": {"y": {"oneOf": [{"type": "null"}, {"enum": ["on"]}]}}, "required": ["y"]},
        ],
    }
    answer = any_answer(schema, "seed")
    assert isinstance(answer, dict)
    assert isinstance(answer["x"], int)
    assert answer["y"] == "on"


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "text"},
        {"$ref": "#/$defs/Nobody"},
        {"$ref": "https://example.com/schema"},
        {"$ref": "#"},
        {"anyOf": [{"$ref": "#"}]},
        {"type": "object", "properties": {"again": {"$ref": "#"}}, "required": ["again"]},
        {"type": "string", "pattern": "^[0-9]{4}$"},
        {"type": "string", "pattern": "("},
        {"enum": []},
        {"properties": 5, "type": "object", "required": ["a"], "additionalProperties": False},
        {"items": 5},
    ],
)
def test_a_schema_nobody_can_answer_is_a_bad_request(schema: dict[str, object]) -> None:
    """Broken, endless or beyond the simulator: a 400 that names the schema, never a crash."""
    with pytest.raises(ApiError) as refused:
        any_answer(schema, "seed")
    assert refused.value.status == 400
    assert "schema" in refused.value.message


def test_an_endless_schema_is_also_found_when_a_value_is_checked() -> None:
    """A persona's answer is checked before any other is made up."""
    schema = {"anyOf": [{"$ref": "#"}]}
    with pytest.raises(ApiError, match="recursive"):
        fits(1, schema, schema)


@pytest.mark.parametrize(
    ("value", "schema", "fit"),
    [
        (1, {"const": True}, False),
        (1.0, {"type": "integer"}, True),
        (True, {"type": "integer"}, False),
        (float("inf"), {"type": "integer"}, False),
        (1, {"oneOf": [{"type": "integer"}, {"type": "number"}]}, False),
        ("abcd", {"maxLength": 3}, False),
        (4, {"exclusiveMaximum": 4}, False),
        (4, {"multipleOf": 3}, False),
        ([1], {"minItems": 2}, False),
        ([1, "a"], {"prefixItems": [{"type": "integer"}], "items": {"type": "string"}}, True),
        ({"a": 1}, {"additionalProperties": False}, False),
        ({"a": 1}, {"additionalProperties": {"type": "string"}}, False),
        ({}, {"required": ["a"]}, False),
        ("x", False, False),
        (None, {"type": ["string", "null"]}, True),
    ],
)
def test_a_value_fits_or_does_not(value: object, schema: Any, fit: bool) -> None:
    """The corners of the check that decides whether a persona may speak."""
    root = schema if isinstance(schema, dict) else {}
    assert fits(value, schema, root) is fit


NAMES = st.sampled_from(["a", "b", "c"])
SCHEMAS = st.recursive(
    st.one_of(
        st.sampled_from([{"type": kind} for kind in ("string", "integer", "number", "boolean", "null")]),
        st.lists(st.one_of(st.text(max_size=3), st.integers()), min_size=1, max_size=3).map(lambda v: {"enum": v}),
        st.integers(-50, 50).map(lambda low: {"type": "integer", "minimum": low, "maximum": low + 3}),
        st.integers(-50, 50).map(lambda high: {"type": "number", "exclusiveMaximum": high}),
    ),
    lambda inner: st.one_of(
        st.builds(lambda items, least: {"type": "array", "items": items, "minItems": least}, inner, st.integers(0, 3)),
        st.dictionaries(NAMES, inner, min_size=1).map(
            lambda members: {"type": "object", "properties": members, "required": list(members)}
        ),
        st.lists(inner, min_size=1, max_size=3).map(lambda choices: {"anyOf": choices}),
    ),
    max_leaves=12,
)


@given(SCHEMAS)
def test_every_answer_fits_its_schema_and_is_the_same_twice(schema: dict[str, Any]) -> None:
    """For any schema of the supported kind there is an answer, it fits, and it does not change."""
    answer = any_answer(schema, "seed")
    assert fits(answer, schema, schema)
    assert as_text(answer) == as_text(any_answer(schema, "seed"))


@given(SCHEMAS)
def test_an_unknown_enum_value_changes_the_answer_or_nothing_is_claimed(schema: dict[str, Any]) -> None:
    """The fault says honestly whether it found something to spoil."""
    answer = any_answer(schema, "seed")
    spoiled, done = _with_unknown(answer, schema, schema)
    assert done is (as_text(spoiled) != as_text(answer))
