"""`python -m simulator`: the stand-in as a process of its own, for the demo, for drills and for your own curiosity."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import threading
from pathlib import Path

import click

from simulator.faults import Rule, RulesError, load_rules
from simulator.options import ServerOptions
from simulator.server import Simulator


class _WrongUse(click.ClickException):
    """What was asked for can never work. One line on stderr."""

    exit_code = 2


class _CannotStart(click.ClickException):
    """It could work, but not here and now. One line on stderr."""

    exit_code = 1


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--host", default="127.0.0.1", show_default=True, help="A loopback address; others are refused.")
@click.option(
    "--exposed", is_flag=True, help="Accept any --host: only inside a network of its own, as containers have."
)
@click.option("--port", default=0, show_default=True, type=click.IntRange(0, 65535), help="0: any free port.")
@click.option(
    "--latency",
    default=0.6,
    show_default=True,
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Service time of one call.",
)
@click.option("--requests-per-minute", type=click.IntRange(min=1), help="Default: no limit.")
@click.option("--input-tokens-per-minute", type=click.IntRange(min=1), help="Default: no limit.")
@click.option("--output-tokens-per-minute", type=click.IntRange(min=1), help="Default: no limit.")
@click.option("--script", type=click.Path(path_type=Path), metavar="FILE", help="Rules to start with, a JSON list.")
@click.option(
    "--journal",
    "journal_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Append every finished request as a JSON line.",
)
@click.option("--journal-texts", is_flag=True, help="Keep prompts in the journal, not only their hashes.")
@click.option("--exit-with-stdin", is_flag=True, help="Stop when standard input ends.")
def main(
    host: str,
    exposed: bool,
    port: int,
    latency: float,
    requests_per_minute: int | None,
    input_tokens_per_minute: int | None,
    output_tokens_per_minute: int | None,
    script: Path | None,
    journal_file: Path | None,
    journal_texts: bool,
    exit_with_stdin: bool,
) -> None:
    """A local stand-in for the Anthropic Messages API, with faults on demand.

    Prints one JSON line with its url when it listens, then serves until it is told to stop.

    \b
    Examples:
      python -m simulator --port 8787
      python -m simulator --latency 0 --script outage.json --journal requests.jsonl
      curl -X POST $URL/admin/rules -d '[{"fault": {"kind": "status", "status": 529}, "times": 5}]'
    """
    try:
        options = ServerOptions(
            host=host,
            exposed=exposed,
            port=port,
            latency=latency,
            requests_per_minute=requests_per_minute,
            input_tokens_per_minute=input_tokens_per_minute,
            output_tokens_per_minute=output_tokens_per_minute,
            journal_file=journal_file,
            journal_texts=journal_texts,
        )
        rules = load_rules(script) if script else []
    except RulesError as error:
        raise _WrongUse(f"--script {script}: {error}") from error
    except ValueError as error:
        raise _WrongUse(str(error)) from error
    asyncio.run(_serve(options, rules, exit_with_stdin=exit_with_stdin))


async def _serve(options: ServerOptions, rules: list[Rule], *, exit_with_stdin: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    simulator = Simulator(options)
    simulator.rules(rules)
    try:
        await simulator.start()
    except OSError as error:
        raise _CannotStart(_why_not(options, error)) from error
    if exit_with_stdin:
        threading.Thread(target=_watch_stdin, args=(loop, stop), daemon=True).start()
    click.echo(json.dumps({"event": "simulator.ready", "url": simulator.url, "pid": os.getpid()}))
    await stop.wait()
    await simulator.stop()


def _why_not(options: ServerOptions, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {options.port} on {options.host} is already in use: choose another, or --port 0 for any"
    return f"cannot start: {error.strerror or error}"


def _watch_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Wait for the end of standard input. A thread, because a terminal, a file and /dev/null cannot all be polled.

    It reads the descriptor itself: a blocked `sys.stdin` would hold a lock the interpreter wants when it ends.
    """
    while os.read(0, 65536):
        pass
    try:
        loop.call_soon_threadsafe(stop.set)
    except RuntimeError:
        return  # the loop is closed: it stopped for another reason first


if __name__ == "__main__":
    main(prog_name="python -m simulator")
