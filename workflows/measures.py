"""What is counted, by name: whoever draws or alerts uses these names, and a test finds each of them at a real worker.

The SDK counts requests, tasks, slots and latencies by itself, as `temporal_…`. Metrics of a workflow are not counted
again when it is replayed.
"""

from __future__ import annotations

from temporalio import workflow

from workflows.contracts import Reply

CALLS = "breakwater_calls"
"""Attempts that sent a request, by role, model, outcome (`success`, `error`) and kind (of failure, else empty)."""
CALL_SECONDS = "breakwater_call_seconds"
"""How long an attempt took, by role, model and outcome."""
CALLS_UNDER_WAY = "breakwater_calls_under_way"
"""Requests of this worker that have not ended, by model: what fills its slots."""
TOKENS = "breakwater_tokens"
"""As billed, by role, model and direction: input, output, cache_read, cache_write."""
REPLIES = "breakwater_replies"
"""What a run got of a subagent in the end, retries and repairs included, by role, model, outcome and kind."""
DOLLARS = "breakwater_reply_dollars"
"""What a reply cost, by role and model; `_sum` is money spent. A model without a known price adds nothing."""
CIRCUIT_STATE = "breakwater_circuit_state"
"""By circuit: 0 closed, 1 recovering, 2 open."""
CIRCUIT_TRANSITIONS = "breakwater_circuit_transitions"
"""By circuit and event, counted by the worker that caused it."""
CIRCUIT_DENIALS = "breakwater_circuit_denials"
"""Attempts that an open circuit stopped before they sent anything, by circuit."""
CIRCUIT_PROBES = "breakwater_circuit_probes"
"""Requests that tried whether a circuit can close, by circuit."""
CIRCUIT_WAITERS = "breakwater_circuit_waiters"
"""Agents that wait for a circuit at this worker."""
STORE_REACHABLE = "breakwater_store_reachable"
"""1 if the circuits' store answers this worker, else 0."""
JOURNAL_HITS = "breakwater_journal_hits"
"""Answers that were paid for already and not paid again."""
JOURNAL_EVENTS = "breakwater_journal_events"
"""By event: the journal's loss and return, and every answer it could not read or keep."""

BUCKETS = {
    CALL_SECONDS: (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_800),
    DOLLARS: (0.0001, 0.001, 0.01, 0.05, 0.1, 0.5, 1, 5, 20),
}
"""Calls take seconds to half an hour (START_TO_CLOSE); replies cost fractions of a cent to some dollars."""


def count_reply(reply: Reply[object]) -> None:
    """In a workflow: a subagent has replied."""
    labels = {"role": reply.role, "model": reply.model}
    meter = workflow.metric_meter()
    verdict = {"outcome": reply.status, "kind": reply.error_kind or ""}
    meter.create_counter(REPLIES, "Replies of subagents").add(1, {**labels, **verdict})
    if reply.cost_usd is not None:
        meter.create_histogram_float(DOLLARS, "Cost of a reply").record(reply.cost_usd, labels)
