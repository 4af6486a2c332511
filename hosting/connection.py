"""The connection to Temporal: the server that is configured, or else the embedded one."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from hosting.dial import describe, dial, load_sdk
from hosting.embedded import Say, embedded
from hosting.errors import HostingError
from hosting.home import Home
from hosting.patience import Patience
from hosting.pollers import pollers as pollers_of
from hosting.readiness import NAMESPACE
from hosting.search_attributes import how_to_add, missing_search_attributes
from hosting.server_age import too_old
from hosting.temporal_server import ServerInfo

if TYPE_CHECKING:
    from temporalio.client import Client, Plugin
    from temporalio.converter import DataConverter
    from temporalio.envconfig import ClientConfigProfile

__all__ = [
    "Configured",
    "Connection",
    "configured",
    "connect",
    "converter_of",
    "how_to_add",
    "missing_search_attributes",
    "pollers",
    "run_url",
]

log = logging.getLogger(__name__)

NO_PATIENCE = Patience(timedelta(0))
"""A person at a terminal wants to know at once."""
ALONE = "values over 1 MiB can be read on this machine only; set BREAKWATER_BLOBS to a place that all machines share"
ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/@\[\]]+):(\d{1,5})")
"""host:port; an IPv6 address in brackets."""


@dataclass(frozen=True)
class Configured:
    """A server somebody has configured, as the SDK's own variables and files say."""

    address: str
    namespace: str
    options: Mapping[str, Any]
    """What else Client.connect needs: key, TLS, metadata. Secret."""

    def __repr__(self) -> str:
        return f"Configured({self.address!r}, {self.namespace!r})"


@dataclass(frozen=True)
class Connection:
    """A client that has been answered, and where it leads."""

    client: Client
    address: str
    namespace: str
    ui_url: str | None
    """Where people look at runs; None if a configured server's UI is not known (TEMPORAL_UI_URL)."""
    server: ServerInfo | None
    """The embedded server; None if a server is configured."""

    @property
    def embedded(self) -> bool:
        """The server is ours, on this machine."""
        return self.server is not None


@asynccontextmanager
async def connect(
    home: Home,
    *,
    identity: str,
    keep_up: bool = False,
    on_event: Say = lambda _: None,
    data_converter: DataConverter | None = None,
    plugins: Sequence[Plugin] = (),
    patience: Patience = NO_PATIENCE,
    keeps_large: bool = False,
) -> AsyncIterator[Connection]:
    """Connected for as long as the block lasts: to the server that is configured, or else to the embedded one.

    The embedded one is started if it does not run, started again if it dies meanwhile (`on_event` is told), and stopped
    behind the last of its users unless one of them said `keep_up`. A configured one that does not answer within a few
    seconds, or has no such namespace yet, is waited for as `patience` says; one that is too old is said to be. With a
    configured one and no BREAKWATER_BLOBS nobody can know that others reach what is put aside here: to send a large
    value raises NotShared then, unless this process `keeps_large`, which it logs.

    Raises Unreachable, and HostingError for everything else, one line each; VaultError if what the environment says
    about keys and large values cannot be followed, before anything is started.
    """
    await load_sdk()
    server = configured()
    values = partial(converter_of, home, one_machine=server is None, keeps_large=keeps_large)
    values()
    options: dict[str, Any] = {"identity": identity, "plugins": list(plugins)}

    async def client_of(address: str, namespace: str, **more: Any) -> Client:
        client = await dial(address, namespace=namespace, **more, **options)
        about = await describe(client, address, namespace)
        scope = about.namespace_info.id
        return _with_converter(client, data_converter or values(scope=scope))

    if server:

        async def attempt() -> Client:
            return await client_of(server.address, server.namespace, **server.options)

        client = await patience.until_answered(attempt, on_event)
        if line := await too_old(client, server.address):
            on_event(line)
        if keeps_large and not os.environ.get("BREAKWATER_BLOBS"):
            log.warning("blobs.on_this_machine_only why=%s", ALONE)
        yield Connection(client, server.address, server.namespace, os.environ.get("TEMPORAL_UI_URL") or None, None)
        return
    async with embedded(home, keep_up=keep_up, on_event=on_event) as info:
        client = await client_of(info.address, NAMESPACE)
        yield Connection(client, info.address, NAMESPACE, info.ui_url, info)


