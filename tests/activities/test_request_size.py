"""A request that the API would refuse for its size is refused here, before anything is sent."""

from __future__ import annotations

from datetime import timedelta

import pytest

from activities.claude import Meter, RequestTooLarge, claude
from activities.failures import describe
from simulator import ServerOptions, Simulator
from workflows.contracts import LARGEST_REQUEST, SubagentCall, Usage


@pytest.mark.parametrize("letter", ["x", "\n", "é", "\x01"])
async def test_a_request_over_32_mib_is_never_sent(letter: str) -> None:
    """Measured as the JSON it becomes; the kind is `request`, which nobody retries and no circuit counts."""
    bytes_each = {"x": 1, "\n": 2, "é": 2, "\x01": 6}[letter]
    call = SubagentCall(
        agent="writer-1",
        role="writer",
        model="claude-haiku-5-5",
        instructions="Write.",
        prompt=letter * (LARGEST_REQUEST // bytes_each + 1),
        answer_schema={},
        max_tokens=100,
    )
    async with Simulator(ServerOptions()) as simulator, claude(timedelta(seconds=60), simulator.url) as model:
        with pytest.raises(RequestTooLarge, match=r"is 33,55\d,\d{3} bytes and the API takes 33,554,432") as caught:
            await model.ask(call, {}, Meter())
        assert not simulator.journal.entries()
    assert describe(caught.value, attempt=1, meter=Meter(), billed=Usage()).kind == "request"
