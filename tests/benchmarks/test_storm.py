"""The storm benchmark: its counting, and one small storm from end to end."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.peers.usual import exponential
from benchmarks.storm_figures import OUTAGE, Figures, busiest, plot, table
from tests.benchmarks.storms import small_storm


def figures(contender: str) -> Figures:
    """Figures of nobody in particular."""
    return Figures(
        scenario=OUTAGE.name,
        contender=contender,
        runs=60,
        wasted=21,
        in_flight=5,
        last_done=4.25,
        failed=0,
        peak=9,
        probes=1,
        requests=[0.0, 0.5, 5.0, 70.5, 71.0],
    )


@pytest.mark.parametrize(
    ("times", "most"), [([], 0), ([3.0], 1), ([0.0, 0.4, 0.9, 1.0], 3), ([2.0, 0.0, 1.9, 1.1, 5.0], 3)]
)
def test_the_busiest_second_is_any_second(times: list[float], most: int) -> None:
    """Not only the ones a clock begins; its end is not in it."""
    assert busiest(times, 1.0) == most


def test_retries_double_up_to_a_minute() -> None:
    """1, 2, 4, … 60, and no overflow however long it takes."""
    assert [exponential(attempt, 1) for attempt in (0, 1, 2, 5, 6, 5_000)] == [1, 2, 4, 32, 60, 60]


def test_the_table_names_what_it_compares() -> None:
    """The recovery timeout, the store and every contender are stated."""
    text = table([figures("breakwater"), figures("asyncio")], 1, "sqlite")
    assert "BREAKER_RECOVERY_TIMEOUT=5" in text
    assert "sqlite" in text
    assert "+4.2 s" in text
    assert "not a measurement" in table([figures("breakwater")], 0.1, "sqlite")


@pytest.mark.filterwarnings("default")  # matplotlib's own
def test_the_plot_is_drawn(tmp_path: Path) -> None:
    """A PNG, if matplotlib is there."""
    pytest.importorskip("matplotlib")
    plot([figures("breakwater"), figures("asyncio")], 1, tmp_path / "storm.png")
    assert (tmp_path / "storm.png").read_bytes().startswith(b"\x89PNG")


def test_a_small_storm(tmp_path: Path) -> None:
    """Two worker processes beside no breaker, every duration a twentieth: no run fails, and figures are written."""
    said = small_storm(tmp_path / "storm.json", ("breakwater", "asyncio"), runs=8)
    rows = {each["contender"]: each for each in said["contenders"]}
    assert set(rows) == {"breakwater", "asyncio"}
    assert all(each["failed"] == 0 and each["wasted"] >= 1 for each in rows.values())
