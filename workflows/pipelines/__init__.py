"""The pipelines: every module of this folder that defines a workflow is one. `discover` finds them."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

from temporalio import workflow

from workflows.contracts import RunReport
from workflows.run import RunInput, RunResult


class NotAPipeline(Exception):
    """A module of this folder breaks the form of a pipeline; the message names the file and what to change."""


@dataclass(frozen=True)
class Pipeline:
    """What a worker registers and the CLI offers."""

    name: str
    workflow: type
    input: type[RunInput]
    result: type[RunResult]
    summary: str
    """The first paragraph of the workflow's docstring, on one line."""


def discover() -> dict[str, Pipeline]:
    """Every pipeline by name. Raises NotAPipeline for a module that is none."""
    found: dict[str, Pipeline] = {}
    for module in pkgutil.iter_modules(__path__):
        pipeline = _read(f"{__name__}.{module.name}")
        if pipeline.name in found:
            raise NotAPipeline(f"{module.name}.py: another pipeline is called {pipeline.name!r} already")
        found[pipeline.name] = pipeline
    return found


def _read(module_name: str) -> Pipeline:
    file = module_name.rpartition(".")[2] + ".py"
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        line = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(line.filename).name}, line {line.lineno}"
        raise NotAPipeline(f"{file}: cannot be imported: {type(error).__name__}: {error} ({where})") from error
    defined = [
        (each, definition)
        for _, each in inspect.getmembers(module, inspect.isclass)
        if each.__module__ == module_name and (definition := workflow._Definition.from_class(each))
    ]
    if len(defined) != 1:
        raise NotAPipeline(f"{file}: a pipeline file defines exactly one @workflow.defn class, not {len(defined)}")
    found, definition = defined[0]
    try:
        hints = get_type_hints(definition.run_fn)
    except NameError as error:
        raise NotAPipeline(f"{file}: run() has an annotation that cannot be resolved: {error}") from error
    report = hints.pop("return", None)
    inputs = [hint for hint in hints.values() if inspect.isclass(hint) and issubclass(hint, RunInput)]
    if len(inputs) != 1 or len(hints) != 1:
        raise NotAPipeline(f"{file}: run() takes one argument, a model that extends RunInput")
    result = _result_of(report)
    if result is None:
        raise NotAPipeline(f"{file}: run() returns RunReport[Result], with a model that extends RunResult as Result")
    doc = inspect.getdoc(found) or inspect.getdoc(module) or ""
    return Pipeline(
        name=definition.name or found.__name__,
        workflow=found,
        input=inputs[0],
        result=result,
        summary=" ".join(doc.split("\n\n")[0].split()),
    )


def _result_of(report: Any) -> type[RunResult] | None:
    """The `Result` of a `RunReport[Result]`, or None if it is not of that form."""
    if not (inspect.isclass(report) and issubclass(report, RunReport)):
        return None
    match report.__pydantic_generic_metadata__["args"]:
        case (result,) if inspect.isclass(result) and issubclass(result, RunResult):
            return result
    return None
