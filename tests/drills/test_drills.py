"""The short form of the drills: each thing is struck while runs go on. `python -m tests.drills` is the long form."""

from __future__ import annotations

import sys
from random import Random, randrange

import pytest

from tests.drills.fleet import Fleet
from tests.drills.invariants import NOTICED_WITHIN, Findings
from tests.drills.strikes import A_WORKER, ALL_WORKERS, DISK, DRAIN, SERVER, STORE, ZOMBIE, Drill

pytestmark = pytest.mark.xdist_group("drills")  # they share one stage

AT_ONCE = 2
"""Runs that go on while something is struck, beside a review."""


async def practise(drill: Drill, stage: Fleet, strikes: int = 1) -> Findings:
    """The drill, on moments that differ from time to time; a breach names the seed that chose them."""
    seed = randrange(1_000_000)
    found = await drill.run(stage, strikes=strikes, at_once=AT_ONCE, random=Random(seed), told=lambda: None)
    assert found.breaches == [], f"seed {seed}"
    assert found.runs >= AT_ONCE
    return found


async def test_a_worker_killed_at_a_random_moment_loses_nothing(stage: Fleet) -> None:
    """Its calls, and no others, are made again, by whom is left, soon after the heartbeat timeout."""
    found = await practise(A_WORKER, stage)
    limit = (stage.crew.heartbeat_timeout + NOTICED_WITHIN).total_seconds()
    assert all(seconds <= limit for seconds in found.noticed), found.noticed


@pytest.mark.skipif(sys.platform != "linux", reason="a running process's file limit can only be set on Linux")
async def test_a_full_disk_costs_no_call(stage: Fleet) -> None:
    """Nothing can be written, calls go on, it is told, and the journal is back when there is room again."""
    found = await practise(DISK, stage)
    assert found.made_again == 0
    for event in ("journal.lost", "journal.not_kept", "journal.back"):
        assert stage.said(event), event


async def test_all_workers_killed_at_once_lose_nothing(stage: Fleet) -> None:
    """The runs wait in the server until there are workers again."""
    await practise(ALL_WORKERS, stage)


async def test_a_server_killed_and_started_again_on_its_file_loses_nothing(stage: Fleet) -> None:
    """The same workers find it again, and what they have finished meanwhile is not paid again."""
    await practise(SERVER, stage)


async def test_a_store_that_is_killed_costs_no_call(stage: Fleet) -> None:
    """Circuits and journal are gone, and come back empty."""
    found = await practise(STORE, stage)
    assert found.made_again == 0


async def test_a_worker_that_is_asked_to_stop_finishes_its_calls(stage: Fleet) -> None:
    """None is made again, and it is gone within the grace period."""
    found = await practise(DRAIN, stage)
    assert found.made_again == 0


async def test_a_worker_that_comes_back_from_the_dead_is_refused(stage: Fleet) -> None:
    """It was paused beyond its heartbeat and its call was made by another: the run goes on with that one's answer."""
    found = await practise(ZOMBIE, stage)
    assert found.made_again >= 1
