"""What can be typed about circuits. Nothing heavy is imported before a command runs."""

from __future__ import annotations

from datetime import timedelta

import click

from console.cli.late import Late
from console.errors import finish

_KEY = click.argument("key", required=False)
_REASON = click.option("--reason", required=True, help="Why; whoever is held up by it reads this.")
_FOR = click.option("--for", "lasting", type=Late(), help="For how long, as 90s, 10m or 2h; without it, until reset.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@click.group()
def breaker() -> None:
    """Look at the circuits, hold them open or closed, or reset them.

    KEY is "host model" as `status` shows it; without it a command is about every circuit there is. No server and no
    worker needs to run: the store is read directly, the one BREAKWATER_STORE names or else the home's.
    """


@breaker.command()
@_KEY
@_JSON
def status(key: str | None, as_json: bool) -> None:
    """Show each circuit: its state and why, its counts, when it probes, who holds the probes."""
    from console.commands.breaker import show_circuits

    finish(show_circuits(key, as_json))


@breaker.command("open")
@_KEY
@_REASON
@_FOR
@_JSON
def open_(key: str | None, reason: str, lasting: timedelta | None, as_json: bool) -> None:
    """Hold open: no worker calls, runs wait or fail as they were told. Ends with a probe.

    \b
    starter.py breaker open --reason maintenance --for 10m
    """
    from console.commands.breaker import hold

    finish(hold("open", key, reason, lasting, as_json))


@breaker.command()
@_KEY
@_REASON
@_FOR
@_JSON
def close(key: str | None, reason: str, lasting: timedelta | None, as_json: bool) -> None:
    """Hold closed: every call is let through, whatever the API answers.

    \b
    starter.py breaker close --reason "the API is fine, the proxy is not" --for 1h
    """
    from console.commands.breaker import hold

    finish(hold("closed", key, reason, lasting, as_json))


@breaker.command()
@_KEY
@click.option("--reason", help="Why; shown now and kept nowhere.")
@_JSON
def reset(key: str | None, reason: str | None, as_json: bool) -> None:
    """Let go and forget: closed, nothing counted, in every worker within a second."""
    from console.commands.breaker import reset as let_go

    finish(let_go(key, reason, as_json))
