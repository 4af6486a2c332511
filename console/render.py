"""How a run is shown: live on a terminal, as plain lines anywhere else, and in words at its end.

Everything here goes to standard error; standard output is for the result.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from console.remarks import agents, remarks
from console.view import CallView, RunView
from workflows.contracts import RunReport, Usage
from workflows.signs import Waiting

SIMULATED = "SIMULATED: answers come from the local stand-in, not from Claude. Set ANTHROPIC_API_KEY for real ones."

_COLOURS = {
    "running": "cyan",
    "retrying": "yellow",
    "answered": "green",
    "let through": "green",
    "failed": "red",
    "cancelled": "magenta",
    "waiting": "dim",
}


PLAIN_WIDTH = 500
"""Columns where nobody says how many there are: a log or a pipe, in which a wrapped line is worse than a long one."""


def notes() -> Console:
    """Standard error, where everything goes that is not the result."""
    return _console(stderr=True)


def page() -> Console:
    """Standard output, for what a command was asked to show."""
    return _console(stderr=False)


def say(line: str) -> None:
    """A line on standard error about what goes on, not about the result."""
    notes().print(line, style="dim", markup=False, highlight=False, soft_wrap=True)


def tell(line: str) -> None:
    """A line on standard error that is the command's own matter."""
    notes().print(line, markup=False, highlight=False, soft_wrap=True)


def _console(stderr: bool) -> Console:
    console = Console(stderr=stderr)
    return console if console.is_terminal else Console(stderr=stderr, width=PLAIN_WIDTH)


