"""Large values in a bucket: the SDK's driver, a real boto3, and a service that speaks as much of S3 as both need."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import test_utils, web

from activities.vault.converter import data_converter, files_of
from activities.vault.errors import BlobDamaged, BlobsUnavailable
from activities.vault.seal import ENCRYPTION_KEY, new_key

pytest.importorskip("boto3", reason="an extra: pip install boto3")

LARGE = "large " * 20_000


class Service:
    """Objects by path."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.full = False

    def application(self) -> web.Application:
        """To be served."""
        application = web.Application(client_max_size=10**8)
        application.router.add_route("*", "/{path:.*}", self._answer)
        return application

    async def _answer(self, request: web.Request) -> web.Response:
        path = request.match_info["path"]
        if request.method == "PUT":
            if self.full:
                return web.Response(status=403)
            self.objects[path] = await request.read()
            return web.Response()
        found = self.objects.get(path)
        return web.Response(status=404) if found is None else web.Response(body=found)


@pytest.fixture
async def service(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    """The one that boto3 finds by the AWS variables."""
    service = Service()
    async with test_utils.TestServer(service.application()) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", str(server.make_url("")).rstrip("/"))
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        monkeypatch.setenv("AWS_REGION", "eu-central-1")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        yield service


BUCKET = {"BREAKWATER_BLOBS": "s3://bucket/some/prefix"}


async def test_a_large_value_is_an_object_under_the_prefix(service: Service, tmp_path: Path) -> None:
    """Once, whoever stores it; sealed if there is a key."""
    converter = data_converter({**BUCKET, ENCRYPTION_KEY: new_key()}, tmp_path, one_machine=False)
    first, again = await converter.encode([LARGE]), await converter.encode([LARGE])
    assert await converter.decode([*first, *again]) == [LARGE, LARGE]
    ((path, data),) = service.objects.items()
    assert path.startswith("bucket/some/prefix/")
    assert b"large" not in data
    assert files_of(converter) is None


async def test_what_was_put_in_files_before_is_still_read(service: Service, tmp_path: Path) -> None:
    """The setting is for what comes; what is there stays readable."""
    before = await data_converter({}, tmp_path, one_machine=True).encode([LARGE])
    assert await data_converter(BUCKET, tmp_path, one_machine=True).decode(before) == [LARGE]


async def test_a_bucket_that_takes_nothing_or_gives_something_else_is_one_line(
    service: Service, tmp_path: Path
) -> None:
    """What can be tried again is told apart from what was changed."""
    converter = data_converter(BUCKET, tmp_path, one_machine=True)
    stored = await converter.encode([LARGE])
    service.full = True
    with pytest.raises(BlobsUnavailable, match=r"bucket.*check BREAKWATER_BLOBS") as caught:
        await converter.encode([LARGE + "more"])
    assert "\n" not in str(caught.value)
    (path,) = service.objects
    service.objects[path] = b"something else"
    with pytest.raises(BlobDamaged, match="integrity"):
        await converter.decode(stored)
    service.objects.clear()
    with pytest.raises(BlobsUnavailable):
        await converter.decode(stored)
