"""What a subagent was asked, read back out of its prompt: named blocks of data between fences."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

_BLOCK = re.compile(r"^<<<DATA (?P<name>\w+) (?P<fence>\w+)\n(?:(?P<body>.*?)\n)?DATA (?P=fence)>>>$", re.M | re.S)
"""The same fence must close the block, so that data which imitates a block stays data."""


@dataclass(frozen=True)
class Assignment:
    """The blocks of one prompt by name; the last one wins, as the last word does in a conversation."""

    blocks: Mapping[str, str]
    asked_for: frozenset[str] = frozenset()
    """Names of the members an answer has, by which a persona of several forms knows which one is meant."""

    @classmethod
    def of(cls, prompt: str, asked_for: Iterable[str] = ()) -> Assignment:
        found = {found["name"]: found["body"] or "" for found in _BLOCK.finditer(prompt)}
        return cls(found, frozenset(asked_for))

    def text(self, name: str) -> str:
        """A block as it stands, trimmed; empty when there is none."""
        return self.blocks.get(name, "").strip()

    def value(self, name: str) -> JsonValue:
        """A block as JSON; None when there is none or it is not JSON."""
        try:
            value: JsonValue = json.loads(self.blocks.get(name, ""))
        except ValueError:
            return None
        return value

    def records(self, name: str) -> list[Mapping[str, JsonValue]]:
        """The objects of a block that is a JSON list; anything else in it is left out."""
        value = self.value(name)
        return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []

    def criteria(self) -> list[tuple[str, str]]:
        """Id and statement of every criterion that has an id."""
        found = ((each.get("id"), each.get("statement")) for each in self.records("criteria"))
        return [(key, str(statement or key)) for key, statement in found if isinstance(key, str)]
