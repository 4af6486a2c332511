"""Who works on a task queue right now.

What Server 1.32 tells, measured. DescribeTaskQueue lists a poller for five minutes after its last poll, a dead one as
well, and `last_access_time` is when a poll began: an idle worker's is up to 60 s old, so age alone cannot tell a living
one from one killed a minute ago. ListWorkers is exact: a worker reports every `worker_heartbeat_interval` (60 s unless
its Runtime says otherwise, 1 s at least), the first time at once, and says when it shuts down; a killed one just falls
silent. A report also names host and process, so on this machine the system can be asked. A server forgets reports when
it restarts, polls come back within a second.

So: a worker counts if it reports, or polls and has never reported; a fresh poll of one that has fallen silent is not
enough.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING

import psutil

from hosting.dial import failed

if TYPE_CHECKING:
    from temporalio.api.worker.v1 import WorkerHeartbeat
    from temporalio.client import Client

ANSWER = timedelta(seconds=5)
"""For one question."""
POLL = timedelta(seconds=60)
"""How long an idle worker's poll lasts, and the default time between its reports."""
SLACK = timedelta(seconds=5)
"""For clocks that differ between hosts and a report that comes late."""


async def pollers(client: Client, task_queue: str, *, on_this_machine: bool = False) -> list[str]:
    """The identities of the workers that take tasks from a queue now, sorted.

    With `on_this_machine`, which holds for an embedded server, a killed worker is missing at once. Without, it takes
    one and a half of its heartbeat intervals. Raises Unreachable or HostingError if the server does not say.
    """
    from temporalio.service import RPCError, RPCStatusCode

    try:
        polling = await _polling(client, task_queue)
        try:
            reports = await _reports(client, task_queue)
        except RPCError as error:
            # An older server, or an account that may not ask: then polls are all there is.
            if error.status not in (RPCStatusCode.UNIMPLEMENTED, RPCStatusCode.PERMISSION_DENIED):
                raise
            reports = []
    except RPCError as error:
        raise failed(error, client.service_client.config.target_host) from error
    alive = {report.worker_identity for report in reports if _is_alive(report, on_this_machine)}
    unknown = polling - {report.worker_identity for report in reports}
    if on_this_machine:
        # Killed before its first report, so that only its name tells of its process.
        unknown = {identity for identity in unknown if _may_run(identity)}
    return sorted(alive | unknown)


async def _polling(client: Client, task_queue: str) -> set[str]:
    """Who has begun a poll so lately that it may still last."""
    from temporalio.api.enums.v1 import TaskQueueType
    from temporalio.api.taskqueue.v1 import TaskQueue
    from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest

    kinds = (TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY)
    found: set[str] = set()
    for kind in kinds:
        answer = await client.workflow_service.describe_task_queue(
            DescribeTaskQueueRequest(
                namespace=client.namespace, task_queue=TaskQueue(name=task_queue), task_queue_type=kind
            ),
            timeout=ANSWER,
        )
        oldest = time.time() - (POLL + SLACK).total_seconds()
        found |= {each.identity for each in answer.pollers if each.last_access_time.ToMilliseconds() / 1000 >= oldest}
    return found


async def _reports(client: Client, task_queue: str) -> Iterable[WorkerHeartbeat]:
    """The last report of each worker process that has lately been on this queue."""
    from temporalio.api.workflowservice.v1 import ListWorkersRequest

    reports: list[WorkerHeartbeat] = []
    page = b""
    while True:
        answer = await client.workflow_service.list_workers(
            ListWorkersRequest(namespace=client.namespace, query=f'TaskQueue="{task_queue}"', next_page_token=page),
            timeout=ANSWER,
        )
        reports += (each.worker_heartbeat for each in answer.workers_info)
        page = answer.next_page_token
        if not page:
            return reports


def _may_run(identity: str) -> bool:
    """False if the identity has the SDK's `pid@host` in it, for this host, and there is no such process."""
    match = re.search(rf"\b(\d+)@{re.escape(socket.gethostname())}(?!\S)", identity)
    return match is None or psutil.pid_exists(int(match[1]))


def _is_alive(report: WorkerHeartbeat, on_this_machine: bool) -> bool:
    from temporalio.api.enums.v1 import WorkerStatus

    if report.status != WorkerStatus.WORKER_STATUS_RUNNING:
        return False
    host, process = report.host_info.host_name, report.host_info.process_id
    if on_this_machine and host == socket.gethostname() and process.isdecimal():
        return psutil.pid_exists(int(process))
    # The first report does not know how long it is until the next.
    interval = report.elapsed_since_last_heartbeat.ToTimedelta() or POLL
    age = time.time() - report.heartbeat_time.ToMilliseconds() / 1000
    return age <= (interval * 1.5 + SLACK).total_seconds()
