"""Runs that a run starts below itself: with a grant of its bounds, and back comes what they used and what they made.

A child has a history of its own. It ends like any run, so its report is in its result, or in its failure. Only a
cancelled workflow has no result, so a child that is being cancelled tells its parent first, by the signal
`child_ended`: what it spent and what it had finished must not be lost with it.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Any, Generic, TypeVar

from temporalio import workflow
from temporalio.common import SearchAttributePair, TypedSearchAttributes
from temporalio.exceptions import ApplicationError, ChildWorkflowError, WorkflowAlreadyStartedError

from workflows.cancellation import once_begun, to_its_end
from workflows.caps import Caps, Spent
from workflows.contracts import CIRCUIT_ATTRIBUTE, PIPELINE_ATTRIBUTE, STATUS_ATTRIBUTE, RunReport
from workflows.models import nano
from workflows.run import Run, RunInput, RunResult

ResultT = TypeVar("ResultT", bound=RunResult)

CHILD_ENDED = "child_ended"


class NameTaken(Exception):
    """A run is under way that has the name which a child would have had. Nothing was started."""


class ChildRuns(Generic[ResultT]):
    """The children of one run, all of its own pipeline. Create it in the workflow's `__init__`."""

    def __init__(self, run: Run[ResultT], result: type[ResultT]) -> None:
        self._run = run
        self._report: type[RunReport[ResultT]] = RunReport[result]  # type: ignore[valid-type]
        self._farewells: dict[str, RunReport[ResultT]] = {}
        self.under_way: set[str] = set()
        """Names of the children that have not ended."""
        workflow.set_signal_handler(CHILD_ENDED, self._hear)

    async def start(
        self, name: str, input: RunInput, share: Caps, deadline: datetime | None, summary: str
    ) -> RunReport[ResultT] | None:
        """Start a child with this share of what is left and return how it ended; None if nobody can say.

        Whatever it used is in the ledger then, and its agents are in the report under its name. A task that is
        cancelled hears how the child ended all the same, and has to end itself then. Raises BoundExceeded if there is
        no room for the child, and NameTaken.
        """
        bounds = self._run.bounds
        grant = await bounds.grant(
            name, agents=share.agents, nano_usd=share.nano_usd, tokens=share.tokens, deadline=deadline
        )
        spent: Spent | None = Spent()
        self.under_way.add(name)
        try:
            report = await self._end_of(self.id_of(name), input.model_copy(update={"grant": grant}), summary)
            spent = None if report is None else _spent(report)
        finally:
            self.under_way.discard(name)
            bounds.returned(grant, spent)
        if report is not None:
            self._run.adopt(name, report.agents)
        return report

    def id_of(self, name: str) -> str:
        """The workflow id of a child."""
        return f"{self._run.id}.{name}"

    async def _end_of(self, id: str, input: RunInput, summary: str) -> RunReport[ResultT] | None:
        starting = workflow.start_child_workflow(
            self._run.pipeline,
            input,
            id=id,
            result_type=self._report,
            static_summary=f"{self._run.pipeline} · {summary}",
            search_attributes=_searchable(self._run.pipeline),
            cancellation_type=workflow.ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
            parent_close_policy=workflow.ParentClosePolicy.REQUEST_CANCEL,
        )
        try:
            child, cancelled = await once_begun(starting)
            if cancelled:
                child.cancel()
            ended: RunReport[ResultT] = await to_its_end(child)
            return ended
        except WorkflowAlreadyStartedError:
            raise NameTaken(f"a run named {id} is under way, and is not of this one") from None
        except ChildWorkflowError as error:
            if isinstance(error.cause, ApplicationError) and error.cause.details:
                return self._report.model_validate(error.cause.details[0])
            return self._farewells.pop(id, None)

    async def _hear(self, report: dict[str, Any]) -> None:
        heard = self._report.model_validate(report)
        self._farewells[heard.run_id] = heard


async def farewell(report: RunReport[Any]) -> None:
    """In a child that is being cancelled: tell the parent how far it came, while there is still somebody to tell."""
    parent = workflow.info().parent
    if parent is not None:
        with suppress(ApplicationError):  # the parent has ended itself: then nobody wants to know
            await workflow.get_external_workflow_handle(parent.workflow_id).signal(CHILD_ENDED, report)


def _spent(report: RunReport[Any]) -> Spent:
    priced = [reply.cost_usd or 0.0 for reply in report.agents]
    cost = sum(map(nano, priced)) if report.cost_usd is None else nano(report.cost_usd)
    return Spent(usage=report.usage, nano_usd=cost, agents=report.agents_started, unpriced=report.cost_usd is None)


def _searchable(pipeline: str) -> TypedSearchAttributes | None:
    """The attributes of a new run, where the server knows them: the parent has them then."""
    if workflow.info().typed_search_attributes.get(PIPELINE_ATTRIBUTE) is None:
        return None
    return TypedSearchAttributes(
        [
            SearchAttributePair(PIPELINE_ATTRIBUTE, pipeline),
            SearchAttributePair(STATUS_ATTRIBUTE, "running"),
            SearchAttributePair(CIRCUIT_ATTRIBUTE, "closed"),
        ]
    )
