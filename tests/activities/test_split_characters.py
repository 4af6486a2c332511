"""An answer that was paid for can be written to the history, however its characters were cut up on the way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from tempfile import TemporaryDirectory
from typing import cast

import pytest
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import ActivityEnvironment

from activities.circuit.gate import Gate
from activities.circuit.store import open_store
from activities.claude import Claude, Meter
from activities.journal.journal import Journal
from activities.journal.pages import open_pages
from activities.stores.address import parse_address
from activities.subagent import SubagentCalls
from workflows.contracts import CallOutcome, SubagentCall


class Speaker:
    """A model that says these pieces of text and ends its turn."""

    def __init__(self, *pieces: str) -> None:
        self.pieces = pieces

    def circuit_of(self, model: str) -> str:
        """Any circuit will do."""
        return f"speaker {model}"

    async def ask(
        self, call: SubagentCall, headers: Mapping[str, str], meter: Meter, answering: Callable[[], Awaitable[None]]
    ) -> None:
        """Fill the meter as a stream would."""
        meter.text.extend(self.pieces)
        meter.stop_reason = "end_turn"


async def outcome(*pieces: str) -> CallOutcome:
    """What the activity returns when a model says these pieces."""
    call = SubagentCall(
        agent="planner-1",
        role="planner",
        model="claude-haiku-5-5",
        instructions="Plan.",
        prompt="A poem.",
        answer_schema={},
        max_tokens=10,
    )
    with TemporaryDirectory() as folder:
        gate = Gate(open_store(f"sqlite:///{folder}/circuits.db"), worker="test")
        journal = Journal(open_pages(parse_address(f"sqlite:///{folder}/journal.db")), timedelta(days=1))
        calls = SubagentCalls(cast(Claude, Speaker(*pieces)), gate, journal)
        said = await ActivityEnvironment().run(calls.call_subagent, call)
        await gate.close()
        await journal.close()
        return said


async def test_pieces_of_text_are_joined_as_they_are() -> None:
    """Nothing is put between two pieces, nothing stripped."""
    assert (await outcome("a ", "", " 🙂b\n")).text == "a  🙂b\n"


@pytest.mark.parametrize("pieces", [("\ud83d", "\ude42"), ("a\ud83d",), ("\udc00",)])
async def test_half_a_character_does_not_lose_a_paid_answer(pieces: tuple[str, ...]) -> None:
    """JSON may hold half of a pair, and an emoji may be cut in two by a chunk: the outcome can still be encoded."""
    said = await outcome(*pieces)
    assert await pydantic_data_converter.encode([said])
