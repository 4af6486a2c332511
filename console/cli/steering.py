"""The commands for people in the loop, as they are typed; what they do is in `console.commands.steer`."""

from __future__ import annotations

from typing import Any

import click

from console.errors import finish

_ID = click.argument("id")


@click.command()
@_ID
@click.option("--usd", type=float, help="New total of dollars.")
@click.option("--tokens", type=int, help="New total of tokens, in and out.")
@click.option("--agents", type=int, help="New total of agents.")
def budget(id: str, usd: float | None, tokens: int | None, agents: int | None) -> None:
    """Raise what a run may use to a new total (not by an addition), so that it goes on if it waits for that.

    \b
    starter.py budget my-run --usd 5
    """
    if usd is None and tokens is None and agents is None:
        raise click.UsageError("say what to raise and to what total: --usd, --tokens or --agents")
    from console.commands.steer import raise_budget

    finish(raise_budget(id, usd, tokens, agents))


class Value(click.ParamType[Any]):
    """A JSON value, whose parser is loaded only when one is given."""

    name = "json | @file | -"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from console.options import Json

        return Json().convert(value, param, ctx)


@click.command()
@_ID
def proposal(id: str) -> None:
    """Print what a run wants approved, as JSON: save it, change it, and send it back with `amend`.

    \b
    starter.py proposal my-run > plan.json
    """
    from console.commands.steer import show_proposal

    finish(show_proposal(id))


@click.command()
@_ID
def approve(id: str) -> None:
    """Approve what a run proposes; it goes on with it.

    \b
    starter.py approve my-run
    """
    from console.commands.steer import approve as say

    finish(say(id))


@click.command()
@_ID
@click.option("--reason", required=True, help="Why; it stands in the run's report.")
def reject(id: str, reason: str) -> None:
    """Reject what a run proposes; it ends, not passed, as `rejected`.

    \b
    starter.py reject my-run --reason "the criteria miss the point"
    """
    from console.commands.steer import reject as say

    finish(say(id, reason))


@click.command()
@_ID
@click.argument("value", type=Value(), metavar="JSON|@FILE|-")
def amend(id: str, value: Any) -> None:
    """Approve something else than a run proposes: the whole of it, as `proposal` prints it, with your changes.

    \b
    starter.py amend my-run @plan.json
    """
    from console.commands.steer import amend as say

    finish(say(id, value))


COMMANDS = (budget, proposal, approve, reject, amend)
