"""The codec server over real HTTP: plain text for whoever has the token, from no other page than the UI's."""

from __future__ import annotations

import json
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, test_utils
from google.protobuf import json_format
from temporalio.api.common.v1 import Payloads
from temporalio.converter import DataConverter

from activities.vault.codec_server import SHOWN_AT_ONCE, CodecServer
from activities.vault.converter import data_converter
from activities.vault.seal import ENCRYPTION_KEY, new_key
from console.commands.codec import for_another_machine, origins_of, token_in
from console.errors import Stop

TOKEN = "the-token-of-a-test"
UI = "http://127.0.0.1:8233"
LARGE = "large " * 20_000
HUGE = "x" * (SHOWN_AT_ONCE + 1)


class Place:
    """A server, what it serves, and what it said."""

    def __init__(self, url: str, http: ClientSession, converter: DataConverter, said: list[str]) -> None:
        self.url, self.http, self.converter, self.said = url, http, converter, said

    async def post(self, path: str, payloads: Payloads, **headers: str) -> Any:
        """The status and the payloads of the answer."""
        body = json_format.MessageToJson(payloads)
        async with self.http.post(f"{self.url}/{path}", data=body, headers=headers) as answer:
            if answer.status != 200:
                return answer.status, None
            assert answer.content_type == "application/json"
            return answer.status, json_format.Parse(await answer.text(), Payloads())


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """A server with a key of its own, on a free port of loopback."""
    converter = data_converter({ENCRYPTION_KEY: f"k:{new_key()}"}, tmp_path / "blobs", one_machine=True)
    said: list[str] = []
    application = CodecServer(converter, TOKEN, [UI], said.append).application()
    async with test_utils.TestServer(application) as server, ClientSession() as http:
        yield Place(str(server.make_url("")).rstrip("/"), http, converter, said)


async def test_sealed_and_large_values_are_shown(place: Place) -> None:
    """As the UI asks: small ones, and large ones out of the store, in one request."""
    sealed = await place.converter.encode_wrapper(["small", LARGE])
    status, opened = await place.post(f"{TOKEN}/decode?preserveStorageRefs=true", sealed, Origin=UI)
    assert status == 200
    assert [json.loads(each.data) for each in opened.payloads] == ["small", LARGE]
    assert opened.payloads[0].metadata["encoding"] == b"json/plain"


async def test_a_huge_value_is_a_download(place: Place) -> None:
    """The UI shows its size and fetches it when somebody wants it; whoever does not ask to keep references gets it."""
    sealed = await place.converter.encode_wrapper([HUGE])
    _, kept = await place.post(f"{TOKEN}/decode?preserveStorageRefs=true", sealed)
    assert kept == sealed
    for path in (f"{TOKEN}/download", f"{TOKEN}/decode"):
        _, opened = await place.post(path, sealed)
        assert json.loads(opened.payloads[0].data) == HUGE


async def test_what_is_encoded_can_be_read_by_a_worker(place: Place) -> None:
    """An input that somebody types into the UI is sealed, and put aside if it is large."""
    plain = await DataConverter.default.encode_wrapper(["typed", LARGE])
    _, sealed = await place.post(f"{TOKEN}/encode", plain, Origin=UI)
    assert b"typed" not in sealed.SerializeToString()
    assert sealed.ByteSize() < 2_000
    assert await place.converter.decode_wrapper(sealed) == ["typed", LARGE]


async def test_a_bearer_token_does_as_well(place: Place) -> None:
    """For whoever can send one: `temporal --codec-auth`, a UI behind a login."""
    sealed = await place.converter.encode_wrapper(["small"])
    assert (await place.post("decode", sealed, Authorization=f"Bearer {TOKEN}"))[0] == 200


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("decode", {}, 401),
        ("decode", {"Authorization": "Bearer wrong"}, 401),
        ("decode", {"Authorization": TOKEN}, 401),
        ("wrong/decode", {}, 401),
        ("w%C3%A9/decode", {}, 401),
        (f"{TOKEN}/decode", {"Origin": "http://evil.example"}, 403),
        (f"{TOKEN}/decode", {"Origin": UI + "0"}, 403),
        (f"{TOKEN}/decode", {"Origin": "null"}, 403),
        (f"{TOKEN}/other", {}, 404),
        ("", {}, 404),
    ],
)
async def test_nobody_else_gets_anything(place: Place, path: str, headers: dict[str, str], status: int) -> None:
    """Without the token, or from another page, there is only a status."""
    assert (await place.post(path, await place.converter.encode_wrapper(["small"]), **headers))[0] == status


