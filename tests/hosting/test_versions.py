"""Versions of workers on a real server: the first takes the new runs, a later one waits to be told, and it is said."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import click
import pytest
from temporalio import workflow
from temporalio.api.workflowservice.v1 import SetWorkerDeploymentCurrentVersionRequest
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from benchmarks.rig import address, temporal_server
from hosting.connection import Connection
from hosting.home import Home
from hosting.versions import Version, nobody_for_new_runs, take_up
from worker import Settings


@workflow.defn
class Nothing:
    """A run that ends at once."""

    @workflow.run
    async def run(self) -> None:
        return


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    """A server for these tests, which use a queue and a deployment each."""
    async with temporal_server(Home(tmp_path_factory.mktemp("home"))) as client:
        yield client


def connection(client: Client) -> Connection:
    """As `connect` gives it for a configured server."""
    return Connection(client, address(client), client.namespace, None, None)


async def works(stack: AsyncExitStack, server: Client, queue: str, version: Version | None) -> None:
    """Somebody of this version, or of none, polls the queue until the stack is left."""
    client = await Client.connect(address(server), identity=f"worker of {version}")
    config = version.config if version else None
    await stack.enter_async_context(
        Worker(
            client,
            task_queue=queue,
            workflows=[Nothing],
            workflow_runner=UnsandboxedWorkflowRunner(),
            deployment_config=config,
        )
    )


async def test_the_first_version_gets_the_new_runs_and_the_second_says_how_to(server: Client) -> None:
    """Without asking anybody; nothing has to be said while somebody gets them."""
    first, second, queue = Version("one", "1"), Version("one", "2"), "first-and-second"
    async with AsyncExitStack() as stack:
        await works(stack, server, queue, first)
        assert await take_up(first, connection(server), queue) is None
        await works(stack, server, queue, second)
        said = await take_up(second, connection(server), queue)
        assert said
        assert "which is one:1" in said
        assert said.endswith("--deployment-name one --build-id 2")
        assert await nobody_for_new_runs(server, queue, on_this_machine=False) is None
        await server.execute_workflow(Nothing.run, id=queue, task_queue=queue)


async def test_whoever_waits_for_a_version_without_workers_is_told(server: Client) -> None:
    """The current version is gone and another is there: the line names both, and the command."""
    gone, here, queue = Version("two", "1"), Version("two", "2"), "gone"
    async with AsyncExitStack() as stack:
        async with AsyncExitStack() as brief:
            await works(brief, server, queue, gone)
            assert await take_up(gone, connection(server), queue) is None
        await works(stack, server, queue, here)
        assert await take_up(here, connection(server), queue)
        said = await nobody_for_new_runs(server, queue, on_this_machine=False)
        assert said
        assert "two:1 is current and has no worker, its workers are of version two:2" in said
        assert "--build-id 2" in said
        await server.workflow_service.set_worker_deployment_current_version(
            SetWorkerDeploymentCurrentVersionRequest(
                namespace=server.namespace, deployment_name=here.deployment, build_id=here.build
            )
        )
        await server.execute_workflow(Nothing.run, id=queue, task_queue=queue)
        assert await nobody_for_new_runs(server, queue, on_this_machine=False) is None


async def test_workers_without_a_version_keep_the_new_runs_until_somebody_says_otherwise(server: Client) -> None:
    """A first version beside them does not take over by itself."""
    first, queue = Version("three", "1"), "unversioned"
    async with AsyncExitStack() as stack:
        await works(stack, server, queue, None)
        assert await nobody_for_new_runs(server, queue, on_this_machine=False) is None
        await works(stack, server, queue, first)
        said = await take_up(first, connection(server), queue)
        assert said
        assert "none: to workers without a version" in said
        await server.execute_workflow(Nothing.run, id=queue, task_queue=queue)


async def test_of_two_first_versions_one_becomes_current(server: Client) -> None:
    """Whoever is asked later sees that, and neither is an error."""
    first, other, queue = Version("four", "1"), Version("four", "2"), "two-first"
    async with AsyncExitStack() as stack:
        await works(stack, server, queue, first)
        await works(stack, server, queue, other)
        said = [await take_up(first, connection(server), queue), await take_up(other, connection(server), queue)]
        assert said[0] is None
        assert said[1]
        assert "four:1" in said[1]


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"BREAKWATER_BUILD_ID": "7"}, "set BREAKWATER_DEPLOYMENT too, or neither"),
        ({"BREAKWATER_DEPLOYMENT": "breakwater"}, "set BREAKWATER_BUILD_ID too, or neither"),
        ({"BREAKWATER_DEPLOYMENT": "break.water", "BREAKWATER_BUILD_ID": "7"}, "BREAKWATER_DEPLOYMENT: "),
        ({"BREAKWATER_DEPLOYMENT": "breakwater", "BREAKWATER_BUILD_ID": "7\n"}, "BREAKWATER_BUILD_ID: "),
    ],
)
def test_half_a_version_or_a_wrong_one_is_one_line(environment: dict[str, str], said: str) -> None:
    """The variable that is missing or wrong is named."""
    with pytest.raises(click.UsageError) as refused:
        Settings.read(environment)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_without_the_variables_there_is_no_version() -> None:
    """As before there were any."""
    assert Settings.read({}).version is None
    assert Settings.read({"BREAKWATER_DEPLOYMENT": "", "BREAKWATER_BUILD_ID": ""}).version is None
