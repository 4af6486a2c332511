"""The one DataConverter of workers and the CLI: values as JSON, sealed if there is a key, put aside if they are large.

The order is the SDK's: a value becomes JSON, is sealed, and only then put aside, so what lies in the store is sealed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import (
    DataConverter,
    DefaultFailureConverter,
    DefaultFailureConverterWithEncodedAttributes,
    ExternalStorage,
    StorageDriver,
    StorageDriverSelectContext,
)

from activities.vault.codec import SealingCodec
from activities.vault.errors import SettingInvalid
from activities.vault.files import FileBlobs
from activities.vault.seal import Seal
from activities.vault.unshared import UnsharedFiles

BLOBS = "BREAKWATER_BLOBS"
THRESHOLD = "BREAKWATER_BLOB_THRESHOLD"

PUT_ASIDE = 16 * 1024
"""Bytes from which a value is put aside: 300 answers of 20 KB then are a history of under 1 MB (docs/decisions/006)."""
LARGEST_INLINE = 1024 * 1024
"""Above this nothing may stay in a history, whatever is set; the server warns at 512 KiB and refuses at 2 MiB."""
PUT_ASIDE_FOREIGN = LARGEST_INLINE
"""From where on for a server of the user's, as long as nobody has said where all machines reach the values: whatever a
history can hold must not depend on a folder that only one of them has."""


def data_converter(
    environment: Mapping[str, str], folder: Path, *, one_machine: bool, scope: str = "", keeps_large: bool = False
) -> DataConverter:
    """The converter that this environment asks for; `folder` is where files go if it names no place.

    Below it, or whatever folder is named, `scope` is one of its own for each namespace of each server: whoever clears
    up can ask only one of them what is still in use. `one_machine` says that whoever reads a value runs where it was
    written: the server is the embedded one. If it is not, and no place is named, nothing that is written here may be
    out of the others' reach: it is refused, unless this process `keeps_large`, because it was paid for.
    Raises SettingInvalid.
    """
    address = environment.get(BLOBS)
    shared = one_machine or bool(address)
    threshold = _threshold(environment.get(THRESHOLD), PUT_ASIDE if shared else PUT_ASIDE_FOREIGN)
    if refuses := not shared and not keeps_large:
        threshold = PUT_ASIDE_FOREIGN  # a lower one only says from where on to use a place, and there is none
    seal = Seal.of(environment)
    return DataConverter(
        payload_converter_class=PydanticPayloadConverter,
        # A sealed value is a little larger than the value, so whatever is put aside was sealed repeatably.
        payload_codec=SealingCodec(seal, repeatably_from=threshold - 512),
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes if seal else DefaultFailureConverter,
        external_storage=_storage(address, folder, scope, threshold, refuses),
    )


def files_of(converter: DataConverter) -> FileBlobs | None:
    """Where this converter puts large values, if they are files."""
    storage = converter.external_storage
    first = storage.drivers[0] if storage else None
    return first if isinstance(first, FileBlobs) else None


def _storage(address: str | None, folder: Path, scope: str, threshold: int, refuses: bool) -> ExternalStorage:
    named = _folder_of(address) if address else folder
    if named or not address:
        root = (named or folder) / scope
        files = UnsharedFiles(root, threshold) if refuses else FileBlobs(root)
        return ExternalStorage(drivers=[files], payload_size_threshold=threshold)
    from activities.vault.s3 import s3_blobs

    # What was put in files before the setting was made can still be read.
    remote, local = s3_blobs(address), FileBlobs(folder / scope)

    def choose(context: StorageDriverSelectContext, payload: Payload) -> StorageDriver:
        return remote

    return ExternalStorage(drivers=[remote, local], driver_selector=choose, payload_size_threshold=threshold)


def _folder_of(address: str) -> Path | None:
    """The folder of a file:/// address, None for a bucket's. Raises SettingInvalid for anything else."""
    try:
        parts = urlsplit(address)
    except ValueError:
        parts = urlsplit("")
    plain = not parts.query and not parts.fragment and "\0" not in unquote(parts.path)
    if parts.scheme == "file" and not parts.netloc and len(parts.path) > 1 and plain:
        return Path(unquote(parts.path))
    if parts.scheme == "s3" and parts.netloc and plain:
        return None
    raise SettingInvalid(
        f"{BLOBS}={address!r} is no place for large values: use file:///absolute/folder or s3://bucket/prefix"
    )


def _threshold(given: str | None, default: int) -> int:
    if not given:
        return default
    if given.isascii() and given.isdigit() and len(given) < 10 and 1024 <= int(given) <= LARGEST_INLINE:
        return int(given)
    raise SettingInvalid(f"{THRESHOLD}={given[:40]!r} is not a number of bytes from 1024 to {LARGEST_INLINE}")
