"""The routes of the Messages API: check the request, look for a rule, compose an answer, send it."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from simulator import messages
from simulator.answers import as_text
from simulator.calls import Call, Caller, count_tokens, read_call
from simulator.catalogue import known_model, models_page
from simulator.delivery import Delivery
from simulator.errors import ApiError
from simulator.exchange import EXCHANGE, Exchange
from simulator.faults import BreakFault, ContentFault, Rule, StatusFault, StreamErrorFault
from simulator.journal import Journal
from simulator.limits import RateLimits
from simulator.personas import answer_text
from simulator.replies import Reply, said
from simulator.rulebook import RuleBook
from simulator.spoiled import spoil

LARGEST_BODY = 32 * 1024 * 1024
"""Bytes of a request body; the documented limit of the API."""

TOO_MANY_REQUESTS = 429

_AS_USUAL = Rule.model_construct()
"""What applies when no rule does: no fault, no dictated answer, the server's latency."""


class MessagesApi:
    """The service itself: everything under `/v1/`."""

    def __init__(
        self, latency: float, limits: RateLimits, rulebook: RuleBook, journal: Journal, delivery: Delivery
    ) -> None:
        self._latency = latency
        self._limits = limits
        self._rulebook = rulebook
        self._journal = journal
        self._delivery = delivery

    def routes(self) -> Iterable[web.RouteDef]:
        return (
            web.post("/v1/messages", self.create),
            web.post("/v1/messages/count_tokens", self.count),
            web.get("/v1/models", self.models),
            web.get("/v1/models/{id}", self.model),
        )

    async def create(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/messages`. A call over the rate limit never reaches the rules."""
        _check_headers(request)
        call = read_call(await request.read(), Caller.of(request.headers))
        exchange = request[EXCHANGE]
        exchange.entry = self._journal.understood(exchange.entry, call)
        try:
            self._limits.admit(call.input_tokens)
            return await self._serve(request, exchange, call)
        except ApiError as error:
            if error.status == TOO_MANY_REQUESTS:
                exchange.headers.update(self._limits.headers())
            raise

    async def count(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/messages/count_tokens`."""
        _check_headers(request)
        return _json(request, {"input_tokens": count_tokens(await request.read())})

    async def models(self, request: web.Request) -> web.StreamResponse:
        """`GET /v1/models`."""
        _check_headers(request)
        return _json(request, models_page())

    async def model(self, request: web.Request) -> web.StreamResponse:
        """`GET /v1/models/{id}`."""
        _check_headers(request)
        return _json(request, known_model(request.match_info["id"]).body())

    async def _serve(self, request: web.Request, exchange: Exchange, call: Call) -> web.StreamResponse:
        """What happens to a call that was let in: its rule first, then its answer. Raises ApiError."""
        exchange.ruling = self._rulebook.decide(call)
        rule = exchange.ruling.rule if exchange.ruling else _AS_USUAL
        match rule.fault:
            case StatusFault() as fault:
                # An overloaded service says no at once, so only the rule's own latency counts here.
                await self._delivery.pause(rule.latency or 0)
                raise fault.error()
            case StreamErrorFault() as fault if not call.stream:
                raise fault.error()
            case BreakFault(kind="hang"):
                return await self._delivery.hang(request)
        reply = _compose(call, rule)
        exchange.output_tokens = reply.output_tokens
        self._limits.spend(reply.output_tokens)
        exchange.headers.update(self._limits.headers())
        latency = self._latency if rule.latency is None else rule.latency
        if call.stream:
            events = messages.stream(reply, call, exchange.message_id)
            return await self._delivery.stream(request, exchange, events, latency, rule.fault)
        body = messages.body(reply, call, exchange.message_id)
        return await self._delivery.whole(request, exchange, body, latency, rule.fault)


def _compose(call: Call, rule: Rule) -> Reply:
    """The answer a rule dictates, or a good one, spoiled if the rule says so."""
    if rule.has_answer:
        return said(rule.answer if isinstance(rule.answer, str) else as_text(rule.answer), call)
    if isinstance(rule.fault, ContentFault):
        return spoil(rule.fault.kind, answer_text(call), call)
    return said(answer_text(call), call)


def _check_headers(request: web.Request) -> None:
    """Raises ApiError 401 without credentials (any will do) and 400 without an API version."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    bearer = scheme.lower() == "bearer" and token.strip()
    if not request.headers.get("x-api-key", "").strip() and not bearer:
        raise ApiError(401, "x-api-key header is required")
    if not request.headers.get("anthropic-version", "").strip():
        raise ApiError(400, "anthropic-version: header is required")


def _json(request: web.Request, body: object) -> web.Response:
    exchange = request[EXCHANGE]
    exchange.status = 200
    return web.json_response(body, headers=exchange.headers)
