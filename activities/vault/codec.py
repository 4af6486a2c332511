"""The codec of payloads: each is sealed whole, with its metadata, and names the key that opens it.

It is there without a key too: what somebody else has sealed must end in a line about the key, not in one about an
encoding that nobody knows.
"""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.message import DecodeError
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadCodec

from activities.vault.errors import Forged
from activities.vault.seal import Seal

SEALED = b"binary/encrypted"
"""The encoding of a sealed payload, as Temporal's own samples and UI call it."""
PURPOSE = "payload"
CIPHER = b"AES-256-GCM"


class SealingCodec(PayloadCodec):
    """Seals what goes out, opens what comes in, and lets through what was never sealed."""

    def __init__(self, seal: Seal, repeatably_from: int) -> None:
        """Values of `repeatably_from` bytes and more give the same bytes each time: they are stored by their digest."""
        self._seal = seal
        self._repeatably_from = repeatably_from

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Sealed payloads; unchanged without a key."""
        return [self._sealed(payload) for payload in payloads] if self._seal else list(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Open payloads. Raises KeyMissing or Forged."""
        return [self._opened(each) if each.metadata.get("encoding") == SEALED else each for each in payloads]

    def _sealed(self, payload: Payload) -> Payload:
        value = payload.SerializeToString(deterministic=True)
        repeatably = len(value) >= self._repeatably_from
        return Payload(
            metadata={
                "encoding": SEALED,
                "encryption-cipher": CIPHER,
                "encryption-key-id": self._seal.key_id.encode(),
            },
            data=self._seal.seal_with_key(value, PURPOSE, repeatably=repeatably),
        )

    def _opened(self, payload: Payload) -> Payload:
        id = payload.metadata.get("encryption-key-id", b"").decode("ascii", "replace")
        opened = Payload()
        try:
            opened.ParseFromString(self._seal.open_with_key(payload.data, PURPOSE, id))
        except DecodeError:
            raise Forged("a value opens but holds no payload; it was not written by Breakwater") from None
        return opened
