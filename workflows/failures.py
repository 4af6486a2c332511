"""What can fail, and what each failure means. The table decides; `activities.failures` only translates into it.

kind              who can act            Temporal retries   counts against the circuit
overloaded        the provider           yes                yes
transport         the network            yes                yes
timeout           the provider           yes                yes
conflict          nobody, try again      yes                yes
throttled         we, by waiting         not before told    no: it closes the gate for all
spend             the account's owner    never              no
credentials       the operator           never              no
request           the author             never              no
circuit_open      time                   never              no
answer_unusable   the step, once         never              no: the service is up
refused           the author             never              no
truncated         the step, once         never              no
budget_exceeded   the run's owner        never              no
deadline          the run's owner        never              no
unreadable        the operator           yes                no
our_bug           us                     never              no
cancelled         the run's owner        never              no
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FailureKind = Literal[
    "overloaded",
    "transport",
    "timeout",
    "conflict",
    "throttled",
    "spend",
    "credentials",
    "request",
    "circuit_open",
    "answer_unusable",
    "refused",
    "truncated",
    "budget_exceeded",
    "deadline",
    "unreadable",
    "our_bug",
    "cancelled",
]


@dataclass(frozen=True)
class Meaning:
    """What a failure kind asks of everyone who meets it."""

    retryable: bool
    """Temporal may schedule another attempt."""
    counts: bool
    """The circuit counts it as a failure of the service."""
    advice: str
    """The next step for a person, one sentence without a full stop."""


FAILURES: dict[FailureKind, Meaning] = {
    "overloaded": Meaning(True, True, "start the run again later"),
    "transport": Meaning(True, True, "check the network and ANTHROPIC_BASE_URL"),
    "timeout": Meaning(True, True, "start the run again later"),
    "conflict": Meaning(True, True, "start the run again"),
    "throttled": Meaning(True, False, "lower the load or raise the rate limit"),
    "spend": Meaning(False, False, "raise the spend limit or settle billing with the provider"),
    "credentials": Meaning(False, False, "set a valid ANTHROPIC_API_KEY for the worker"),
    "request": Meaning(False, False, "check the model's name and the input"),
    "circuit_open": Meaning(False, False, "wait until the circuit closes"),
    "answer_unusable": Meaning(False, False, "try another model"),
    "refused": Meaning(False, False, "rephrase the task"),
    "truncated": Meaning(False, False, "ask for less at once"),
    "budget_exceeded": Meaning(False, False, "allow more, or let it wait for you with --on-budget pause"),
    "deadline": Meaning(False, False, "allow a later deadline"),
    "unreadable": Meaning(True, False, "then start the run again"),
    "our_bug": Meaning(False, False, "report it: it is a defect in Breakwater or in the pipeline"),
    "cancelled": Meaning(False, False, "start a new run when you are ready"),
}
"""Every kind has exactly one meaning; a test walks the Literal to prove it."""

UNREADABLE = frozenset({"KeyMissing", "Forged", "BlobsUnavailable", "BlobMissing", "BlobDamaged"})
"""The errors of `activities.vault` by name, as an activity's failure carries them: its values could not be read."""
