"""Which server, and what is said when it cannot be reached."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from hosting import server_age
from hosting.connection import Configured, configured, connect, run_url
from hosting.dial import failed
from hosting.errors import HostingError, Unreachable
from hosting.home import Home
from hosting.ports import LOOPBACK, choose
from hosting.search_attributes import how_to_add, missing_search_attributes
from hosting.temporal_server import ServerInfo, temporal_binary
from tests.hosting.conftest import processes, python
from workflows.contracts import SEARCH_ATTRIBUTES

SECRET = "sesame-open"


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of somebody who takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        listener.listen()
        yield f"{LOOPBACK}:{listener.getsockname()[1]}"


def profile(tmp_path: Path, text: str) -> dict[str, str]:
    """An environment with this Temporal configuration file."""
    file = tmp_path / "temporal.toml"
    file.write_text(text)
    return {"TEMPORAL_CONFIG_FILE": str(file)}


def test_nothing_configured_means_the_embedded_server() -> None:
    """Neither does an empty variable, nor the namespace that the embedded one has."""
    for environment in ({}, {"TEMPORAL_ADDRESS": ""}, {"TEMPORAL_NAMESPACE": "default"}):
        assert configured(environment) is None


def test_an_address_is_enough() -> None:
    """The namespace is `default` unless said otherwise."""
    assert configured({"TEMPORAL_ADDRESS": "here:7233"}) == Configured("here:7233", "default", {})
    assert configured({"TEMPORAL_ADDRESS": "[::1]:7233"}) == Configured("[::1]:7233", "default", {})
    both = configured({"TEMPORAL_ADDRESS": "here:7233", "TEMPORAL_NAMESPACE": "mine"})
    assert both == Configured("here:7233", "mine", {})


def test_a_profile_is_used_with_its_key_and_tls(tmp_path: Path) -> None:
    """The key goes to the client and into no repr."""
    environment = profile(tmp_path, f'[profile.cloud]\naddress = "c:1"\nnamespace = "n"\napi_key = "{SECRET}"\n')
    assert configured(environment) is None, "another profile is the default"
    server = configured({**environment, "TEMPORAL_PROFILE": "cloud"})
    assert server
    assert (server.address, server.namespace, server.options["api_key"], server.options["tls"]) == (
        "c:1",
        "n",
        SECRET,
        True,
    )
    assert SECRET not in repr(server)


@pytest.mark.parametrize(
    "address", ["nonsense", "here:", ":7233", "here:0", "here:65536", "here:x", "a b:1", "http://h:1"]
)
def test_what_is_no_address_is_one_line(address: str) -> None:
    """With an example of one."""
    with pytest.raises(
        HostingError, match=r"^TEMPORAL_ADDRESS is .*not host:port; set it to something like 127\.0\.0\.1:7233$"
    ):
        configured({"TEMPORAL_ADDRESS": address})


def test_a_password_in_an_address_is_not_repeated() -> None:
    """Somebody pasted a URL."""
    with pytest.raises(HostingError) as caught:
        configured({"TEMPORAL_ADDRESS": f"https://me:{SECRET}@here:7233"})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "environment", "words"),
    [
        ("[profile", {}, r"temporal\.toml cannot be used: .*line 1, column 9: unclosed table"),
        (f"[profile.default]\napi_key = {SECRET}", {}, r"temporal\.toml cannot be used: .*line 2"),
        ("[profile.default]\naddress = 5", {}, r"invalid type: integer `5`, expected a string"),
        ("", {"TEMPORAL_PROFILE": "q"}, r"temporal\.toml, profile 'q', cannot be used: Profile 'q' not found"),
        ('[profile.default]\naddress = "nonsense"', {}, r"^the address in Temporal's configuration file is 'nonsense'"),
        (
            "",
            {"TEMPORAL_CONFIG_FILE": "/nowhere.toml"},
            r"^TEMPORAL_CONFIG_FILE names /nowhere\.toml, which is no file",
        ),
        ("", {"TEMPORAL_NAMESPACE": "mine"}, r"name namespace 'mine' but no address; set TEMPORAL_ADDRESS"),
        ("", {"TEMPORAL_API_KEY": SECRET}, r"name an API key but no address; set TEMPORAL_ADDRESS"),
        (
            "",
            {
                "TEMPORAL_ADDRESS": "h:1",
                "TEMPORAL_TLS_CLIENT_CERT_PATH": "/no.pem",
                "TEMPORAL_TLS_CLIENT_KEY_PATH": "/no.key",
            },
            r"^cannot read /no\.pem, which Temporal's TLS settings name: No such file",
        ),
    ],
)
def test_a_bad_configuration_is_one_line(tmp_path: Path, text: str, environment: dict[str, str], words: str) -> None:
    """What is wrong and where, and never a secret that stands in the same line of a file."""
    with pytest.raises(HostingError, match=words) as caught:
        configured({**profile(tmp_path, text), **environment})
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "why"),
    [("127.0.0.1:1", "nothing listens there"), ("nobody.invalid:7233", "its name cannot be resolved")],
)
async def test_a_server_that_is_not_there_is_unreachable(
    home: Home, monkeypatch: pytest.MonkeyPatch, address: str, why: str
) -> None:
    """At once, with the address and what to do; no home is made for it."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", address)
    with pytest.raises(Unreachable, match=f"^cannot reach Temporal at {re.escape(address)}: {why}; .*TEMPORAL_ADDRESS"):
        async with connect(home, identity="test"):
            pytest.fail("there is no server")
    assert not home.root.exists()