def converter_of(
    home: Home,
    *,
    one_machine: bool,
    scope: str = "",
    keeps_large: bool = False,
    environment: Mapping[str, str] = os.environ,
) -> DataConverter:
    """How values are written and read: one way for everybody who uses this home. Raises VaultError."""
    from activities.vault.converter import data_converter

    return data_converter(environment, home.blobs, one_machine=one_machine, scope=scope, keeps_large=keeps_large)


def configured(environment: Mapping[str, str] = os.environ) -> Configured | None:
    """The server that TEMPORAL_ADDRESS or a profile of a Temporal configuration file names; None if there is none.

    Raises HostingError, one line, for what is malformed, missing, or half of a configuration: whoever sets a namespace
    or a key means a certain server, and would not be served by an embedded one.
    """
    from temporalio.envconfig import ClientConfigProfile

    file = environment.get("TEMPORAL_CONFIG_FILE")
    if file and not Path(file).is_file():
        raise HostingError(f"TEMPORAL_CONFIG_FILE names {file}, which is no file; correct it or unset it")
    try:
        profile = ClientConfigProfile.load(override_env_vars=dict(environment))
    except RuntimeError as error:
        raise HostingError(_bad_configuration(str(error), environment)) from error
    if not profile.address:
        _refuse_half(profile)
        return None
    _check_address(profile.address, environment)
    try:
        options: dict[str, Any] = {**profile.to_client_connect_config()}
    except OSError as error:
        raise HostingError(
            f"cannot read {error.filename}, which Temporal's TLS settings name: {error.strerror}; correct them"
        ) from error
    return Configured(options.pop("target_host"), options.pop("namespace", NAMESPACE), options)


async def pollers(connection: Connection, task_queue: str) -> list[str]:
    """The identities of the workers that take tasks from a queue now; see `hosting.pollers` for what "now" means."""
    return await pollers_of(connection.client, task_queue, on_this_machine=connection.embedded)


def run_url(connection: Connection, workflow_id: str, run_id: str | None = None) -> str | None:
    """Where a run can be looked at; None if the UI is not known. Without `run_id`, its latest execution."""
    if connection.ui_url is None:
        return None
    url = f"{connection.ui_url.rstrip('/')}/namespaces/{quote(connection.namespace, safe='')}"
    run = f"/{quote(run_id, safe='')}/timeline" if run_id else ""
    return f"{url}/workflows/{quote(workflow_id, safe='')}{run}"


def _with_converter(client: Client, converter: DataConverter) -> Client:
    """The same connection, other values."""
    from temporalio.client import Client

    config = client.config()
    config["data_converter"] = converter
    return Client(**config)


def _bad_configuration(said: str, environment: Mapping[str, str]) -> str:
    # A TOML error quotes the line it is in, which may hold a key: only where and what.
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    what = lines[0] if len(lines) == 1 else f"{lines[0]}: {lines[-1]}"
    name = environment.get("TEMPORAL_PROFILE")
    where = environment.get("TEMPORAL_CONFIG_FILE") or "Temporal's configuration file or variables"
    profile = f", profile {name!r}," if name else ""
    return f"{where}{profile} cannot be used: {what}; correct it, or unset what names it"


def _refuse_half(profile: ClientConfigProfile) -> None:
    given = {
        f"namespace {profile.namespace!r}": profile.namespace not in (None, "", NAMESPACE),
        "an API key": bool(profile.api_key),
        "TLS": profile.tls is not None and profile.tls.disabled is not True,
    }
    if half := [what for what, there in given.items() if there]:
        raise HostingError(
            f"Temporal's settings name {' and '.join(half)} but no address; set TEMPORAL_ADDRESS to that "
            "server, or unset the rest to use the embedded one"
        )


def _check_address(address: str, environment: Mapping[str, str]) -> None:
    match = ADDRESS.fullmatch(address)
    if match and 0 < int(match[2]) < 65536:
        return
    source = (
        "TEMPORAL_ADDRESS" if environment.get("TEMPORAL_ADDRESS") else "the address in Temporal's configuration file"
    )
    # Somebody may have written a URL with a password in it.
    shown = address.rpartition("@")[2]
    raise HostingError(f"{source} is {shown!r}, which is not host:port; set it to something like 127.0.0.1:7233")
