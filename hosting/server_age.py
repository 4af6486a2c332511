"""Whether a configured Temporal server is one that Breakwater was ever run against; an older one is said, not refused.

What an older server does not know it mostly ignores, without a word: whose turn it is, a summary, a worker's report.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from temporalio.client import Client

OLDEST = (1, 29)
"""Runs, approvals, states and lists were all tried with 1.29.1; tenants take turns since then, workers have versions
since 1.28."""
ANSWER = timedelta(seconds=5)
"""For one question."""


async def too_old(client: Client, address: str) -> str | None:
    """One line for a person if the server says that it is older than that; None also if it does not say."""
    from temporalio.api.workflowservice.v1 import GetSystemInfoRequest
    from temporalio.service import RPCError

    try:
        said = (await client.workflow_service.get_system_info(GetSystemInfoRequest(), timeout=ANSWER)).server_version
    except RPCError:
        return None
    if not before(OLDEST, said):
        return None
    oldest = ".".join(map(str, OLDEST))
    return (
        f"the Temporal server at {address} is version {said}; Breakwater was never run against one before {oldest}: "
        "tenants' turns, approvals and workers' versions may be ignored or refused; update the server"
    )


def before(oldest: tuple[int, int], version: str) -> bool:
    """The version, as a server writes it, is an earlier one; not if nobody can tell."""
    numbers = re.match(r"v?(\d+)\.(\d+)", version)
    return numbers is not None and (int(numbers[1]), int(numbers[2])) < oldest
