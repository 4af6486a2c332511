"""The long form of the drills: real workers with their real timeouts, struck as often as you like.

    python -m tests.drills --kills 200          # every drill, about half an hour; a table at the end
    python -m tests.drills --kills 20 --drill "the server" --seed 7

Everything is started here, listens on loopback, and is gone at the end. Exit code 1 if anything was lost, passed
without having passed, or was paid again without having been in flight.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path
from random import Random, randrange
from tempfile import TemporaryDirectory
from time import monotonic

import click
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.drills.fleet import QUICK, REAL, Crew, fleet
from tests.drills.invariants import Findings
from tests.drills.strikes import DRILLS, Drill

LATENCY = 0.3
"""Seconds of a call."""
SHARES = {
    "a worker": 30,
    "all workers": 9,
    "the server": 9,
    "the store": 6,
    "SIGTERM": 3,
    "a zombie": 1,  # it takes a minute: a paused worker's polls go on taking calls
    "a full disk": 3,
}
"""How often each is struck, in proportion; of those that are killed at least as many as was asked for."""
LEGEND = (
    "made again: calls that were in flight when something died; worst notice: from a worker's death until another has "
    "its call; paid again: any other call that was made twice; state torn: a state that is not what its log says"
)
KILLED = ("a worker", "all workers", "the server", "the store")


def plan(kills: int, chosen: tuple[str, ...]) -> list[tuple[Drill, int]]:
    """How often to strike in each drill."""
    drills = [drill for drill in DRILLS if not chosen or drill.name in chosen]
    if sys.platform != "linux":
        drills = [drill for drill in drills if drill.name != "a full disk"]
    counted = [SHARES[drill.name] for drill in drills if drill.name in KILLED] or [
        SHARES[drill.name] for drill in drills
    ]
    return [(drill, max(1, -(-kills * SHARES[drill.name] // sum(counted)))) for drill in drills]


async def practise(
    drills: list[tuple[Drill, int]], crew: Crew, at_once: int, random: Random, told: Progress
) -> dict[str, tuple[int, float, Findings]]:
    """Every drill, one after the other, on one stage; strikes, seconds and findings of each."""
    found: dict[str, tuple[int, float, Findings]] = {}
    with TemporaryDirectory() as folder:
        async with fleet(Path(folder), crew, LATENCY) as stage:
            for drill, strikes in drills:
                task, began = told.add_task(drill.name, total=strikes), monotonic()
                findings = await drill.run(
                    stage,
                    strikes=strikes,
                    at_once=at_once,
                    random=random,
                    told=lambda: told.advance(task),  # noqa: B023
                )
                found[drill.name] = (strikes, monotonic() - began, findings)
                if not told.console.is_terminal:
                    told.console.print(f"{drill.name}: struck {strikes} times", highlight=False)
                for breach in findings.breaches:
                    told.console.print(breach, style="red", markup=False)
    return found


def table(found: dict[str, tuple[int, float, Findings]]) -> Table:
    """One row for each drill, and the sum."""
    columns = ("struck", "times", "runs", "calls", "requests", "made\nagain", "worst\nnotice")
    drawn = Table(
        *columns, "lost\nruns", "false\nsuccess", "paid\nagain", "state\ntorn", "time", box=SIMPLE, caption=LEGEND
    )
    for column in drawn.columns[1:]:
        column.justify = "right"
    total, everything, time = Findings(), 0, 0.0
    for name, (strikes, seconds, each) in found.items():
        drawn.add_row(name, *_cells(strikes, seconds, each))
        total, everything, time = _sum(total, each), everything + strikes, time + seconds
    drawn.add_section()
    drawn.add_row("all", *_cells(everything, time, total), style="bold")
    return drawn


def _cells(strikes: int, seconds: float, found: Findings) -> list[str]:
    counts = (strikes, found.runs, found.calls, found.requests, found.made_again)
    notice = f"{max(found.noticed):.1f} s" if found.noticed else "–"
    breaches = (len(found.lost), len(found.false_successes), len(found.repeated), len(found.not_replayed))
    return [*map(str, counts), notice, *map(str, breaches), f"{seconds:.0f} s"]


def _sum(one: Findings, other: Findings) -> Findings:
    return Findings(**{name: getattr(one, name) + getattr(other, name) for name in Findings.__dataclass_fields__})


@click.command()
@click.option("--kills", default=200, show_default=True, type=click.IntRange(min=1), help="Strikes with kill -9.")
@click.option(
    "--drill",
    "chosen",
    multiple=True,
    type=click.Choice([drill.name for drill in DRILLS]),
    help="Only these.  [default: all]",
)
@click.option("--at-once", default=4, show_default=True, type=click.IntRange(min=1), help="Runs that go on meanwhile.")
@click.option("--seed", type=int, help="Which random moments; a new choice by default.")
@click.option("--quick", is_flag=True, help="Workers that give a call up after 4 s without a heartbeat, not 10.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the findings to this file.")
def main(kills: int, chosen: tuple[str, ...], at_once: int, seed: int | None, quick: bool, file: Path | None) -> None:
    """Strike at workers, server and store while runs go on, and count what was lost or paid twice."""
    seed = randrange(1_000_000) if seed is None else seed
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as told:
        told.console.print(f"seed {seed}", highlight=False)
        try:
            found = asyncio.run(practise(plan(kills, chosen), QUICK if quick else REAL, at_once, Random(seed), told))
        except ExceptionGroup as group:
            raise click.ClickException("; ".join(map(str, group.exceptions))) from group
    Console().print(table(found))
    if file:
        rows = [
            {"struck": name, "times": strikes, "seconds": round(seconds, 1), **asdict(each)}
            for name, (strikes, seconds, each) in found.items()
        ]
        file.write_text(json.dumps({"seed": seed, "quick": quick, "at_once": at_once, "drills": rows}, indent=1) + "\n")
    sys.exit(1 if any(each.breaches for _, _, each in found.values()) else 0)


if __name__ == "__main__":
    main()
