"""What the service says to a call: the parts of a message and why it stopped. How it travels is another matter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from simulator.calls import CHARACTERS_PER_TOKEN, Call, tokens


@dataclass(frozen=True, slots=True)
class Part:
    """One content block."""

    kind: Literal["text", "thinking"]
    text: str


@dataclass(frozen=True, slots=True)
class Reply:
    """A message without its envelope."""

    parts: tuple[Part, ...]
    stop_reason: str = "end_turn"
    stop_sequence: str | None = None
    stop_details: Mapping[str, object] | None = None

    @property
    def output_tokens(self) -> int:
        """What the answer is charged, thinking included. Never 0: the service charges for an empty answer too."""
        return tokens("".join(part.text for part in self.parts))


def said(text: str, call: Call) -> Reply:
    """`text` as the answer to `call`, ended by the call's own stop sequences and token limit."""
    found = [(place, each) for each in call.stop_sequences if each and (place := text.find(each)) >= 0]
    place, sequence = min(found, default=(len(text), None))
    most = call.max_tokens * CHARACTERS_PER_TOKEN
    if place > most:
        return Reply((Part("text", text[:most]),), "max_tokens")
    reason = "end_turn" if sequence is None else "stop_sequence"
    return Reply((Part("text", text[:place]),), reason, sequence)
