"""BENCHMARKS.md and its pictures, made from the results of the benchmarks.

    python -m benchmarks                            # from what lies in benchmarks/results
    python -m benchmarks --measure all              # measure first; nothing else should run on the machine meanwhile
    python -m benchmarks --measure overhead --measure storm

The page names machine, date and command of every result, ratios first: those carry over to other machines.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from benchmarks.results import RESULTS, Machine, Result, ResultUnreadable, read, write
from benchmarks.sections import BENCHMARKS, Benchmark, markdown, plain
from hosting.home import PROJECT

PAGE = PROJECT / "BENCHMARKS.md"
PICTURES = PROJECT / "docs" / "img"
ALL = "all"
KNOWN = {each.name: each for each in BENCHMARKS}


def results() -> list[tuple[Benchmark, Result]]:
    """Everything that was measured, in the order of the page. Raises ResultUnreadable."""
    files = {file.stem: file for file in sorted(RESULTS.glob("*.json"))}
    ordered = [*(name for name in KNOWN if name in files), *(name for name in files if name not in KNOWN)]
    chosen = [KNOWN.get(name) or plain(name) for name in ordered]
    return [(each, read(files[each.name], _command(each))) for each in chosen]


def page(found: Sequence[tuple[Benchmark, Result]]) -> str:
    """BENCHMARKS.md. Raises ResultUnreadable if figures are of another version of their benchmark."""
    lines = [
        "# Benchmarks",
        "",
        "Made by `make figures` from what lies in `benchmarks/results/`, not written by hand. Ratios carry over to",
        "other machines, times do not.",
        "",
    ]
    sections: list[str] = []
    ratios: list[Sequence[str]] = [["", "ratio"]]
    for benchmark, result in found:
        try:
            ratios += benchmark.ratios(result.figures)
            sections += _section(benchmark, result, (PICTURES / f"{benchmark.name}.png").is_file())
        except (KeyError, TypeError) as error:
            raise ResultUnreadable(
                f"the figures of {benchmark.name} are of another version of it ({error!r}); measure it again"
            ) from error
    lines += markdown(ratios)
    return "\n".join([*lines, *sections]) + "\n"


def _section(benchmark: Benchmark, result: Result, has_picture: bool) -> list[str]:
    lines = ["", f"## {benchmark.title}", ""]
    if benchmark.says:
        lines += [benchmark.says, ""]
    lines += markdown(benchmark.table(result.figures))
    if benchmark.notes and (notes := benchmark.notes(result.figures)):
        lines += ["", *notes]
    if benchmark.draw and has_picture:
        lines += ["", f"![{benchmark.title}](docs/img/{benchmark.name}.png)"]
    return [*lines, "", f"`{result.command}`, {result.measured:%-d %B %Y}, {result.machine}."]


def measure(benchmark: Benchmark) -> None:
    """Run it, as its own command does, and keep its result. Raises CalledProcessError if it has failed."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "figures.json"
        done = subprocess.run([sys.executable, *benchmark.command, "--json", str(file)], cwd=PROJECT, check=False)
        if not file.is_file():
            raise subprocess.CalledProcessError(done.returncode, " ".join(benchmark.command))
        figures = json.loads(file.read_text())
    when = datetime.now(UTC).replace(microsecond=0)
    result = Result(measured=when, machine=Machine.here(), command=_command(benchmark), figures=figures)
    RESULTS.mkdir(exist_ok=True)
    write(RESULTS / f"{benchmark.name}.json", result)


def _command(benchmark: Benchmark) -> str:
    return f"python {' '.join(benchmark.command)}"


@click.command()
@click.option(
    "--measure", "chosen", multiple=True, type=click.Choice([*KNOWN, ALL]), help="Measure this first; may be repeated."
)
def main(chosen: tuple[str, ...]) -> None:
    """Make BENCHMARKS.md from the results of the benchmarks."""
    wanted = [each for each in BENCHMARKS if each.name in chosen or ALL in chosen]
    failed: list[str] = []
    for each in wanted:
        click.echo(f"{each.name} …", err=True)
        try:
            measure(each)
        except subprocess.CalledProcessError as error:
            click.echo(f"{each.name} has failed with exit code {error.returncode}; its result is as it was", err=True)
            failed.append(each.name)
    try:
        found = results()
        if not found:
            raise click.UsageError(f"there is nothing in {RESULTS}; add --measure all")
        if find_spec("matplotlib") is None:
            click.echo(
                "without matplotlib the pictures stay as they are: pip install -r requirements-test.txt", err=True
            )
        else:
            for each, result in found:
                if each.draw:
                    each.draw(result.figures, PICTURES / f"{each.name}.png")
        PAGE.write_text(page(found))
    except ResultUnreadable as error:
        raise click.UsageError(str(error)) from error
    click.echo(f"{PAGE}: {', '.join(each.name for each, _ in found)}", err=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
