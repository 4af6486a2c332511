"""The simulator as one object: start it, point a client at its url, set rules, read its journal, stop it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import TypeVar

from aiohttp import web

from simulator.admin import Admin
from simulator.api import LARGEST_BODY, MessagesApi
from simulator.delivery import Delivery
from simulator.exchange import recorded
from simulator.faults import Rule, as_rules
from simulator.journal import Journal
from simulator.limits import RateLimits
from simulator.options import ServerOptions
from simulator.rulebook import RuleBook

MARK = {"x-breakwater-simulator": "1"}
"""On every response: nobody shall take an answer from here for one of a model."""

_GRACE = 0.25
"""Seconds for calls under way when the server stops; hanging ones are let go before that."""

_BACKLOG = 4096
"""Connections waiting to be accepted: a storm of callers must meet the rules, not a refused connection."""


_T = TypeVar("_T")


class Simulator:
    """A running stand-in for the Messages API, in this process and on this event loop.

    Use it as an async context manager, or call `start` and `stop`. Each object starts once.
    """

    def __init__(self, options: ServerOptions | None = None) -> None:
        self.options = options or ServerOptions()
        self._rulebook = RuleBook(self.options.now)
        self._runner: web.AppRunner | None = None
        self._journal: Journal | None = None
        self._url: str | None = None

    @property
    def url(self) -> str:
        """What a client takes as its base URL."""
        return _running(self._url)

    @property
    def journal(self) -> Journal:
        """Every request so far."""
        return _running(self._journal)

    def rules(self, rules: Iterable[Rule | Mapping[str, object]], *, append: bool = False) -> int:
        """Replace the rules, or add to them; returns how many there are now. Raises RulesError (a ValueError)."""
        return self._rulebook.load(as_rules(rules), append=append)

    def health(self) -> dict[str, object]:
        """What `GET /admin/health` says."""
        return {
            "simulator": True,
            "pid": os.getpid(),
            "in_flight": self.journal.in_flight,
            "max_in_flight": self.journal.max_in_flight,
            "requests": self.journal.requests,
        }

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken or the journal file cannot be opened."""
        options = self.options
        started = options.now()
        self._journal = Journal(lambda: options.now() - started, file=options.journal_file, texts=options.journal_texts)
        stopping = asyncio.Event()
        self._runner = web.AppRunner(
            self._app(self._journal, stopping),
            access_log=None,
            handler_cancellation=True,  # a client that leaves ends its call, also a hanging one
            shutdown_timeout=_GRACE,
        )
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, options.host, options.port, backlog=_BACKLOG).start()
        except OSError:
            await self.stop()
            raise
        host, port = self._runner.addresses[0][:2]
        self._url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def stop(self) -> None:
        """Let go of hanging calls, cut off the others after a moment, close the journal file."""
        if self._runner is not None:
            await self._runner.cleanup()
        if self._journal is not None:
            self._journal.close()

    async def __aenter__(self) -> Simulator:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _app(self, journal: Journal, stopping: asyncio.Event) -> web.Application:
        options = self.options
        limits = RateLimits(options, datetime.now(UTC))
        api = MessagesApi(options.latency, limits, self._rulebook, journal, Delivery(options, stopping))
        app = web.Application(middlewares=[recorded(journal)], client_max_size=LARGEST_BODY)
        app.add_routes([*api.routes(), *Admin(self._rulebook, journal, self.health).routes()])

        async def mark(_request: web.Request, response: web.StreamResponse) -> None:
            response.headers.update(MARK)

        async def let_go(_app: web.Application) -> None:
            stopping.set()

        app.on_response_prepare.append(mark)
        app.on_shutdown.append(let_go)
        return app


def _running(value: _T | None) -> _T:
    if value is None:
        raise RuntimeError("the simulator is not running: use `async with Simulator(...)`")
    return value
