"""What the environment says about large values: followed, or one line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from activities.vault.converter import PUT_ASIDE, PUT_ASIDE_FOREIGN, data_converter, files_of
from activities.vault.errors import SettingInvalid
from activities.vault.files import FileBlobs


async def test_a_large_value_is_put_aside_and_comes_back(tmp_path: Path) -> None:
    """In a history there is a reference of a few hundred bytes; a small value stays as it is."""
    converter = data_converter({}, tmp_path, one_machine=True)
    small, large = await converter.encode(["small", "large" * 10_000])
    assert small.data == b'"small"'
    assert large.ByteSize() < 500
    assert await converter.decode([small, large]) == ["small", "large" * 10_000]
    assert len(FileBlobs(tmp_path).listed()) == 1


@pytest.mark.parametrize(
    ("environment", "one_machine", "threshold"),
    [
        ({}, True, PUT_ASIDE),
        ({}, False, PUT_ASIDE_FOREIGN),
        ({"BREAKWATER_BLOBS": "file:///shared"}, False, PUT_ASIDE),
        ({"BREAKWATER_BLOB_THRESHOLD": "4096"}, False, 4096),
        ({"BREAKWATER_BLOB_THRESHOLD": "", "BREAKWATER_BLOBS": ""}, True, PUT_ASIDE),
    ],
)
def test_the_threshold(environment: dict[str, str], one_machine: bool, threshold: int, tmp_path: Path) -> None:
    """Low where every reader has the folder; higher for a server of the user's, until a shared place is named."""
    storage = data_converter(environment, tmp_path, one_machine=one_machine).external_storage
    assert storage is not None
    assert storage.payload_size_threshold == threshold


@pytest.mark.parametrize(
    "address",
    [
        "blobs",
        "/blobs",
        "file://host/blobs",
        "file:///",
        "file:",
        "s3:///x",
        "http://x/y",
        "s3://b/p?x=1",
        "file://[",
        "file:///a%00",
    ],
)
def test_a_place_that_is_none_is_one_line(address: str, tmp_path: Path) -> None:
    """The variable, what it says, and what it may say."""
    with pytest.raises(
        SettingInvalid, match=r"^BREAKWATER_BLOBS=.* use file:///absolute/folder or s3://bucket/prefix$"
    ):
        data_converter({"BREAKWATER_BLOBS": address}, tmp_path, one_machine=True)


@pytest.mark.parametrize("size", ["many", "-1", "0", "1023", "262145", "1e4", "16KiB", "9" * 5_000, "٤٠٩٦"])
def test_a_threshold_that_is_none_is_one_line(size: str, tmp_path: Path) -> None:
    """A number of bytes, and never so many that a history could hold more than 256 KB in one place."""
    with pytest.raises(SettingInvalid, match=r"^BREAKWATER_BLOB_THRESHOLD=.* from 1024 to 262144$"):
        data_converter({"BREAKWATER_BLOB_THRESHOLD": size}, tmp_path, one_machine=True)


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"BREAKWATER_BLOBS": "file:///a%20b/%C3%A9"}, Path("/a b/é/scope")),
        ({}, Path("/home/blobs/scope")),
    ],
)
def test_where_files_are(environment: dict[str, str], folder: Path) -> None:
    """In the folder that is named, as URLs write it, or in the home; one below it for each namespace."""
    files = files_of(data_converter(environment, Path("/home/blobs"), one_machine=True, scope="scope"))
    assert files is not None
    assert files.root == folder


def test_a_bucket_without_the_package_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What to install, and what to use instead."""
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(SettingInvalid, match="needs the package boto3; install it"):
        data_converter({"BREAKWATER_BLOBS": "s3://bucket/prefix"}, tmp_path, one_machine=True)
