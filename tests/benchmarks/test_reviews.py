"""Many reviews at once, over two crews of workers: every report is its own."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import worker
from benchmarks.reviews import is_right, transaction
from benchmarks.rig import rig
from workflows.contracts import WORKFLOW_QUEUE
from workflows.pipelines.compliance_review import ComplianceReview, Input

REVIEWS = 60
"""A cheaper form of `python -m benchmarks.reviews`, which starts 200 from two processes."""


async def test_reviews_that_start_together_report_each_its_own_transaction(tmp_path: Path) -> None:
    """Different transactions, the same second, two workers: no verdict, figure or digest of another's."""
    async with rig(tmp_path, "one", "two", settings=worker.Settings(worker_grace_period=0)) as here:
        reports = await asyncio.gather(
            *(
                here.client.execute_workflow(
                    ComplianceReview.run,
                    Input(transaction=json.dumps(transaction(number))),
                    id=f"review-{number}",
                    task_queue=WORKFLOW_QUEUE,
                )
                for number in range(REVIEWS)
            )
        )
    wrong = [n for n, report in enumerate(reports) if not is_right(report.model_dump(mode="json"), n)]
    assert not wrong
    assert [report.run_id for report in reports] == [f"review-{number}" for number in range(REVIEWS)]
