"""How much of what was asked for must pass: declared before anything is dispatched, decided by counting alone.

`all`          every required one passes; an optional one may fail
`quorum:K`     K of everything asked for pass, whichever they are: the caller's word goes before "required"
`best-effort`  one pass is enough

Pure. The same three words are the option `--require` of every pipeline that fans out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator

_QUORUM = re.compile(r"^quorum:([1-9]\d{0,3})$")


@dataclass(frozen=True)
class Tally:
    """What became of everything that was asked for, required ones apart; what is in neither count is still open.

    The denominator is what was asked for, never what was answered.
    """

    total: int
    passed: int
    failed: int
    required: int
    required_passed: int
    required_failed: int

    @property
    def pending(self) -> int:
        """How many are still open."""
        return self.total - self.passed - self.failed


@dataclass(frozen=True)
class Policy:
    """One of the three; `quorum` is the K of `quorum:K` and nothing for the others."""

    kind: Literal["all", "quorum", "best-effort"]
    quorum: int | None = None

    @classmethod
    def parse(cls, text: str) -> Policy:
        """The policy these words name. Raises ValueError, one line, if they name none."""
        match text:
            case "all" | "best-effort":
                return cls(text)
        if found := _QUORUM.match(text):
            return cls("quorum", int(found[1]))
        raise ValueError("is none of: all, quorum:K (K of them are enough, e.g. quorum:2), best-effort")

    def __str__(self) -> str:
        return f"quorum:{self.quorum}" if self.kind == "quorum" else self.kind

    def met(self, tally: Tally) -> bool:
        """Whether enough has passed, however the open ones end."""
        match self.kind:
            case "all":
                return tally.required_passed == tally.required and (tally.passed > 0 or tally.total == 0)
            case "quorum":
                return tally.passed >= self._least
            case "best-effort":
                return tally.passed > 0

    def hopeless(self, tally: Tally) -> bool:
        """Whether it can no longer be met, whatever the open ones do: time to stop paying for them."""
        match self.kind:
            case "all":
                return tally.required_failed > 0 or (tally.passed == 0 and tally.pending == 0 and tally.total > 0)
            case "quorum":
                return tally.passed + tally.pending < self._least
            case "best-effort":
                return tally.passed == 0 and tally.pending == 0

    @property
    def _least(self) -> int:
        return self.quorum or 1


def _checked(text: str) -> str:
    return str(Policy.parse(text.strip()))


Require = Annotated[str, AfterValidator(_checked)]
"""The type of an Input's field `require`: the words, checked; `Policy.parse` makes the policy of them."""
