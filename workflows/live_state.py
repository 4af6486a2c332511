"""A run's state inside its workflow: stamped with workflow time, readable by query, writable by an update.

Queries: `state` (a StateQuestion: one key or all, now or as of an event) and `events`. Update: `put` (a Put): a mistake
is refused by its validator and leaves no trace; a write that loses against another is answered with both values and
stays in the log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, JsonValue, StringConstraints, ValidationError
from temporalio import workflow
from temporalio.exceptions import ApplicationError

from workflows.contracts import Frozen
from workflows.state import Entry, Event, Refusal, Refused, Slot, State, StateError

STATE_QUERY = "state"
EVENTS_QUERY = "events"
PUT_UPDATE = "put"


def _name(text: str) -> str:
    if not text.isprintable():
        raise ValueError("a writer's name is one line of printable characters")
    return text


Writer = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_name)]


class StateQuestion(Frozen):
    """What to read of a state."""

    key: str | None = None
    """None: every key."""
    at: int | None = Field(default=None, ge=0)
    """As it was after this event of the log; None: now."""


class Put(Frozen):
    """A write from outside."""

    key: str
    value: JsonValue
    writer: Writer
    run: str | None = None
    """The execution on whose behalf it is written; None: the one that is asked."""
    attempt: int = Field(default=1, ge=1)
    expected_version: int | None = Field(default=None, ge=0)
    """The version that was seen; 0 or None: nothing."""


class PutAnswer(Frozen):
    """What became of a write."""

    outcome: Literal["written", "refused"]
    refusal: Refusal | None = None
    yours: JsonValue
    theirs: Entry | None = None
    """What stands there now."""


class LiveState(State):
    """The durable shared state of one run, where the run itself writes it."""

    def __init__(
        self,
        slots: Mapping[str, Slot],
        over: Callable[[], bool],
        log: Sequence[Event] = (),
        runs: Sequence[str] = (),
    ) -> None:
        """`over` tells whether the run has ended: nothing is written from outside any more. `log` and `runs` are those
        of the executions this one continues."""
        super().__init__(slots, workflow.info().run_id, log, runs)
        self._over = over
        workflow.set_query_handler(STATE_QUERY, self._read)
        workflow.set_query_handler(EVENTS_QUERY, self._events)
        workflow.set_update_handler(PUT_UPDATE, self._put, validator=self._validate)

    def write(self, key: str, value: BaseModel, *, writer: str, attempt: int = 1) -> bool:
        """Write now. False if the write lost: what stands there is another's, and the log says why."""
        try:
            self.put(key, value, writer=writer, attempt=max(attempt, 1), at=workflow.now())
        except Refused:
            return False
        return True

    def _read(self, question: StateQuestion) -> dict[str, Entry]:
        state: State = self if question.at is None else self.as_of(question.at)
        if question.key is None:
            return state.entries
        entry = state.get(question.key)
        return {} if entry is None else {question.key: entry}

    def _events(self) -> list[Event]:
        return list(self.log)

    # Both take plain JSON: what does not decode is refused by the SDK, which does not say what is wrong with it.

    def _validate(self, asked: JsonValue) -> None:
        if self._over():
            raise ApplicationError("the run is over; its state changes no more", type="RunOver", non_retryable=True)
        try:
            put = Put.model_validate(asked)
            self.checked(put.key, put.value)
        except ValidationError as error:
            raise ApplicationError(_faults(error), type="PutInvalid", non_retryable=True) from error
        except StateError as error:
            raise ApplicationError(str(error), type="StateError", non_retryable=True) from error

    async def _put(self, asked: JsonValue) -> PutAnswer:
        put = Put.model_validate(asked)
        try:
            entry = self.put(
                put.key,
                put.value,
                writer=put.writer,
                run=put.run,
                attempt=put.attempt,
                expected_version=put.expected_version,
                at=workflow.now(),
            )
        except Refused as lost:
            return PutAnswer(outcome="refused", refusal=lost.event.refusal, yours=put.value, theirs=lost.current)
        return PutAnswer(outcome="written", yours=put.value, theirs=entry)


def _faults(error: ValidationError) -> str:
    """What is wrong with a put, in one line."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    words = (each["msg"].removeprefix("Value error, ") for each in found)
    places = (".".join(map(str, each["loc"])) or "it" for each in found)
    return "this cannot be put: " + "; ".join(f"{place}: {said}" for place, said in zip(places, words, strict=True))
