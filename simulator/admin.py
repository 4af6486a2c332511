"""The routes a drill uses from outside: set the rules, read the journal, ask how it goes. No key needed, no clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from aiohttp import web
from pydantic_core import to_json

from simulator.errors import ApiError
from simulator.faults import RulesError, parse_rules, rules_body
from simulator.journal import Journal
from simulator.rulebook import RuleBook


class Admin:
    """Everything under `/admin/`: of the simulator alone, never of the API it stands for."""

    def __init__(self, rulebook: RuleBook, journal: Journal, health: Callable[[], Mapping[str, object]]) -> None:
        self._rulebook = rulebook
        self._journal = journal
        self._health = health

    def routes(self) -> Iterable[web.RouteDef]:
        return (
            web.get("/admin/rules", self.rules),
            web.post("/admin/rules", self.load_rules),
            web.delete("/admin/rules", self.drop_rules),
            web.get("/admin/journal", self.journal),
            web.delete("/admin/journal", self.clear_journal),
            web.get("/admin/health", self.health),
        )

    async def rules(self, _request: web.Request) -> web.Response:
        """The rules in force, in a form that can be posted again."""
        return web.Response(body=rules_body(self._rulebook.rules), content_type="application/json")

    async def load_rules(self, request: web.Request) -> web.Response:
        """Replace the rules, or add to them with `?append=1`. A list with one bad rule changes nothing."""
        try:
            rules = parse_rules(await request.read())
        except RulesError as error:
            return web.json_response(ApiError(400, f"rules: {error}").body(None), status=400)
        append = request.query.get("append", "0") not in ("", "0", "false")
        return web.json_response({"count": self._rulebook.load(rules, append=append)})

    async def drop_rules(self, _request: web.Request) -> web.Response:
        """Back to a service without faults."""
        return web.json_response({"count": self._rulebook.load([])})

    async def journal(self, request: web.Request) -> web.Response:
        """The entries in order of arrival; `?run=` and `?agent=` narrow them down."""
        entries = self._journal.entries(run=request.query.get("run"), agent=request.query.get("agent"))
        return web.Response(body=to_json(entries), content_type="application/json")

    async def clear_journal(self, _request: web.Request) -> web.Response:
        """Forget the entries; the file, if there is one, keeps them."""
        self._journal.clear()
        return web.json_response({"count": len(self._journal)})

    async def health(self, _request: web.Request) -> web.Response:
        """That this is a simulator, which process it is, and how busy it is."""
        return web.json_response(self._health())
