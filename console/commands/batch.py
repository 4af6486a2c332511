"""The batch: one run for each line of a file, so many at a time, and one line of JSON for each that has ended."""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import Any, cast

import click
from temporalio.service import RPCError

from console.errors import Exit, Left, Stop, finish
from console.follow import AWAY
from console.options import Text, parameters, positional, validated
from console.render import say
from console.reports import document
from console.runs import Started, checked, ended, exit_code, start
from console.session import Session, session
from workflows.contracts import RunReport
from workflows.pipelines import Pipeline
from workflows.run import RunInput

AT_ONCE = 100
"""Runs under way together: each is a long poll of the server, and the rest waits here instead of there."""
MOST_RUNS = 10_000


class Lines(Text):
    """The lines of `@file`, or of standard input. A bare word would be paid for as if it were a line: it is refused."""

    name = "@file | -"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value != "-" and not str(value).startswith("@"):
            self.fail(f"give @{value} for the lines of a file, or - for standard input", param, ctx)
        return super().convert(value, param, ctx)


def batch_command_for(pipeline: Pipeline) -> click.Command:
    """The batch command of a pipeline: its options, and a file of inputs in place of its one."""
    main = positional(pipeline.input)
    options = [each for each in parameters(pipeline.input) if each.name != main]

    def start_them(lines: str, run_id: str | None, **values: Any) -> None:
        if main is None:
            raise click.UsageError(f"{pipeline.name} takes no input, so there is no batch of it")
        finish(run_batch(pipeline, _inputs(pipeline, main, lines, values), run_id))

    parameters_ = [
        click.Argument(["lines"], metavar="@FILE | -", type=Lines(), required=True),
        *options,
        click.Option(["--id", "run_id"], help="Name the runs NAME-1, NAME-2, …; names already used are attached to."),
    ]
    return click.Command(pipeline.name, params=parameters_, callback=start_them, help=pipeline.summary)


async def run_batch(pipeline: Pipeline, inputs: list[RunInput], name: str | None) -> Exit:
    """Start a run for each input and print each as it ends; the exit code is the worst of them."""
    name = name or f"{pipeline.name}-{secrets.token_hex(6)}"
    checked(f"{name}-{len(inputs)}")
    places = asyncio.Semaphore(AT_ONCE)
    worst, done = Exit.PASSED, 0

    async with session(say, worker=True) as here:

        async def one(number: int, input: RunInput) -> None:
            nonlocal worst, done
            async with places:
                begun, report = await _patiently(here, pipeline, input, f"{name}-{number}")
            worst, done = max(worst, exit_code(report)), done + 1
            told = {"line": number, **document(report, here.url(report.run_id))}
            if not begun.same_input:
                worst = max(worst, Exit.USAGE)
                told["same_input"] = False
                say(f"{report.run_id} was started with another input: this is its report, not that of line {number}")
            click.echo(json.dumps(told, ensure_ascii=False))
            say(f"{done} of {len(inputs)}: {report.run_id} {'passed' if report.passed else report.stop_reason}")

        say(f"starting {len(inputs)} runs, {AT_ONCE} at a time, as {name}-1 to {name}-{len(inputs)}")
        try:
            async with asyncio.TaskGroup() as group:
                for number, input in enumerate(inputs, start=1):
                    group.create_task(one(number, input))
        except BaseExceptionGroup as stopped:
            raise stopped.exceptions[0] from None
        except asyncio.CancelledError:
            say(f"leaving; what was started goes on, and --id {name} takes the batch up again")
            raise Left from None
    return worst


async def _patiently(here: Session, pipeline: Pipeline, input: RunInput, id: str) -> tuple[Started, RunReport[Any]]:
    """Start a run and wait for its report, through a server that goes away for a while."""
    while True:
        try:
            begun = await start(here.client, pipeline, input, id, positional(pipeline.input), here.searchable)
            report = await ended(begun.handle, await begun.handle.describe())
        except RPCError as error:
            if error.status not in AWAY:
                raise
            await here.lost(error)
        else:
            here.found()
            return begun, report


def _inputs(pipeline: Pipeline, main: str, lines: str, values: dict[str, Any]) -> list[RunInput]:
    """One input for each line that is not empty. Raises Stop, naming the line, before anything is started."""
    found = []
    for number, line in enumerate(lines.split("\n"), start=1):  # a line break inside a JSON string may be another
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            value = line
        text = value if isinstance(value, str) else line
        try:
            found.append(cast(RunInput, validated(pipeline.input, {**values, main: text})))
        except click.UsageError as error:
            raise Stop(f"line {number}: {error.format_message()}", Exit.USAGE) from error
    if not 0 < len(found) <= MOST_RUNS:
        raise Stop(
            f"a batch is a file of 1 to {MOST_RUNS:,} lines, an input in each; this one has {len(found)}", Exit.USAGE
        )
    return found
