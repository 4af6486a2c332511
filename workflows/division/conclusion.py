"""The last step of a divided task: the answers become one text. Room for it is kept back before anything is dispatched.

What it will cost follows from what there will be to read, so with each subtask goes room for reading its answer: as
long as it may become, and once it is there as long as it is. A synthesizer writes the text, in several readings if the
answers are too many for one. If none can be paid, or it fails, code puts the answers one after another: what was paid
for is never lost for want of an ending.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from pydantic_core import to_json

from workflows.caps import BoundExceeded, Caps, Grant, Spent
from workflows.contracts import Reply, Usage
from workflows.delegate import delegate
from workflows.division.agenda import Agenda, Missing
from workflows.division.assembly import put_together, readings
from workflows.division.plan_checks import PROMPT_BYTES, TOKEN_BYTES
from workflows.division.plans import Subtask
from workflows.ledger import BYTES_PER_TOKEN
from workflows.models import cost_nano
from workflows.run import Run
from workflows.subagents.synthesizer import SYNTHESIZER, Piece, Synthesis, SynthesisRequest

CAPS = (SYNTHESIZER.max_tokens, 4_000)
"""Output tokens that are kept back for the synthesis: all it may want, or, where that is too dear, a page or two."""
WORTH_KEEPING = 3
"""Agents left from which one is kept back: with fewer, the answers themselves are worth more than a synthesis."""


def result_key(id: str) -> str:
    """Where the state keeps the answer to a subtask."""
    return f"result/{id}"


@dataclass(frozen=True)
class Concluded:
    """What became of the last step."""

    content: str
    conflicts: list[str]
    error: Reply[Any] | None = None
    """The synthesizer's, if code had to take its place."""
    unpaid: bool = False
    """There was no room for a synthesizer at all."""


