"""The rules of the shared state: nobody is overwritten unseen, and the log is all there is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from pydantic import BaseModel, RootModel

from workflows.state import REFUSED_VALUE_LIMIT, Entry, Refused, Slot, State, StateError, digest

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


class Verdict(BaseModel):
    status: str
    issues: list[str] = []


Names = RootModel[list[str]]
Number = RootModel[int]
Sizes = RootModel[dict[str, int]]

SLOTS = {
    "verdict/*": Slot(Verdict),
    "plan/current": Slot(Verdict, "compared"),
    "codes/seen": Slot(Names, "union"),
    "risk/top": Slot(Number, "highest"),
    "calls/made": Slot(Number, "counter"),
    "sizes/by-file": Slot(Sizes, "keyed"),
}


def state() -> State:
    return State(SLOTS, "run-1")


def refused(state: State, key: str, value: object, **options: Any) -> Refused:
    with pytest.raises(Refused) as lost:
        state.put(key, value, at=NOON, **options)
    return lost.value


# --- what a key may hold -------------------------------------------------------------------------------------------


def test_an_entry_says_what_which_version_who_which_attempt_and_when() -> None:
    """Everything a reader needs to trust a value stands beside it."""
    entry = state().put("verdict/AML", Verdict(status="pass"), writer="aml-1", attempt=2, at=NOON)
    assert entry == Entry(
        value={"status": "pass", "issues": []}, version=1, writer="aml-1", run="run-1", attempt=2, at=NOON
    )


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("verdicts/AML", Verdict(status="pass"), "'verdicts/AML' is not a key of this run; its keys are: verdict/\\*"),
        ("verdict/../AML", Verdict(status="pass"), "is not a key of this run"),
        ("verdict/", Verdict(status="pass"), "is not a key of this run"),
        ("verdict/A\nB", Verdict(status="pass"), "is not a key of this run"),
        ("x" * 10_000, Verdict(status="pass"), "…' is not a key of this run"),
        ("verdict/AML", {"status": 7}, "verdict/AML holds a Verdict; status: Input should be a valid string"),
        ("verdict/AML", "pass", "verdict/AML holds a Verdict; value: "),
        ("verdict/AML", {"status": "pass", "comment": "x"}, "comment: Extra inputs are not permitted"),
    ],
)
def test_an_unknown_key_or_a_wrong_type_is_refused_in_one_line_and_recorded_nowhere(
    key: str, value: object, problem: str
) -> None:
    """A mistake is not a conflict: it says what would have been right and leaves no trace."""
    mine = state()
    with pytest.raises(StateError, match=problem) as mistake:
        mine.put(key, value, writer="a", at=NOON)
    assert "\n" not in str(mistake.value)
    assert mine.log == ()


def test_a_rule_that_cannot_merge_its_model_says_so() -> None:
    """A union of something that is no list is a mistake of whoever declared it."""
    mine = State({"codes/seen": Slot(Verdict, "union")}, "run-1")
    with pytest.raises(StateError, match="declared as union, which Verdict cannot be"):
        mine.put("codes/seen", Verdict(status="pass"), writer="a", at=NOON)


# --- who may write -------------------------------------------------------------------------------------------------


def test_a_second_writer_of_an_owned_key_is_refused_and_gets_both_values() -> None:
    """The default: one writer for ever; the loser is in the log with what it wanted to say."""
    mine = state()
    first = mine.put("verdict/AML", Verdict(status="fail"), writer="aml-1", at=NOON)
    lost = refused(mine, "verdict/AML", Verdict(status="pass"), writer="kyc-1")
    assert (lost.event.refusal, lost.current) == ("other_writer", first)
    assert lost.event.value == {"status": "pass", "issues": []}
    assert mine.value("verdict/AML", Verdict).status == "fail"
    assert [event.outcome for event in mine.log] == ["written", "refused"]


def test_a_late_first_attempt_cannot_overwrite_the_second() -> None:
    """The fencing token decides, not the clock: the stale write carries a later time and loses all the same."""
    mine = state()
    mine.put("verdict/AML", Verdict(status="fail"), writer="aml-1", attempt=2, at=NOON)
    with pytest.raises(Refused) as lost:
        mine.put("verdict/AML", Verdict(status="pass"), writer="aml-1", attempt=1, at=NOON + timedelta(hours=1))
    assert lost.value.event.refusal == "stale"
    assert mine.value("verdict/AML", Verdict).status == "fail"


def test_an_earlier_execution_is_stale_whatever_its_attempt() -> None:
    """After continue-as-new a straggler of the old execution has lost, however often it was tried."""
    before = state()
    before.put("verdict/AML", Verdict(status="pass"), writer="aml-1", attempt=1, at=NOON)
    after = State(SLOTS, "run-2", before.log, before.runs)
    after.put("verdict/AML", Verdict(status="fail"), writer="aml-1", attempt=1, at=NOON)
    assert refused(after, "verdict/AML", Verdict(status="pass"), writer="aml-1", run="run-1", attempt=7).event.refusal
    stranger = refused(after, "verdict/KYC", Verdict(status="pass"), writer="kyc-1", run="elsewhere")
    assert stranger.event.refusal == "stale"


def test_a_stale_increment_is_not_counted_although_others_wrote_since() -> None:
    """A counter remembers each writer's newest attempt, not only the last writer's."""
    mine = state()
    mine.put("calls/made", 5, writer="a", attempt=2, at=NOON)
    mine.put("calls/made", 1, writer="b", attempt=1, at=NOON)
    assert refused(mine, "calls/made", 5, writer="a", attempt=1).event.refusal == "stale"
    assert mine.value("calls/made", Number).root == 6


def test_compare_and_set_takes_whoever_has_seen_the_newest_version() -> None:
    """Any writer, but only with the version that stands; none seen means none may stand."""
    mine = state()
    mine.put("plan/current", Verdict(status="one"), writer="a", at=NOON)
    mine.put("plan/current", Verdict(status="two"), writer="b", expected_version=1, at=NOON)
    for seen in (None, 0, 1, 3):
        assert refused(mine, "plan/current", Verdict(status="x"), writer="c", expected_version=seen).current == (
            mine.get("plan/current")
        )
    assert refused(state(), "plan/current", Verdict(status="x"), writer="c", expected_version=1).current is None
    assert mine.value("plan/current", Verdict).status == "two"


def test_an_owner_who_names_a_version_is_held_to_it() -> None:
    """Compare-and-set works on every key, asked for or not."""
    mine = state()
    mine.put("verdict/AML", Verdict(status="one"), writer="aml-1", at=NOON)
    assert refused(mine, "verdict/AML", Verdict(status="x"), writer="aml-1", expected_version=4).event.refusal == (
        "conflict"
    )


def test_merges_give_the_same_value_in_every_order() -> None:
    """Union, highest, counter and keyed map: commutative, so no write is refused and none is lost."""
    writes: list[tuple[str, Any, Any]] = [
        ("codes/seen", ["b", "a"], ["c", "b"]),
        ("risk/top", 3, 9),
        ("calls/made", 2, 5),
        ("sizes/by-file", {"a": 1}, {"b": 2}),
    ]
    results = []
    for turned in (False, True):
        mine = state()
        for key, one, other in writes:
            for number, value in enumerate((other, one) if turned else (one, other)):
                mine.put(key, value, writer=f"w{number}", at=NOON)
        results.append({key: entry.value for key, entry in mine.entries.items()})
    assert results[0] == results[1]
    assert results[0] == {
        "codes/seen": ["a", "b", "c"],
        "risk/top": 9,
        "calls/made": 7,
        "sizes/by-file": {"a": 1, "b": 2},
    }


def test_two_who_say_different_things_of_one_name_do_not_merge() -> None:
    """A keyed map is only commutative while nobody contradicts anybody."""
    mine = state()
    mine.put("sizes/by-file", {"a": 1}, writer="x", at=NOON)
    mine.put("sizes/by-file", {"a": 1, "b": 2}, writer="y", at=NOON)
    assert refused(mine, "sizes/by-file", {"a": 3}, writer="z").event.refusal == "conflict"


# --- what the log is -----------------------------------------------------------------------------------------------


def test_any_earlier_moment_can_be_rebuilt() -> None:
    """`as_of` folds the log up to an event; an event to come is a mistake."""
    mine = state()
    mine.put("verdict/AML", Verdict(status="pass"), writer="aml-1", at=NOON)
    mine.put("verdict/AML", Verdict(status="fail"), writer="aml-1", at=NOON)
    assert mine.as_of(0).entries == {}
    assert mine.as_of(1).value("verdict/AML", Verdict).status == "pass"
    assert mine.as_of(2).entries == mine.entries
    with pytest.raises(StateError, match="there is no event 3; the log has 2"):
        mine.as_of(3)


def test_a_large_refused_value_leaves_its_digest_and_a_large_accepted_one_stays_whole() -> None:
    """The log is what the state is rebuilt from; of the losers it keeps what can be afforded."""
    mine, large = state(), Verdict(status="x" * REFUSED_VALUE_LIMIT)
    mine.put("verdict/AML", large, writer="aml-1", at=NOON)
    event = refused(mine, "verdict/AML", large, writer="kyc-1").event
    assert (event.value, event.digest) == (None, digest(large.model_dump(mode="json")))
    assert mine.as_of(1).value("verdict/AML", Verdict) == large


def test_a_reader_gets_exactly_the_keys_it_names() -> None:
    """What a subagent reads can be read in the code; a key without a value is a mistake, not an empty answer."""
    mine = state()
    mine.put("verdict/AML", Verdict(status="pass"), writer="aml-1", at=NOON)
    mine.put("verdict/KYC", Verdict(status="fail"), writer="kyc-1", at=NOON)
    assert mine.excerpt(["verdict/AML"]) == {"verdict/AML": {"status": "pass", "issues": []}}
    with pytest.raises(StateError, match="nothing under verdict/FATF yet"):
        mine.excerpt(["verdict/FATF"])


class Writers(RuleBasedStateMachine):
    """Any writers, attempts and versions in any order: what was accepted is there, what was not is in the log."""

    @initialize()
    def begin(self) -> None:
        self.state = state()
        self.moments: list[dict[str, Entry]] = [{}]
        self.total = 0
        self.names: set[str] = set()
        self.owners: dict[str, str] = {}

    def _put(self, key: str, value: object, **options: Any) -> bool:
        before = self.state.entries
        lost: Refused | None = None
        try:
            self.state.put(key, value, at=NOON, **options)
        except Refused as refusal:
            lost = refusal
        after = self.state.entries
        self.moments.append(after)
        if lost:
            assert (after, lost.event, lost.current) == (before, self.state.log[-1], before.get(key))
        else:
            assert after[key].version == (before[key].version if key in before else 0) + 1
        return lost is None

    writers = st.sampled_from(["a", "b", "c"])
    attempts = st.integers(1, 3)

    @rule(task=st.sampled_from(["AML", "KYC"]), status=st.text(max_size=3), writer=writers, attempt=attempts)
    def owned(self, task: str, status: str, writer: str, attempt: int) -> None:
        key = f"verdict/{task}"
        newest = max((e.attempt for e in self.state.log if e.key == key and e.outcome == "written"), default=0)
        accepted = self._put(key, Verdict(status=status), writer=writer, attempt=attempt)
        owner = self.owners.setdefault(key, writer)
        assert accepted == (owner == writer and attempt >= newest)

    @rule(seen=st.none() | st.integers(0, 4), writer=writers)
    def compared(self, seen: int | None, writer: str) -> None:
        current = self.state.get("plan/current")
        accepted = self._put("plan/current", Verdict(status=writer), writer=writer, expected_version=seen)
        assert accepted == ((seen or 0) == (current.version if current else 0))

    @rule(by=st.integers(-5, 5), writer=writers, attempt=attempts)
    def counted(self, by: int, writer: str, attempt: int) -> None:
        self.total += by if self._put("calls/made", by, writer=writer, attempt=attempt) else 0

    @rule(names=st.lists(st.sampled_from("xyz")), writer=writers)
    def joined(self, names: list[str], writer: str) -> None:
        assert self._put("codes/seen", names, writer=writer)
        self.names |= set(names)

    @invariant()
    def nothing_is_lost(self) -> None:
        found = self.state.entries
        assert found["calls/made"].value == self.total if "calls/made" in found else self.total == 0
        assert found["codes/seen"].value == sorted(self.names) if "codes/seen" in found else not self.names

    def teardown(self) -> None:
        """The log alone gives the state, now and at every moment before."""
        assert [event.seq for event in self.state.log] == list(range(1, len(self.moments)))
        resumed = State(SLOTS, "run-2", self.state.log, self.state.runs)
        assert resumed.entries == self.state.entries
        for seq, moment in enumerate(self.moments):
            assert self.state.as_of(seq).entries == moment


TestWriters = Writers.TestCase
