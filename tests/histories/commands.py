"""The commands that workflow code gives, seen as it gives them: what replay compares, one readable line for each.

A worker asks workflow code again and again what is to be done next, and every answer is a list of commands. Standing
between the two shows what the code does today under a recorded history, also when that is no longer what it did.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from temporalio.api.common.v1 import Payload
from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_commands import WorkflowCommand
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.converter import SerializationContext, StorageDriverStoreContext
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails, WorkflowRunner
from temporalio.worker._command_aware_visitor import CommandInfo
from temporalio.workflow import Info, _Definition

UNSEEN = {"respond_to_query"}
"""Commands that leave nothing in a history."""


class Witness(WorkflowRunner):
    """Runs workflow code as `runner` does, and keeps the commands of each execution."""

    def __init__(self, runner: WorkflowRunner) -> None:
        self._runner = runner
        self.commands: dict[str, list[str]] = {}
        """By run id."""

    def prepare_workflow(self, defn: _Definition) -> None:
        """As the runner does."""
        self._runner.prepare_workflow(defn)

    def set_worker_level_failure_exception_types(self, types: Sequence[type[BaseException]]) -> None:
        """As the runner does."""
        self._runner.set_worker_level_failure_exception_types(types)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """The runner's, watched. An execution that is taken up anew begins anew."""
        seen = self.commands[det.info.run_id] = []
        return _Watched(self._runner.create_instance(det), seen)


class _Watched(WorkflowInstance):
    def __init__(self, instance: WorkflowInstance, seen: list[str]) -> None:
        self._instance = instance
        self._seen = seen
        self._activities: dict[int, str] = {}
        self._children: dict[int, str] = {}

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        completion = self._instance.activate(act)
        self._seen += [line for each in completion.successful.commands for line in self._lines(each)]
        return completion

    def get_serialization_context(self, command_info: CommandInfo | None) -> SerializationContext | None:
        return self._instance.get_serialization_context(command_info)

    def get_external_store_context(self, command_info: CommandInfo | None) -> StorageDriverStoreContext:
        return self._instance.get_external_store_context(command_info)

    def get_info(self) -> Info:
        return self._instance.get_info()

    def get_thread_id(self) -> int | None:
        return self._instance.get_thread_id()

    def _lines(self, command: WorkflowCommand) -> Iterator[str]:
        kind = command.WhichOneof("variant")
        summary = _said(command.user_metadata.summary)
        match kind:
            case "schedule_activity":
                activity = command.schedule_activity
                self._activities[activity.seq] = activity.activity_id
                yield f"activity {activity.activity_type} {activity.activity_id} on {activity.task_queue}: {summary}"
            case "request_cancel_activity":
                yield f"cancel activity {self._activities[command.request_cancel_activity.seq]}"
            case "start_timer":
                yield f"timer: {summary}" if summary else "timer"
            case "start_child_workflow_execution":
                child = command.start_child_workflow_execution
                self._children[child.seq] = child.workflow_id
                yield f"child run {child.workflow_type} {child.workflow_id}: {summary}"
            case "cancel_child_workflow_execution":
                yield f"cancel child run {self._children[command.cancel_child_workflow_execution.child_workflow_seq]}"
            case "signal_external_workflow_execution":
                yield f"signal {command.signal_external_workflow_execution.signal_name}"
            case "upsert_workflow_search_attributes":
                fields = command.upsert_workflow_search_attributes.search_attributes.indexed_fields
                yield f"search attributes {', '.join(sorted(fields))}"
            case "modify_workflow_properties":
                yield f"memo {', '.join(sorted(command.modify_workflow_properties.upserted_memo.fields))}"
            case "update_response":
                yield f"update {command.update_response.WhichOneof('response')}"
            case "set_patch_marker":
                patch = command.set_patch_marker
                yield f"patch {patch.patch_id}" + (" (deprecated)" if patch.deprecated else "")
            case "fail_workflow_execution":
                yield f"end: failed as {command.fail_workflow_execution.failure.application_failure_info.type}"
            case "complete_workflow_execution":
                yield "end: finished"
            case "cancel_workflow_execution":
                yield "end: cancelled"
            case "continue_as_new_workflow_execution":
                yield "end: continued as new"
            case str() if kind not in UNSEEN:
                yield kind.replace("_", " ")


def _said(words: Payload) -> str:
    return str(json.loads(words.data)) if words.data else ""