class Progress(Protocol):
    """Somewhere to show a run while it goes on."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def update(self, view: RunView) -> None:
        """Show the newest view."""

    def say(self, line: str) -> None:
        """Show a line that stays."""


def progress(console: Console) -> Progress:
    """Live where somebody watches, plain lines where not."""
    return LiveProgress(console) if console.is_terminal else PlainProgress(console)


class LiveProgress:
    """A table that redraws itself: a line for every call."""

    def __init__(self, console: Console) -> None:
        self._view = RunView()
        self._live = Live(console=console, get_renderable=self._draw, refresh_per_second=8, transient=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def update(self, view: RunView) -> None:
        self._view = view

    def say(self, line: str) -> None:
        self._live.console.print(escape(line), style="dim")

    def _draw(self) -> RenderableType:
        return table(self._view, datetime.now(UTC))


class PlainProgress:
    """A line whenever a call changes its state."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said: dict[str, tuple[object, ...]] = {}
        self._warned = 0
        self._waiting: Waiting | None = None
        self._room: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def update(self, view: RunView) -> None:
        now = datetime.now(UTC)
        for call in view.calls:
            state = (call.state, call.attempt, call.why, call.headline)
            if self._said.get(call.id) != state:
                self._said[call.id] = state
                self.say("  ".join(filter(None, _cells(call, now))))
        if view.stuck and self._said.get("") != (view.stuck,):
            self._said[""] = (view.stuck,)
            self.say(f"the run is held: {view.stuck}")
        for warning in view.warnings[self._warned :]:
            self.say(f"warning: {warning}")
        self._warned = len(view.warnings)
        if view.waiting and view.waiting != self._waiting:
            self.say(waits(view.waiting))
        self._waiting = view.waiting
        if view.room and view.room != self._room:
            self.say(printable(view.room))
        self._room = view.room or self._room

    def say(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def table(view: RunView, now: datetime) -> RenderableType:
    """Every call a row: who, on what model, how far, what it used, and why it waits."""
    rows = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("agent", "model", "state", "attempt"):
        rows.add_column(heading, no_wrap=True)
    rows.add_column("tokens", justify="right", no_wrap=True)
    rows.add_column("elapsed", justify="right", no_wrap=True)
    rows.add_column("", overflow="fold")
    for call in view.calls:
        agent, model, state, attempt, tokens, elapsed, note = _cells(call, now)
        colour = _COLOURS.get(call.state, "")
        rows.add_row(agent, model, Text(state, style=colour), attempt, tokens, elapsed, Text(note, style="dim"))
    parts: list[RenderableType] = [rows]
    parts += [Text(printable(f"warning: {warning}"), style="yellow") for warning in view.warnings]
    if view.waiting:
        parts.append(Text(waits(view.waiting), style="bold yellow"))
    if view.room:
        parts.append(Text(printable(view.room), style="dim"))
    if view.stuck:
        parts.append(Text(f"the run is held: {view.stuck}", style="red"))
    return Group(*parts)


def waits(waiting: Waiting) -> str:
    """What a person has to do for a run to go on, in one line."""
    return printable(f"the run waits: {waiting.why}; type: {waiting.todo}")


def _cells(call: CallView, now: datetime) -> tuple[str, ...]:
    state: str = call.phase if call.state == "running" and call.phase else call.state
    note = call.why or call.headline or ""
    if call.next_attempt is not None:
        note = f"again in {seconds(max(call.next_attempt - now, timedelta(0)))}: {note}"
    used = call.usage.input_tokens + call.usage.output_tokens
    return (
        call.id,
        call.model,
        state,
        f"attempt {call.attempt}" if call.attempt > 1 else "",
        f"{used:,} tokens" if used else "",
        seconds(call.elapsed(now)),
        note,
    )


def ending(report: RunReport[Any], elapsed: timedelta | None, rows: Iterable[tuple[str, str, str]]) -> RenderableType:
    """How the run ended, in a few lines."""
    parts: list[RenderableType] = []
    found = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for what, verdict, remark in rows:
        colour = {"pass": "green", "fail": "red"}.get(verdict, "yellow")
        shown = remark if verdict != "pass" else ""
        found.add_row(Text(verdict, style=colour), Text(what), Text(shown, style="dim"))
    if found.row_count:
        parts.append(found)
    colour = "green" if report.passed else "red" if report.status in ("failed", "cancelled") else "yellow"
    passed = "passed" if report.passed else "not passed" if report.status == "finished" else report.status
    facts = [
        f"{passed} ({report.stop_reason})",
        agents(report),
        f"{tokens(report.usage):,} tokens",
        dollars(report.cost_usd),
    ]
    if elapsed is not None:
        facts.append(seconds(elapsed))
    parts.append(Text(" · ".join(facts), style=colour))
    if report.message:
        parts.append(Text(printable(report.message)))
    parts += [Text(printable(remark), style="yellow") for remark in remarks(report)]
    if report.simulated:
        parts.append(Text(SIMULATED, style="bold yellow"))
    return Group(*parts)


def clock(moment: str | datetime) -> str:
    """A time of day for people, where they are; with its date if that is not today."""
    at = (datetime.fromisoformat(moment) if isinstance(moment, str) else moment).astimezone()
    today = at.date() == datetime.now().astimezone().date()
    return f"{at:%H:%M:%S}" if today else f"{at:%Y-%m-%d %H:%M:%S}"


def printable(text: str) -> str:
    """What somebody else wrote, without what a terminal would obey; JSON stays JSON."""
    return "".join(each if each.isprintable() or each == "\n" else _spelt(each) for each in text)


def _spelt(character: str) -> str:
    return json.dumps(character)[1:-1] if character > "\x7f" else f"\\u{ord(character):04x}"


def tokens(usage: Usage) -> int:
    """All tokens the API billed, of whatever sort."""
    return usage.total


def dollars(amount: float | None) -> str:
    """Money for people; small sums keep the digits that matter."""
    if amount is None:
        return "cost unknown"
    if 0 < amount < 0.0001:
        return "under $0.0001"
    return f"${amount:.4f}" if amount < 1 else f"${amount:.2f}"


def seconds(length: timedelta) -> str:
    """A length of time for people: 0.4 s, 12 s, 3 m 20 s, 2 h 05 m."""
    total = length.total_seconds()
    if total < 9.95:
        return f"{total:.1f} s"
    # Rounded first, or 59.7 s would be a minute's sixtieth second.
    minutes, rest = divmod(round(total), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} m"
    return f"{minutes} m {rest:02d} s" if minutes else f"{rest} s"
