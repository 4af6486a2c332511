"""Delegating: the only place that schedules a subagent call, and the only one that makes a Reply.

A delegation is one activity when all goes well. An answer that cannot be used gets one more, of the remedy its
fault allows: a larger cap for a truncated one, a repair for one of the wrong form. Everything else that can be
retried is retried by Temporal inside the activity's retry policy, where it costs no history. Behind an open circuit
the run waits in an activity of its own, for as long as the outage lasts, and then delegates again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

from pydantic import BaseModel, JsonValue
from pydantic_core import to_json
from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, TimeoutError, TimeoutType

from workflows.answers import Unusable, form_of, judge
from workflows.call_endings import failure_of
from workflows.cancellation import being_cancelled, to_its_end
from workflows.contracts import (
    AWAIT_CIRCUIT,
    CALL_RETRY,
    CALL_SUBAGENT,
    CIRCUIT_QUEUE,
    HEARTBEAT_TIMEOUT,
    LONGEST_WAIT,
    MAX_ATTEMPTS,
    START_TO_CLOSE,
    CallFailure,
    CallOutcome,
    CircuitPassage,
    CircuitWait,
    Reply,
    SubagentCall,
    Usage,
)
from workflows.failures import FailureKind
from workflows.ledger import BoundExceeded
from workflows.models import cost_nano, subagent_queue, usd
from workflows.prompts import refusal_note, system_prompt, user_prompt
from workflows.run import Run, kind_of
from workflows.subagents import Subagent

RequestT = TypeVar("RequestT", bound=BaseModel)
AnswerT = TypeVar("AnswerT", bound=BaseModel)


async def delegate(
    run: Run[Any],
    subagent: Subagent[RequestT, AnswerT],
    request: RequestT,
    *,
    reads: Sequence[str] = (),
    writes: str | None = None,
) -> Reply[AnswerT]:
    """Ask `subagent` and return its reply, success or error; raises only when the run itself is cancelled.

    The subagent sees its instructions, the request, and of the run's shared state exactly the keys it `reads`. Its
    answer is kept under the key it `writes`. Raises StateError if a key is none of the run's, or has no value to read.
    """
    excerpt = run.state.excerpt(reads)
    if writes is not None:
        run.state.slot(writes)
    delegation = _Delegation(run, subagent)
    try:
        reply = await delegation.ask(request, excerpt)
    except asyncio.CancelledError:
        when = "while it was under way" if delegation.begun else "before it was started"
        run.record(delegation.error("cancelled", f"cancelled {when}"))
        raise
    answer = reply.answer
    if writes and answer and run.state.write(writes, answer, writer=reply.agent, attempt=reply.attempts):
        reply = reply.model_copy(update={"kept_at": writes})
    run.record(reply)
    if being_cancelled():
        # The activity was let finish, so its answer is paid and kept; but the cancellation must not be lost with it.
        raise asyncio.CancelledError
    return reply


class _Delegation:
    """One subagent, one request, up to two activities; sums what all of them used."""

    def __init__(self, run: Run[Any], subagent: Subagent[Any, Any]) -> None:
        self.run = run
        self.subagent = subagent
        self.agent = run.name_agent(subagent.role)
        self.model = subagent.model or run.model_of(subagent.role, subagent.tier)
        self.started = workflow.now()
        self.usage = Usage()
        self.attempts = 0
        self.simulated = False
        self.begun = False
        """It has been started, and counts as an agent: its repair is no other one."""
        self.outcome: CallOutcome | None = None
        self.request_id: str | None = None

    async def ask(self, request: BaseModel, state: Mapping[str, JsonValue]) -> Reply[Any]:
        call = SubagentCall(
            agent=self.agent,
            role=self.subagent.role,
            model=self.model,
            instructions=system_prompt(self.subagent.instructions),
            prompt=user_prompt(request, _fence(request.model_dump_json() + to_json(state).decode()), state),
            answer_schema=form_of(self.subagent.answer),
            headline=self.subagent.headline,
            max_tokens=self.subagent.max_tokens,
            capped=self.run.ledger.capped,
        )
        verdict = await self._attempt(call, "")
        if isinstance(verdict, Unusable) and verdict.remedy == "larger_cap":
            larger = call.model_copy(update={"max_tokens": self.subagent.max_tokens_retry})
            verdict = await self._attempt(larger, "longer")
        elif isinstance(verdict, Unusable) and verdict.remedy == "repair" and self.outcome is not None:
            # The model has seen the first fence and could close it from inside its own answer: draw another.
            fence = _fence(call.prompt + self.outcome.text)
            note = refusal_note(verdict.message, self.outcome.text, fence)
            repaired = call.model_copy(update={"prompt": f"{call.prompt}\n\n{note}"})
            verdict = await self._attempt(repaired, "repair")
        if isinstance(verdict, Unusable):
            return self.error(verdict.kind, verdict.message)
        return self._reply(status="success", answer=verdict)

    def error(self, kind: FailureKind, message: str) -> Reply[Any]:
        return self._reply(status="error", error_kind=kind, error_message=message)

    async def _attempt(self, call: SubagentCall, step: str) -> Any | Unusable:
        """One activity, judged; another of the same words only behind an open circuit, or to reserve again."""
        made_before = self.attempts
        while True:
            try:
                said = await self._schedule(call, step, MAX_ATTEMPTS - (self.attempts - made_before))
            except BoundExceeded as bound:
                return Unusable(kind_of(bound), str(bound), "none")
            if isinstance(said, CallOutcome):
                self.outcome = said
                verdict = judge(said, self.subagent.answer)
                if isinstance(verdict, Unusable) and being_cancelled():
                    raise asyncio.CancelledError(verdict.message)  # nobody asks again for a run that is over
                return verdict
            if being_cancelled():
                raise asyncio.CancelledError(said.message)
            if said.kind == "circuit_open" and said.circuit and self.run.waits_for_circuit:
                passage = await self._wait(said.circuit)
                if isinstance(passage, CallFailure):
                    return Unusable(passage.kind, passage.message, "none")
                # The outage was waited out, not retried through: patience starts anew.
                call, made_before = call.model_copy(update={"permit": passage.permit}), self.attempts
            elif said.kind != "budget_exceeded" or self.attempts - made_before >= MAX_ATTEMPTS:
                return Unusable(said.kind, said.message, "none")

    async def _wait(self, circuit: str) -> CircuitPassage | CallFailure:
        """One activity, however long the outage lasts, outside the subagents' slots."""
        left = self._time_left()
        late = CallFailure(
            kind="deadline", message=f"the run's deadline passed while the circuit of {self.model} was open", attempts=0
        )
        if left is not None and left <= timedelta(0):
            return late
        try:
            with self.run.waiting_for(self.agent, circuit):
                passage: CircuitPassage = await workflow.execute_activity(
                    AWAIT_CIRCUIT,
                    CircuitWait(key=circuit, agent=self.agent, model=self.model),
                    result_type=CircuitPassage,
                    task_queue=CIRCUIT_QUEUE,
                    activity_id=f"{self.agent}.circuit",
                    summary=f"{self.agent} waits for the circuit of {self.model}",
                    start_to_close_timeout=LONGEST_WAIT,
                    schedule_to_close_timeout=left,
                    heartbeat_timeout=HEARTBEAT_TIMEOUT,
                    retry_policy=RetryPolicy(maximum_interval=HEARTBEAT_TIMEOUT),
                    cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
                )
                return passage
        except ActivityError as error:
            if being_cancelled():
                raise asyncio.CancelledError from error
            cause = error.cause
            if isinstance(cause, TimeoutError) and cause.type == TimeoutType.SCHEDULE_TO_CLOSE:
                return late
            return CallFailure(kind="circuit_open", message=f"waiting for the circuit failed: {cause}", attempts=0)

    def _time_left(self) -> timedelta | None:
        return None if self.run.deadline is None else self.run.deadline - workflow.now()

    async def _schedule(self, call: SubagentCall, step: str, attempts: int) -> CallOutcome | CallFailure:
        """Reserve, schedule, settle: however the activity ends, what it used is in the ledger."""
        reservation = await self.run.bounds.reserve(
            self.agent,
            model=self.model,
            input_bytes=_size(call),
            max_tokens=call.max_tokens,
            agents=0 if self.begun else 1,
        )
        self.begun = True
        said: CallOutcome | CallFailure = CallFailure(kind="cancelled", message="cancelled", attempts=0)
        activity = workflow.start_activity(
            CALL_SUBAGENT,
            call,
            result_type=CallOutcome,
            task_queue=subagent_queue(call.model),
            activity_id=f"{self.agent}.{step}" if step else self.agent,
            summary=self._summary(step),
            start_to_close_timeout=START_TO_CLOSE,
            schedule_to_close_timeout=self._time_left(),
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=replace(CALL_RETRY, maximum_attempts=attempts),
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        )
        try:
            said = await to_its_end(activity)
        except ActivityError as error:
            said = failure_of(error)
        finally:
            self.run.ledger.settle(reservation, said.usage)
            self.usage = self.usage + said.usage
            self.attempts += said.attempts
            self.simulated = self.simulated or said.simulated
            self.request_id = said.request_id
        return said

    def _summary(self, step: str) -> str:
        """What the UI's timeline shows: `evaluator #2 · claude-haiku-5-5`."""
        role, _, number = self.agent.rpartition("-")
        name = role if number == "1" else f"{role} #{number}"
        return f"{name} · {self.model}" + (f" · {step}" if step else "")

    def _reply(self, **verdict: Any) -> Reply[Any]:
        return Reply(
            agent=self.agent,
            role=self.subagent.role,
            stop_reason=self.outcome.stop_reason if self.outcome else None,
            usage=self.usage,
            cost_usd=usd(cost_nano(self.model, self.usage)),
            model=self.model,
            request_id=self.request_id,
            attempts=self.attempts,
            simulated=self.simulated,
            started_at=self.started,
            duration=workflow.now() - self.started,
            **verdict,
        )


def _size(call: SubagentCall) -> int:
    """Bytes of everything the API will count as input."""
    return len(call.model_dump_json().encode())


def _fence(text: str) -> str:
    """A random word that the text does not contain; deterministic on replay."""
    while (fence := f"{workflow.random().getrandbits(64):016x}") in text:
        continue
    return fence
