"""What the environment says about large values: followed, or one line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from activities.vault.converter import LARGEST_INLINE, PUT_ASIDE, PUT_ASIDE_FOREIGN, data_converter, files_of
from activities.vault.errors import NotShared, SettingInvalid
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
    ("environment", "one_machine", "keeps_large", "threshold"),
    [
        ({}, True, False, PUT_ASIDE),
        ({}, False, False, PUT_ASIDE_FOREIGN),
        ({}, False, True, PUT_ASIDE_FOREIGN),
        ({"BREAKWATER_BLOBS": "file:///shared"}, False, False, PUT_ASIDE),
        ({"BREAKWATER_BLOB_THRESHOLD": "4096"}, False, True, 4096),
        ({"BREAKWATER_BLOB_THRESHOLD": "4096"}, False, False, PUT_ASIDE_FOREIGN),
        ({"BREAKWATER_BLOB_THRESHOLD": "", "BREAKWATER_BLOBS": ""}, True, False, PUT_ASIDE),
    ],
)
def test_the_threshold(
    environment: dict[str, str], one_machine: bool, keeps_large: bool, threshold: int, tmp_path: Path
) -> None:
    """Low where every reader has the folder; as high as can be for a server of the user's, until a shared place is
    named. Who has no place to put values cannot have them put there earlier."""
    converter = data_converter(environment, tmp_path, one_machine=one_machine, keeps_large=keeps_large)
    storage = converter.external_storage
    assert storage is not None
    assert storage.payload_size_threshold == threshold


FLEET = {"BREAKWATER_BLOBS": "file:///a/volume/of/the/workers", "BREAKWATER_BLOB_THRESHOLD": str(LARGEST_INLINE)}
"""As docker-compose.yml sets them for the workers."""


async def test_up_to_1_mib_a_fleet_and_a_starter_without_its_volume_read_each_other(tmp_path: Path) -> None:
    """Neither reaches the other's disk: a value that was put aside would hold the run, or be paid for and lost."""
    value = "x" * 900_000
    starter, worker = (
        data_converter({}, tmp_path, one_machine=False),
        data_converter(FLEET, tmp_path, one_machine=False),
    )
    assert await worker.decode(await starter.encode([value])) == [value]
    assert await starter.decode(await worker.encode([value])) == [value]
    assert not FileBlobs(tmp_path).listed()


async def test_a_larger_value_is_not_sent_where_nobody_may_reach_it(tmp_path: Path) -> None:
    """One line with the size, the limit and what to set. A worker keeps it all the same: it has been paid for."""
    value = "x" * 1_100_000
    starter = data_converter({}, tmp_path, one_machine=False)
    with pytest.raises(NotShared, match=r"1,100,\d+ bytes .* 1,048,576; set BREAKWATER_BLOBS to a place that"):
        await starter.encode([value])
    assert not FileBlobs(tmp_path).listed()
    kept = await data_converter({}, tmp_path, one_machine=False, keeps_large=True).encode([value])
    assert await starter.decode(kept) == [value]


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


@pytest.mark.parametrize("size", ["many", "-1", "0", "1023", "1048577", "1e4", "16KiB", "9" * 5_000, "٤٠٩٦"])
def test_a_threshold_that_is_none_is_one_line(size: str, tmp_path: Path) -> None:
    """A number of bytes, and never so many that a history could hold more than 1 MiB in one place."""
    with pytest.raises(SettingInvalid, match=r"^BREAKWATER_BLOB_THRESHOLD=.* from 1024 to 1048576$"):
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
