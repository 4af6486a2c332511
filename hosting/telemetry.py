"""What a process tells about itself: metrics for Prometheus, and to the server how often it is alive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from hosting.errors import HostingError

WORKER_HEARTBEAT = timedelta(seconds=5)
"""How often a worker reports to the server; `starter.py` believes it gone after one and a half of these."""


def start_telemetry(metrics_address: str | None, buckets: Mapping[str, Sequence[float]]) -> None:
    """For every client and worker of this process made from now on: durations in seconds, metrics if asked for.

    Raises HostingError if the address cannot be listened on.
    """
    from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig

    metrics = None
    if metrics_address is not None:
        metrics = PrometheusConfig(
            bind_address=metrics_address.replace("localhost", "127.0.0.1"),
            durations_as_seconds=True,
            histogram_bucket_overrides=buckets,
        )
    try:
        runtime = Runtime(
            telemetry=TelemetryConfig(metrics=metrics, attach_service_name=False),
            worker_heartbeat_interval=WORKER_HEARTBEAT,
        )
    except (RuntimeError, ValueError) as error:
        raise HostingError(
            f"cannot serve metrics at {metrics_address}: {error}; set METRICS_ADDRESS to a free address"
        ) from error
    Runtime.set_default(runtime)
