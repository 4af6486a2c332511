"""The same steps through each store end in the same state as without one."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from activities.circuit import machine
from activities.circuit.line import Line
from activities.circuit.link import Link
from activities.circuit.phases import IllegalMove, first
from activities.circuit.state import Outcome, Permit, Policy, State, decode, encode
from activities.circuit.store import Store
from tests.circuit.rules import START

POLICY = Policy(failure_threshold=2, window=4, minimum_calls=3, ramp=(1, 2), window_age=20.0, probe_lease=4.0)


async def test_a_sequence_through_a_store_is_the_sequence_itself(store: Store, key: str) -> None:
    """Three hundred moves with times of their own, drawn once for all stores."""
    luck = random.Random(7)
    line = Line(key, Link(store, lambda _, __: None, lambda: 0.0), POLICY, lambda _, __: None, Counter(), lambda: 0.0)
    alone = first(START)
    assert await store.swap(key, encode(alone), None, None)
    now, given = START, [Permit(alone.generation, None, START)]

    for number in range(300):
        now += luck.choice([0.0, 0.5, 4.0, 60.0])
        permit, outcome = luck.choice(given[-4:]), luck.choice(list(Outcome))
        move = luck.choice(["ask", "ask", "settle", "settle", "throttle", "release"])

        def step(state: State, _: float, *, at: float = now, n: int = number, p: Permit = permit, o: Outcome = outcome,
                 m: str = move) -> tuple[State, object]:  # fmt: skip
            match m:
                case "ask":
                    return machine.permit(state, POLICY, at, f"t{n}")
                case "settle":
                    return machine.settle(state, POLICY, p, o, at, 0.5), None
                case "throttle":
                    return machine.throttle(state, POLICY, p, 3.0, at, 0.5), None
                case _:
                    return machine.release(state, p, at), None

        alone, expected = step(alone, 0.0)
        answer = await line.submit(step)
        assert answer == expected
        if isinstance(answer, Permit):
            given.append(answer)
        kept = (await store.load(key)).text
        assert kept is not None
        assert decode(kept) == alone
    assert alone.openings > 5, "the sequence went somewhere"


async def test_an_illegal_step_spoils_no_other_in_its_round(store: Store, key: str) -> None:
    """It raises for its own caller only."""
    line = Line(key, Link(store, lambda _, __: None, lambda: 0.0), POLICY, lambda _, __: None, Counter(), lambda: 0.0)
    good = line.submit(lambda state, now: machine.permit(state, POLICY, now, "a"))
    bad = line.submit(lambda state, now: machine.permit(state, POLICY, now, ""))
    after = line.submit(lambda state, now: (machine.reset(state, now), "reset"))
    assert isinstance(await good, Permit)
    with pytest.raises(IllegalMove):
        await bad
    assert await after == "reset"
    await line.drain()
