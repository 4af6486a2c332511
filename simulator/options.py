"""What a simulator is started with: where it listens, how slow it is, how much it allows, what it writes down."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

LONGEST = 86_400
"""Seconds of a call, a day: longer than anybody waits for one."""
LARGEST = 1_000_000_000_000
"""Of a limit per minute: as good as none."""


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """Durations are seconds; a limit of None means no limit. Raises ValueError for what could never be served.

    `now` and `sleep` are the only clock: a test that passes its own never waits.
    """

    host: str = "127.0.0.1"
    exposed: bool = False
    """Whether `host` may be more than this machine: only for a network of its own, such as a compose file's."""
    port: int = 0
    """0 lets the system choose a free one."""
    latency: float = 0.0
    """The service time of one call; a stream spreads its text over it."""
    requests_per_minute: int | None = None
    input_tokens_per_minute: int | None = None
    output_tokens_per_minute: int | None = None
    journal_file: Path | None = None
    """Every finished entry is appended here as one JSON line, at once."""
    journal_texts: bool = False
    """Whether entries keep the system and prompt texts, or only their hash."""
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    def __post_init__(self) -> None:
        if not self.exposed and not is_loopback(self.host):
            raise ValueError(
                f"the simulator only listens on this machine: {self.host!r} is not a loopback address (use 127.0.0.1; "
                "in a container's own network add --exposed)"
            )
        if not 0 <= self.latency <= LONGEST:  # nan is on neither side
            raise ValueError(f"latency is a time in seconds, at most {LONGEST:,}, and cannot be {self.latency}")
        for name in ("requests_per_minute", "input_tokens_per_minute", "output_tokens_per_minute"):
            limit: int | None = getattr(self, name)
            if limit is not None and not 1 <= limit <= LARGEST:
                raise ValueError(f"{name} cannot be {limit}: leave it out for no limit")


def is_loopback(host: str) -> bool:
    """Whether `host` can only be reached from this machine. A name other than localhost could be anything: no."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
