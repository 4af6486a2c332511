"""The durable shared state of a run: versioned keys, and a log of everything that was written or refused.

The state is the fold of its log and nothing else, so any earlier moment can be rebuilt and two parallel writers can
never lose each other's work unseen. Nobody wins by being last. What a write may do is decided, in this order, by

1. its type: a key that was not declared, or a value of another type, is a mistake and is raised as one;
2. its fencing token (run, attempt): an attempt that was overtaken is `stale`, however late it arrives;
3. the rule its key was declared with: `owned` (the default) has one writer for ever; `compared` takes any writer who
   names the version it has seen; `union`, `highest`, `counter` and `keyed` merge, because for them order is no matter.

A refused write is recorded with its value, and the loser gets both values back. Pure: time is passed in.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, JsonValue, ValidationError

from workflows.contracts import Frozen

ModelT = TypeVar("ModelT", bound=BaseModel)

Rule = Literal["owned", "compared", "union", "highest", "counter", "keyed"]
Outcome = Literal["written", "merged", "refused"]
Refusal = Literal["other_writer", "conflict", "stale"]

KEY = re.compile(r"[a-z][a-z0-9_-]{0,63}/[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
"""`{stage}/{task}`: fit for a file name, a URL and a shell."""
ANY_TASK = "*"
"""As the task of a declaration: every task of that stage."""
REFUSED_VALUE_LIMIT = 16 * 1024
"""Bytes of a refused value that the log keeps; of a larger one its digest. Accepted values are always kept."""


class StateError(Exception):
    """A write or a read that is a mistake: nothing is recorded. `str()` says what to do instead."""


@dataclass(frozen=True)
class Slot:
    """What may stand under a key, and who may change it."""

    model: type[BaseModel]
    rule: Rule = "owned"


class Entry(Frozen):
    """What stands under a key now."""

    value: JsonValue
    version: int
    """1 for the first; each accepted write adds one."""
    writer: str
    run: str
    attempt: int
    at: datetime


class Event(Frozen):
    """One line of the log."""

    seq: int
    """From 1, without gaps."""
    at: datetime
    writer: str
    run: str
    attempt: int
    key: str
    base_version: int
    """The version the key had when this write arrived; 0 for none."""
    value: JsonValue = None
    """What was written, or merged in; None where only the digest of a large refused value is kept."""
    digest: str
    """SHA-256 of the value's canonical JSON."""
    outcome: Outcome
    refusal: Refusal | None = None


class Refused(Exception):
    """A write that lost. It is in the log; `current` is what stands there instead."""

    def __init__(self, event: Event, current: Entry | None) -> None:
        super().__init__(f"{event.key}: {_REFUSALS[event.refusal or 'conflict']}")
        self.event = event
        self.current = current


_REFUSALS: Mapping[Refusal, str] = {
    "other_writer": "another writer owns this key",
    "conflict": "it has changed since the version that was seen",
    "stale": "a later attempt of the same writer has written already",
}


