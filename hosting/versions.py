"""Which version of the code runs what: workers of a named version take new runs only once their version is current.

A run stays with the version it began on (PINNED), and so do its calls: all of a worker's task queues belong to its
version. The first version there ever is becomes current by itself, for without one no run would start; every later one
waits until somebody says so.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from hosting.dial import failed
from hosting.pollers import pollers

if TYPE_CHECKING:
    from temporalio.api.deployment.v1 import WorkerDeploymentVersion as WireVersion
    from temporalio.api.workflowservice.v1 import DescribeTaskQueueResponse
    from temporalio.client import Client
    from temporalio.worker import WorkerDeploymentConfig

    from hosting.connection import Connection

ANSWER = timedelta(seconds=5)
"""For one question."""
REGISTERED = timedelta(seconds=20)
"""The server learns of a version from its workers' first polls, 0.3 s later; this is for one that is busy."""
PAUSE = timedelta(milliseconds=50)
"""Between two looks: it has no event for us."""


@dataclass(frozen=True)
class Version:
    """A version of the workers: the deployment they are one of, and the build they run."""

    deployment: str
    build: str

    def __str__(self) -> str:
        return f"{self.deployment}:{self.build}"

    @property
    def config(self) -> WorkerDeploymentConfig:
        """What a worker of this version is told: its runs are pinned to it."""
        from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
        from temporalio.worker import WorkerDeploymentConfig

        return WorkerDeploymentConfig(
            version=WorkerDeploymentVersion(self.deployment, self.build),
            use_worker_versioning=True,
            default_versioning_behavior=VersioningBehavior.PINNED,
        )

    def how_to_make_current(self, address: str, namespace: str) -> str:
        """The command that gives this version the new runs."""
        return (
            f"temporal worker deployment set-current-version --address {address} -n {namespace} "
            f"--deployment-name {self.deployment} --build-id {self.build}"
        )


async def take_up(version: Version, connection: Connection, queue: str) -> str | None:
    """Called when workers of `version` poll: one line for a person if new runs do not go to them, and what to type.

    Makes `version` current if no version is, and nobody without one does the work.
    """
    from temporalio.service import RPCError

    current: Version | str | None
    try:
        current = await _current_beside(connection.client, version, queue, on_this_machine=connection.embedded)
    except TimeoutError:
        current = f"unknown: the server has not come to know {version} within {REGISTERED.total_seconds():g} s"
    except RPCError as error:
        current = f"unknown: {error.message}"
    if current == version:
        return None
    return (
        f"version {version} does the runs that began on it; new ones go to the current version, which is "
        f"{current or 'none: to workers without a version'}. To make it current: "
        f"{version.how_to_make_current(connection.address, connection.namespace)}"
    )


async def _current_beside(client: Client, version: Version, queue: str, *, on_this_machine: bool) -> Version | None:
    """The version that gets new runs, `version` made so if nobody else could do them; None: whoever has no version."""
    from temporalio.api.workflowservice.v1 import SetWorkerDeploymentCurrentVersionRequest
    from temporalio.service import RPCError, RPCStatusCode

    async with asyncio.timeout(REGISTERED.total_seconds()):
        while True:
            current, token = await _routing(client, version)
            if token is not None:
                if current is not None or None in await _at_work(client, queue, on_this_machine=on_this_machine):
                    return current
                request = SetWorkerDeploymentCurrentVersionRequest(
                    namespace=client.namespace,
                    deployment_name=version.deployment,
                    build_id=version.build,
                    conflict_token=token,
                    identity=client.identity,
                )
                try:
                    await client.workflow_service.set_worker_deployment_current_version(request, timeout=ANSWER)
                except RPCError as error:
                    # Somebody else was faster, or not all of our queues are known yet: look again.
                    if error.status != RPCStatusCode.FAILED_PRECONDITION:
                        raise
            await asyncio.sleep(PAUSE.total_seconds())


async def _routing(client: Client, version: Version) -> tuple[Version | None, bytes | None]:
    """The deployment's current version, and what a change has to show; no token while `version` is not known."""
    from temporalio.api.workflowservice.v1 import DescribeWorkerDeploymentRequest
    from temporalio.service import RPCError, RPCStatusCode

    try:
        answer = await client.workflow_service.describe_worker_deployment(
            DescribeWorkerDeploymentRequest(namespace=client.namespace, deployment_name=version.deployment),
            timeout=ANSWER,
        )
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            return None, None
        raise
    info = answer.worker_deployment_info
    current = info.routing_config.current_deployment_version
    known = any(each.deployment_version.build_id == version.build for each in info.version_summaries)
    return _version(current), answer.conflict_token if known else None


async def nobody_for_new_runs(client: Client, queue: str, *, on_this_machine: bool) -> str | None:
    """One line for a person if there are workers and none of them gets new runs, with the command that helps.

    Raises Unreachable or HostingError if the server does not say.
    """
    from temporalio.service import RPCError

    address = client.service_client.config.target_host
    try:
        at_work = await _at_work(client, queue, on_this_machine=on_this_machine)
        routing = (await _described(client, queue)).versioning_info
    except RPCError as error:
        raise failed(error, address) from error
    versions = sorted((each for each in at_work if each), key=str)
    current = _version(routing.current_deployment_version)
    if not versions or current in at_work or _version(routing.ramping_deployment_version) in versions:
        return None
    here = f"its workers are of version {', '.join(map(str, versions))}"
    told = f"{current} is current and has no worker" if current else "no version is current"
    return (
        f"new runs wait: {told}, {here}; make one of them current: "
        f"{versions[-1].how_to_make_current(address, client.namespace)}"
    )


async def _at_work(client: Client, queue: str, *, on_this_machine: bool) -> set[Version | None]:
    """The versions of those who take workflow tasks from a queue now; None stands for who has no version."""
    from temporalio.api.enums.v1 import WorkerVersioningMode

    alive = await pollers(client, queue, on_this_machine=on_this_machine)
    versioned = WorkerVersioningMode.WORKER_VERSIONING_MODE_VERSIONED
    found: set[Version | None] = set()
    for each in (await _described(client, queue)).pollers:
        if each.identity in alive:
            of = each.deployment_options
            found.add(Version(of.deployment_name, of.build_id) if of.worker_versioning_mode == versioned else None)
    return found


async def _described(client: Client, queue: str) -> DescribeTaskQueueResponse:
    from temporalio.api.enums.v1 import TaskQueueType
    from temporalio.api.taskqueue.v1 import TaskQueue
    from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest

    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    return await client.workflow_service.describe_task_queue(request, timeout=ANSWER)


def _version(said: WireVersion) -> Version | None:
    return Version(said.deployment_name, said.build_id) if said.build_id else None
