"""The commands for people in the loop, as they are typed; what they do is in `console.commands.steer`."""

from __future__ import annotations

import click

from console.errors import finish

_ID = click.argument("id")


@click.command()
@_ID
@click.option("--usd", type=click.FloatRange(min=0, min_open=True, max=1_000_000), help="New total of dollars.")
@click.option("--tokens", type=click.IntRange(min=1), help="New total of tokens, in and out.")
@click.option("--agents", type=click.IntRange(min=1), help="New total of agents.")
def budget(id: str, usd: float | None, tokens: int | None, agents: int | None) -> None:
    """Raise what a run may use to a new total (not by an addition), so that it goes on if it waits for that.

    \b
    starter.py budget my-run --usd 5
    """
    if usd is None and tokens is None and agents is None:
        raise click.UsageError("say what to raise and to what total: --usd, --tokens or --agents")
    from console.commands.steer import raise_budget

    finish(raise_budget(id, usd, tokens, agents))


COMMANDS = (budget,)
