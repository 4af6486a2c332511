"""A local stand-in for the Messages API: a real HTTP server that answers like the service and fails on demand.

Used by the offline demo, the tests, the benchmarks and the crash drills. It never pretends: every response carries
`x-breakwater-simulator: 1`. It knows nothing of the rest of the project and does not use the vendor's SDK, so what
the two agree on is agreed over HTTP.

What it imitates: messages (streamed or whole), token counting, the list of models, the validation and the error
bodies, request ids, rate limits. What it does not: tools, images, caching, batches, thinking unless a rule asks.

    async with Simulator(ServerOptions(latency=0.2)) as simulator:
        simulator.rules([{"match": {"role": "planner", "nth": [1]}, "fault": {"kind": "status", "status": 529}}])
        ...  # point a client at simulator.url
        assert [entry.outcome for entry in simulator.journal] == ["fault:status", "answered"]

Or as a process: `python -m simulator --help`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulator.faults import Rule
    from simulator.journal import Entry, Journal
    from simulator.options import ServerOptions
    from simulator.server import Simulator

__all__ = ["Entry", "Journal", "Rule", "ServerOptions", "Simulator"]

_HOMES = {
    "Entry": "simulator.journal",
    "Journal": "simulator.journal",
    "Rule": "simulator.faults",
    "ServerOptions": "simulator.options",
    "Simulator": "simulator.server",
}


def __getattr__(name: str) -> object:
    """Load a public name when it is first used: whoever only starts the process never pays for the server."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
