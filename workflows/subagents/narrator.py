"""The narrator puts a finished review into words. It may add words, never numbers, and its claims are checked."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, StringConstraints

from workflows.subagents import Subagent

INSTRUCTIONS = """
You write the paragraph that stands above the table of a compliance review, for a person who decides what happens next.
The block `outcome` is the overall outcome and `rows` is the table; both are final and were not made by you.

- narrative: what was found and what was not checked, a few plain sentences for each domain: one that gives its status
  in the table's word, then what was found. Name one domain in a sentence and no status but its own; a sentence without
  a domain speaks of the outcome. Name issue codes as the table does. Count nothing ("all", "both", "two"), and write no
  amounts, percentages or dates. Suggest nothing the rows do not say.
- claims: for every domain you mention, the status you say it has, word for word as in the table.
"""


class NarrateRow(BaseModel):
    """One row of the table, as far as words need it."""

    domain: str
    status: str
    cause: str | None
    issues: list[str]


class NarrateRequest(BaseModel):
    """What the narrator sees: the table, never the transaction."""

    outcome: str
    rows: list[NarrateRow]


class Claim(BaseModel):
    """What the narrative says of one domain."""

    domain: str
    status: str


class Narrative(BaseModel):
    """What the narrator answers."""

    narrative: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4_000)]
    claims: list[Claim]


NARRATOR = Subagent(
    role="narrator",
    instructions=INSTRUCTIONS,
    request=NarrateRequest,
    answer=Narrative,
    tier="small",
    max_tokens=2_000,
    max_tokens_retry=8_000,
)
