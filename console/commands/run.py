"""The commands that see a run to its end: run, watch, result, cancel."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import click
from rich.console import Console
from temporalio.client import WorkflowExecutionDescription, WorkflowExecutionStatus

from console.dossier import Dossier, gather
from console.errors import Exit, Left, Stop, finish
from console.follow import follow
from console.options import one_line, parameters, positional, validated
from console.render import ending, notes, progress
from console.reports import PAGE, document, writable, write_report
from console.runs import Handle, Started, checked, ended, exit_code, find, input_of, start, text_of
from console.session import Session, session
from workflows.contracts import RunReport
from workflows.pipelines import Pipeline
from workflows.run import RunInput, RunResult

COMMON = (
    click.Option(["--id", "run_id"], help="Name the run; the same name and input again attach to that run."),
    click.Option(["--detach"], is_flag=True, help="Print the run's id and leave; what runs it stays up."),
    click.Option(["--keep-up"], is_flag=True, help="Leave the embedded server and worker up afterwards."),
    click.Option(["--json", "as_json"], is_flag=True, help="Print one JSON document instead of the result's text."),
    click.Option(
        ["--report"], type=click.Path(path_type=Path), help="Write the report to FILE.html, .md, .json or .txt too."
    ),
)


def command_for(pipeline: Pipeline) -> click.Command:
    """The complete command of a pipeline, made from its Input."""

    def start_it(
        run_id: str | None, detach: bool, keep_up: bool, as_json: bool, report: Path | None, **values: Any
    ) -> None:
        input = cast(RunInput, validated(pipeline.input, values))
        if detach and report is not None:
            raise click.UsageError("--report needs the run's end; leave --detach out, or use `result --report` later")
        finish(
            run_pipeline(pipeline, input, run_id, detach=detach, keep_up=keep_up, as_json=as_json, report_file=report)
        )

    return click.Command(
        pipeline.name, params=[*parameters(pipeline.input), *COMMON], callback=start_it, help=pipeline.summary
    )


async def run_pipeline(
    pipeline: Pipeline,
    input: RunInput,
    run_id: str | None,
    *,
    detach: bool,
    keep_up: bool,
    as_json: bool,
    report_file: Path | None = None,
) -> Exit:
    """Start a run, or attach to the one of this id, and see it to its end unless detached."""
    _may_be_called(run_id, report_file)
    console = notes()
    with progress(console) as shown:
        async with session(shown.say, keep_up=keep_up or detach, worker=True) as here:
            main = positional(pipeline.input)
            begun = await start(here.client, pipeline, input, run_id, main, here.searchable)
            handle, url = _ours(begun), here.url(begun.handle.id)
            how = "attached to" if begun.attached else "started"
            shown.say(f"{how} {handle.id}" + (f"  {url}" if url else ""))
            if detach:
                document = {**_running(handle.id, pipeline.name), "ui_url": url}
                click.echo(json.dumps(document) if as_json else handle.id)
                return Exit.PASSED
            elapsed = await _see(handle, here, shown)
            report = await ended(handle, await handle.describe())
            dossier = await _dossier(here, handle.id, report_file)
    return _tell(report, url, elapsed, console, as_json, report_file, dossier)


async def rerun(
    id: str,
    only: list[str],
    bounds: Mapping[str, Any],
    run_id: str | None,
    *,
    as_json: bool,
    report_file: Path | None,
) -> Exit:
    """Run a part of an ended run again, in a new run whose report names the earlier one; the `bounds` that are not None
    replace those of the earlier one."""
    _may_be_called(run_id, report_file)
    console = notes()
    with progress(console) as shown:
        async with session(shown.say, worker=True) as here:
            before, description = await find(here.client, id)
            if _open(description):
                raise Stop(f"{id} has not ended; wait for it with `starter.py watch {id}`", Exit.USAGE)
            pipeline, earlier = await input_of(here.client, id)
            again = getattr(earlier, "again", None)
            if again is None:
                raise Stop(f"{pipeline.name} cannot be run again in part; start a new run of it", Exit.USAGE)
            try:
                input = again(await ended(before, description), only)
            except ValueError as error:  # pydantic's is one too, and says more than one line
                raise Stop(f"{id} --only {','.join(only)}: {one_line(error)}", Exit.USAGE) from error
            given = {name: value for name, value in bounds.items() if value is not None}
            input = cast(RunInput, validated(pipeline.input, {**dict(input), **given}))
            begun = await start(here.client, pipeline, input, run_id, positional(pipeline.input), here.searchable)
            handle, url = _ours(begun), here.url(begun.handle.id)
            how = "attached to" if begun.attached else "started"
            shown.say(f"{how} {handle.id}, an addendum to {id}" + (f"  {url}" if url else ""))
            elapsed = await _see(handle, here, shown)
            report = await ended(handle, await handle.describe())
            dossier = await _dossier(here, handle.id, report_file)
    return _tell(report, url, elapsed, console, as_json, report_file, dossier)


async def watch_run(id: str) -> Exit:
    """Show a run until it ends."""
    return await _attached(id, as_json=False, text=False)


async def result_of_run(id: str, as_json: bool, report_file: Path | None) -> Exit:
    """Wait for a run's end and print its result."""
    if report_file is not None:
        writable(report_file)
    return await _attached(id, as_json=as_json, text=True, report_file=report_file)


