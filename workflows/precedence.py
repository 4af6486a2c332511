"""Whose turn it is when there is more work than slots: a run's priority and its tenant.

Both are given to the run's workflow, and Temporal hands them on to everything that it schedules: its own tasks, its
calls, its children. Priority comes first, and within one priority tenants take turns, however many runs one of them
has started. How large a tenant's share is can be set at the server (README).
"""

from __future__ import annotations

from pydantic import BaseModel, Field
from temporalio.common import Priority


class Precedence(BaseModel):
    """The part of a run's input that says so."""

    priority: int | None = Field(
        default=None, ge=1, le=5, description="Who goes first when workers are busy: 1 before 5; unset is 3."
    )
    tenant: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$",
        description="On whose behalf: tenants take turns, however much one of them starts.",
    )

    def place_in_line(self) -> Priority:
        """As Temporal is told when the run is started."""
        return Priority(priority_key=self.priority, fairness_key=self.tenant)
