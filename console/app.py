"""The command group, and the one place where an error becomes a line and an exit code.

Modules that take long to load (Temporal's client, the pipelines) are imported inside the commands that need them, so
that `--help` answers at once.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from console.errors import Exit, Stop, finish
from hosting.errors import HostingError, Unreachable

if TYPE_CHECKING:
    from datetime import timedelta


class Pipelines(click.Group):
    """One subcommand for every pipeline; its options are the fields of its Input."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        from workflows.pipelines import discover

        return sorted(discover())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        from workflows.pipelines import discover

        pipeline = discover().get(cmd_name)
        if pipeline is None:
            return None

        from console.commands.run import command_for

        return command_for(pipeline)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and self.get_command(ctx, args[0]) is None:
            known = ", ".join(self.list_commands(ctx))
            raise click.UsageError(f"there is no pipeline {args[0]!r}; there are: {known}", ctx)
        return super().resolve_command(ctx, args)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def starter() -> None:
    """Durable multi-agent pipelines for Claude, on Temporal."""


@starter.group(cls=Pipelines, subcommand_metavar="PIPELINE [OPTIONS] INPUT")
def run() -> None:
    """Start a run of a pipeline and see it to its end.

    The same --id twice attaches to the run instead of paying again. Text may be given as @file, or as - for standard
    input. The result goes to standard output, everything else to standard error.
    """


@starter.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=15, show_default=True, help="How many runs to show.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def list_(limit: int, as_json: bool) -> None:
    """Show the pipelines and the recent runs."""
    from console.commands.inspect import list_runs

    finish(list_runs(limit, as_json))


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
def result(id: str, as_json: bool) -> None:
    """Wait for a run's end, print its result, and exit as `run` would."""
    from console.commands.run import result_of_run

    finish(result_of_run(id, as_json))


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


class Late(click.ParamType[Any]):
    """A duration, whose parser is loaded only when one is given."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from console.options import Duration

        return Duration().convert(value, param, ctx)


_KEY = click.argument("key", required=False)
_REASON = click.option("--reason", required=True, help="Why; whoever is held up by it reads this.")
_FOR = click.option("--for", "lasting", type=Late(), help="For how long, as 90s, 10m or 2h; without it, until reset.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@starter.group()
def breaker() -> None:
    """Look at the circuits, hold them open or closed, or reset them.

    KEY is "host model" as `status` shows it; without it a command is about every circuit there is. No server and no
    worker needs to run: the store is read directly, the one BREAKER_STORE names or else the home's.
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


def main(arguments: Sequence[str]) -> int:
    """Run the CLI; every mistake of a user is one line on standard error that says what to do next."""
    # What the parts under us log is either told to the person in a line of its own, or it is nothing for a terminal.
    logging.getLogger("hosting").addHandler(logging.NullHandler())
    logging.getLogger("hosting").propagate = False
    try:
        starter.main(list(arguments), prog_name="starter.py", standalone_mode=False)
    except click.ClickException as error:
        return _complain(error.format_message(), Exit.USAGE)
    except Stop as stop:
        return _complain(str(stop), stop.code)
    except Unreachable as error:
        return _complain(str(error), Exit.UNREACHABLE)
    except HostingError as error:
        return _complain(str(error), Exit.USAGE)
    except (KeyboardInterrupt, click.Abort):
        return Exit.INTERRUPTED
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