class State:
    """The keys of one run. One task at a time: between a look and a write nothing else may run."""

    def __init__(
        self, slots: Mapping[str, Slot], run: str, log: Sequence[Event] = (), runs: Sequence[str] = ()
    ) -> None:
        """`run` is this execution's id; `runs` are those it continues, oldest first, and `log` is theirs."""
        self._slots = dict(slots)
        self._runs = [*runs, run] if run not in runs else list(runs)
        self._log: list[Event] = []
        self._entries: dict[str, Entry] = {}
        self._latest: dict[tuple[str, str], tuple[int, int]] = {}
        """The newest token of each writer of each key: an older one of the same writer comes too late."""
        for event in log:
            self._apply(event)

    @property
    def log(self) -> tuple[Event, ...]:
        """Everything that was written or refused, oldest first. All there is to carry on from."""
        return tuple(self._log)

    @property
    def runs(self) -> tuple[str, ...]:
        """The executions this state has lived in, oldest first."""
        return tuple(self._runs)

    @property
    def entries(self) -> dict[str, Entry]:
        """Every key that has a value, in the order of their first write."""
        return dict(self._entries)

    def get(self, key: str) -> Entry | None:
        """What stands under a key; None if nothing does yet. Raises StateError for a key that was not declared."""
        self.slot(key)
        return self._entries.get(key)

    def value(self, key: str, model: type[ModelT]) -> ModelT:
        """The value under a key. Raises StateError if there is none."""
        entry = self.get(key)
        if entry is None:
            raise StateError(f"there is nothing under {key} yet")
        return model.model_validate(entry.value)

    def excerpt(self, keys: Iterable[str]) -> dict[str, JsonValue]:
        """The values of exactly these keys. Raises StateError if one has none."""
        found = {}
        for key in keys:
            entry = self.get(key)
            if entry is None:
                raise StateError(f"there is nothing under {key} yet, so nobody can read it")
            found[key] = entry.value
        return found

    def slot(self, key: str) -> Slot:
        """What a key was declared as. Raises StateError if it was not."""
        slot = self._slots.get(key) or self._slots.get(f"{key.partition('/')[0]}/{ANY_TASK}")
        if slot is None or not KEY.fullmatch(key):
            known = ", ".join(self._slots) or "none"
            raise StateError(f"{_shown(key)} is not a key of this run; its keys are: {known}")
        return slot

    def checked(self, key: str, value: object) -> JsonValue:
        """The value as it would be kept. Raises StateError for an unknown key or a value of another type."""
        slot = self.slot(key)
        try:
            # A member that nobody knows is a slip of whoever writes: dropped, it would look as if it had been kept.
            model = value if isinstance(value, slot.model) else slot.model.model_validate(value, extra="forbid")
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, found["loc"])) or "value"
            raise StateError(f"{key} holds a {slot.model.__name__}; {place}: {found['msg']}") from error
        kept: JsonValue = model.model_dump(mode="json")
        needed = _MERGED_TYPES.get(slot.rule)
        if needed is not None and (not isinstance(kept, needed) or isinstance(kept, bool)):
            raise StateError(f"{key} is declared as {slot.rule}, which {slot.model.__name__} cannot be")
        return kept

    def put(
        self,
        key: str,
        value: object,
        *,
        writer: str,
        at: datetime,
        run: str | None = None,
        attempt: int = 1,
        expected_version: int | None = None,
    ) -> Entry:
        """Write, merge, or be refused: recorded in each case.

        `expected_version` is the version the writer has seen, 0 or None for nothing; a `compared` key always checks
        it, any other where it is given. Raises Refused for a write that lost, StateError for a mistake.
        """
        kept = self.checked(key, value)
        current = self._entries.get(key)
        run = run or self._runs[-1]
        refusal = self._refusal(key, kept, writer, (run, attempt), expected_version)
        merges = self.slot(key).rule in _MERGES and current is not None
        event = Event(
            seq=len(self._log) + 1,
            at=at,
            writer=writer,
            run=run,
            attempt=attempt,
            key=key,
            base_version=current.version if current else 0,
            value=None if refusal and len(_canonical(kept)) > REFUSED_VALUE_LIMIT else kept,
            digest=digest(kept),
            outcome="refused" if refusal else "merged" if merges else "written",
            refusal=refusal,
        )
        self._apply(event)
        if refusal:
            raise Refused(event, current)
        return self._entries[key]

    def as_of(self, seq: int) -> State:
        """The state as it was after event `seq` (0: before the first). Raises StateError for an event to come."""
        if not 0 <= seq <= len(self._log):
            raise StateError(f"there is no event {seq}; the log has {len(self._log)}")
        return State(self._slots, self._runs[-1], self._log[:seq], self._runs)

    def _refusal(
        self, key: str, value: JsonValue, writer: str, token: tuple[str, int], expected: int | None
    ) -> Refusal | None:
        rule, current = self.slot(key).rule, self._entries.get(key)
        if token[0] not in self._runs:
            return "stale"  # of a run this state knows nothing of: reset away, or never ours
        if self._order(*token) < self._latest.get((key, writer), (0, 0)):
            return "stale"
        if current is None:
            return "conflict" if expected else None
        if rule == "owned" and current.writer != writer:
            return "other_writer"
        if (rule == "compared" or expected is not None) and (expected or 0) != current.version:
            return "conflict"
        if rule == "keyed" and _contradicts(current.value, value):
            return "conflict"
        return None

    def _order(self, run: str, attempt: int) -> tuple[int, int]:
        return self._runs.index(run), attempt

    def _apply(self, event: Event) -> None:
        self._log.append(event)
        if event.outcome == "refused":
            return
        self._latest[event.key, event.writer] = self._order(event.run, event.attempt)
        current = self._entries.get(event.key)
        merge = _MERGES.get(self.slot(event.key).rule)
        self._entries[event.key] = Entry(
            value=merge(current.value if current else None, event.value) if merge else event.value,
            version=event.base_version + 1,
            writer=event.writer,
            run=event.run,
            attempt=event.attempt,
            at=event.at,
        )


def digest(value: JsonValue) -> str:
    """SHA-256 of a value's canonical JSON, by which copies can be told to be the same."""
    return hashlib.sha256(_canonical(value)).hexdigest()


def _canonical(value: JsonValue) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _union(old: Any, new: Any) -> JsonValue:
    """Sorted, so that the value does not tell the order of the writes."""
    return sorted({_canonical(each): each for each in [*(old or []), *new]}.values(), key=_canonical)


_MERGES: Mapping[Rule, Callable[[Any, Any], JsonValue]] = {
    "union": _union,
    "highest": lambda old, new: new if old is None else max(old, new),
    "counter": lambda old, new: (old or 0) + new,
    "keyed": lambda old, new: {**(old or {}), **new},
}
"""How a value that stands (None: nothing does) and a new one become one, whichever came first."""
_MERGED_TYPES: Mapping[Rule, type | tuple[type, ...]] = {
    "union": list,
    "highest": (int, float),
    "counter": int,  # sums of floats depend on the order
    "keyed": dict,
}


def _contradicts(old: Any, new: Any) -> bool:
    """Whether two maps say different things of one name."""
    return any(name in old and old[name] != value for name, value in new.items())


def _shown(key: str) -> str:
    return repr(key if len(key) <= 80 else key[:79] + "…")
