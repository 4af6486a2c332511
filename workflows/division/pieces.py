"""Having the pieces of a divided task done: by specialists, or by runs of their own, as far as the bounds allow.

A subtask is started as soon as everything it depends on is done. It is stopped when the policy can no longer be met,
when a bound is reached, or in time for what there is to be put together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from pydantic_core import to_json
from temporalio import workflow

from workflows.cancellation import being_cancelled
from workflows.caps import BoundExceeded, Caps
from workflows.child_runs import NameTaken
from workflows.contracts import RunReport
from workflows.delegate import delegate
from workflows.division.agenda import Agenda
from workflows.division.briefs import Brief, HandedDown
from workflows.division.conclusion import Conclusion, result_key
from workflows.division.dispatch import Dispatch
from workflows.division.planning import InvalidPlan, Planning
from workflows.division.plans import WHOLE_TASK, Subtask
from workflows.division.shares import both, fits, least, needs, places, share
from workflows.failures import FailureKind
from workflows.policies import Policy
from workflows.run import BOUNDS, Run, SubagentFailed, kind_of
from workflows.subagents.decomposer import DECOMPOSER
from workflows.subagents.specialist import TextAnswer, specialist

MOST_REPLANS = 2
"""Later plans of one run: what two other ways did not bring, a third will not."""
CURABLE: frozenset[FailureKind] = frozenset({"answer_unusable", "refused", "truncated"})
"""Failures that another way of asking may avoid; an outage or a missing credential is none."""
TIME_TO_CONCLUDE = timedelta(minutes=2)
"""Kept of a run's time for putting together what there is: one long call, and its repair."""
LEAST_TO_CONCLUDE = timedelta(seconds=5)
"""Of a short time a fifth is kept, but not less: calls under way take 2 s to hear that they are stopped."""


class HasAnswer(Protocol):
    """The result of a run that did a subtask."""

    def as_answer(self) -> TextAnswer | None:
        """It as the answer to that subtask; None if there is nothing in it."""


Descend = Callable[[Subtask, HandedDown, Caps, int, datetime | None], Awaitable[RunReport[Any] | None]]
"""Have a subtask done by a run below this one: what it is given, its share, its places, and when it must be done."""


@dataclass(frozen=True)
class Terms:
    """What was declared before anything was dispatched."""

    policy: Policy
    early_stop: bool
    parallel: int
    replans: int


