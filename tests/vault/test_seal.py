"""Sealing: what goes in comes out, nothing of it shows, and every wrong key is one line that gives nothing away."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as some
from temporalio.api.common.v1 import Payload

from activities.vault.codec import SealingCodec
from activities.vault.errors import Forged, KeyMissing, SettingInvalid, VaultError
from activities.vault.seal import ENCRYPTION_KEY, Seal, new_key

OLD, NEW = new_key(), new_key()
PLAIN = b"the plain words of a task"


def seal(keys: str) -> Seal:
    """What this variable gives."""
    return Seal.of({ENCRYPTION_KEY: keys})


@given(value=some.binary(max_size=200), purpose=some.sampled_from(["payload", "journal"]))
def test_what_is_sealed_opens(value: bytes, purpose: str) -> None:
    """With the same key and for the same purpose; sealed bytes never hold the value."""
    sealed = seal(OLD).seal(value, purpose)
    assert seal(OLD).open(sealed, purpose) == value
    assert len(value) < 16 or value not in sealed


def test_without_a_key_nothing_is_sealed_and_what_is_sealed_is_known() -> None:
    """Bytes pass as they are; sealed ones name the key they need."""
    assert Seal.of({}).seal(PLAIN, "journal") == PLAIN
    assert not Seal.of({ENCRYPTION_KEY: "  "})
    with pytest.raises(KeyMissing, match=rf"encrypted with key 'k-1' and {ENCRYPTION_KEY} is not set; add that key"):
        Seal.of({}).open(seal(f"k-1:{OLD}").seal(PLAIN, "journal"), "journal")


def test_what_was_kept_without_a_key_is_still_read_with_one() -> None:
    """Encryption may be turned on while runs are under way."""
    assert seal(OLD).open(PLAIN, "journal") == PLAIN


def test_keys_follow_one_another() -> None:
    """Listed second, a key opens; listed first, it seals; dropped, it is asked for by name."""
    old, new = f"old:{OLD}", f"new:{NEW}"
    before = seal(old).seal(PLAIN, "journal")
    both = seal(f" {new} , {old}")
    assert both.key_id == "new"
    assert both.open(before, "journal") == PLAIN
    with pytest.raises(KeyMissing, match=r"with key 'old' and .* has only 'new'"):
        seal(new).open(before, "journal")


def test_another_key_under_the_same_id_is_told_apart() -> None:
    """It does not open, and says which id to look at."""
    with pytest.raises(Forged, match="does not open with key 'k'"):
        seal(f"k:{NEW}").open(seal(f"k:{OLD}").seal(PLAIN, "journal"), "journal")


@pytest.mark.parametrize("position", [-1, -20, 10, 12])
def test_a_changed_byte_is_seen(position: int) -> None:
    """In the value, its nonce or its key's id."""
    sealed = bytearray(seal(f"kk:{OLD}").seal(PLAIN, "journal"))
    sealed[position] ^= 1
    with pytest.raises((Forged, KeyMissing)):
        seal(f"kk:{OLD}").open(bytes(sealed), "journal")


@pytest.mark.parametrize(
    "data", [b"\x00sealed1", b"\x00sealed1\xff", b"\x00sealed1\x02kk", b"\x00sealed1\x02kk" + b"0" * 11]
)
def test_sealed_bytes_cut_short_are_an_error(data: bytes) -> None:
    """Never a crash, never a value."""
    with pytest.raises(VaultError):
        seal(f"kk:{OLD}").open(data, "journal")


def test_one_purpose_cannot_be_passed_off_as_another() -> None:
    """A journal's entry is no payload."""
    with pytest.raises(Forged):
        seal(OLD).open(seal(OLD).seal(PLAIN, "journal"), "payload")


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("secret", "key 1 is not 32 bytes in base64; `starter.py key` makes one"),
        (base64.b64encode(b"short").decode(), "key 1 is not 32 bytes"),
        (f"{OLD},", "key 2 is not 32 bytes"),
        (f"a b:{OLD}", "the id of key 1"),
        (f":{OLD}", "the id of key 1"),
        ("x" * 33 + f":{OLD}", "the id of key 1"),
        (f"k:{OLD},k:{NEW}", "two keys of the same id"),
        (f"{OLD},{OLD}", "two keys of the same id"),
        (f"{OLD}é", "key 1 is not 32 bytes"),
        ("A" * 100_000, "key 1 is not 32 bytes"),
    ],
    # Names of their own: the keys differ in each of the processes that share the tests.
    ids=[
        *("no key", "short", "empty second", "blank in the id", "empty id", "long id"),
        *("same ids", "same key", "no base64", "endless"),
    ],
)
def test_a_malformed_key_is_one_line_without_the_key(keys: str, words: str) -> None:
    """Which of them, and what makes one; never what the variable holds."""
    with pytest.raises(SettingInvalid) as caught:
        seal(keys)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not any(part in str(caught.value) for part in keys.replace(":", ",").split(",") if len(part) > 4)


def test_a_key_is_never_shown() -> None:
    """Not in a repr either, nor anything made from it that would help."""
    keys = seal(f"k:{OLD},{NEW}")
    assert "'k'" in repr(keys)
    assert OLD not in repr(keys)
    assert "_cipher" not in repr(keys)
    assert "_nonces" not in repr(keys)


def test_a_key_without_an_id_has_one_made_from_it() -> None:
    """The same in every process, and the same for either alphabet of base64."""
    assert seal(OLD).key_id == seal(OLD).key_id != seal(NEW).key_id
    assert seal(OLD.replace("+", "-").replace("/", "_")).key_id == seal(OLD).key_id


async def test_a_payload_is_sealed_whole() -> None:
    """Its metadata too; only the key's id and the cipher's name can be read."""
    codec = SealingCodec(seal(f"k:{OLD}"), repeatably_from=1_000)
    payload = Payload(metadata={"encoding": b"json/plain", "mine": b"private"}, data=PLAIN)
    (sealed,) = await codec.encode([payload])
    assert sealed.metadata == {
        "encoding": b"binary/encrypted",
        "encryption-cipher": b"AES-256-GCM",
        "encryption-key-id": b"k",
    }
    assert PLAIN not in sealed.SerializeToString()
    assert b"private" not in sealed.SerializeToString()
    assert await codec.decode([sealed, payload]) == [payload, payload]
    with pytest.raises(KeyMissing, match="'k'"):
        await SealingCodec(Seal(), repeatably_from=1_000).decode([sealed])


async def test_large_values_have_the_same_bytes_each_time_and_small_ones_never() -> None:
    """What is stored by its digest is stored once; where that does not matter, not even equality shows."""
    codec = SealingCodec(seal(OLD), repeatably_from=1_000)
    small, large = Payload(data=b"x" * 900), Payload(data=b"x" * 1_000)
    first, second = await codec.encode([small, large]), await codec.encode([small, large])
    assert first[0] != second[0]
    assert first[1] == second[1]
    other = SealingCodec(seal(NEW), repeatably_from=1_000)
    assert (await other.encode([large]))[0].data != first[1].data


async def test_a_foreign_key_id_cannot_garble_a_terminal() -> None:
    """Whatever a payload names as its key, the line about it is one line."""
    hostile = Payload(
        metadata={"encoding": b"binary/encrypted", "encryption-key-id": b"\x1b[31m\n\xff" * 50}, data=b"x"
    )
    with pytest.raises(KeyMissing) as caught:
        await SealingCodec(seal(OLD), 1_000).decode([hostile])
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 250
