"""The command group, and the one place where an error becomes a line and an exit code.

Modules that take long to load (Temporal's client, the pipelines) are imported inside the commands that need them, so
that `--help` answers at once.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from activities.vault.errors import VaultError
from console.cli.amounts import Dollars
from console.cli.breaker import breaker
from console.cli.records import audit, report, state
from console.cli.steering import COMMANDS as STEERING
from console.cli.upkeep import codec, gc, key
from console.errors import Exit, Left, Stop, finish
from hosting.errors import HostingError, Unreachable

if TYPE_CHECKING:
    from workflows.pipelines import Pipeline


STATUSES = (
    *("running", "waiting_for_approval", "waiting_for_budget"),
    *("passed", "not_passed", "failed", "cancelled", "terminated", "timed_out"),
)
"""What `list` says of a run, and can be asked for."""


class Pipelines(click.Group):
    """One subcommand for every pipeline; its options are the fields of its Input."""

    def command_for(self, pipeline: Pipeline) -> click.Command:
        """The command of a pipeline."""
        from console.commands.run import command_for

        return command_for(pipeline)

    def list_commands(self, ctx: click.Context) -> list[str]:
        from workflows.pipelines import discover

        return sorted(discover())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        from workflows.pipelines import discover

        pipeline = discover().get(cmd_name)
        return None if pipeline is None else self.command_for(pipeline)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and self.get_command(ctx, args[0]) is None:
            known = ", ".join(self.list_commands(ctx))
            raise click.UsageError(f"there is no pipeline {args[0]!r}; there are: {known}", ctx)
        return super().resolve_command(ctx, args)


class Batches(Pipelines):
    """The same, for a file of inputs."""

    def command_for(self, pipeline: Pipeline) -> click.Command:
        """The batch command of a pipeline."""
        from console.commands.batch import batch_command_for

        return batch_command_for(pipeline)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def starter() -> None:
    """Durable multi-agent pipelines for Claude, on Temporal."""


@starter.group(cls=Pipelines, subcommand_metavar="PIPELINE [OPTIONS] INPUT")
def run() -> None:
    """Start a run of a pipeline and see it to its end.

    The same --id and input twice attach to the run instead of paying again. Text may be given as @file, or as - for
    standard input. The result goes to standard output, everything else to standard error.
    """


@starter.group(cls=Batches, subcommand_metavar="PIPELINE [OPTIONS] @FILE")
def batch() -> None:
    """Start a run for each line of a file, and print a line of JSON for each that has ended.

    A line is the input itself: a JSON object, a JSON string, or plain text. The exit code is the worst of the runs'.
    """


class Rerun(click.Command):
    """A command that takes the bounds of a run as `run` does. They are loaded only when it is looked at."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        from console.options import options
        from workflows.inputs import BOUNDS, RunInput

        own = super().get_params(ctx)
        return [*own[:-1], *options(RunInput, BOUNDS, "the earlier run's"), own[-1]]


@starter.command(cls=Rerun)
@click.argument("id")
@click.option("--only", required=True, metavar="A,B", help="What to pay for again, e.g. --only FATF.")
@click.option("--id", "run_id", help="Name the new run.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of the result's text.")
@click.option(
    "--report", type=click.Path(path_type=Path), help="Write the report to FILE.html, .md, .json or .txt too."
)
def rerun(id: str, only: str, run_id: str | None, as_json: bool, report: Path | None, **bounds: Any) -> None:
    """Run a part of an ended run again: a new run, whose report names the earlier one and takes over the rest.

    What stopped the earlier run would stop this one, so a bound may be given anew.

    \b
    starter.py rerun my-review --only AML --deadline 10m
    """
    from console.commands.run import rerun as again

    names = [name for name in (part.strip() for part in only.split(",")) if name]
    finish(again(id, names, bounds, run_id, as_json=as_json, report_file=report))


@starter.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=15, show_default=True, help="How many runs to show.")
@click.option("--pipeline", help="Only runs of this pipeline.")
@click.option("--status", type=click.Choice(STATUSES), help="Only runs that stand like this.")
@click.option("--circuit", type=click.Choice(("open", "closed")), help="open: only runs that wait for an open circuit.")
@click.option("--min-cost", type=Dollars(), metavar="USD", help="Only ended runs that cost at least this.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def list_(
    limit: int, pipeline: str | None, status: str | None, circuit: str | None, min_cost: float | None, as_json: bool
) -> None:
    """Show the pipelines and the recent runs, or only the runs that are like this."""
    from console.commands.inspect import Wanted, list_runs

    finish(list_runs(limit, as_json, Wanted(pipeline, status, circuit, min_cost)))


@starter.command()
@click.argument("id")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def show(id: str, as_json: bool) -> None:
    """Show a run as it is now: its calls, attempts, tokens, cost, and what is pending and why."""
    from console.commands.inspect import show_run

    finish(show_run(id, as_json))


@starter.command()
@click.argument("id")
def watch(id: str) -> None:
    """Watch a run until it ends; exits as `run` would."""
    from console.commands.run import watch_run

    finish(watch_run(id))


@starter.command()
@click.argument("id")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option(
    "--report", type=click.Path(path_type=Path), help="Write the report to FILE.html, .md, .json or .txt too."
)
def result(id: str, as_json: bool, report: Path | None) -> None:
    """Wait for a run's end, print its result, and exit as `run` would."""
    from console.commands.run import result_of_run

    finish(result_of_run(id, as_json, report))


@starter.command()
@click.argument("id")
def cancel(id: str) -> None:
    """Cancel a run: calls under way are stopped, what was finished is kept."""
    from console.commands.run import cancel_run

    finish(cancel_run(id))


@starter.command()
def up() -> None:
    """Keep the embedded server, its UI and a worker up until Ctrl-C."""
    from console.commands.services import keep_up

    finish(keep_up())


@starter.command()
def down() -> None:
    """Stop what was left running: worker, stand-in, embedded server. Runs are kept and go on later."""
    from console.commands.services import take_down

    finish(take_down())


for command in (state, report, audit, breaker, codec, gc, key, *STEERING):
    starter.add_command(command)


def main(arguments: Sequence[str]) -> int:
    """Run the CLI; every mistake of a user is one line on standard error that says what to do next."""
    # What the parts under us log is either told to the person in a line of its own, or it is nothing for a terminal.
    logging.getLogger("hosting").addHandler(logging.NullHandler())
    logging.getLogger("hosting").propagate = False
    try:
        starter.main(list(arguments), prog_name="starter.py", standalone_mode=False)
    except click.ClickException as error:
        return _complain(error.format_message(), Exit.USAGE)
    except Left as left:
        return left.code
    except Stop as stop:
        return _complain(str(stop), stop.code)
    except Unreachable as error:
        return _complain(str(error), Exit.UNREACHABLE)
    except (HostingError, VaultError) as error:
        return _complain(str(error), Exit.USAGE)
    except (KeyboardInterrupt, click.Abort):
        return _complain("interrupted", Exit.INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has gone, as `head` does. Point stdout elsewhere, or the interpreter's last flush
        # fails with a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return Exit.PASSED
    except Exception as error:
        from workflows.pipelines import NotAPipeline

        if not isinstance(error, NotAPipeline):
            raise
        return _complain(str(error), Exit.USAGE)
    except SystemExit as finished:
        return int(finished.code or 0)
    return Exit.PASSED


def _complain(message: str, code: Exit) -> int:
    click.echo("starter.py: " + " ".join(message.split()), err=True)
    return code
