"""One trace from the starter's command to the model's request, as a collector gets it."""

from __future__ import annotations

import gzip
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from hosting.errors import HostingError
from hosting.tracing import LAST_WORDS, is_wanted, tracing
from tests.cli.conftest import Shell

PGE = "plan-generate-evaluate"
SECRET = "a poem about the harbour of Tromsø"


@dataclass
class Collector:
    """An OTLP/HTTP collector that keeps what it gets."""

    url: str = ""
    spans: list[tuple[str, Span]] = field(default_factory=list)
    """With the service each is from."""

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        if request.headers.get("content-encoding") == "gzip" and body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        for each in ExportTraceServiceRequest.FromString(body).resource_spans:
            names = {pair.key: pair.value.string_value for pair in each.resource.attributes}
            self.spans += [(names["service.name"], span) for scope in each.scope_spans for span in scope.spans]
        return web.Response()


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    """Listening, on loopback."""
    here, app = Collector(), web.Application(client_max_size=10_000_000)
    app.add_routes([web.post("/v1/traces", here.take)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    here.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield here
    await runner.cleanup()


async def test_one_trace_leads_from_the_command_to_the_request(shell: Shell, collector: Collector) -> None:
    """Starter, workflow, activity, request: each below the one before, in two processes, and not a word of a prompt."""
    said = await shell("run", PGE, SECRET, "--json", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
    assert said.code == 0, said.err
    spans = {span.span_id: (service, span) for service, span in collector.spans}
    run = said.json["run_id"]
    requests = [span for _, span in collector.spans if span.name == "anthropic.messages.create"]
    assert len(requests) == 3
    for span in requests:
        path = []
        while True:
            service, span = spans[span.span_id]
            path.append((service.removeprefix("breakwater-"), re.sub(r":.*", "", span.name)))
            if not span.parent_span_id:
                break
            span = spans[span.parent_span_id][1]
        assert path == [
            ("worker", "anthropic.messages.create"),
            ("worker", "RunActivity"),
            ("worker", "StartActivity"),
            ("worker", "RunWorkflow"),
            ("starter", "StartWorkflow"),
        ]
    assert len({span.trace_id for _, span in collector.spans}) == 1
    everything = b"".join(span.SerializeToString() for _, span in collector.spans)
    assert run.encode() in everything
    assert "Tromsø".encode() not in everything


def test_traces_are_off_unless_somebody_collects_them() -> None:
    """By the standard variables."""
    assert not is_wanted({})
    assert is_wanted({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://here:4318"})
    assert is_wanted({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://here:4318/v1/traces"})
    assert not is_wanted({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://here:4318", "OTEL_SDK_DISABLED": "true"})
    with tracing("test", {}) as plugins:
        assert plugins == []


async def test_a_collector_that_is_away_holds_nobody_up(shell: Shell) -> None:
    """A command ends at most a moment later, and says nothing of it to a person."""
    program = (
        "import os, time; from hosting.tracing import tracing; from opentelemetry import trace\n"
        "with tracing('test'):\n"
        "    trace.get_tracer('test').start_span('span').end(); began = time.monotonic()\n"
        "print(time.monotonic() - began)"
    )
    process = await shell.start("-c", program, program="-u", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1")
    out, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert float(out) < 2 * LAST_WORDS.total_seconds()


def test_missing_packages_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for traces without the packages is told what to install."""
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    wanted = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://here:4318"}
    with pytest.raises(HostingError, match=r"not installed; install requirements-fleet\.txt"), tracing("test", wanted):
        pytest.fail("they are missing")


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])
@pytest.mark.parametrize("address", ["notaurl", "http://", "collector:4317", "http://h:x", "ftp://me:secret@h/"])
def test_a_collector_that_is_none_is_one_line(name: str, address: str) -> None:
    """Otherwise no span arrives anywhere, and nobody hears of it. What may be a password is not repeated."""
    said = f"^{name} is no address of a collector; set it to something like http://127.0.0.1:4318$"
    with pytest.raises(HostingError, match=said), tracing("test", {name: address}):
        pytest.fail("it is none")
