"""Processes that outlive us: who they are, so that a recycled pid is never mistaken for one, and how to stop them."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from hosting.errors import HostingError

log = logging.getLogger(__name__)

CLOCK_SLACK = timedelta(seconds=2)
"""A process's creation time is computed from the boot time, which moves a little when the clock is set."""
LOOK = timedelta(milliseconds=20)
"""How often a process that is not our child is looked at: the system has no event for us."""
KILLED = timedelta(seconds=5)
"""A killed process is gone at once unless it hangs in the kernel."""


@dataclass(frozen=True)
class Record:
    """One process: a pid is only the one we mean if creation time and arguments match as well."""

    pid: int
    created: float
    """Seconds since the epoch, as the system tells it."""
    command: tuple[str, ...]
    started_at: datetime
    facts: Mapping[str, str] = field(default_factory=dict)
    """What others need to know to use it: address, url, version."""

    @classmethod
    def of(cls, pid: int, command: Sequence[str], **facts: str) -> Record:
        """The record of a process that runs, or did a moment ago."""
        try:
            created = psutil.Process(pid).create_time()
        except psutil.NoSuchProcess:
            created = datetime.now(UTC).timestamp()
        return cls(pid, created, tuple(command), datetime.fromtimestamp(created, UTC), facts)

    @classmethod
    def read(cls, path: Path) -> Record | None:
        """The record in a file; None if there is none or it is damaged. Raises HostingError if it may not be read."""
        try:
            document = json.loads(path.read_bytes())
            return cls(
                pid=int(document["pid"]),
                created=float(document["created"]),
                command=tuple(map(str, document["command"])),
                started_at=datetime.fromisoformat(document["started_at"]),
                facts={str(name): str(value) for name, value in document["facts"].items()},
            )
        except FileNotFoundError:
            return None
        except OSError as error:
            raise HostingError(f"cannot read {path}: {error.strerror}; is it another user's?") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("record.damaged path=%s error=%r", path, error)
            return None

    def write(self, path: Path) -> None:
        """Replace the file at once, so that nobody reads half a record."""
        document = {
            "pid": self.pid,
            "created": self.created,
            "command": self.command,
            "started_at": self.started_at.isoformat(),
            "facts": dict(self.facts),
        }
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        try:
            draft.write_text(json.dumps(document, indent=2))
            draft.replace(path)
        except OSError as error:
            raise HostingError(f"cannot write {path}: {error.strerror}; free the disk or check permissions") from error

    def with_facts(self, **facts: str) -> Record:
        """The same process, better known."""
        return Record(self.pid, self.created, self.command, self.started_at, {**self.facts, **facts})

    def process(self) -> psutil.Process | None:
        """The process if it still runs and is the one that was recorded."""
        try:
            process = psutil.Process(self.pid)
            same = (
                abs(process.create_time() - self.created) <= CLOCK_SLACK.total_seconds()
                and self._has_arguments(process.cmdline())
                and process.status() != psutil.STATUS_ZOMBIE
            )
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return None
        return process if same else None

    def _has_arguments(self, shown: list[str]) -> bool:
        # Not the first word: an interpreter shows itself under another path than it was started by, and a script is
        # shown behind its interpreter.
        arguments = self.command[1:]
        return tuple(shown[len(shown) - len(arguments) :]) == arguments

    def is_alive(self) -> bool:
        """The recorded process still runs."""
        return self.process() is not None


async def stop(record: Record, grace: timedelta) -> bool:
    """End the process: SIGTERM, and SIGKILL if it takes longer than `grace`. False if it did not run any more.

    Raises HostingError if it survives even that.
    """
    process = record.process()
    if process is None:
        return False
    for send, wait in ((process.terminate, grace), (process.kill, KILLED)):
        try:
            send()
        except psutil.NoSuchProcess:
            return True
        except psutil.AccessDenied as error:
            raise HostingError(f"may not stop process {record.pid}: it is another user's") from error
        if await _gone(record, wait):
            return True
        log.warning("process.lingers pid=%s after=%s", record.pid, wait)
    raise HostingError(f"process {record.pid} does not end, not even killed; look at it with `ps -p {record.pid}`")


async def _gone(record: Record, within: timedelta) -> bool:
    try:
        async with asyncio.timeout(within.total_seconds()):
            while record.is_alive():  # noqa: ASYNC110 - somebody else's child: there is no event to wait for
                await asyncio.sleep(LOOK.total_seconds())
    except TimeoutError:
        return False
    return True
