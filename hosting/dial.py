"""Reaching a Temporal server: within seconds, or one line that says why not. The SDK is loaded here and no earlier."""

from __future__ import annotations

import asyncio
import importlib
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from hosting.errors import HostingError, Misconnected, NoNamespace, Unreachable

if TYPE_CHECKING:
    from temporalio.api.workflowservice.v1 import DescribeNamespaceResponse
    from temporalio.client import Client
    from temporalio.service import RPCError

PATIENCE = timedelta(seconds=4)
"""For a connection and for the first question; the SDK's own limit for the latter is 30 s."""
WARN_FROM = 2 * 1024 * 1024
"""Bytes of a value from which the SDK's core warns, on standard output: what the server refuses. Up to 1 MiB is usual
(see `activities.vault.converter`), and a result's output is one JSON document."""
SETTLE = timedelta(milliseconds=50)
"""A cancelled connect of the SDK needs 2 ms to wind up (measured); an interpreter that ends earlier hangs or panics."""

PASSING = (
    ("ConnectionRefused", "nothing listens there"),
    ("dns error", "its name cannot be resolved"),
)
"""Words in the SDK's error, and what they mean: what may be otherwise in a moment."""
LASTING = (
    ("invalid peer certificate", "its certificate is not trusted; check the TLS settings"),
    ("InvalidContentType", "it does not speak TLS; check the TLS settings"),
    ("Cannot connect TLS", "TLS fails; check the TLS settings"),
    ("HandshakeFailure", "TLS fails; check the TLS settings"),
    ("CertificateRequired", "it wants a client certificate; check the TLS settings"),
    ("Unimplemented", "it is no Temporal server"),
    ("FRAME_SIZE_ERROR", "it does not speak gRPC, or wants TLS"),
    ("BrokenPipe", "it hangs up; does it want TLS?"),
)
"""The same, for what stays until somebody changes a setting. The first that fits counts."""
REFUSED = ("Unauthenticated", "PermissionDenied")


async def load_sdk() -> None:
    """Import what connecting needs, 0.6 s of CPU, without stopping the loop meanwhile."""
    for module in ("temporalio.client", "activities.vault.converter"):
        await asyncio.to_thread(importlib.import_module, module)


async def dial(address: str, *, patience: timedelta = PATIENCE, **options: Any) -> Client:
    """A connected client; `options` as for Client.connect.

    Raises Unreachable if the server does not answer, HostingError if it does not want us.
    """
    await load_sdk()
    from temporalio.client import Client
    from temporalio.contrib.pydantic import pydantic_data_converter
    from temporalio.service import GrpcCompression, PayloadLimitsConfig

    options.setdefault("data_converter", pydantic_data_converter)
    options.setdefault("grpc_compression", GrpcCompression.NONE)
    options.setdefault("payload_limits", PayloadLimitsConfig(payloads_warn_size=WARN_FROM))
    try:
        async with asyncio.timeout(patience.total_seconds()):
            return await Client.connect(address, connect_timeout=patience, **options)
    except TimeoutError as error:
        await asyncio.sleep(SETTLE.total_seconds())
        raise unreachable(address, f"no answer within {patience.total_seconds():g} s") from error
    except asyncio.CancelledError:
        await asyncio.sleep(SETTLE.total_seconds())
        raise
    except (RuntimeError, ValueError) as error:
        said = str(error)
        if any(word in said for word in REFUSED):
            raise refused(address) from error
        if why := _first(PASSING, said):
            raise unreachable(address, why) from error
        if why := _first(LASTING, said):
            raise Misconnected(_cannot_reach(address, why)) from error
        raise unreachable(address, "it does not answer") from error


async def describe(client: Client, address: str, namespace: str) -> DescribeNamespaceResponse:
    """What the server says of a namespace. Raises HostingError if there is none or it is not for us, Unreachable."""
    from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
    from temporalio.service import RPCError, RPCStatusCode

    try:
        return await client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace=namespace), timeout=PATIENCE
        )
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            raise NoNamespace(
                f"the Temporal server at {address} has no namespace {namespace!r}; set TEMPORAL_NAMESPACE to one it "
                f"has, or create it: temporal operator namespace create --address {address} -n {namespace}"
            ) from error
        raise failed(error, address) from error


def failed(error: RPCError, address: str) -> HostingError:
    """A failed question in one line."""
    from temporalio.service import RPCStatusCode

    if error.status in (RPCStatusCode.UNAUTHENTICATED, RPCStatusCode.PERMISSION_DENIED):
        return refused(address)
    if error.status in (RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED):
        return unreachable(address, "it does not answer")
    if error.status == RPCStatusCode.UNIMPLEMENTED:
        return HostingError(f"the Temporal server at {address} is too old: {_line(error.message)}; update it")
    return HostingError(f"the Temporal server at {address} says: {_line(error.message)}")


def refused(address: str) -> HostingError:
    """The server does not accept who we are."""
    return HostingError(
        f"the Temporal server at {address} refuses these credentials; check TEMPORAL_API_KEY, TEMPORAL_NAMESPACE and "
        "the TLS settings"
    )


def unreachable(address: str, why: str) -> Unreachable:
    """The server cannot be reached."""
    return Unreachable(_cannot_reach(address, why))


def _cannot_reach(address: str, why: str) -> str:
    return (
        f"cannot reach Temporal at {address}: {why}; start it or correct TEMPORAL_ADDRESS (unset: an embedded server)"
    )


def _line(said: str) -> str:
    return " ".join(said.split())


def _first(reasons: tuple[tuple[str, str], ...], said: str) -> str | None:
    return next((why for word, why in reasons if word in said), None)
