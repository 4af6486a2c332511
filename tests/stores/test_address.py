"""The setting that says where workers keep what they share: its two names, and what is an address."""

from __future__ import annotations

from pathlib import Path

import pytest

from activities.circuit.store import open_store
from activities.stores.address import File, Server, StoreAddressInvalid, parse_address, read_address
from worker import Settings

HERE, THERE = "sqlite:////srv/store.db", "redis://host:6379/0"


@pytest.mark.parametrize(
    ("environment", "address"),
    [
        ({}, None),
        ({"BREAKWATER_STORE": ""}, None),
        ({"BREAKWATER_STORE": HERE}, HERE),
        ({"BREAKER_STORE": HERE}, HERE),
        ({"BREAKWATER_STORE": HERE, "BREAKER_STORE": HERE}, HERE),
        ({"BREAKWATER_STORE": "", "BREAKER_STORE": HERE}, HERE),
    ],
)
def test_either_name_will_do(environment: dict[str, str], address: str | None) -> None:
    """The worker reads it as the CLI does."""
    assert read_address(environment) == address
    assert Settings.read(environment).breakwater_store == address


def test_two_names_that_say_two_things_are_one_clear_line() -> None:
    """Which of them was meant is for a person to say; neither address is shown, for there may be a password in it."""
    with pytest.raises(StoreAddressInvalid, match="unset BREAKER_STORE") as error:
        Settings.read({"BREAKWATER_STORE": HERE, "BREAKER_STORE": THERE})
    assert "host" not in str(error.value)
    assert "\n" not in str(error.value)


def test_an_address_is_a_file_or_a_server() -> None:
    """Three slashes and a relative path, four and an absolute one."""
    assert parse_address("sqlite:///here.db") == File(Path("here.db"))
    assert parse_address(HERE) == File(Path("/srv/store.db"))
    assert parse_address(THERE) == Server(THERE)


def test_a_malformed_address_does_not_show_its_password() -> None:
    """Logs are read by many."""
    with pytest.raises(StoreAddressInvalid) as error:
        parse_address("mysql://me:secret@host/0")
    assert "secret" not in str(error.value)
    assert "host" in str(error.value)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("redis://me:secret@127.0.0.1:1/0?foo=1", "has an option that does not exist 'foo'"),
        ("rediss://me:secret@127.0.0.1:1/0?foo=1", "has an option that does not exist 'foo'"),
        ("valkey://me:secret@127.0.0.1:1/notanumber", "a database that is no number"),
        ("redis://me:secret@127.0.0.1:1/0/1", "a database that is no number"),
        ("redis://me:secret@127.0.0.1:1/0?db=x", "Invalid value for 'db'"),
        ("redis://me:secret@127.0.0.1:1/0?protocol=9", "is not an address of Valkey or Redis"),
        ("redis://me:secret@127.0.0.1:99999/0", "is not an address of Valkey or Redis"),
        ("redis://me:secret@[::1/0", "is not an address of Valkey or Redis"),
    ],
)
def test_an_address_that_no_connection_can_be_made_of_is_found_before_anything_starts(address: str, words: str) -> None:
    """The library looks at options when it connects: a worker was ready, and every call a defect of ours."""
    for use in (lambda: Settings.read({"BREAKWATER_STORE": address}), lambda: open_store(address)):
        with pytest.raises(StoreAddressInvalid) as error:
            use()
        assert words in str(error.value)
        assert "secret" not in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("end", ["", "/", "/0", "/15", "?db=3", "/2?socket_keepalive=yes", "?protocol=3"])
def test_an_address_with_options_that_exist_is_one(end: str) -> None:
    """Nobody needs to listen there yet."""
    address = f"redis://127.0.0.1:1{end}"
    assert Settings.read({"BREAKWATER_STORE": address}).breakwater_store == address


@pytest.mark.parametrize("ttl", ["0", "-1", "soon", "1e9"])
def test_a_journal_that_keeps_nothing_or_for_ever_is_refused(ttl: str) -> None:
    """By name, before anything is opened."""
    with pytest.raises(Exception, match="JOURNAL_TTL"):
        Settings.read({"JOURNAL_TTL": ttl})
