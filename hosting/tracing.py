"""Traces, if somebody collects them: one from the starter through workflow and activity to the model's request.

On when OTEL_EXPORTER_OTLP_ENDPOINT (or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) names a collector; the other standard
variables work as anywhere. Spans carry names, ids, token counts and times, never prompts or answers. The model's SDK
makes its own spans below ours and hands the trace on to the endpoint in the `traceparent` header.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from hosting.errors import HostingError

if TYPE_CHECKING:
    from temporalio.client import Plugin

# As for our own facts (see hosting/__init__): a collector that is away is no news for a person at a terminal.
logging.getLogger("opentelemetry").addHandler(logging.NullHandler())

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
LAST_WORDS = timedelta(seconds=2)
"""How long a process that ends may take to deliver its spans: a collector that is away must not hold it up."""


def is_wanted(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether there is a collector to send to."""
    off = environment.get("OTEL_SDK_DISABLED", "").lower() == "true"
    return not off and any(environment.get(name) for name in ENDPOINTS)


@contextmanager
def tracing(service: str, environment: Mapping[str, str] = os.environ) -> Iterator[list[Plugin]]:
    """The plugins a client needs for the block's traces; none if nobody collects them.

    `service` is what this process is called unless OTEL_SERVICE_NAME says otherwise. Raises HostingError if a collector
    is named that is none, or the packages are not installed.
    """
    if not is_wanted(environment):
        yield []
        return
    _check_endpoints(environment)
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from temporalio.contrib.opentelemetry import OpenTelemetryPlugin, create_tracer_provider
    except ImportError as error:
        raise HostingError(
            f"traces are asked for ({' or '.join(ENDPOINTS)}) and {error.name} is not installed; install "
            "requirements-fleet.txt, or unset the variable"
        ) from error
    name = environment.get("OTEL_SERVICE_NAME") or service
    provider = create_tracer_provider(resource=Resource.create({SERVICE_NAME: name}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    try:
        yield [OpenTelemetryPlugin(add_temporal_spans=True)]
    finally:
        # In a thread that is left behind: the exporter's own limits are 10 s for an answer and 30 s for all of it.
        closing = threading.Thread(target=provider.shutdown, daemon=True)
        closing.start()
        closing.join(LAST_WORDS.total_seconds())


def _check_endpoints(environment: Mapping[str, str]) -> None:
    """The exporter takes anything for an address, and then says of every span that it was not delivered."""
    from activities.urls import is_http

    for name in ENDPOINTS:
        if (given := environment.get(name)) and not is_http(given):  # not shown: there may be a password in it
            raise HostingError(f"{name} is no address of a collector; set it to something like http://127.0.0.1:4318")
