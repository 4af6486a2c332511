"""The text a circuit is kept as: how long, what comes back, and what is refused."""

from __future__ import annotations

import pytest

from activities.circuit import machine
from activities.circuit.phases import keep_for
from activities.circuit.state import decode, encode
from tests.circuit.rules import Circuit


def test_the_record_outlives_everything_that_refers_to_it() -> None:
    """Twice (longest open + lease + longest call); for ever while a person holds it without an end."""
    circuit = Circuit()
    policy = circuit.policy
    least = 2 * (policy.retry_after_cap + policy.probe_lease + policy.longest_call)
    assert (keep_for(circuit.state, policy, circuit.now) or 0) >= least
    held = machine.force(circuit.state, "open", reason="why", by="ann", now=circuit.now)
    assert keep_for(held, policy, circuit.now) is None


def test_the_text_form_gives_the_same_state_back() -> None:
    """Also while a probe is out, a person holds it, and someone has accused."""
    circuit = Circuit()
    circuit.fail(3)
    circuit.become(machine.accuse(circuit.state, circuit.policy, "a", circuit.now, 0.5))
    circuit.throttle(circuit.admit(), 2.0)
    assert decode(encode(circuit.state)) == circuit.state
    circuit.now += 3
    circuit.admit()
    assert decode(encode(circuit.state)) == circuit.state
    circuit.become(machine.force(circuit.state, "closed", reason="a reason", by="ann", now=circuit.now, until=2e6))
    assert decode(encode(circuit.state)) == circuit.state


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not JSON"),
        ("hello", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not a circuit"),
        ('{"state":"open"}', "not a circuit"),
        ('{"breakwater.circuit":2}', "schema is 2"),
        ('{"breakwater.circuit":1}', "damaged"),
    ],
)
def test_foreign_text_is_refused_in_words(text: str, says: str) -> None:
    """Never guessed at."""
    with pytest.raises(ValueError, match=says):
        decode(text)


@pytest.mark.parametrize(
    ("whole", "broken"),
    [
        ('"phase":"closed"', '"phase":"ajar"'),
        ('"streak":[]', '"streak":["soon"]'),
        ('"retry_at":null', '"retry_at":1e999'),
        ('"stage":0', '"stage":-1'),
        ('"as_of":1000000.0', f'"as_of":{"9" * 400}'),
        ('"forced":null', '"forced":["ajar","r","b",1,null]'),
        ('"probes":[]', '"probes":[["a"]]'),
    ],
)
def test_a_damaged_field_is_refused(whole: str, broken: str) -> None:
    """One bad value makes the record unusable."""
    text = encode(Circuit().state)
    assert whole in text
    with pytest.raises(ValueError, match="damaged"):
        decode(text.replace(whole, broken))
