"""Large values in a bucket, by the SDK's own driver; `boto3` is what speaks to the service, if it is installed.

boto3 rather than aioboto3: it knows the same credentials and regions, needs no loop to be opened and closed in, and its
client may be used from threads.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from temporalio.api.common.v1 import Payload
from temporalio.contrib.aws.s3driver import S3StorageDriver, S3StorageDriverClient
from temporalio.converter import StorageDriverClaim, StorageDriverRetrieveContext, StorageDriverStoreContext

from activities.vault.errors import BlobDamaged, BlobsUnavailable, SettingInvalid


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


class S3Blobs(S3StorageDriver):
    """The SDK's driver; what it cannot do now is told apart from what it never can."""

    async def store(self, context: StorageDriverStoreContext, payloads: Sequence[Payload]) -> list[StorageDriverClaim]:
        """Keep each payload, whoever stores it: the same value once. Raises BlobsUnavailable."""
        try:
            return await super().store(StorageDriverStoreContext(), payloads)
        except RuntimeError as error:
            raise BlobsUnavailable(_line(error)) from None

    async def retrieve(
        self, context: StorageDriverRetrieveContext, claims: Sequence[StorageDriverClaim]
    ) -> list[Payload]:
        """What was kept. Raises BlobsUnavailable or BlobDamaged."""
        try:
            return await super().retrieve(context, claims)
        except RuntimeError as error:
            raise BlobsUnavailable(_line(error)) from None
        except ValueError as error:
            raise BlobDamaged(str(error)) from None


def _line(error: RuntimeError) -> str:
    return f"{error}: {' '.join(str(error.__cause__).split())}; check BREAKWATER_BLOBS and the AWS settings"


def s3_blobs(address: str) -> S3Blobs:
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
    return S3Blobs(Bucket(client, parts.path.strip("/")), parts.netloc)
