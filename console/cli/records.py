"""What can be typed to read what a run has written down. Nothing heavy is imported before a command runs."""

from __future__ import annotations

from pathlib import Path

import click

from console.errors import finish


@click.command()
@click.argument("id")
@click.argument("key", required=False)
@click.option("--events", is_flag=True, help="Show the log: every write, and every write that lost.")
@click.option("--at", type=click.IntRange(min=0), metavar="SEQ", help="As it was after this event of the log.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def state(id: str, key: str | None, events: bool, at: int | None, as_json: bool) -> None:
    """Show the shared state of a run: what stands under each key, who wrote it, which version it is.

    \b
    starter.py state compliance-review-1f0c review/AML
    """
    from console.commands.state import show_events, show_state

    finish((show_events if events else show_state)(id, key, at, as_json))


@click.command()
@click.argument("id")
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="Write a page that opens in any browser.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="FILE.html, .md, .json or .txt.")
def report(id: str, html: Path | None, output: Path | None) -> None:
    """Write the report of a run to a file: a page for a person, Markdown, JSON or text. It need not have ended.

    \b
    starter.py report plan-generate-evaluate-1f0c --html run.html
    """
    from console.commands.report import write_reports

    if html is None and output is None:
        raise click.UsageError("name a file: starter.py report ID --html FILE, or -o FILE.html, .md, .json or .txt")
    finish(write_reports(id, html, output))


@click.command()
@click.argument("id", required=False)
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Where to write the audit.")
@click.option("--verify", "check", type=click.Path(path_type=Path), metavar="FILE", help="Check a file instead.")
@click.option("--expect", metavar="SHA256", help="With --verify: the hash that was kept when it was written.")
def audit(id: str | None, output: Path | None, check: Path | None, expect: str | None) -> None:
    """Write down what happened in an ended run, line chained to line, or check such a file without a server.

    \b
    starter.py audit compliance-review-1f0c -o review.jsonl
    starter.py audit --verify review.jsonl
    """
    from console.commands.audit import export_audit, verify_audit

    if check is not None:
        if id is not None or output is not None:
            raise click.UsageError("--verify checks a file and takes no ID and no -o")
        raise SystemExit(verify_audit(check, expect))
    if id is None or output is None:
        raise click.UsageError("name a run and a file: starter.py audit ID -o FILE, or check one with --verify FILE")
    finish(export_audit(id, output))
