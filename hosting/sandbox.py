"""Where workflow code runs: shut off from the world, so that it does the same again whenever it is replayed."""

from __future__ import annotations

from pkgutil import iter_modules
from typing import TYPE_CHECKING

import workflows

if TYPE_CHECKING:
    from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

PURE_MODULES = tuple(f"workflows.{each.name}" for each in iter_modules(workflows.__path__) if each.name != "pipelines")
"""Loaded once and shared with the workflow sandbox: deterministic by rule, and checked to import nothing else."""


def sandbox() -> SandboxedWorkflowRunner:
    """It shares PURE_MODULES with the rest, and code in it that imports anything else from outside is refused."""
    from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
    from temporalio.workflow import SandboxImportNotificationPolicy

    shared = SandboxRestrictions.default.with_passthrough_modules(*PURE_MODULES)
    return SandboxedWorkflowRunner(
        restrictions=shared.with_import_notification_policy(
            SandboxImportNotificationPolicy.RAISE_ON_UNINTENTIONAL_PASSTHROUGH
        )
    )
