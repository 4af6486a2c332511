"""What the journal finds, what it does not take for an answer, and what its loss costs."""

from __future__ import annotations

import asyncio

import pytest

from tests.journal.memory import Desk, MemoryPages, answer, call, page
from workflows.contracts import HandedPermit


class Rot13:
    """A seal that a test can read."""

    def __init__(self, shift: int) -> None:
        self.shift = shift

    def seal(self, value: bytes, purpose: str) -> bytes:
        return bytes((byte + self.shift) % 256 for byte in value)

    def open(self, data: bytes, purpose: str) -> bytes:
        return bytes((byte - self.shift) % 256 for byte in data)


class BrokenSeal:
    """A seal with a defect."""

    def seal(self, value: bytes, purpose: str) -> bytes:
        raise RuntimeError("no key")

    def open(self, data: bytes, purpose: str) -> bytes:
        raise RuntimeError("no key")


async def test_what_was_kept_is_found_by_another_process() -> None:
    """The same answer, to the second it took."""
    pages = MemoryPages()
    await Desk(pages).journal.keep(page(), answer())
    assert await Desk(pages).journal.look_up(page(), 2) == answer()


@pytest.mark.parametrize(
    "other",
    [
        page(workflow_id="run-2"),
        page(run_id="second"),
        page(activity_id="planner-1.repair"),
        page(call(model="claude-opus-5-5")),
        page(call(instructions="Plan better.")),
        page(call(prompt="A novel.")),
        page(call(answer_schema={})),
        page(call(max_tokens=20)),
    ],
)
async def test_another_call_finds_nothing(other: object) -> None:
    """Of another run, another step, or in other words."""
    desk = Desk()
    await desk.journal.keep(page(), answer())
    assert isinstance(other, type(page()))
    assert await desk.journal.look_up(other, 1) is None
    assert desk.told == []


def test_what_differs_between_two_attempts_is_not_part_of_the_page() -> None:
    """A probe's permit, and whether the run has a dollar cap."""
    permit = HandedPermit(generation=1, token="w#1", at=1.0)
    assert page(call(permit=permit, capped=True)) == page()


def test_a_key_has_one_length_and_no_words() -> None:
    """Whatever somebody has called a run."""
    hostile = page(workflow_id="../" * 10_000 + "\n\x00🙂\ud800")
    assert len(hostile.key) == len(page().key) == 64
    assert hostile.key.isalnum()


async def test_without_a_journal_calls_go_on_and_it_is_told() -> None:
    """Neither reading nor writing fails, and each paid answer that is not covered is named."""
    desk = Desk()
    desk.pages.lose()
    assert await desk.journal.look_up(page(), 1) is None
    await desk.journal.keep(page(), answer())
    assert desk.events() == ["journal.lost", "journal.not_read", "journal.not_kept"]
    assert desk.told[-1][1]["request_id"] == "req_1"


async def test_a_lost_journal_is_left_alone_for_a_second_by_first_attempts() -> None:
    """One call a second pays its timeout; but an attempt whose answer may be there always asks."""
    desk = Desk()
    desk.pages.lose()
    for _ in range(50):
        await desk.journal.look_up(page(), 1)
        await desk.journal.keep(page(), answer())
    assert desk.pages.asked == 1
    await desk.journal.look_up(page(), 2)
    assert desk.pages.asked == 2
    desk.now += 1.1
    await desk.journal.look_up(page(), 1)
    assert desk.pages.asked == 3
    assert desk.events().count("journal.lost") == 1


async def test_its_return_is_told_and_used_at_once() -> None:
    """Without anybody's help."""
    desk = Desk()
    desk.pages.lose()
    await desk.journal.look_up(page(), 1)
    desk.pages.trouble = None
    desk.now += 1.1
    await desk.journal.keep(page(), answer())
    assert desk.events()[-1] == "journal.back"
    assert await desk.journal.look_up(page(), 1) == answer()


@pytest.mark.parametrize("seal", [None, BrokenSeal()])
async def test_a_defect_costs_no_call(seal: BrokenSeal | None) -> None:
    """Whatever the pages or the seal raise, the answer that is paid for is not lost by it."""
    desk = Desk(seal=seal)
    desk.pages.kept[page().key] = b"something"
    desk.pages.trouble = None if seal else ZeroDivisionError("a bug")
    assert await desk.journal.look_up(page(), 2) is None
    await desk.journal.keep(page(), answer())
    assert desk.events() == ["journal.not_read", "journal.not_kept"]


async def test_a_sealed_entry_shows_nothing_and_opens_with_its_key_alone() -> None:
    """Neither the answer nor the run's name is in the store, and a wrong key is told without quoting."""
    pages = MemoryPages()
    await Desk(pages, Rot13(13)).journal.keep(page(), answer())
    assert not any(word in entry for entry in pages.kept.values() for word in (b"SEA", b"run-1", b"req_1"))
    assert await Desk(pages, Rot13(13)).journal.look_up(page(), 2) == answer()
    for desk in (Desk(pages, Rot13(14)), Desk(pages)):
        assert await desk.journal.look_up(page(), 2) is None
        assert desk.events() == ["journal.not_read"]


async def test_what_is_no_entry_is_told_without_quoting_it() -> None:
    """Of another version, of another program, of another call."""
    desk = Desk()
    await desk.journal.keep(page(workflow_id="run-2"), answer())
    (moved,) = desk.pages.kept.values()
    for foreign in (b"SECRET", b'{"breakwater_answer": 2, "secret": "SECRET"}', moved):
        desk.pages.kept[page().key] = foreign
        assert await desk.journal.look_up(page(), 2) is None
    assert desk.events() == ["journal.not_read"] * 3
    assert "SECRET" not in str(desk.told)
    assert "SEA" not in str(desk.told)


async def test_an_answer_is_written_though_its_caller_is_cancelled() -> None:
    """A worker that must stop has paid for it all the same; closing waits for the pen."""
    desk = Desk()
    keeping = asyncio.create_task(desk.journal.keep(page(), answer()))
    await asyncio.sleep(0)
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping
    await desk.journal.close()
    assert await Desk(desk.pages).journal.look_up(page(), 2) == answer()
