"""Large values in a bucket, by the SDK's own driver; `boto3` is what speaks to the service, if it is installed.

boto3 rather than aioboto3: it knows the same credentials and regions, needs no loop to be opened and closed in, and its
client may be used from threads.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from temporalio.contrib.aws.s3driver import S3StorageDriver, S3StorageDriverClient

from activities.vault.errors import SettingInvalid


class Bucket(S3StorageDriverClient):
    """What the driver asks of a service, in threads; every key is under a prefix."""

    def __init__(self, client: Any, prefix: str) -> None:
        self._client = client
        self._prefix = f"{prefix}/" if prefix else ""

    def describe(self) -> Mapping[str, str]:
        """Added to the driver's errors."""
        return {"prefix": self._prefix, "endpoint": str(self._client.meta.endpoint_url)}

    async def object_exists(self, *, bucket: str, key: str) -> bool:
        """Whether there is such an object."""

        def ask() -> bool:
            try:
                self._client.head_object(Bucket=bucket, Key=self._prefix + key)
            except self._client.exceptions.ClientError as error:
                if error.response.get("Error", {}).get("Code") == "404":
                    return False
                raise
            return True

        return await asyncio.to_thread(ask)

    async def put_object(self, *, bucket: str, key: str, data: bytes) -> None:
        """Keep an object."""
        await asyncio.to_thread(self._client.put_object, Bucket=bucket, Key=self._prefix + key, Body=data)

    async def get_object(self, *, bucket: str, key: str) -> bytes:
        """What was kept."""

        def fetch() -> bytes:
            return bytes(self._client.get_object(Bucket=bucket, Key=self._prefix + key)["Body"].read())

        return await asyncio.to_thread(fetch)


def s3_blobs(address: str) -> S3StorageDriver:
    """The driver for s3://bucket/prefix; credentials and region as the AWS tools find them. Raises SettingInvalid."""
    try:
        boto3: Any = importlib.import_module("boto3")
    except ImportError:
        raise SettingInvalid(
            f"BREAKWATER_BLOBS={address} needs the package boto3; install it (pip install boto3) or use file:///folder"
        ) from None
    parts = urlsplit(address)
    try:
        client = boto3.client("s3")
    except Exception as error:  # noqa: BLE001 - botocore has no common class for what its configuration may lack
        raise SettingInvalid(f"BREAKWATER_BLOBS={address} cannot be used: {error}; see the AWS settings") from None
    return S3StorageDriver(Bucket(client, parts.path.strip("/")), parts.netloc)