class Pieces:
    """The pieces of one run."""

    def __init__(
        self,
        run: Run[Any],
        brief: Brief,
        agenda: Agenda,
        planning: Planning,
        conclusion: Conclusion,
        terms: Terms,
        descend: Descend,
    ) -> None:
        self._run, self._brief, self._agenda, self._planning = run, brief, agenda, planning
        self._conclusion, self._terms, self._descend = conclusion, terms, descend
        self._dispatch = Dispatch(agenda, self, terms.parallel)
        self._divided: set[str] = set()
        self._begun = 0
        self.replans = 0
        """Later plans that were asked for."""
        self.bound: FailureKind | None = None
        """The bound that kept anything from being done."""

    async def done(self) -> bool:
        """Start whatever can start as soon as it can, until nothing more can, or should.

        False if there is more to start but the history has become long: nothing is under way then.
        """
        self._say()
        self._stop_if_hopeless()  # a quorum of more than there is
        clock = asyncio.create_task(self._keep_time_to_conclude())
        while True:
            await self._dispatch.until_idle()
            if self.holds_back() and self._dispatch.stopped is None and self._agenda.waiting():
                return False
            if await self._planned_again():
                continue
            self._agenda.settle()
            self._give_up()
            if not self._agenda.ready():
                break
        clock.cancel()
        return True

    # --- what a dispatch asks -------------------------------------------------------------------------------------

    def places(self, subtask: Subtask, free: int) -> int:
        """What cannot be paid now waits for something to end; what is divided takes its share of the places."""
        call = needs(subtask, self._given_bytes(subtask), self._run.model_of)
        if not fits(self._run.ledger.left, both(call, self._conclusion.reading(subtask))):
            return 0
        return 1 if self._share(subtask) is None else places(free, len(self._agenda.waiting()))

    async def errand(self, subtask: Subtask, places: int) -> None:
        """Have one subtask done, and note what became of it."""
        self._begun += 1
        try:
            await self._conclusion.keep_room_for(subtask)
            if (part := self._share(subtask)) is None:
                await self._by_specialist(subtask)
            else:
                await self._by_run(subtask, part, places)
        except BoundExceeded as bound:
            self._refuse(subtask, kind_of(bound), str(bound))
        except NameTaken as taken:
            self._agenda.failed(subtask.id, f"not started: {taken}")
        except asyncio.CancelledError:
            if self._agenda.items[subtask.id].state == "running" and self._run.state.get(result_key(subtask.id)):
                self._agenda.passed(subtask.id)  # it was done when the cancellation came, and is paid
            raise
        finally:
            self._conclusion.has_ended(subtask)
        if self._agenda.items[subtask.id].state != "passed":
            self._stop_if_hopeless()
        self._say()

    def wants_optional(self) -> bool:
        """No new optional work when a bound is nearly reached."""
        return not self._run.bounds.tight

    def holds_back(self) -> bool:
        """Nothing new when the history has become long: what is under way ends, then the run continues as new. But each
        execution does something, or a run could continue for ever."""
        return self._begun > 0 and workflow.info().is_continue_as_new_suggested()

    # --- one subtask ----------------------------------------------------------------------------------------------

    async def _by_specialist(self, subtask: Subtask) -> None:
        """One specialist, who sees the subtask and the results it depends on, and nothing else."""
        there, missing = self._agenda.results(subtask)
        reply = await delegate(
            self._run,
            specialist(subtask.output, subtask.effort.tier, subtask.effort.tokens),
            self._brief.to_work(subtask, missing),
            reads=[result_key(each) for each in there],
            writes=result_key(subtask.id),
        )
        if reply.answer is not None:
            self._agenda.passed(subtask.id, "; ".join(reply.answer.gaps) or None)
        elif reply.error_kind in BOUNDS and not reply.attempts:
            self._refuse(subtask, reply.error_kind, reply.error_message or "")
        else:
            if reply.error_kind in BOUNDS:
                self.bound = self.bound or reply.error_kind
            why = f"{reply.error_kind}: {reply.error_message}"
            self._agenda.failed(subtask.id, why, curable=reply.error_kind in CURABLE)

    async def _by_run(self, subtask: Subtask, part: Caps, places: int) -> None:
        """A run with this subtask as its task; what it did is used even if it is not all of it."""
        there, missing = self._agenda.results(subtask)
        answers = {each: self._run.state.excerpt([result_key(each)])[result_key(each)] for each in there}
        handed_down = self._brief.to_hand_down(subtask, answers, missing)
        self._divided.add(subtask.id)
        report = await self._descend(subtask, handed_down, part, places, self._ends())
        if report is None:
            self._agenda.failed(subtask.id, "its run ended without saying how")
        else:
            self._take_over(subtask, report)
        if being_cancelled():
            raise asyncio.CancelledError

    def _take_over(self, subtask: Subtask, report: RunReport[Any]) -> None:
        """Keep what a run has made of a subtask, whole or in part, and note how it ended."""
        result: HasAnswer | None = report.result
        answer = result.as_answer() if result is not None else None
        if answer is not None:
            self._run.state.write(result_key(subtask.id), answer, writer=report.run_id)
        if report.passed and answer is not None:
            self._agenda.passed(subtask.id, "; ".join(answer.gaps) or None)
            return
        bound = next((each for each in BOUNDS if each == report.stop_reason), None)
        self.bound = self.bound or bound
        why = f"{report.stop_reason}: {report.message or 'its run did not pass'}"
        if being_cancelled():
            why = f"stopped: {self._dispatch.stopped or 'cancelled'}"
        # What no other way can avoid above cannot be avoided by another way here.
        kinds = {reply.error_kind for reply in report.agents if reply.error_kind is not None}
        curable = bound is None and kinds - {"cancelled"} <= CURABLE
        self._agenda.failed(subtask.id, why, curable=curable, partial=answer is not None)

    def _refuse(self, subtask: Subtask, bound: FailureKind, why: str) -> None:
        """No room was given to it: a bound of the run is reached."""
        self.bound = self.bound or bound
        self._agenda.refused(subtask.id, f"not started: {why}")

    def _stop_if_hopeless(self) -> None:
        """Nobody pays for the rest of what can no longer be enough."""
        lost = self._terms.policy.hopeless(self._agenda.tally())
        if self._terms.early_stop and lost and self.bound is None and not self._may_plan_again():
            self._dispatch.stop(f"{self._terms.policy} can no longer be reached")

    # --- how much and how long ------------------------------------------------------------------------------------

    def _share(self, subtask: Subtask) -> Caps | None:
        """What a run of its own may use for this subtask; None if a specialist does it."""
        left = self._run.ledger.left
        if not subtask.may_delegate or left.depth == 0:
            return None
        others = [each for each in self._agenda.waiting() if each.id != subtask.id]
        dividers = 1 + sum(each.may_delegate for each in others)
        smallest = least(subtask, self._given_bytes(subtask), self._run.model_of)
        return share(left, dividers=dividers, others=len(others) + 1 - dividers, least=smallest)

    def _given_bytes(self, subtask: Subtask) -> int:
        """How much a subtask is given beside its own words."""
        there, _ = self._agenda.results(subtask)
        answers = self._run.state.excerpt(result_key(each) for each in there)
        task = len(self._brief.whole().encode()) if WHOLE_TASK in subtask.inputs else 0
        return task + (len(to_json(answers)) if answers else 0)

    def _ends(self) -> datetime | None:
        """When the pieces must be done, so that there is time left to put them together."""
        bounds = self._run.bounds
        if bounds.deadline is None or not self._conclusion.expected:
            return bounds.deadline
        whole = bounds.deadline - bounds.began
        return bounds.deadline - min(TIME_TO_CONCLUDE, max(whole / 5, LEAST_TO_CONCLUDE), whole / 2)

    async def _keep_time_to_conclude(self) -> None:
        """At that moment stop the specialists; runs below this one have been told the time and end by themselves."""
        if (end := self._ends()) is not None:
            await workflow.sleep(max(end - workflow.now(), timedelta(0)), summary="time to put the results together")
            self.bound = self.bound or "deadline"
            self._dispatch.stop("the time that is left is for putting the results together", spare=self._divided)

    # --- when something has failed --------------------------------------------------------------------------------

    async def _planned_again(self) -> bool:
        """Whether there is another way for what has failed. Finished work is known to it and cannot be done again."""
        if not self._may_plan_again():
            return False
        self.replans += 1
        self._run.at("planning another way for what has failed")
        try:
            self._planning.take_on(await self._planning.propose(), DECOMPOSER.role)
        except (InvalidPlan, SubagentFailed):
            return False
        self._say()
        return True

    def _may_plan_again(self) -> bool:
        """Only for failures that another way may avoid, while there is room, and not for ever."""
        unmet = self._agenda.unmet()
        stopped = self._dispatch.stopped is not None or self.bound is not None
        curable = bool(unmet) and all(item.curable for item in unmet)
        return curable and not stopped and self.replans < self._terms.replans

    def _give_up(self) -> None:
        """Name what will not be started any more, and why."""
        waiting = self._agenda.waiting()
        if self._dispatch.stopped is not None:
            self._agenda.drop((each.id for each in waiting), f"not started: {self._dispatch.stopped}")
        elif waiting and self._run.ledger.left.agents == 0:
            self.bound = self.bound or "budget_exceeded"
            self._agenda.drop((each.id for each in waiting), "not started: no agents are left")
        elif tight := self._run.bounds.tight:
            optional = [each.id for each in waiting if each.criticality == "optional"]
            self._agenda.drop(optional, f"not started: it is optional, and four fifths of the {tight[0]} are used")

    def _say(self) -> None:
        """Where the run stands, in words."""
        tally = self._agenda.tally()
        self._run.at(f"{tally.passed} of {tally.total} subtasks done")
