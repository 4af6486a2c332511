"""The report of a run as a file, at any time, whoever started it."""

from __future__ import annotations

from pathlib import Path

import click

from console.dossier import gather
from console.errors import Exit, Stop
from console.render import say
from console.reports import PAGE, writable, write_report
from console.session import session


async def write_reports(id: str, page: Path | None, output: Path | None) -> Exit:
    """Write the report of a run, as a page, in the form of the other file's name, or both."""
    if page is not None and page.suffix != PAGE:
        raise Stop(f"--html {page}: a page's name ends in {PAGE}; -o FILE writes other forms", Exit.USAGE)
    files = [writable(file, option) for option, file in (("--html", page), ("-o", output)) if file is not None]
    async with session(say, worker=True) as here:
        dossier = await gather(here.client, id, here.url(id))
    for file in files:
        write_report(file, dossier.report, dossier.url, dossier.elapsed, dossier)
        click.echo(file)
    if dossier.report.status == "running":
        say(f"{id} has not ended: this is how far it has come")
    return Exit.PASSED
