"""What BENCHMARKS.md says of each benchmark: its ratios first, then a table, then how it was measured.

To add one: a row in BENCHMARKS. Its script takes `--json FILE`. A result that no row is about is shown as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.pictures import bars, storm
from benchmarks.storm_section import storm_notes, storm_ratios, storm_table

Found = Mapping[str, Any]
Ratio = tuple[str, str]
"""What is compared, and how it came out."""


@dataclass(frozen=True)
class Benchmark:
    """One benchmark: how it is measured, and how its figures read."""

    name: str
    """Of its result, without .json, and of its picture."""
    title: str
    command: tuple[str, ...]
    """After `python`; `--json FILE` is added."""
    says: str
    """What is measured, in a sentence or two."""
    ratios: Callable[[Found], Sequence[Ratio]]
    table: Callable[[Found], Sequence[Sequence[str]]]
    """Its head and its rows."""
    draw: Callable[[Found, Path], None] | None = None
    notes: Callable[[Found], Sequence[str]] | None = None
    """Lines under the table: what of it must be known to read it."""


def markdown(rows: Sequence[Sequence[str]]) -> list[str]:
    """A table; the first row is its head."""
    head, *body = rows
    line = "|" + "|".join(["---", *("---:" for _ in head[1:])]) + "|"
    return ["| " + " | ".join(head) + " |", line, *("| " + " | ".join(row) + " |" for row in body)]


def _times(ratio: float) -> str:
    return f"{ratio:.2f} ×"


# --- overhead ---------------------------------------------------------------------------------------------------------


def _overhead_ratios(found: Found) -> list[Ratio]:
    return [
        ("a run of three calls, to a plain asyncio script that makes them", _times(found["run_ratio"])),
        ("a call, to a bare Temporal activity that makes the same request", _times(found["call_ratio_same_request"])),
    ]


def _overhead_table(found: Found) -> list[list[str]]:
    return [
        ["", "time", "ratio"],
        ["three calls, plain asyncio", f"{found['run_plain_s']:.3f} s", ""],
        ["the same through Breakwater", f"{found['run_breakwater_s']:.3f} s", f"{found['run_ratio']:.3f}"],
        ["one call, bare activity that does nothing", f"{found['call_bare_nothing_ms']:.1f} ms", ""],
        ["one call, bare activity, same request", f"{found['call_bare_same_request_ms']:.1f} ms", ""],
        [
            "one call through Breakwater",
            f"{found['call_breakwater_ms']:.1f} ms",
            f"{found['call_ratio_same_request']:.2f}",
        ],
        ["events in the history of a run that passes", f"{found['history_events']:.0f}", ""],
    ]


def _draw_overhead(found: Found, file: Path) -> None:
    bars(
        file,
        "milliseconds for one call, without model latency",
        [
            ("bare activity, does nothing", found["call_bare_nothing_ms"], False),
            ("bare activity, same request", found["call_bare_same_request_ms"], False),
            ("Breakwater", found["call_breakwater_ms"], True),
        ],
    )


# --- scale ------------------------------------------------------------------------------------------------------------


def _scale_ratios(found: Found) -> list[Ratio]:
    wide, many = found["one_wide_run"], found["many_runs"]
    return [
        (f"one run of {wide['agents']} agents, to a bare workflow of the same calls", _times(wide["ratio"])),
        (f"many runs at once, {many['agents']} agents, to as many bare workflows", _times(many["ratio"])),
    ]


def _scale_table(found: Found) -> list[list[str]]:
    rows = [["", "agents", "Breakwater", "bare workflow", "ratio", "history"]]
    for name, words in (("one_wide_run", "one wide run"), ("many_runs", "many runs at once, each")):
        each = found[name]
        history = f"{each['history_events']:.0f} events, {each['history_bytes'] / 1e6:.2f} MB"
        times = [f"{each['breakwater_s']:.2f} s", f"{each['bare_s']:.2f} s", f"{each['ratio']:.2f}"]
        rows.append([words, f"{each['agents']}", *times, history])
    return rows


def _draw_scale(found: Found, file: Path) -> None:
    wide, many = found["one_wide_run"], found["many_runs"]
    bars(
        file,
        "seconds until all is done",
        [
            (f"bare workflow, {wide['agents']} calls", wide["bare_s"], False),
            ("one wide run of Breakwater", wide["breakwater_s"], True),
            (f"bare workflows at once, {many['agents']} calls", many["bare_s"], False),
            ("runs of Breakwater at once", many["breakwater_s"], True),
        ],
    )


# --- fairness ---------------------------------------------------------------------------------------------------------


def _fairness_ratios(found: Found) -> list[Ratio]:
    words = f"p95 of {found['few']} runs beside {found['many']} of another tenant, to alone"
    return [(words, _times(found["ratio"]))]


def _fairness_table(found: Found) -> list[list[str]]:
    alone = found["alone_p95_s"]
    rows = (
        ("alone", alone),
        (f"beside {found['many']} runs, as tenants", found["taking_turns_p95_s"]),
        (f"beside {found['many']} runs, in one line with them", found["one_line_p95_s"]),
    )
    return [["", "times alone", "p95"], *([what, _times(took / alone), f"{took:.2f} s"] for what, took in rows)]


def _draw_fairness(found: Found, file: Path) -> None:
    bars(
        file,
        f"seconds, p95 of {found['few']} runs",
        [
            ("alone", found["alone_p95_s"], False),
            (f"beside {found['many']}, as tenants", found["taking_turns_p95_s"], True),
            (f"beside {found['many']}, in one line", found["one_line_p95_s"], False),
        ],
    )


# --- reviews ----------------------------------------------------------------------------------------------------------


def _reviews_ratios(found: Found) -> list[Ratio]:
    return [
        (
            f"{found['reviews']} reviews started at once: reports that are their own",
            f"{found['right']} of {found['reviews']}",
        )
    ]


def _reviews_table(found: Found) -> list[list[str]]:
    names = ("reviews", "starters", "workers", "reports", "right", "seconds")
    return [list(names), [f"{found[name]:g}" for name in names]]


# --- drills -----------------------------------------------------------------------------------------------------------

BREACHES = {"lost": "lost runs", "false_successes": "false successes", "repeated": "calls paid again"}


def _drills_ratios(found: Found) -> list[Ratio]:
    strikes = sum(each["times"] for each in found["drills"])
    breaches = ", ".join(
        f"{sum(len(each[name]) for each in found['drills'])} {words}" for name, words in BREACHES.items()
    )
    return [(f"{strikes} strikes at workers, server and store", breaches)]


def _drills_table(found: Found) -> list[list[str]]:
    head = ["struck", "times", "runs", "calls", "requests", "in flight, made again", "median notice", "worst"]
    rows = [[*head, *BREACHES.values()]]
    for each in found["drills"]:
        counts = [str(each[name]) for name in ("times", "runs", "calls", "requests", "made_again")]
        noticed = each["noticed"]
        notice = [f"{seconds:.1f} s" for seconds in (median(noticed), max(noticed))] if noticed else ["–", "–"]
        rows.append([each["struck"], *counts, *notice, *(str(len(each[name])) for name in BREACHES)])
    return rows


# --- what there is ----------------------------------------------------------------------------------------------------

BENCHMARKS = (
    Benchmark(
        "overhead",
        "What Breakwater costs on top of the calls",
        ("-m", "benchmarks.overhead"),
        "The same calls side by side, at one second of model latency for the run and without any for the single call.",
        _overhead_ratios,
        _overhead_table,
        _draw_overhead,
    ),
    Benchmark(
        "storm",
        "An API that is down, and one that throttles",
        ("-m", "benchmarks.storm"),
        "Runs of one call meet the API while it answers 529 for 70 s, or 429 with `retry-after: 12` for 30 s; the\n"
        "end of the last run is counted from its recovery. Breakers wait 5 s before they probe. A run that\n"
        "begins late, because the machine is busy, meets less of a throttle and wastes fewer calls on it.",
        storm_ratios,
        storm_table,
        storm,
        storm_notes,
    ),
    Benchmark(
        "scale",
        "Many subagents",
        ("-m", "benchmarks.scale"),
        "The same calls, one second each, through Breakwater and in a bare Temporal workflow that adds nothing.",
        _scale_ratios,
        _scale_table,
        _draw_scale,
    ),
    Benchmark(
        "fairness",
        "A tenant with much beside one with little",
        ("-m", "benchmarks.fairness"),
        "One worker; the few runs start while the many wait for its slots.",
        _fairness_ratios,
        _fairness_table,
        _draw_fairness,
    ),
    Benchmark(
        "reviews",
        "Two hundred reviews at once",
        ("-m", "benchmarks.reviews"),
        "As many transactions, none like another; a report is right if it quotes its own and no other.",
        _reviews_ratios,
        _reviews_table,
    ),
    Benchmark(
        "drills",
        "What is killed loses nothing",
        ("-m", "tests.drills"),
        "Real processes, struck at random moments while runs go on; the stand-in's journal is the witness. Only a\n"
        "call that was in flight when something died may be made again. The death is noticed at the end of a\n"
        "heartbeat timeout of 10 s; of two, if the worker that is given the call next is killed as well.",
        _drills_ratios,
        _drills_table,
    ),
)


def plain(name: str) -> Benchmark:
    """A result that no row is about: its figures as they stand."""

    def table(found: Found) -> list[list[str]]:
        return [["figure", "value"], *([key.replace("_", " "), str(value)] for key, value in found.items())]

    return Benchmark(name, name.capitalize(), ("-m", f"benchmarks.{name}"), "", lambda _: [], table)
