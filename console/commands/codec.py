"""The codec server as a command: bound to loopback, up until Ctrl-C."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web

from activities.vault.codec_server import HOW_TO, CodecServer
from activities.vault.seal import ENCRYPTION_KEY
from console.errors import Exit, Stop
from console.render import tell
from console.session import session
from hosting.home import Home
from hosting.ports import LOOPBACK
from hosting.stopping import asked_to_stop

TOKEN_BYTES = 24
UNSAID = {"http": 80, "https": 443}
"""The ports that a browser leaves out of an origin."""
HERE = frozenset({"127.0.0.1", "localhost", "::1"})


async def serve(port: int, ui: str | None) -> Exit:
    """Serve until SIGINT or SIGTERM."""
    stop = asked_to_stop(with_stdin=False)
    async with session(tell, worker=False) as here:
        ui = ui or here.connection.ui_url
        origins = origins_of(ui)
        home = Home.locate()
        home.prepare()
        token = token_in(home.codec_token)
        runner = web.AppRunner(
            CodecServer(here.client.data_converter, token, origins, tell).application(),
            access_log=None,  # its paths hold the token
        )
        await runner.setup()
        try:
            site = web.TCPSite(runner, LOOPBACK, port)
            try:
                await site.start()
            except OSError as error:
                why = f"cannot listen on {LOOPBACK}:{port}: {error.strerror}; choose another --port"
                raise Stop(why, Exit.USAGE) from error
            at = runner.addresses[0][1]
            tell(f"codec     http://{LOOPBACK}:{at}/{token}")
            tell(f"UI        {ui} (pages of {' and '.join(origins)} may ask, no others)")
            tell(HOW_TO)
            if caution := for_another_machine(origins):
                tell(caution)
            if not os.environ.get(ENCRYPTION_KEY):
                tell(f"{ENCRYPTION_KEY} is not set: large values are shown, encrypted ones are not")
            tell("up; Ctrl-C stops it")
            await stop.wait()
        finally:
            await runner.cleanup()
    return Exit.PASSED


def origins_of(ui: str | None) -> Sequence[str]:
    """The origins of a UI as browsers name them, and on this machine by either of its names. Raises Stop."""
    if ui is None:
        raise Stop("where is the Temporal UI? Give its URL: --ui https://… or TEMPORAL_UI_URL", Exit.USAGE)
    try:
        parts = urlsplit(ui)
        port = "" if parts.port in (None, UNSAID.get(parts.scheme)) else f":{parts.port}"
    except ValueError:
        parts, port = urlsplit(""), ""
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Stop(f"{ui[:80]!r} is not the URL of a UI; write it like http://127.0.0.1:8233", Exit.USAGE)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    hosts = ("127.0.0.1", "localhost") if host in ("127.0.0.1", "localhost") else (host,)
    return [f"{parts.scheme}://{each}{port}" for each in hosts]


def for_another_machine(origins: Sequence[str]) -> str | None:
    """What browsers do about pages that come from elsewhere and ask this machine (seen in Chromium 156)."""
    parts = urlsplit(origins[0])
    if parts.hostname in HERE:
        return None
    if parts.scheme == "https":
        return "the browser asks whether these pages may reach this machine: allow it"
    return (
        "browsers keep pages of another machine from this one unless they come over https: forward the UI's port, "
        f"`ssh -L 8233:127.0.0.1:{parts.port or UNSAID['http']} {parts.hostname}`, open it at http://127.0.0.1:8233, "
        "and give --ui http://127.0.0.1:8233"
    )


def token_in(file: Path) -> str:
    """The token of this home: made once, so that an endpoint pasted into a browser stays right. Raises Stop."""
    try:
        with open(file, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as new:
            new.write(secrets.token_urlsafe(TOKEN_BYTES))
    except FileExistsError:
        pass
    except OSError as error:
        raise Stop(f"cannot write {file}: {error.strerror}", Exit.USAGE) from error
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        token = ""
    if len(token) < TOKEN_BYTES or not token.isascii() or not token.replace("-", "").replace("_", "").isalnum():
        raise Stop(f"{file} holds no token; remove it, and a new one is made", Exit.USAGE)
    return token
