"""How an answer travels: at what pace, and, where a rule wants it, how it breaks off on the way."""

from __future__ import annotations

import asyncio
import socket
import struct

from aiohttp import web

from simulator.exchange import Exchange
from simulator.faults import BreakFault, ContentFault, Fault, StallFault, StreamErrorFault
from simulator.messages import MALFORMED, PING, Stream, error_event
from simulator.options import ServerOptions

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER on, for no time: closing the socket sends a reset instead of a polite end."""


class Delivery:
    """Writes answers to connections. `stopping` is set when the server stops: nothing waits beyond it."""

    def __init__(self, options: ServerOptions, stopping: asyncio.Event) -> None:
        self._now = options.now
        self._sleep = options.sleep
        self._stopping = stopping

    async def pause(self, seconds: float) -> None:
        """The time the service takes."""
        if seconds > 0:
            await self._sleep(seconds)

    async def hang(self, request: web.Request) -> web.StreamResponse:
        """Say nothing until the client leaves (which cancels this) or the server stops."""
        await self._stopping.wait()
        return _reset(request, web.Response())

    async def whole(
        self, request: web.Request, exchange: Exchange, body: bytes, latency: float, fault: Fault | None
    ) -> web.StreamResponse:
        """The answer as one body, after `latency` seconds."""
        await self.pause(latency)
        exchange.status = 200
        match fault:
            case None | ContentFault():
                return web.Response(body=body, content_type="application/json", headers=exchange.headers)
            case BreakFault(kind="malformed_chunk"):
                return web.Response(body=body[1:], content_type="application/json", headers=exchange.headers)
        response = await _begin(request, exchange, "application/json")
        await response.write(body[: len(body) // 2])
        if isinstance(fault, BreakFault) and fault.kind == "eof":
            await response.write_eof()
            return response
        if isinstance(fault, StallFault):
            await self._stopping.wait()
        return _reset(request, response)

    async def stream(
        self, request: web.Request, exchange: Exchange, events: Stream, latency: float, fault: Fault | None
    ) -> web.StreamResponse:
        """The answer as events, its text spread over `latency` seconds."""
        exchange.status = 200
        response = await _begin(request, exchange, "text/event-stream; charset=utf-8")
        if fault is None or isinstance(fault, ContentFault):
            rest = await self._spread(response, events.opening, events.deltas, latency)
            await response.write_eof(rest + events.closing)
            return response
        before, after = events.halves()
        begun = await self._spread(response, events.opening, before, latency / 2)
        match fault:
            case StreamErrorFault():
                ending = error_event(fault.error(), exchange.entry.request_id)
            case BreakFault(kind="eof"):
                ending = b""
            case BreakFault(kind="malformed_chunk"):
                ending = MALFORMED + b"".join(after) + events.closing
            case _:
                await response.write(begun or PING)
                if isinstance(fault, StallFault):
                    await self._ping(response, fault.ping_every)
                return _reset(request, response)
        await response.write_eof(begun + ending)
        return response

    async def _spread(
        self, response: web.StreamResponse, opening: bytes, deltas: tuple[bytes, ...], latency: float
    ) -> bytes:
        """Write opening and deltas over `latency` seconds; returns what is still to be written.

        Without latency that is all of it: one write for a whole answer is what makes a benchmark fast.
        """
        if latency <= 0:
            return opening + b"".join(deltas)
        began = self._now()
        await response.write(opening)
        for number, delta in enumerate(deltas, 1):
            await self.pause(began + latency * number / len(deltas) - self._now())
            await response.write(delta)
        if not deltas:
            await self.pause(latency)
        return b""

    async def _ping(self, response: web.StreamResponse, every: float) -> None:
        while not self._stopping.is_set():
            await self.pause(every)
            await response.write(PING)


async def _begin(request: web.Request, exchange: Exchange, content_type: str) -> web.StreamResponse:
    response = web.StreamResponse(
        headers={"content-type": content_type, "cache-control": "no-cache", **exchange.headers}
    )
    response.enable_chunked_encoding()
    await response.prepare(request)
    return response


def _reset(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """Cut the connection with a TCP reset. The response is only returned because a handler must return one."""
    transport = request.transport
    if transport is not None:
        connection: socket.socket | None = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()
    return response
