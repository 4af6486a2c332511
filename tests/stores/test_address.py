"""The setting that says where workers keep what they share: its two names, and what is an address."""

from __future__ import annotations

from pathlib import Path

import pytest

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


@pytest.mark.parametrize("ttl", ["0", "-1", "soon", "1e9"])
def test_a_journal_that_keeps_nothing_or_for_ever_is_refused(ttl: str) -> None:
    """By name, before anything is opened."""
    with pytest.raises(Exception, match="JOURNAL_TTL"):
        Settings.read({"JOURNAL_TTL": ttl})
