"""Which rule applies to which call, and how rules come in and go out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from anthropic import APIStatusError, AsyncAnthropic

from simulator import ServerOptions, Simulator
from simulator.faults import RulesError, load_rules
from tests.simulator.support import VERDICT, Clock, ask, send, text_of

DOWN: dict[str, Any] = {"kind": "status", "status": 529}


async def outcomes(client: AsyncAnthropic, agents: list[str], **changes: Any) -> list[int]:
    """What a call of each agent in turn is answered with."""
    seen = []
    for agent in agents:
        try:
            await ask(client, agent=agent, stream=False, **changes)
        except APIStatusError as error:
            seen.append(error.status_code)
        else:
            seen.append(200)
    return seen


async def test_without_rules_everything_is_answered(client: AsyncAnthropic) -> None:
    """Faults only come on demand."""
    assert await outcomes(client, ["planner-1", "generator-1"]) == [200, 200]


@pytest.mark.parametrize(
    ("agent", "plays"),
    [
        ("evaluator", True),
        ("evaluator-2", True),
        ("evaluator.a", True),
        ("evaluators", False),
        ("pre-evaluator", False),
    ],
)
async def test_a_role_is_the_first_word_of_the_agent(
    client: AsyncAnthropic, simulator: Simulator, agent: str, plays: bool
) -> None:
    """All evaluators, and nobody whose name only looks like it."""
    simulator.rules([{"match": {"role": "evaluator"}, "fault": DOWN}])
    assert await outcomes(client, [agent]) == [529 if plays else 200]


@pytest.mark.parametrize(
    ("match", "met"),
    [
        ({"agent": "planner-1"}, True),
        ({"agent": "planner"}, False),
        ({"model": "claude-haiku-5-5"}, True),
        ({"model": "claude-opus-5-5"}, False),
        ({"run": "run-7"}, True),
        ({"run": "run-8"}, False),
        ({"run": "run-7", "agent": "planner-1", "role": "planner"}, True),
        ({"run": "run-7", "agent": "planner-2"}, False),
        ({}, True),
    ],
)
async def test_everything_in_a_match_must_hold(
    client: AsyncAnthropic, simulator: Simulator, match: dict[str, str], met: bool
) -> None:
    """More conditions mean fewer calls; none means all."""
    simulator.rules([{"match": match, "fault": DOWN}])
    seen = await outcomes(client, ["planner-1"], extra_headers={"x-breakwater-run": "run-7"})
    assert seen == [529 if met else 200]


async def test_nth_counts_only_the_calls_that_match(client: AsyncAnthropic, simulator: Simulator) -> None:
    """The second and third evaluation fail, whoever else calls in between."""
    simulator.rules([{"match": {"role": "evaluator", "nth": [2, 3]}, "fault": DOWN}])
    agents = ["evaluator-1", "planner-1", "evaluator-1", "evaluator-2", "planner-1", "evaluator-1"]
    assert await outcomes(client, agents) == [200, 200, 529, 529, 200, 200]


async def test_nth_counts_also_what_another_rule_answered(client: AsyncAnthropic, simulator: Simulator) -> None:
    """Rules do not change each other's numbers."""
    simulator.rules(
        [
            {"match": {"nth": [1]}, "fault": {"kind": "status", "status": 500}},
            {"match": {"nth": [2]}, "fault": DOWN},
        ]
    )
    assert await outcomes(client, ["a", "a", "a"]) == [500, 529, 200]


async def test_a_rule_fires_as_often_as_it_says_and_then_the_next_one_does(
    client: AsyncAnthropic, simulator: Simulator
) -> None:
    """The first rule in order that has firings left applies."""
    simulator.rules(
        [
            {"times": 2, "fault": DOWN},
            {"times": 1, "fault": {"kind": "status", "status": 500}},
            {"times": 0, "fault": {"kind": "status", "status": 400}},
        ]
    )
    assert await outcomes(client, ["a"] * 4) == [529, 529, 500, 200]


async def test_a_window_opens_and_closes_in_the_time_since_the_rules_were_loaded(
    sdk: AsyncAnthropic, timed: Simulator, clock: Clock
) -> None:
    """An outage from second 10 to second 20, without waiting for it."""
    timed.rules([{"after": 10, "until": 20, "fault": DOWN}])
    loaded = clock.seconds
    seen = []
    for second in (0, 9.9, 10, 19.9, 20, 1_000):
        clock.seconds = loaded + second
        seen += await outcomes(sdk.with_options(base_url=timed.url), ["a"])
    assert seen == [200, 200, 529, 529, 200, 200]


async def test_an_appended_rule_counts_its_own_time(sdk: AsyncAnthropic, timed: Simulator, clock: Clock) -> None:
    """What was loaded earlier keeps its counts and its clock."""
    timed.rules([{"until": 10, "fault": DOWN}])
    clock.seconds += 15
    timed.rules([{"until": 10, "fault": {"kind": "status", "status": 500}}], append=True)
    assert await outcomes(sdk.with_options(base_url=timed.url), ["a"]) == [500]


