"""One request and its answer: what the journal is told of it, and what every response to it carries."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from simulator.calls import Caller
from simulator.errors import ApiError
from simulator.journal import Entry, Journal
from simulator.rulebook import Ruling


@dataclass(slots=True)
class Exchange:
    """What is known so far about the request under way."""

    entry: Entry
    headers: dict[str, str] = field(default_factory=dict)
    ruling: Ruling | None = None
    status: int | None = None
    output_tokens: int | None = None

    @property
    def message_id(self) -> str:
        return self.entry.request_id.replace("req_", "msg_", 1)

    @property
    def fault(self) -> str | None:
        """The outcome of a call that a fault was chosen for."""
        fault = self.ruling.rule.fault if self.ruling else None
        return None if fault is None else f"fault:{fault.kind}"

    def refusal(self, error: ApiError) -> web.Response:
        """The error as a response."""
        self.status = error.status
        return web.Response(
            status=error.status,
            body=json.dumps(error.body(self.entry.request_id)).encode(),
            content_type="application/json",
            headers={**self.headers, **error.headers},
        )


EXCHANGE = web.RequestKey("exchange", Exchange)


def recorded(journal: Journal) -> Middleware:
    """A middleware that journals every request of the API and answers errors in the API's shape.

    The admin routes are not the API: they are left alone.
    """

    @web.middleware
    async def record(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith("/admin/"):
            return await handler(request)
        exchange = Exchange(journal.arrive(request.method, request.path, Caller.of(request.headers)))
        exchange.headers["request-id"] = exchange.entry.request_id
        request[EXCHANGE] = exchange
        outcome = "error:500"
        try:
            response = await handler(request)
            outcome = exchange.fault or "answered"
        except ApiError as error:
            outcome = exchange.fault or f"error:{error.status}"
            response = exchange.refusal(error)
        except web.HTTPException as error:
            outcome = f"error:{error.status}"
            response = exchange.refusal(ApiError(error.status))
        except asyncio.CancelledError:
            outcome = exchange.fault or "disconnected"
            raise
        except ConnectionError:
            # Nobody is there to answer any more; aiohttp drops this response without a word.
            outcome = exchange.fault or "disconnected"
            response = web.Response()
        finally:
            journal.finish(
                exchange.entry,
                outcome,
                status=exchange.status,
                output_tokens=exchange.output_tokens,
                rule=exchange.ruling.number if exchange.ruling else None,
            )
        return response

    return record
