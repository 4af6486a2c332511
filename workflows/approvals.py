"""What a run asks a person before it goes on: a proposal that is approved, amended or rejected from outside.

`approve`, `reject` and `amend` are updates, refused with a reason when nothing waits or the amended value does not
fit; the query `waiting_for` answers with what is proposed. A wait is workflow state, so it survives every process, and
the run's deadline bounds it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, JsonValue, ValidationError
from temporalio import workflow
from temporalio.exceptions import ApplicationError

from workflows.bounds import Bounds
from workflows.contracts import Decision, Frozen
from workflows.signs import Waiting, lasting

ModelT = TypeVar("ModelT", bound=BaseModel)

APPROVE_UPDATE = "approve"
REJECT_UPDATE = "reject"
AMEND_UPDATE = "amend"
WAITING_QUERY = "waiting_for"

FAULTS_SHOWN = 5
"""Of an amended value that does not fit: a person mends a few at a time."""


class Proposal(Frozen):
    """What a run wants to go on with."""

    name: str
    value: JsonValue


class Rejected(Exception):
    """A person said no."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"the {name} was rejected: {reason}")


@dataclass
class _Pending:
    name: str
    value: Any
    check: Callable[[Any], None] | None
    decision: Decision | None = None


class Approvals:
    """The proposals of one run, one at a time, and what became of them."""

    def __init__(self, bounds: Bounds, changed: Callable[[], None], decided: Sequence[Decision] = ()) -> None:
        """`changed` is called whenever there is something new to show; `decided` is what a run that continues had."""
        self.decisions = list(decided)
        self._id = workflow.info().workflow_id
        self._bounds, self._changed = bounds, changed
        self._pending: _Pending | None = None
        workflow.set_query_handler(WAITING_QUERY, self._answer)
        workflow.set_update_handler(APPROVE_UPDATE, self._approve, validator=self._may_approve)
        workflow.set_update_handler(REJECT_UPDATE, self._reject, validator=self._may_reject)
        workflow.set_update_handler(AMEND_UPDATE, self._amend, validator=self._may_amend)

    @property
    def waiting(self) -> Waiting | None:
        """What a person has to do, if anything is proposed."""
        if self._pending is None:
            return None
        return Waiting(
            status="waiting_for_approval",
            why=f"for your approval of the {self._pending.name}",
            todo=f"starter.py proposal {self._id}, then starter.py approve {self._id}, "
            f"reject {self._id} --reason TEXT, or amend {self._id} @FILE",
        )

    @property
    def proposal(self) -> BaseModel | None:
        """What is proposed now."""
        return self._pending.value if self._pending else None

    async def ask(self, name: str, proposal: ModelT, check: Callable[[ModelT], None] | None = None) -> ModelT:
        """The proposal once a person has approved it, as it is or amended.

        `check` raises ValueError, saying why, for an amended value that fits the model and yet will not do. Raises
        Rejected, or BoundExceeded if the deadline comes first.
        """
        await self._bounds.until(lambda: self._pending is None)
        pending = _Pending(name, proposal, check)
        with lasting(lambda: self._propose(pending), lambda: self._propose(None)):
            await self._bounds.until(lambda: pending.decision is not None)
        decision = pending.decision
        if decision is not None and decision.outcome == "rejected":
            raise Rejected(name, decision.reason or "")
        approved: ModelT = pending.value
        return approved

    def _propose(self, pending: _Pending | None) -> None:
        self._pending = pending
        self._changed()

    def _answer(self) -> Proposal | None:
        pending = self._pending
        return None if pending is None else Proposal(name=pending.name, value=pending.value.model_dump(mode="json"))

    # --- what a person may say: each a validator, which leaves no trace, and what is done then ---------------------

    def _may_approve(self) -> None:
        self._open()

    async def _approve(self) -> str:
        return self._decide("approved")

    def _may_reject(self, reason: str) -> None:
        self._open()
        if not reason.strip():
            raise _refused("say why it is rejected")

    async def _reject(self, reason: str) -> str:
        return self._decide("rejected", reason.strip())

    def _may_amend(self, value: JsonValue) -> None:
        self._amended(value)

    async def _amend(self, value: JsonValue) -> str:
        self._open().value = self._amended(value)
        return self._decide("amended")

    def _open(self) -> _Pending:
        """What waits for a decision. Raises ApplicationError if nothing does."""
        if self._pending is None or self._pending.decision is not None:
            raise _refused(f"nothing in {self._id} waits for approval")
        return self._pending

    def _amended(self, value: JsonValue) -> BaseModel:
        pending = self._open()
        try:
            amended: BaseModel = type(pending.value).model_validate(value, extra="forbid")
            if pending.check is not None:
                pending.check(amended)
        except ValidationError as error:
            faults = error.errors(include_url=False, include_input=False)
            said = "; ".join(_fault(each["loc"], each["msg"]) for each in faults[:FAULTS_SHOWN])
            more = f"; and {len(faults) - FAULTS_SHOWN} more" if len(faults) > FAULTS_SHOWN else ""
            raise _refused(f"this cannot be the {pending.name}: {said}{more}") from error
        except ValueError as error:
            raise _refused(f"this cannot be the {pending.name}: {error}") from error
        return amended

    def _decide(self, outcome: Any, reason: str | None = None) -> str:
        pending = self._open()
        pending.decision = Decision(what=pending.name, outcome=outcome, reason=reason, at=workflow.now())
        self.decisions.append(pending.decision)
        return pending.name


def _refused(message: str) -> ApplicationError:
    return ApplicationError(message, type="Refused", non_retryable=True)


def _fault(location: tuple[int | str, ...], message: str) -> str:
    where = ".".join(map(str, location))
    words = message.removeprefix("Value error, ")
    return f"{where}: {words}" if where else words
