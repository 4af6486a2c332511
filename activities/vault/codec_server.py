"""The codec server: shows sealed and large values in plain text to whoever has its token, on this machine alone.

    POST /<token>/decode | encode | download      as Temporal's UI and CLI speak to a remote codec
    POST /decode | encode | download              with `Authorization: Bearer <token>`
    GET  /<token>                                 what to do with it, for whoever clicks on the endpoint

The UI sends a token of its own only over HTTPS and after a login, which a server of one's own has not got, and anyone
who can open a UI can read its settings: so the token is part of the endpoint, and a person puts that into their own
browser. A page from any other origin than the UI's is refused, whatever it knows.
"""

from __future__ import annotations

import dataclasses
import hmac
from collections.abc import Callable, Collection, Sequence
from typing import Any

from aiohttp import web
from google.protobuf import json_format
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.converter import DataConverter, PayloadConverter

from activities.vault.errors import VaultError

LARGEST_BODY = 64 * 1024 * 1024
"""Bytes of a request: a page of the UI holds many payloads, none above 256 KiB."""
SHOWN_AT_ONCE = 1024 * 1024
"""Bytes up to which a large value is shown in its place; what is larger the UI offers as a download."""
REMEMBERED = 600
"""Seconds for which a browser may keep the answer about an origin."""
WRONG = "the token is missing or wrong"
HOW_TO = (
    'In the Temporal UI, once for each browser: click the glasses at the top right, choose "Use my browser setting", '
    "paste the endpoint, Apply, and reload the page."
)


class CodecServer:
    """The application; whoever runs it binds it to loopback."""

    def __init__(
        self, converter: DataConverter, token: str, origins: Collection[str], say: Callable[[str], None]
    ) -> None:
        """`say` gets a line for each reason why a value could not be shown."""
        self._converter = dataclasses.replace(converter, payload_converter_class=AsTheyAre)
        self._token = token
        self._origins = frozenset(origins)
        self._say = say

    def application(self) -> web.Application:
        """To be served."""
        application = web.Application(client_max_size=LARGEST_BODY)
        for path in ("/{token}/{act:decode|encode|download}", "/{act:decode|encode|download}"):
            application.router.add_post(path, self._answer)
            application.router.add_route("OPTIONS", path, self._preflight)
        application.router.add_get("/{token}", self._how_to)
        return application

    async def _how_to(self, request: web.Request) -> web.Response:
        """The endpoint is printed in terminals that make a link of it."""
        headers = self._cors(request) | {"Cache-Control": "no-store"}
        if not self._knows(request):
            raise web.HTTPUnauthorized(text=WRONG, headers=headers)
        return web.Response(text=f"This is the codec server's endpoint. {HOW_TO}\n", headers=headers)

    async def _preflight(self, request: web.Request) -> web.Response:
        headers = self._cors(request)
        headers |= {
            "Access-Control-Allow-Methods": "POST",
            "Access-Control-Allow-Headers": "content-type, x-namespace, authorization, authorization-extras",
            "Access-Control-Max-Age": str(REMEMBERED),
        }
        if request.headers.get("Access-Control-Request-Private-Network") == "true":
            headers["Access-Control-Allow-Private-Network"] = "true"
        return web.Response(status=204, headers=headers)

    async def _answer(self, request: web.Request) -> web.Response:
        headers = self._cors(request)
        if not self._knows(request):
            raise web.HTTPUnauthorized(text=WRONG, headers=headers)
        try:
            asked = json_format.Parse(await request.read(), Payloads(), ignore_unknown_fields=True)
        except (json_format.ParseError, UnicodeDecodeError, RecursionError):
            raise web.HTTPBadRequest(text="not the JSON of payloads", headers=headers) from None
        act = request.match_info["act"]
        keep_larger = act == "decode" and request.query.get("preserveStorageRefs") == "true"
        one = self._sealed if act == "encode" else self._opened
        answered = Payloads(payloads=[await one(payload, keep_larger) for payload in asked.payloads])
        return web.Response(text=json_format.MessageToJson(answered), content_type="application/json", headers=headers)

    def _cors(self, request: web.Request) -> dict[str, str]:
        """What a browser must be told. Raises 403 for a page of somebody else."""
        origin = request.headers.get("Origin")
        if origin is None:
            return {}  # no browser; the token decides
        if origin not in self._origins:
            raise web.HTTPForbidden(text="this origin is not the UI's")
        return {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true", "Vary": "Origin"}

    def _knows(self, request: web.Request) -> bool:
        given = request.match_info.get("token")
        if given is None:
            scheme, _, given = request.headers.get("Authorization", "").partition(" ")
            if scheme.lower() != "bearer":
                return False
        return hmac.compare_digest(given.encode(errors="replace"), self._token.encode())

    async def _opened(self, payload: Payload, keep_larger: bool) -> Payload:
        """In plain text; as it is if that cannot be."""
        if keep_larger and sum(each.size_bytes for each in payload.external_payloads) > SHOWN_AT_ONCE:
            return payload
        try:
            (opened,) = await self._converter.decode([payload])
        except VaultError as error:
            self._say(str(error))
            return payload
        return opened if isinstance(opened, Payload) else payload

    async def _sealed(self, payload: Payload, _: bool) -> Payload:
        (sealed,) = await self._converter.encode([payload])
        return sealed


class AsTheyAre(PayloadConverter):
    """Payloads as values, so that a DataConverter does all it does but turn them into Python."""

    def to_payloads(self, values: Sequence[Any]) -> list[Payload]:
        """The same."""
        return list(values)

    def from_payloads(self, payloads: Sequence[Payload], type_hints: list[type] | None = None) -> list[Any]:
        """The same."""
        return list(payloads)