async def cancel_run(id: str) -> Exit:
    """Ask a run to cancel and wait until it has."""
    console = notes()
    with progress(console) as shown:
        async with session(shown.say, worker=True) as here:
            handle, description = await find(here.client, id)
            if not _open(description):
                raise Stop(f"{id} has ended already; `starter.py result {id}` shows how", Exit.USAGE)
            await handle.cancel()
            shown.say(f"cancelling {id}: calls under way are stopped, at most a few seconds")
            elapsed = await _see(handle, here, shown)
            report = await ended(handle, await handle.describe())
    console.print(ending(report, elapsed, []))
    return Exit.PASSED if report.status == "cancelled" else exit_code(report)


async def _attached(id: str, *, as_json: bool, text: bool, report_file: Path | None = None) -> Exit:
    console = notes()
    with progress(console) as shown:
        async with session(shown.say, worker=False) as here:
            handle, description = await find(here.client, id)
            url = here.url(id)
            shown.say(f"{'watching' if _open(description) else 'ended:'} {id}" + (f"  {url}" if url else ""))
            if _open(description) or description.status != WorkflowExecutionStatus.COMPLETED:
                await here.worker()
            elapsed = await _see(handle, here, shown)
            report = await ended(handle, await handle.describe())
            dossier = await _dossier(here, id, report_file)
    return _tell(report, url, elapsed, console, as_json, report_file, dossier, text=text)


async def _see(handle: Handle, here: Session, shown: Any) -> timedelta | None:
    """Show the run until it has ended; returns how long it took."""
    elapsed = None
    try:
        async for view in follow(handle, here.lost):
            here.found()
            shown.update(view)
            if view.started and view.ended:
                elapsed = view.ended - view.started
    except asyncio.CancelledError:
        shown.say(f"leaving; the run is kept and goes on with `starter.py watch {handle.id}`")
        raise Left from None
    return elapsed


async def _dossier(here: Session, id: str, file: Path | None) -> Dossier | None:
    """What a page needs beyond the report; nothing if no page is wanted."""
    if file is None or file.suffix != PAGE:
        return None
    await here.worker()
    return await gather(here.client, id, here.url(id))


def _tell(
    report: RunReport[Any],
    url: str | None,
    elapsed: timedelta | None,
    console: Console,
    as_json: bool,
    report_file: Path | None,
    dossier: Dossier | None,
    *,
    text: bool = True,
) -> Exit:
    """The report: in words on standard error, the result on standard output, and where a file was named, there."""
    rows = report.result.summary() if isinstance(report.result, RunResult) else []
    console.print(ending(report, elapsed, rows))
    if as_json:
        click.echo(json.dumps(document(report, url), ensure_ascii=False))
    elif text and (words := text_of(report)) is not None:
        click.echo(words)
    if report_file is not None:
        write_report(report_file, report, url, elapsed, dossier)  # last: what was paid for has been shown if this fails
    return exit_code(report)


def _may_be_called(run_id: str | None, report_file: Path | None) -> None:
    """What was named can be what it is to be: said before anything is paid for. Raises Stop."""
    if run_id is not None:
        checked(run_id)
    if report_file is not None:
        writable(report_file)


def _ours(begun: Started) -> Handle:
    """The run that was asked for. Raises Stop if its name belongs to a run of another input, which answers nothing."""
    id = begun.handle.id
    if not begun.same_input:
        raise Stop(
            f"{id} was started with another input, so its result is not the answer to this one: choose another --id, "
            f"or `starter.py result {id}` for that run",
            Exit.USAGE,
        )
    return begun.handle


def _running(id: str, pipeline: str) -> dict[str, Any]:
    """The JSON document of a run that has not ended: the same keys, as far as they are known."""
    return {
        "run_id": id,
        "pipeline": pipeline,
        "status": "running",
        "stop_reason": "running",
        "message": None,
        "passed": False,
        "result": None,
        "agents": [],
        "usage": None,
        "cost_usd": None,
        "simulated": None,
    }


def _open(description: WorkflowExecutionDescription) -> bool:
    return description.status == WorkflowExecutionStatus.RUNNING