async def test_whoever_clicks_on_the_endpoint_reads_what_to_do_with_it(place: Place) -> None:
    """A terminal makes a link of it. A wrong one says nothing, and no page but the UI's may read it."""
    for path, headers, status in (
        (TOKEN, {}, 200),
        ("wrong", {}, 401),
        (TOKEN, {"Origin": "http://evil.example"}, 403),
    ):
        async with place.http.get(f"{place.url}/{path}", headers=headers) as answer:
            assert answer.status == status
            assert ("glasses" in await answer.text()) == (status == 200)


@pytest.mark.parametrize("body", [b"", b"\xff", b'{"payloads": 1}', b"[" * 100_000])
async def test_a_body_that_is_none_is_refused(place: Place, body: bytes) -> None:
    """Whatever is sent, the answer is a 400 and the server goes on."""
    async with place.http.post(f"{place.url}/{TOKEN}/decode", data=body) as answer:
        assert answer.status == 400


async def test_a_browser_is_told_who_may_ask(place: Place) -> None:
    """The UI's exact origin, what it may send, and that a page may reach this machine; anybody else nothing."""
    asking = {"Origin": UI, "Access-Control-Request-Method": "POST", "Access-Control-Request-Private-Network": "true"}
    async with place.http.options(f"{place.url}/{TOKEN}/decode", headers=asking) as answer:
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == UI
        assert answer.headers["Access-Control-Allow-Private-Network"] == "true"
        assert "x-namespace" in answer.headers["Access-Control-Allow-Headers"]
    async with place.http.options(f"{place.url}/{TOKEN}/decode", headers={"Origin": "http://evil.example"}) as answer:
        assert answer.status == 403
        assert "Access-Control-Allow-Origin" not in answer.headers


async def test_what_cannot_be_shown_stays_as_it_is_and_is_said(place: Place, tmp_path: Path) -> None:
    """A value of another key does not take the rest of the page with it."""
    other = data_converter({ENCRYPTION_KEY: f"other:{new_key()}"}, tmp_path, one_machine=True)
    mixed = await other.encode_wrapper(["theirs"])
    mixed.payloads.extend(await place.converter.encode(["ours"]))
    _, opened = await place.post(f"{TOKEN}/decode", mixed)
    assert opened.payloads[0] == mixed.payloads[0]
    assert json.loads(opened.payloads[1].data) == "ours"
    assert "encrypted with key 'other'" in place.said[0]


def test_a_token_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    """The endpoint in somebody's browser stays right; a file that holds something else is said to."""
    file = tmp_path / "token"
    assert token_in(file) == token_in(file) != token_in(tmp_path / "other")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for nonsense in (b"", b"short", b"\xff" * 40, b"a/../b" * 10):
        file.write_bytes(nonsense)
        with pytest.raises(Stop, match="remove it"):
            token_in(file)


@pytest.mark.parametrize(
    ("ui", "origins"),
    [
        ("http://127.0.0.1:8233", ["http://127.0.0.1:8233", "http://localhost:8233"]),
        ("https://temporal.example/path?x", ["https://temporal.example"]),
        ("https://Temporal.example:443", ["https://temporal.example"]),
        ("http://temporal.example:80/", ["http://temporal.example"]),
        ("http://temporal.example:443", ["http://temporal.example:443"]),
        ("http://[::1]:8233", ["http://[::1]:8233"]),
    ],
)
def test_the_origin_of_a_ui(ui: str, origins: list[str]) -> None:
    """Scheme, host and port, exactly as a browser writes them: a port that goes without saying is not said."""
    assert origins_of(ui) == origins


@pytest.mark.parametrize(
    ("ui", "words"),
    [
        ("http://127.0.0.1:8233", None),
        ("http://localhost:8080", None),
        ("http://[::1]:8233", None),
        ("https://temporal.example", "allow it"),
        ("http://temporal.example", "ssh -L 8233:127.0.0.1:80 temporal.example"),
        ("http://10.0.0.7:8080", "ssh -L 8233:127.0.0.1:8080 10.0.0.7"),
    ],
)
def test_what_a_browser_keeps_from_this_machine_is_said(ui: str, words: str | None) -> None:
    """A UI elsewhere has to be https, and the browser asks; over plain http it would fail without a word of ours."""
    said = for_another_machine(origins_of(ui))
    assert (said is None) == (words is None)
    assert words is None or words in str(said)


@pytest.mark.parametrize("ui", ["", "temporal.example", "file:///x", "http://", "http://h:port", "https://[", None])
def test_a_ui_that_is_none_is_one_line(ui: str | None) -> None:
    """What it should look like."""
    with pytest.raises(Stop, match=r"UI"):
        origins_of(ui)