async def test_a_probability_gives_the_same_calls_every_time(client: AsyncAnthropic, simulator: Simulator) -> None:
    """Some fail and some do not, and a second drill hits the same ones; another seed hits others."""
    runs = []
    for seed in (0, 0, 1):
        simulator.rules([{"probability": 0.5, "seed": seed, "fault": DOWN}])
        runs.append(await outcomes(client, ["a"] * 20))
    assert runs[0] == runs[1] != runs[2]
    assert 4 < runs[0].count(529) < 16


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("plain words", "plain words"),
        ({"verdict": "fail", "because": "ümlaut"}, '{"verdict":"fail","because":"ümlaut"}'),
        ([1, 2], "[1,2]"),
        (None, "null"),
    ],
)
async def test_an_answer_is_sent_as_it_is(
    client: AsyncAnthropic, simulator: Simulator, answer: object, text: str
) -> None:
    """Whatever the schema says: a drill decides what a subagent answers."""
    simulator.rules([{"answer": answer}])
    assert text_of(await ask(client, output_config=VERDICT)) == text
    assert next(iter(simulator.journal)).outcome == "answered"


async def test_a_latency_belongs_to_its_rule(sdk: AsyncAnthropic, timed: Simulator, clock: Clock) -> None:
    """One slow agent among others, and a slow failure."""
    timed.rules(
        [
            {"match": {"agent": "a"}, "latency": 30},
            {"match": {"agent": "b"}, "latency": 5, "fault": DOWN},
            {"match": {"agent": "c"}, "latency": 0, "answer": "quick"},
        ]
    )
    await outcomes(sdk.with_options(base_url=timed.url), ["a", "b", "c", "d"])
    assert clock.pauses == [30, 5, 1]


async def test_a_failure_does_not_take_the_time_of_an_answer(
    sdk: AsyncAnthropic, timed: Simulator, clock: Clock
) -> None:
    """An overloaded service says no at once."""
    timed.rules([{"fault": DOWN}])
    await outcomes(sdk.with_options(base_url=timed.url), ["a"])
    assert clock.pauses == []


async def test_rules_are_replaced_appended_listed_and_dropped_over_http(simulator: Simulator) -> None:
    """A drill in another process has the same powers; what it reads back it could post again."""
    first, second = {"fault": DOWN, "times": 3}, {"answer": None, "match": {"nth": [2]}}
    assert (await send(simulator, "POST", "/admin/rules", body=[second]))[:2] == (200, {"count": 1})
    assert (await send(simulator, "POST", "/admin/rules", body=[first]))[:2] == (200, {"count": 1})
    assert (await send(simulator, "POST", "/admin/rules?append=1", body=[second]))[:2] == (200, {"count": 2})
    assert (await send(simulator, "GET", "/admin/rules"))[:2] == (200, [first, second])
    assert (await send(simulator, "DELETE", "/admin/rules"))[:2] == (200, {"count": 0})
    assert (await send(simulator, "GET", "/admin/rules"))[1] == []


BAD_RULES = [
    ({}, "a rule needs a fault, an answer or a latency"),
    ({"fault": DOWN, "answer": 1}, "a fault or an answer, not both"),
    ({"fault": DOWN, "tmes": 1}, "0.tmes: Extra inputs are not permitted"),
    ({"fault": DOWN, "match": {"agnt": "a"}}, "0.match.agnt"),
    ({"fault": {"kind": "explosion"}}, "0.fault"),
    ({"fault": {"kind": "status"}}, "status"),
    ({"fault": {"kind": "status", "status": 200}}, "greater than or equal to 400"),
    ({"fault": {"kind": "hang", "status": 500}}, "Extra inputs"),
    ({"fault": {"kind": "status", "status": 500, "headers": {"a": "b\r\nc: d"}}}, "pattern"),
    ({"fault": DOWN, "match": {"nth": [0]}}, "0.match.nth"),
    ({"fault": DOWN, "probability": 2}, "0.probability"),
]


@pytest.mark.parametrize(("rule", "message"), BAD_RULES)
async def test_a_bad_rule_is_refused_in_one_line_and_changes_nothing(
    simulator: Simulator, rule: dict[str, object], message: str
) -> None:
    """A rule with a typing error would be a drill that proves nothing."""
    simulator.rules([{"fault": DOWN}])
    status, body, _ = await send(simulator, "POST", "/admin/rules", body=[rule])
    assert status == 400
    assert message in body["error"]["message"]
    assert "\n" not in body["error"]["message"]
    with pytest.raises(RulesError):
        simulator.rules([rule])
    assert (await send(simulator, "GET", "/admin/rules"))[1] == [{"fault": DOWN}]


async def test_rules_that_are_not_json_are_refused(simulator: Simulator) -> None:
    """The same for what cannot even be parsed, and for what is no list."""
    for raw in (b"[{", b'{"fault": {"kind": "hang"}}'):
        status, body, _ = await send(simulator, "POST", "/admin/rules", raw=raw)
        assert (status, body["error"]["type"]) == (400, "invalid_request_error")


def test_a_script_holds_the_same_rules(tmp_path: Path) -> None:
    """A file and a post are read by the same code; a file that is not there is one clear line."""
    script = tmp_path / "rules.json"
    script.write_text(json.dumps([{"fault": DOWN}]))
    assert load_rules(script)[0].fault is not None
    with pytest.raises(RulesError, match="cannot read it: No such file"):
        load_rules(tmp_path / "nothing.json")


async def test_a_rate_limited_call_never_reaches_the_rules(sdk: AsyncAnthropic, clock: Clock) -> None:
    """The gate stands before them: it does not use up their firings."""
    options = ServerOptions(requests_per_minute=1, now=clock.now, sleep=clock.sleep)
    async with Simulator(options) as simulator:
        simulator.rules([{"match": {"nth": [2]}, "fault": DOWN}])
        client = sdk.with_options(base_url=simulator.url)
        seen = await outcomes(client, ["a", "a"])
        clock.seconds += 60
        assert seen + await outcomes(client, ["a"]) == [200, 429, 529]
