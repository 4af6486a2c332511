"""What happened between two states, as facts. Whoever won the compare-and-swap reports it, so each is told once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from activities.circuit.state import Phase, State

ChangeName = Literal[
    "opened", "half_opened", "closed", "ramped", "probe_lost", "held", "forced_open", "forced_closed", "reset"
]


@dataclass(frozen=True, slots=True)
class Change:
    """One fact: its name, and what a reader of the log needs beside it."""

    name: ChangeName
    fields: dict[str, object]


def changes(before: State, after: State) -> tuple[Change, ...]:
    """The transitions one step made; empty for a step that only counted something."""
    if after.generation == before.generation:
        return _within(before, after)
    if after.reset_at != before.reset_at:
        return (Change("reset", {"was": before.phase.value, "generation": after.generation}),)
    if after.forced and after.forced != before.forced:
        held = after.forced
        hold: dict[str, object] = {
            "reason": held.reason,
            "by": held.by,
            "until": held.until,
            "generation": after.generation,
        }
        return (Change("forced_open" if held.mode == "open" else "forced_closed", hold),)
    if after.phase is before.phase:
        lost = sorted({held for held, _ in before.probes} - {held for held, _ in after.probes})
        return (Change("probe_lost", {"holders": lost, "generation": after.generation}),)
    return (_phase_change(before, after),)


def _phase_change(before: State, after: State) -> Change:
    if after.phase is Phase.OPEN:
        fields: dict[str, object] = {
            "cause": after.cause,
            "failures": after.tripped_by,
            "retry_at": after.retry_at,
            "retry_in": None if after.retry_at is None else round(after.retry_at - after.since, 3),
            "generation": after.generation,
        }
        return Change("opened", fields)
    lasted = round(after.since - before.since, 3)
    if after.phase is Phase.HALF_OPEN:
        return Change("half_opened", {"was": before.phase.value, "after": lasted, "generation": after.generation})
    return Change("closed", {"was": before.phase.value, "after": lasted, "generation": after.generation})


def _within(before: State, after: State) -> tuple[Change, ...]:
    found: list[Change] = []
    if after.hold_until is not None and (before.hold_until is None or before.hold_until < after.hold_until):
        found.append(Change("held", {"until": after.hold_until, "generation": after.generation}))
    if after.stage > before.stage:
        found.append(Change("ramped", {"stage": after.stage, "generation": after.generation}))
    return tuple(found)
