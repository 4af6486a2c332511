"""What the tests of divided tasks share: plans as a decomposer answers them, and a run of the pipeline under rules."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from temporalio.client import WorkflowHandle

from tests.pipelines.conftest import Bench, Rules, report_of
from workflows.contracts import WORKFLOW_QUEUE, RunReport
from workflows.pipelines.decompose_delegate_synthesize import DecomposeDelegateSynthesize, Input, Result

TASK = "Say whether we should move to the new office."

Divided = WorkflowHandle[DecomposeDelegateSynthesize, RunReport[Result]]


def subtask(id: str, *depends_on: str, **fields: Any) -> dict[str, Any]:
    """A subtask as a decomposer answers it, cheap and in order but for `fields`."""
    return {
        "id": id,
        "role": "researcher",
        "objective": f"Find out {id}.",
        "inputs": [],
        "boundaries": "",
        "output": "text",
        "effort": {"tier": "small", "max_tokens": 2_000},
        "depends_on": list(depends_on),
        "criticality": "required",
        "acceptance": "",
        "may_delegate": False,
        "replaces": None,
        **fields,
    }


def plan(*subtasks: dict[str, Any], complexity: str = "complex") -> dict[str, Any]:
    """A decomposer's answer."""
    return {"complexity": complexity, "reasoning": "", "subtasks": list(subtasks)}


def answers(plan: dict[str, Any], *, run: str | None = None, **match: Any) -> dict[str, Any]:
    """The rule by which every decomposer, or the matching one, answers with this plan."""
    return {"match": {"role": "decomposer", **({"run": run} if run else {}), **match}, "answer": plan}


def new_id() -> str:
    """A run's id, known before it starts: its children's follow from it."""
    return f"divided-{uuid4().hex[:12]}"


async def start(bench: Bench, rules: Rules, run: str | None = None, **input: Any) -> Divided:
    """Start a run; a rule that names no run is about this one, and not about those below it."""
    run = run or new_id()
    mine = [{**rule, "match": {"run": run, **rule.get("match", {})}} for rule in rules]
    bench.simulator.rules(mine, append=True)
    return await bench.client.start_workflow(
        DecomposeDelegateSynthesize.run, Input(**{"task": TASK, **input}), id=run, task_queue=WORKFLOW_QUEUE
    )


async def done(bench: Bench, rules: Rules, **input: Any) -> tuple[RunReport[Result], str]:
    """The report of a run under these rules, and its id."""
    handle = await start(bench, rules, **input)
    return await report(handle), handle.id


async def report(handle: Divided) -> RunReport[Result]:
    """How a run ended."""
    ended: RunReport[Result] = RunReport[Result].model_validate((await report_of(handle)).model_dump())  # type: ignore[arg-type]
    return ended


async def until_done(handle: Divided, subtasks: int) -> None:
    """Wait until so many subtasks have a result, 20 s at most."""
    async with asyncio.timeout(20):
        while sum(key.startswith("result/") for key in await handle.query("state", {})) < subtasks:  # noqa: ASYNC110
            await asyncio.sleep(0.02)  # a query is all there is to ask


def result(report: RunReport[Result]) -> Result:
    """Its result, which it has."""
    assert report.result is not None, report.message
    return report.result


def states(report: RunReport[Result]) -> dict[str, str]:
    """What became of every subtask."""
    return {row.id: row.state for row in result(report).subtasks}


def roles(report: RunReport[Result]) -> Sequence[str]:
    """The roles of the agents that were really asked, in the order of their end."""
    return [reply.role for reply in report.agents if reply.attempts]


def asked(bench: Bench, run: str, role: str) -> list[str]:
    """The prompts that agents of this role of a run were sent."""
    return [entry.prompt or "" for entry in bench.requests(run) if (entry.agent or "").startswith(f"{role}-")]


def block(prompt: str, name: str) -> str | None:
    """A data block of a prompt; None if it has none of this name."""
    start = f"<<<DATA {name} "
    if start not in prompt:
        return None
    fence, _, rest = prompt.partition(start)[2].partition("\n")
    return rest.partition(f"\nDATA {fence}>>>")[0]