async def test_a_server_that_says_nothing_is_unreachable_within_seconds(home: Home, silent: str) -> None:
    """With and without TLS; in programs of their own: the SDK is still at it when they end.

    Loading the SDK is not timed: it computes, and how long that takes says more about what else runs here.
    """
    code = """
import asyncio, sys, time
from hosting.connection import connect; from hosting.dial import load_sdk
from hosting.errors import Unreachable; from hosting.home import Home; from hosting.leaving import run_and_leave
async def connected():
    async with connect(Home.locate(), identity="test"): pass
def main():
    asyncio.run(load_sdk())
    started = time.monotonic()
    try: asyncio.run(connected())
    except Unreachable as error: print(time.monotonic() - started); print(error, file=sys.stderr)
    return 1
run_and_leave(main)
"""
    programs = [await python(home, code, TEMPORAL_ADDRESS=silent, TEMPORAL_TLS=tls) for tls in ("false", "true")]
    for out, err in await asyncio.gather(*(program.communicate() for program in programs)):
        assert float(out) < 8
        assert err.decode().splitlines() == [
            f"cannot reach Temporal at {silent}: no answer within 4 s; start it or correct TEMPORAL_ADDRESS "
            "(unset: an embedded server)"
        ]
    assert [program.returncode for program in programs] == [1, 1]


