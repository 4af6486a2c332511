"""How circuits are shown: every one a row, where it stands, what it counted, and when it changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from console.render import clock, seconds


def circuits(rows: Sequence[Mapping[str, Any]], store: str) -> RenderableType:
    """Every circuit a row: where it stands, what it counted, and when it changes."""
    shown = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    shown.add_column("circuit", overflow="fold")
    shown.add_column("state", overflow="fold")
    for heading in ("in a row", "window", "openings", "generation"):
        shown.add_column(heading, justify="right", no_wrap=True)
    for heading in ("next probe", "pause (429)", "probes held by"):
        shown.add_column(heading, overflow="fold")
    for row in rows:
        probes = [f"{each['holder']} ({_lease(each['lease_left'])})" for each in row["probes"]]
        shown.add_row(
            Text(row["key"], style="bold"),
            _standing(row),
            str(row["failures_in_a_row"]),
            "{failed}/{total}".format(**row["window"]),
            str(row["openings"]),
            str(row["generation"]),
            _due(row["retry_at"], row["retry_in"]),
            _due(row["hold_until"], row["hold_in"]),
            Text("\n".join(probes)),
        )
    return Group(shown, Text(f"in {store}", style="dim"))


def _standing(row: Mapping[str, Any]) -> Text:
    state = row["state"].replace("_", " ")
    colour = {"closed": "green", "open": "red"}.get(row["state"], "yellow")
    if forced := row["forced"]:
        end = f"until {clock(forced['until'])}" if forced["until"] else "until reset"
        return Text(f"forced {forced['mode']} by {forced['by']}: {forced['reason']}, {end}", style=colour)
    return Text(f"{state}: {row['cause']}" if row["cause"] else state, style=colour)


def _due(at: str | None, left: float | None) -> str:
    if at is None or left is None:
        return ""
    return f"{clock(at)}, in {seconds(timedelta(seconds=left))}" if left else f"{clock(at)}, with the next call"


def _lease(left: float) -> str:
    return f"{seconds(timedelta(seconds=left))} left" if left else "lease ended"
