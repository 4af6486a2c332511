"""BENCHMARKS.md: made from results alone, ratios first, naming machine and date, and never out of date."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks import __main__ as figures
from benchmarks.results import RESULTS, Machine, Result, ResultUnreadable, read, write
from benchmarks.sections import BENCHMARKS, plain
from benchmarks.storm_figures import OUTAGE

MACHINE = Machine(processor="A Processor", cores=2, memory_gb=8, system="Linux x86_64", python="3.11.7")
FIGURES: dict[str, dict[str, Any]] = {
    "overhead": {
        "run_breakwater_s": 3.1,
        "run_plain_s": 3.0,
        "run_ratio": 1.033,
        "call_breakwater_ms": 18.0,
        "call_bare_same_request_ms": 15.0,
        "call_bare_nothing_ms": 12.0,
        "call_ratio_same_request": 1.2,
        "call_ratio_nothing": 1.5,
        "history_events": 23,
    },
    "storm": {
        "scale": 1,
        "contenders": [
            {
                "scenario": OUTAGE.name,
                "contender": contender,
                "runs": 60,
                "wasted": wasted,
                "in_flight": 5,
                "last_done": 4.25,
                "failed": 0,
                "peak": 9,
                "probes": 1,
                "requests": [0.0, 5.0, 71.0],
            }
            for contender, wasted in (("breakwater", 20), ("temporal", 420))
        ],
    },
    "scale": {
        name: {
            "agents": 502,
            "breakwater_s": 9.0,
            "bare_s": 8.0,
            "ratio": 1.125,
            "history_events": 3_000,
            "history_bytes": 2_500_000,
        }
        for name in ("one_wide_run", "many_runs")
    },
    "fairness": {
        "few": 5,
        "many": 500,
        "alone_p95_s": 2.0,
        "one_line_p95_s": 20.0,
        "taking_turns_p95_s": 2.4,
        "ratio": 1.2,
    },
    "reviews": {"reviews": 200, "starters": 2, "workers": 2, "reports": 200, "right": 200, "seconds": 14.5},
    "drills": {
        "drills": [
            {
                "struck": "a worker",
                "times": 100,
                "runs": 50,
                "calls": 600,
                "requests": 640,
                "made_again": 40,
                "noticed": [9.5, 12.0],
                "lost": [],
                "false_successes": [],
                "repeated": [],
            }
        ]
    },
}


def result(name: str, **changed: Any) -> Result:
    """A result of a benchmark, with the figures above."""
    when = datetime(2026, 11, 24, tzinfo=UTC)
    return Result(measured=when, machine=MACHINE, command=name, figures={**FIGURES[name], **changed})


def test_ratios_come_first_and_every_section_names_machine_and_date() -> None:
    """Everything that is known has its figures above in the way its readers compare it."""
    page = figures.page([(each, result(each.name)) for each in BENCHMARKS])
    first = page.partition("## ")[0]
    for ratio in (
        "1.03 ×",
        "1.20 ×",
        "21 ×",
        "1.12 ×",
        "200 of 200",
        "0 lost runs, 0 false successes, 0 calls paid again",
    ):
        assert ratio in first, ratio
    assert page.count("24 November 2026, 2 cores (A Processor), 8 GB, Linux x86_64, Python 3.11.7.") == len(BENCHMARKS)
    assert {each.name for each in BENCHMARKS} == FIGURES.keys()


@pytest.mark.filterwarnings("default")  # matplotlib's own
@pytest.mark.parametrize("benchmark", [each for each in BENCHMARKS if each.draw], ids=lambda each: each.name)
def test_each_picture_is_drawn(tmp_path: Path, benchmark: Any) -> None:
    """A small PNG."""
    pytest.importorskip("matplotlib")
    benchmark.draw(FIGURES[benchmark.name], tmp_path / "drawn.png")
    drawn = (tmp_path / "drawn.png").read_bytes()
    assert drawn.startswith(b"\x89PNG")
    assert len(drawn) < 200_000


def test_what_no_row_is_about_is_shown_as_it_is() -> None:
    """A new benchmark needs no code to be on the page."""
    found = Result(
        measured=datetime(2026, 1, 2, tzinfo=UTC), machine=MACHINE, command="x", figures={"right_of_200": 200}
    )
    page = figures.page([(plain("something"), found)])
    assert "## Something" in page
    assert "| right of 200 | 200 |" in page


def test_a_file_as_the_benchmark_wrote_it_was_measured_here(tmp_path: Path) -> None:
    """`--json benchmarks/results/overhead.json` is enough; what is missing is added to the file."""
    file = tmp_path / "overhead.json"
    file.write_text(json.dumps(FIGURES["overhead"]))
    found = read(file, "python -m benchmarks.overhead")
    assert found.machine == Machine.here()
    assert found.figures == FIGURES["overhead"]
    assert read(file, "whatever") == found


def test_results_that_cannot_be_read_are_one_line(tmp_path: Path) -> None:
    """The file, why, and what to do."""
    file = tmp_path / "storm.json"
    file.write_text("[1]")
    with pytest.raises(ResultUnreadable, match=r"storm\.json is no result of a benchmark: .*; measure it again$"):
        read(file, "")
    other_version = Result(measured=datetime(2026, 1, 2, tzinfo=UTC), machine=MACHINE, command="x", figures={})
    with pytest.raises(ResultUnreadable, match="the figures of overhead are of another version of it"):
        figures.page([(BENCHMARKS[0], other_version)])


@pytest.mark.filterwarnings("default")
def test_the_command_writes_page_and_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a folder of results, in the page's order."""
    monkeypatch.setattr(figures, "PAGE", tmp_path / "BENCHMARKS.md")
    monkeypatch.setattr(figures, "PICTURES", tmp_path)
    monkeypatch.setattr(figures, "RESULTS", tmp_path)
    assert CliRunner().invoke(figures.main, []).exit_code == 2
    for name in ("fairness", "overhead"):
        write(tmp_path / f"{name}.json", result(name))
    done = CliRunner().invoke(figures.main, [])
    assert done.exit_code == 0, done.output
    page = (tmp_path / "BENCHMARKS.md").read_text()
    assert page.index("What Breakwater costs") < page.index("A tenant with much")
    assert "](docs/img/fairness.png)" in page
    assert (tmp_path / "fairness.png").is_file()


def test_the_page_in_the_repository_is_what_its_results_make() -> None:
    """Nobody edits it by hand, and no result is forgotten."""
    if not figures.PAGE.is_file():
        assert not list(RESULTS.glob("*.json")), "there are results: make figures"
        pytest.skip("nothing has been measured yet: make figures MEASURE=all")
    assert figures.PAGE.read_text() == figures.page(figures.results()), "make figures"
