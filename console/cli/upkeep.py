"""The commands about what runs leave behind and who may read it: gc, codec, key."""

from __future__ import annotations

from datetime import timedelta

import click

from console.cli.late import Late
from console.errors import finish

PORT = 8234
"""The codec server's: beside the embedded UI's."""


@click.command()
@click.option("--older-than", type=Late(), help="Untouched for this long, as 30d; default: the retention and a day.")
@click.option("--yes/--dry-run", "remove", help="Remove them; without it they are only counted.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def gc(older_than: timedelta | None, remove: bool, as_json: bool) -> None:
    """Show the large values that no run refers to any more, or remove them with --yes.

    What an open run or one the server still keeps refers to is never touched.
    """
    from console.commands.gc import collect

    finish(collect(older_than, remove, as_json))


@click.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="Of loopback; 0: a free one."
)
@click.option("--ui", help="The URL of the Temporal UI, if it is not the embedded server's; or TEMPORAL_UI_URL.")
def codec(port: int, ui: str | None) -> None:
    """Show encrypted and large values in the Temporal UI: serve its codec endpoint until Ctrl-C.

    Only on this machine, only for the UI's pages, and only with the token that is part of the endpoint.
    """
    from console.commands.codec import serve

    finish(serve(port, ui))


@click.command()
def key() -> None:
    """Print a new encryption key, as BREAKWATER_ENCRYPTION_KEY takes it."""
    from activities.vault.seal import new_key

    click.echo(new_key())
