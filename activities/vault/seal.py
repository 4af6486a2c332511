"""Sealing: AES-256-GCM under one of several keys. What is sealed names its key, so keys can follow one another.

`BREAKWATER_ENCRYPTION_KEY` lists keys, separated by commas, as `id:base64` or only the 32 bytes in base64; the first
seals, all open. To change keys: list the new one second everywhere, then first, then drop the old one when no run that
was sealed with it is kept any more. Without a key nothing is sealed, but what was sealed is known for what it is.

Three things are derived from a key, by HMAC-SHA-256 under names of their own, and nothing else of it is used: the
cipher's key, the key that nonces are made with, and the key's id if none is given. A nonce is random, unless the same
value shall always give the same bytes: then it is an HMAC of the value, so that the store of large values keeps it
once. Whoever has no key sees then that two large values are equal, and nothing else; a digest of the plain value never
appears. With either, a key is good for 2**32 values (NIST SP 800-38D).

What a value is for (a payload, a journal's entry) and which key it names are authenticated with it: neither can be
changed, and the one cannot be passed off as the other.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import importlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from activities.vault.errors import Forged, KeyMissing, SettingInvalid

ENCRYPTION_KEY = "BREAKWATER_ENCRYPTION_KEY"
KEY_BYTES = 32
NONCE_BYTES = 12
"""What GCM is specified for."""
KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,32}")
MARK = b"\x00sealed1"
"""How sealed bytes begin when nothing beside them says so. No JSON begins with a zero byte."""


@dataclass(frozen=True)
class Key:
    """One key; only what is derived from it is kept, and none of it is shown."""

    id: str
    _cipher: Any = field(repr=False)
    _nonces: bytes = field(repr=False)

    @classmethod
    def of(cls, secret: bytes, id: str | None = None) -> Key:
        """A key from its 32 bytes. Raises SettingInvalid if `cryptography` is not installed."""

        def derived(name: str) -> bytes:
            return hmac.digest(secret, b"breakwater/1/" + name.encode(), "sha256")

        try:
            ciphers = importlib.import_module("cryptography.hazmat.primitives.ciphers.aead")
        except ImportError:
            raise SettingInvalid(
                f"{ENCRYPTION_KEY} is set but the package cryptography is not installed; pip install cryptography"
            ) from None
        return cls(id or derived("id").hex()[:8], ciphers.AESGCM(derived("cipher")), derived("nonces"))

    def seal(self, value: bytes, about: bytes, *, repeatably: bool) -> bytes:
        """Nonce and ciphertext."""
        if repeatably:
            nonce = hmac.digest(self._nonces, len(about).to_bytes(4, "big") + about + value, "sha256")[:NONCE_BYTES]
        else:
            nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + bytes(self._cipher.encrypt(nonce, value, about))

    def open(self, sealed: bytes, about: bytes) -> bytes:
        """The value. Raises Forged."""
        from cryptography.exceptions import InvalidTag

        try:
            return bytes(self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], about))
        except (InvalidTag, ValueError):
            raise Forged(
                f"a value does not open with key {self.id!r}: another key has that id in {ENCRYPTION_KEY} here, or the "
                "value was changed; list the key it was sealed with"
            ) from None


@dataclass(frozen=True)
class Seal:
    """The keys of this process; with none it lets everything through as it is."""

    keys: tuple[Key, ...] = ()

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Seal:
        """The keys in the environment. Raises SettingInvalid, without a word of what the variable holds."""
        given = environment.get(ENCRYPTION_KEY, "").strip()
        keys = [_key(number, part.strip()) for number, part in enumerate(given.split(","), 1)] if given else []
        if len({key.id for key in keys}) < len(keys):
            raise SettingInvalid(f"{ENCRYPTION_KEY} has two keys of the same id; give each one of its own")
        return cls(tuple(keys))

    def __bool__(self) -> bool:
        return bool(self.keys)

    @property
    def key_id(self) -> str:
        """Which key seals."""
        return self.keys[0].id

    def seal_with_key(self, value: bytes, purpose: str, *, repeatably: bool = False) -> bytes:
        """Sealed with the first key; the caller keeps its id beside it."""
        return self.keys[0].seal(value, _about(purpose, self.key_id), repeatably=repeatably)

    def open_with_key(self, sealed: bytes, purpose: str, key_id: str) -> bytes:
        """The value. Raises KeyMissing or Forged."""
        for key in self.keys:
            if key.id == key_id:
                return key.open(sealed, _about(purpose, key_id))
        have = f"has only {', '.join(repr(key.id) for key in self.keys)}" if self.keys else "is not set"
        raise KeyMissing(
            f"this is encrypted with key {_shown(key_id)} and {ENCRYPTION_KEY} {have}; add that key (several may be "
            "listed, the first encrypts)"
        )

    def seal(self, value: bytes, purpose: str) -> bytes:
        """Bytes that say of themselves how they are sealed; unchanged without a key."""
        if not self.keys:
            return value
        id = self.key_id.encode()
        return MARK + bytes([len(id)]) + id + self.seal_with_key(value, purpose)

    def open(self, data: bytes, purpose: str) -> bytes:
        """What `seal` was given, also if it had no key then. Raises KeyMissing or Forged."""
        if not data.startswith(MARK):
            return data
        rest = data[len(MARK) :]
        size = rest[0] if rest else 0
        id = rest[1 : 1 + size].decode("ascii", "replace")
        return self.open_with_key(rest[1 + size :], purpose, id)


def new_key() -> str:
    """32 random bytes as the variable takes them; the id is made from them."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def _about(purpose: str, key_id: str) -> bytes:
    """What is authenticated with a value."""
    return f"breakwater/1/{purpose}/{key_id}".encode()


def _key(number: int, text: str) -> Key:
    id, colon, secret = text.rpartition(":")
    if colon and not KEY_ID.fullmatch(id):
        raise SettingInvalid(
            f"{ENCRYPTION_KEY}: the id of key {number} is not 1 to 32 letters, digits and . _ -; "
            "write id:base64 or only base64"
        )
    try:
        raw = base64.b64decode(secret.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != KEY_BYTES:
        raise SettingInvalid(
            f"{ENCRYPTION_KEY}: key {number} is not {KEY_BYTES} bytes in base64; `starter.py key` makes one"
        )
    return Key.of(raw, id or None)


def _shown(id: str) -> str:
    """An id from somewhere else: whatever it is, short and in one line."""
    return repr(id) if KEY_ID.fullmatch(id) else repr(id.encode("unicode_escape").decode()[:32])