class Conclusion:
    """The last step of one run."""

    def __init__(self, run: Run[Any], task: str) -> None:
        self._run, self._task = run, task
        self._kept: Grant | None = None
        self._kept_for: dict[str, Grant] = {}
        """For reading the answers of subtasks under way."""
        self._kept_for_answers: Grant | None = None
        """For reading all answers that are there: one grant, for a ledger looks through all of them at every call."""
        self._subagent = SYNTHESIZER
        self._readings = 0
        self.expected = False
        """Whether there is a last step at all: a simple task has none."""

    def keep_room(self, subtasks: Sequence[Subtask]) -> None:
        """Keep back a synthesizer for these, and what it costs beside reading their answers, if there is enough."""
        self.expected = True
        ledger = self._run.ledger
        if ledger.left.agents is not None and ledger.left.agents < WORTH_KEEPING:
            return
        size = PROMPT_BYTES + len(self._task.encode()) + sum(len(each.objective.encode()) for each in subtasks)
        for cap in CAPS:
            worst = self._cost(size, cap)
            try:
                self._kept = ledger.keep_back(agents=1, nano_usd=worst.nano_usd or 0, tokens=worst.tokens or 0)
            except BoundExceeded:
                continue
            self._subagent = replace(SYNTHESIZER, max_tokens=cap)
            return

    def reading(self, subtask: Subtask) -> Caps:
        """What reading its answer will cost at most; nothing if nobody is kept back to read it, or nobody counts it."""
        if self._kept is None or not self._run.ledger.capped:
            return Caps(nano_usd=0, tokens=0)
        return self._cost(subtask.effort.tokens * TOKEN_BYTES, 0)

    async def keep_room_for(self, subtask: Subtask) -> None:
        """Keep back what reading its answer will cost at most. Raises BoundExceeded if there is no room for that."""
        if self._kept is not None and self._run.ledger.capped:
            self._kept_for[subtask.id] = await self._run.bounds.keep_back(subtask.id, self.reading(subtask))

    def has_ended(self, subtask: Subtask) -> None:
        """Keep what reading its answer costs now that it is there; nothing if there is none."""
        if (grant := self._kept_for.pop(subtask.id, None)) is None:
            return
        self._run.ledger.returned(grant, Spent())
        if self._run.state.get(result_key(subtask.id)) is not None:
            real = self._cost_of_answers([subtask])
            nano_usd = min(real.nano_usd or 0, grant.caps.nano_usd or 0)
            self._keep_for_answers(Caps(nano_usd=nano_usd, tokens=min(real.tokens or 0, grant.caps.tokens or 0)))

    def resume(self, agenda: Agenda) -> None:
        """In a run that continues: keep back again what was kept before, for it was given back to be carried."""
        self.keep_room([item.subtask for item in agenda.items.values()])
        if self._kept is not None and self._run.ledger.capped:
            with suppress(BoundExceeded):  # then the synthesis is what is cut
                self._keep_for_answers(self._cost_of_answers(agenda.usable()))

    def _keep_for_answers(self, more: Caps) -> None:
        before = self._kept_for_answers
        nano_usd, tokens = more.nano_usd or 0, more.tokens or 0
        if before is not None:
            self._run.ledger.returned(before, Spent())
            nano_usd, tokens = nano_usd + (before.caps.nano_usd or 0), tokens + (before.caps.tokens or 0)
        self._kept_for_answers = self._run.ledger.keep_back(nano_usd=nano_usd, tokens=tokens)

    def _cost_of_answers(self, subtasks: Sequence[Subtask]) -> Caps:
        return self._cost(len(to_json(self._run.state.excerpt(result_key(each.id) for each in subtasks))), 0)

    async def write(self, agenda: Agenda) -> Concluded:
        """Put together what there is."""
        subtasks, missing = agenda.usable(), agenda.missing()
        if self._kept is None:
            self.keep_room(subtasks)  # a bound may have been raised since it was tried first
        if self._kept is None and not self._run.bounds.pauses:
            return Concluded(self.by_code(subtasks), [], unpaid=True)
        self.give_room_back()
        reply = await self._read([self._piece(each) for each in subtasks], missing)
        if reply.answer is None:
            return Concluded(self.by_code(subtasks), [], error=reply)
        return Concluded(reply.answer.content, reply.answer.conflicts)

    def give_room_back(self) -> None:
        """It is needed now, or no more."""
        for grant in (*self._kept_for.values(), self._kept_for_answers, self._kept):
            if grant is not None:
                self._run.ledger.returned(grant, Spent())
        self._kept, self._kept_for, self._kept_for_answers = None, {}, None

    def by_code(self, subtasks: Sequence[Subtask]) -> str:
        """The answers as they are, one after another."""
        answers = self._run.state.excerpt(result_key(each.id) for each in subtasks)
        return put_together(subtasks, {each.id: answers[result_key(each.id)] for each in subtasks})

    async def _read(self, pieces: list[Piece], missing: list[Missing]) -> Reply[Synthesis]:
        """The synthesis of these; of too many, the synthesis of several readings."""
        answers = self._run.state.excerpt(each.result for each in pieces)
        groups = readings({key: len(to_json(answer)) for key, answer in answers.items()})
        if len(groups) == 1:
            return await self._ask(pieces, missing)
        of = {each.result: each for each in pieces}
        read = [
            self._ask([of[key] for key in group], [], f"{number} of {len(groups)}")
            for number, group in enumerate(groups, 1)
        ]
        replies = await asyncio.gather(*read)
        failed = next((reply for reply in replies if reply.answer is None), None)
        if failed is not None:
            return failed
        notes = [
            Piece(id=f"part {number}", objective="Notes on some of the answers", result=str(reply.kept_at))
            for number, reply in enumerate(replies, 1)
        ]
        return await self._read(notes, missing)

    async def _ask(self, pieces: list[Piece], missing: list[Missing], part: str | None = None) -> Reply[Synthesis]:
        self._readings += 1
        return await delegate(
            self._run,
            self._subagent,
            SynthesisRequest(task=self._task, subtasks=pieces, missing=missing, part=part),
            reads=[each.result for each in pieces],
            writes=f"synthesis/{self._readings}",
        )

    def _cost(self, size: int, max_tokens: int) -> Caps:
        usage = Usage(cache_write_tokens=size // BYTES_PER_TOKEN + 1, output_tokens=max_tokens)
        model = self._run.model_of(SYNTHESIZER.role, SYNTHESIZER.tier)
        return Caps(nano_usd=cost_nano(model, usage), tokens=usage.total)

    @staticmethod
    def _piece(subtask: Subtask) -> Piece:
        return Piece(id=subtask.id, objective=subtask.objective, result=result_key(subtask.id))
