"""What a run takes along when its history has become long and its workflow continues as new: everything but history."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from workflows.caps import BoundsState
from workflows.contracts import Decision, Reply
from workflows.state import Event


class Carried(BaseModel):
    """A run between two executions of its workflow, with no call under way."""

    bounds: BoundsState
    replies: list[Reply[Any]]
    roles: dict[str, int]
    """How many agents of each role were named, so that no name is given twice."""
    log: list[Event]
    """Of the shared state, which is the fold of it."""
    executions: list[str]
    """Those it has lived in, oldest first."""
    decisions: list[Decision] = []
    """What people said to its proposals."""
