"""What comes from outside and is not as it should be: one line each, and nothing is created or started for it."""

from __future__ import annotations

import os
from pathlib import Path

import click
import pytest

import worker
from console.app import main
from console.errors import Stop
from console.options import Text
from console.runs import checked
from tests.cli.conftest import CLEARED
from workflows.contracts import LARGEST_REQUEST

NUMBERS = [name.upper() for name, field in worker.Settings.model_fields.items() if field.annotation in (int, float)]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user who has configured nothing but a home."""
    for name in list(os.environ):
        if name.startswith(CLEARED):
            monkeypatch.delenv(name)
    monkeypatch.setenv("BREAKWATER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "home"


@pytest.mark.parametrize("value", ["many", "-1", "1e999", "nan", "0x10", "9" * 5_000, "٣x", "1\n2", " "])
@pytest.mark.parametrize("name", NUMBERS)
def test_a_workers_number_that_is_none_is_one_line(name: str, value: str) -> None:
    """The variable is named, and the line is short whatever it holds."""
    with pytest.raises(click.UsageError) as caught:
        worker.Settings.read({name: value})
    assert str(caught.value).startswith(f"{name}: ")
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("METRICS_ADDRESS", "example.com:80"),
        ("METRICS_ADDRESS", "127.0.0.1:1\n"),
        ("BREAKER_ON_STORE_LOSS", "panic"),
        ("BREAKER_FAILURE_RATE", "1.1"),
    ],
)
def test_a_workers_word_that_is_none_is_one_line(name: str, value: str) -> None:
    """As above, for what is no number."""
    with pytest.raises(click.UsageError, match=name):
        worker.Settings.read({name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BREAKWATER_BLOBS", "ftp://host/folder"),
        ("BREAKWATER_BLOBS", "blobs\nblobs"),
        ("BREAKWATER_BLOB_THRESHOLD", "9" * 5_000),
        ("BREAKWATER_ENCRYPTION_KEY", "secret\nsecret"),
        ("TEMPORAL_ADDRESS", "host:port"),
        ("BREAKWATER_TEMPORAL_PORT", "many"),
    ],
)
def test_a_variable_that_is_malformed_is_one_line(
    home: Path, name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The CLI names it, ends with 2, and no server is started for it."""
    monkeypatch.setenv(name, value)
    assert main(["list"]) == 2
    said = capsys.readouterr()
    assert not said.out
    assert name in said.err
    assert len(said.err.strip().splitlines()) == 1
    assert len(said.err) < 500
    assert not (home / "temporal.db").exists()


@pytest.mark.parametrize(
    "id",
    ["", "../x", "a/b", "a\nb", "a\n", "-x", "a b", "a\x00b", "é", "a" * 201, "a" * 10_000, "\x1b[31mred", "%2e%2e"],
)
def test_a_hostile_id_is_never_used(id: str) -> None:
    """Whatever could be a path, an option, a line or a terminal's command is refused, and shown harmlessly."""
    with pytest.raises(Stop) as caught:
        checked(id)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("id", ["a", "A-1_b.c:d@e", "0" * 200])
def test_an_ordinary_id_is_used_as_it_is(id: str) -> None:
    """Letters, digits and a few signs."""
    assert checked(id) == id


def test_a_file_of_absurd_size_is_one_line(tmp_path: Path) -> None:
    """More than any request can hold is not even read to its end; nor is a device that has none."""
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(LARGEST_REQUEST * 100)
    for path in (str(large), "/dev/zero"):
        with pytest.raises(click.BadParameter, match=r"more than 32 MiB, which is all that the API takes"):
            Text().convert(f"@{path}", None, None)


@pytest.mark.parametrize("path", ["a\x00b", "x" * 5_000, "/dev/null/x"])
def test_a_path_that_is_none_is_one_line(path: str) -> None:
    """What the system says of it, and what to give."""
    with pytest.raises(click.BadParameter, match="give the path of a readable file"):
        Text().convert(f"@{path}", None, None)