async def test_tls_where_none_is_spoken_is_said_so(
    shared_server: ServerInfo, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A common mistake, and the SDK's own words for it are a riddle."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", shared_server.address)
    monkeypatch.setenv("TEMPORAL_TLS", "true")
    with pytest.raises(Unreachable, match="TLS"):
        async with connect(home, identity="test"):
            pytest.fail("this server speaks no TLS")


async def test_a_configured_server_is_used_and_none_is_started(
    shared_server: ServerInfo, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its UI is known only if somebody says where it is."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", shared_server.address)
    async with connect(home, identity="somebody") as connection:
        assert (connection.embedded, connection.address, connection.namespace) == (
            False,
            shared_server.address,
            "default",
        )
        assert run_url(connection, "a") is None
        assert connection.client.identity == "somebody"
        assert connection.client.service_client.config.grpc_compression._to_bridge_config() == "none"
        assert await missing_search_attributes(connection.client) == []
    monkeypatch.setenv("TEMPORAL_UI_URL", "https://ui.example/")
    async with connect(home, identity="somebody") as connection:
        assert run_url(connection, "a") == "https://ui.example/namespaces/default/workflows/a"
    assert not home.root.exists()


async def test_a_server_that_is_too_old_is_one_line(
    shared_server: ServerInfo, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which it is, what may be missing and what to do; it is used all the same. A known one is not mentioned."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", shared_server.address)
    said: list[str] = []
    async with connect(home, identity="test", on_event=said.append):
        assert said == []
    monkeypatch.setattr(server_age, "OLDEST", (99, 0))
    async with connect(home, identity="test", on_event=said.append):
        (line,) = said
    assert line.startswith(f"the Temporal server at {shared_server.address} is version {shared_server.version}; ")
    assert line.endswith("; update the server")


@pytest.mark.parametrize(
    ("version", "old"),
    [("1.24.2", True), ("v1.28.9-cloud.3", True), ("1.29.0", False), ("2.0.0", False), ("", False), ("next", False)],
)
def test_a_version_is_compared_as_numbers(version: str, old: bool) -> None:
    """And what is none is not called old."""
    assert server_age.before((1, 29), version) == old


def test_a_question_that_a_server_does_not_know_is_one_line() -> None:
    """An older one, by what it says itself, and what to do."""
    unknown = RPCError("unknown method ListWorkers for service w", RPCStatusCode.UNIMPLEMENTED, b"")
    assert str(failed(unknown, "here:7233")) == (
        "the Temporal server at here:7233 is too old: unknown method ListWorkers for service w; update it"
    )


async def test_a_namespace_that_is_not_there_is_one_line(
    shared_server: ServerInfo, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name, and the command that makes it."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", shared_server.address)
    monkeypatch.setenv("TEMPORAL_NAMESPACE", "nowhere")
    with pytest.raises(
        HostingError, match=r"has no namespace 'nowhere'.* temporal operator namespace create"
    ) as caught:
        async with connect(home, identity="test"):
            pytest.fail("there is no such namespace")
    assert not isinstance(caught.value, Unreachable)


async def test_the_embedded_server_lasts_as_long_as_the_connection(home: Home) -> None:
    """Its UI is known; afterwards nothing runs."""
    async with connect(home, identity="test") as connection:
        assert connection.embedded
        assert connection.server
        assert connection.address == connection.server.address
        url = run_url(connection, "a/b", "run")
        assert url == f"{connection.ui_url}/namespaces/default/workflows/a%2Fb/run/timeline"
        assert await connection.client.count_workflows() is not None
    assert not processes(home)


async def test_the_command_for_missing_attributes_adds_them(tmp_path: Path) -> None:
    """Printed for a person, run as it stands."""
    ports = choose()
    address = f"{LOOPBACK}:{ports.grpc}"
    command = f"{temporal_binary()} server start-dev --headless --ip {LOOPBACK} --port {ports.grpc}"
    bare = await asyncio.create_subprocess_exec(*shlex.split(command), stdout=asyncio.subprocess.DEVNULL)
    try:
        client = await _patiently(address)
        missing = await missing_search_attributes(client)
        assert missing == list(SEARCH_ATTRIBUTES)
        commands = how_to_add(missing, address, "default").partition("add them: ")[2]
        path = f"{temporal_binary().parent}:{os.environ['PATH']}"
        adding = await asyncio.create_subprocess_shell(commands, env={**os.environ, "PATH": path})
        assert await adding.wait() == 0
        assert await missing_search_attributes(client) == []
    finally:
        bare.kill()
        await bare.wait()


async def _patiently(address: str) -> Client:
    async with asyncio.timeout(20):
        while True:
            try:
                client = await Client.connect(address)
                await client.count_workflows()
            except Exception:  # noqa: BLE001 - not there yet, in any of the ways the SDK has for it
                await asyncio.sleep(0.02)
            else:
                return client


async def test_a_server_that_does_not_say_lacks_all_attributes(shared_server: ServerInfo) -> None:
    """A namespace one may not ask about: better none than a run that is refused."""
    client = await Client.connect(shared_server.address, namespace="nowhere")
    assert await missing_search_attributes(client) == list(SEARCH_ATTRIBUTES)
