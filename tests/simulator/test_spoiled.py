"""Answers that arrive and are of no use: all of them a 200 with a well-formed message."""

from __future__ import annotations

import json
from typing import Any, get_args

import anthropic
import pytest
from anthropic import AsyncAnthropic
from pydantic import ValidationError

from simulator import Simulator
from simulator.faults import ContentKind
from simulator.spoiled import UNKNOWN
from tests.simulator.support import BOTH_WAYS, VERDICT, Verdict, ask, fault, text_of


async def good(client: AsyncAnthropic) -> str:
    """What the answer would have been."""
    return text_of(await ask(client, output_config=VERDICT))


SPOILED = [
    ("refusal", "refusal", []),
    ("truncation", "max_tokens", ["text"]),
    ("context_window", "model_context_window_exceeded", ["text"]),
    ("empty", "end_turn", []),
    ("empty_text", "end_turn", ["text"]),
    ("thinking_only", "end_turn", ["thinking"]),
    ("thinking_first", "end_turn", ["thinking", "text"]),
    ("fenced", "end_turn", ["text"]),
    ("prose", "end_turn", ["text"]),
    ("wrong_enum", "end_turn", ["text"]),
    ("wrong_schema", "end_turn", ["text"]),
    ("apology", "end_turn", ["text"]),
    ("json_array", "end_turn", ["text"]),
]


@BOTH_WAYS
@pytest.mark.parametrize(("kind", "stop_reason", "blocks"), SPOILED)
async def test_a_spoiled_answer_has_the_stop_reason_and_the_blocks_it_should_have(
    client: AsyncAnthropic, simulator: Simulator, stream: bool, kind: str, stop_reason: str, blocks: list[str]
) -> None:
    """All of these are a 200 with a well-formed message: only a client that looks finds out."""
    fault(simulator, kind)
    message = await ask(client, stream=stream, output_config=VERDICT)
    assert message.stop_reason == stop_reason
    assert [block.type for block in message.content] == blocks
    assert message.usage.output_tokens >= 1
    assert next(iter(simulator.journal)).outcome == f"fault:{kind}"


def test_the_table_above_has_every_kind() -> None:
    """A new way to spoil an answer needs a row there."""
    assert {kind for kind, _, _ in SPOILED} == set(get_args(ContentKind))


async def test_a_refusal_explains_itself(client: AsyncAnthropic, simulator: Simulator) -> None:
    """The details the SDK offers beside the stop reason are there."""
    fault(simulator, "refusal")
    message = await ask(client, stream=False)
    assert message.stop_details is not None
    assert message.stop_details.type == "refusal"


@pytest.mark.parametrize("kind", ["truncation", "context_window"])
async def test_a_cut_answer_is_the_beginning_of_the_good_one(
    client: AsyncAnthropic, simulator: Simulator, kind: str
) -> None:
    """Half of the JSON, which no parser will take."""
    whole = await good(client)
    fault(simulator, kind)
    cut = await good(client)
    assert cut
    assert whole.startswith(cut)
    assert cut != whole


async def test_thinking_comes_before_the_answer_and_is_signed(client: AsyncAnthropic, simulator: Simulator) -> None:
    """The answer is unharmed behind it, for a client that picks blocks by type."""
    expected = await good(client)
    fault(simulator, "thinking_first")
    message = await ask(client, output_config=VERDICT)
    thinking: Any = message.content[0]
    assert thinking.thinking
    assert thinking.signature
    assert text_of(message) == expected


async def test_a_fenced_answer_is_the_good_one_in_a_fence(client: AsyncAnthropic, simulator: Simulator) -> None:
    """Recoverable by a client that accepts one JSON value in a fence."""
    expected = await good(client)
    fault(simulator, "fenced")
    assert await good(client) == f"```json\n{expected}\n```"


async def test_prose_surrounds_the_good_answer(client: AsyncAnthropic, simulator: Simulator) -> None:
    """The answer is in there, but the text is not JSON."""
    expected = await good(client)
    fault(simulator, "prose")
    text = await good(client)
    assert expected in text
    assert not text.startswith("{")
    assert not text.endswith("}")


async def test_a_wrong_enum_is_the_good_answer_but_for_one_word(client: AsyncAnthropic, simulator: Simulator) -> None:
    """Valid JSON of the right shape, with a value nobody knows."""
    expected = json.loads(await good(client))
    fault(simulator, "wrong_enum")
    answer = json.loads(await good(client))
    assert answer["findings"][0].pop("verdict") == UNKNOWN
    del expected["findings"][0]["verdict"]
    assert answer == expected


async def test_a_wrong_schema_is_valid_json_of_another_shape(client: AsyncAnthropic, simulator: Simulator) -> None:
    """A parser takes it, a validator does not."""
    fault(simulator, "wrong_schema")
    text = await good(client)
    json.loads(text)
    with pytest.raises(ValidationError):
        Verdict.model_validate_json(text)


async def test_an_array_holds_the_good_answer(client: AsyncAnthropic, simulator: Simulator) -> None:
    """One value, wrapped."""
    expected = await good(client)
    fault(simulator, "json_array")
    assert json.loads(await good(client)) == [json.loads(expected)]


async def test_an_apology_is_plain_text_that_ends_as_if_all_were_well(
    client: AsyncAnthropic, simulator: Simulator
) -> None:
    """Not a refusal by stop reason, and not an answer."""
    fault(simulator, "apology")
    message = await ask(client, output_config=VERDICT)
    assert text_of(message) == "I'm sorry, but I can't help with that."
    assert message.stop_reason == "end_turn"


@pytest.mark.parametrize("kind", ["wrong_enum", "wrong_schema"])
async def test_a_fault_that_cannot_happen_says_so(client: AsyncAnthropic, simulator: Simulator, kind: str) -> None:
    """Without a schema there is nothing to get wrong: a drill must not pass because its fault was skipped."""
    fault(simulator, kind)
    with pytest.raises(anthropic.BadRequestError, match="simulator"):
        await ask(client)


async def test_an_enum_that_is_not_there_cannot_be_wrong(client: AsyncAnthropic, simulator: Simulator) -> None:
    """The same when the schema has no enum."""
    fault(simulator, "wrong_enum")
    schema = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
    with pytest.raises(anthropic.BadRequestError, match="no enum"):
        await ask(client, output_config={"format": {"type": "json_schema", "schema": schema}})
