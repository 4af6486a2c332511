"""Processes we start: each in a session of its own, so that Ctrl-C in a terminal reaches us and nobody behind our back.

They are plain `subprocess` children, each followed by a thread. asyncio's own would not do: when their loop closes
they are killed, and these may be meant to stay.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from hosting.errors import HostingError
from hosting.home import HOME_VARIABLE, PROJECT, Home

LOG_LIMIT = 10_000_000
"""Bytes after which a log is put aside as `.1` at the next start."""
TAIL = 65_536
"""Bytes of a log that are looked at for the reason of an early end."""
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
OTHERS = 0o077
"""What a child's files never are for others: prompts and answers are in them, and a home that was there before may be
open to everybody."""
NEEDED = re.compile(r"PATH|HOME|USER|LANG|LC_.*|TZ|TMPDIR|VIRTUAL_ENV|PYTHON.*|GOMAXPROCS|GOMEMLIMIT")
"""What any program may know of our environment. Keys and tokens are not among it."""

ValueT = TypeVar("ValueT")


def plain_environment(home: Home, **extra: str) -> dict[str, str]:
    """An environment without secrets: the server and the stand-in need none."""
    known = {name: value for name, value in os.environ.items() if NEEDED.fullmatch(name)}
    return {**known, HOME_VARIABLE: str(home.root), **extra}


class Child:
    """A process that was started now, and its two events: its first line, and its end.

    Its standard error is appended to `log`. With `reads_line` its standard output is ours for one line, the one that
    says it is ready; without, it goes to the log as well. With `holds_stdin` its standard input stays open exactly as
    long as we live.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str],
        folder: Path = PROJECT,
        reads_line: bool = False,
        holds_stdin: bool = False,
    ) -> None:
        """Start it in `folder`. Raises HostingError if there is nothing to start or the log cannot be written."""
        loop = asyncio.get_running_loop()
        self.command = tuple(command)
        self.log = log
        self._line: asyncio.Future[bytes] = loop.create_future()
        self._exited: asyncio.Future[int] = loop.create_future()
        try:
            self._log_start = _log_size(log)
            with open(log, "ab", opener=lambda name, flags: os.open(name, flags, 0o666 & ~OTHERS)) as errors:
                self._popen = subprocess.Popen(
                    self.command,
                    cwd=folder,
                    env=dict(environment),
                    stdin=subprocess.PIPE if holds_stdin else subprocess.DEVNULL,
                    stdout=subprocess.PIPE if reads_line else errors,
                    stderr=errors,
                    start_new_session=True,
                    umask=OTHERS,
                )
        except OSError as error:
            raise HostingError(f"cannot start {self.command[0]}: {error.strerror} ({error.filename})") from error
        self.pid = self._popen.pid
        threading.Thread(target=self._follow, args=(loop,), name=f"follow-{self.pid}", daemon=True).start()

    def _follow(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._popen.stdout is not None:
            with self._popen.stdout as stdout:
                _tell(loop, self._line, stdout.readline())
        code = self._popen.wait()
        if self._popen.stdin is not None:
            self._popen.stdin.close()
        _tell(loop, self._exited, code)

    async def first_line(self) -> bytes:
        """The first line of its standard output; empty if it ended without one. Needs `reads_line`."""
        return await asyncio.shield(self._line)

    async def ended(self) -> int:
        """Its exit status when it has ended; negative: the number of the signal that ended it."""
        # Shielded: a waiter that is cancelled must not take the event from the others.
        return await asyncio.shield(self._exited)

    @property
    def code(self) -> int | None:
        """Its exit status, None while it runs."""
        return self._exited.result() if self._exited.done() else None

    @property
    def was_ready(self) -> bool:
        """It has said its line."""
        return self._line.done() and bool(self._line.result())

    def terminate(self) -> None:
        """Ask it to end."""
        self._popen.terminate()

    def kill(self) -> None:
        """End it."""
        self._popen.kill()

    def said(self) -> list[str]:
        """The lines it has written to its log, the last 64 kB of them."""
        with self.log.open("rb") as file:
            file.seek(max(self._log_start, self.log.stat().st_size - TAIL))
            text = file.read().decode(errors="replace")
        return [line for raw in text.splitlines() if (line := COLOURS.sub("", raw).strip())]

    def last_words(self) -> str:
        """The last line it has written to its log, where an error in one line stands."""
        lines = self.said()
        return lines[-1] if lines else "it said nothing"


def ending(code: int) -> str:
    """How a process ended, in words: `SIGKILL`, `exit code 1`."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def _tell(loop: asyncio.AbstractEventLoop, future: asyncio.Future[ValueT], value: ValueT) -> None:
    def tell() -> None:
        if not future.done():
            future.set_result(value)

    try:
        loop.call_soon_threadsafe(tell)
    except RuntimeError:
        return  # the loop is closed: nobody waits any more


def _log_size(log: Path) -> int:
    try:
        size = log.stat().st_size
    except FileNotFoundError:
        return 0
    if size <= LOG_LIMIT:
        return size
    log.replace(log.with_name(f"{log.name}.1"))
    return 0
