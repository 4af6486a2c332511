"""Every module of `workflows/pipelines` is a pipeline, or its author is told what to change."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from workflows import pipelines
from workflows.pipelines import NotAPipeline, discover
from workflows.pipelines.plan_generate_evaluate import Input, PlanGenerateEvaluate, Result

Write = Callable[[str, str], None]

HEAD = '''
from temporalio import workflow
from workflows.contracts import RunReport
from workflows.run import RunInput, RunResult


class Input(RunInput):
    """What to do."""

    word: str


class Result(RunResult):
    """What was done."""

    word: str

'''

GOOD = (
    HEAD
    + '''
@workflow.defn(name="echo")
class Echo:
    """It says a word
    twice."""

    @workflow.run
    async def run(self, input: Input) -> RunReport[Result]:
        raise NotImplementedError
'''
)


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write a module into the pipelines package for one test; it is forgotten afterwards."""
    monkeypatch.setattr(pipelines, "__path__", [*pipelines.__path__, str(tmp_path)])
    before = set(sys.modules)

    def write_module(name: str, text: str) -> None:
        (tmp_path / f"{name}.py").write_text(text)
        importlib.invalidate_caches()

    yield write_module
    for module in set(sys.modules) - before:
        if module.startswith(f"{pipelines.__name__}."):
            del sys.modules[module]
            delattr(pipelines, module.rpartition(".")[2])


def test_the_first_pipeline_is_found_with_its_input_and_result() -> None:
    """`plan-generate-evaluate` is discovered as the class, models and sentence of its file."""
    found = discover()["plan-generate-evaluate"]
    assert (found.name, found.workflow) == ("plan-generate-evaluate", PlanGenerateEvaluate)
    assert (found.input, found.result) == (Input, Result)
    assert found.summary == (PlanGenerateEvaluate.__doc__ or "").strip()


def test_every_pipeline_is_listed_under_its_own_name() -> None:
    """The key is the name that Temporal knows the workflow by."""
    assert all(name == pipeline.name for name, pipeline in discover().items())


def test_a_file_put_into_the_folder_is_a_pipeline(write: Write) -> None:
    """Nothing has to be registered anywhere else."""
    write("echo", GOOD)
    found = discover()["echo"]
    assert found.summary == "It says a word twice."
    assert found.input.model_fields.keys() >= {"word", "budget_usd", "deadline"}
    assert "word" in found.result.model_fields


def test_without_a_name_a_workflow_is_called_like_its_class(write: Write) -> None:
    """Temporal's own default is the name here too."""
    write("echo", GOOD.replace('(name="echo")', ""))
    assert "Echo" in discover()


def test_without_a_docstring_the_modules_own_describes_it(write: Write) -> None:
    """The sentence that opens the file is the next best."""
    undocumented = GOOD.replace('    """It says a word\n    twice."""\n', "")
    write("echo", f'"""Says a word."""\n{undocumented}')
    assert discover()["echo"].summary == "Says a word."


def test_the_summary_is_the_first_paragraph(write: Write) -> None:
    """What `Pipeline.summary` promises: the rest of the docstring is for readers of the file."""
    write("echo", GOOD.replace("twice.", "twice.\n\n    Then it says it again, at length."))
    assert discover()["echo"].summary == "It says a word twice."


def test_a_workflow_imported_from_elsewhere_is_not_this_files(write: Write) -> None:
    """A pipeline may import another's class, say to run it as a child, and is still one pipeline."""
    ours = set(discover())
    write("echo", f"{GOOD}\nfrom workflows.pipelines.plan_generate_evaluate import PlanGenerateEvaluate\n")
    assert set(discover()) == {"echo"} | ours


SIGNATURE = "async def run(self, input: Input) -> RunReport[Result]:"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "exactly one @workflow.defn class, not 0"),
        (HEAD, "exactly one @workflow.defn class, not 0"),
        (
            GOOD + GOOD.partition(HEAD)[2].replace("Echo", "Other").replace('"echo"', '"other"'),
            "exactly one @workflow.defn class, not 2",
        ),
        ("from workflows.pipelines.plan_generate_evaluate import PlanGenerateEvaluate", "not 0"),
        (GOOD.replace(SIGNATURE, "async def run(self) -> RunReport[Result]:"), "takes one argument"),
        (GOOD.replace(SIGNATURE, "async def run(self, input) -> RunReport[Result]:"), "takes one argument"),
        (GOOD.replace(SIGNATURE, "async def run(self, input: str) -> RunReport[Result]:"), "extends RunInput"),
        (GOOD.replace(SIGNATURE, "async def run(self, input: Result) -> RunReport[Result]:"), "extends RunInput"),
        (
            GOOD.replace(SIGNATURE, "async def run(self, input: Input, more: int) -> RunReport[Result]:"),
            "takes one argument",
        ),
        (
            GOOD.replace(SIGNATURE, "async def run(self, input: Input | None) -> RunReport[Result]:"),
            "extends RunInput",
        ),
        (GOOD.replace(SIGNATURE, "async def run(self, input: Input):"), "returns RunReport[Result]"),
        (GOOD.replace(SIGNATURE, "async def run(self, input: Input) -> None:"), "returns RunReport[Result]"),
        (GOOD.replace(SIGNATURE, "async def run(self, input: Input) -> Result:"), "returns RunReport[Result]"),
        (GOOD.replace(SIGNATURE, "async def run(self, input: Input) -> RunReport:"), "returns RunReport[Result]"),
        (
            GOOD.replace(SIGNATURE, "async def run(self, input: Input) -> RunReport[Input]:"),
            "extends RunResult",
        ),
        (
            GOOD.replace(SIGNATURE, "async def run(self, input: Input) -> RunReport[str]:"),
            "extends RunResult",
        ),
    ],
    ids=[
        "empty file",
        "models only",
        "two workflows",
        "someone else's workflow",
        "no argument",
        "an argument without a type",
        "an argument of another type",
        "a result as argument",
        "two arguments",
        "an optional argument",
        "no return type",
        "returns nothing",
        "returns a bare result",
        "returns any report",
        "returns a report of an input",
        "returns a report of text",
    ],
)
def test_a_file_that_is_no_pipeline_is_refused_by_name_and_reason(write: Write, text: str, why: str) -> None:
    """The message names the file and what to change."""
    write("broken", text)
    with pytest.raises(NotAPipeline) as refused:
        discover()
    assert str(refused.value).startswith("broken.py: ")
    assert why in str(refused.value)


def test_two_pipelines_of_one_name_are_refused(write: Write) -> None:
    """Neither hides the other."""
    write("twin", GOOD.replace('"echo"', '"plan-generate-evaluate"'))
    with pytest.raises(NotAPipeline, match=r"twin\.py: another pipeline is called 'plan-generate-evaluate' already"):
        discover()


def test_a_type_that_is_only_imported_for_checking_is_explained(write: Write) -> None:
    """An annotation that does not exist at run time is the author's to mend, so the message names the file."""
    future = "from __future__ import annotations\n"
    write("broken", future + GOOD.replace(SIGNATURE, "async def run(self, input: Missing) -> RunReport[Result]:"))
    with pytest.raises(NotAPipeline, match=r"broken\.py: "):
        discover()


def test_a_broken_file_speaks_for_itself(write: Write) -> None:
    """A file that cannot be imported is named, with its error and its line, and is not passed over."""
    write("broken", "import a_module_that_does_not_exist")
    with pytest.raises(NotAPipeline, match=r"broken\.py: .*a_module_that_does_not_exist.*line 1"):
        discover()
