"""What a subagent is asked and may answer, what a user may ask for, and what none of them ever sees."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import anthropic
import pytest
from pydantic import BaseModel, ValidationError

from workflows import subagents
from workflows.contracts import MODEL_NAME
from workflows.models import TIERS
from workflows.pipelines.plan_generate_evaluate import RUBRIC, Input, PlanGenerateEvaluate
from workflows.subagents import Subagent
from workflows.subagents.decomposer import DECOMPOSER
from workflows.subagents.evaluator import EVALUATOR, Assessment, EvaluateRequest, Evaluation
from workflows.subagents.generator import GENERATOR, Draft, Finding, GenerateRequest
from workflows.subagents.narrator import NARRATOR
from workflows.subagents.planner import PLANNER, Criterion, Plan, PlanRequest
from workflows.subagents.reviewer import REVIEWER
from workflows.subagents.specialist import FORMS, specialist
from workflows.subagents.synthesizer import SYNTHESIZER

EVERY_SUBAGENT: list[Subagent[Any, Any]] = [
    value
    for module in pkgutil.iter_modules(subagents.__path__)
    for value in vars(importlib.import_module(f"workflows.subagents.{module.name}")).values()
    if isinstance(value, Subagent)
]
each_constant = pytest.mark.parametrize("subagent", EVERY_SUBAGENT, ids=lambda each: each.role)
SPECIALISTS = {f"specialist for {shape}": specialist(shape, "medium", 8_000) for shape in FORMS}
each_subagent = pytest.mark.parametrize(
    "subagent",
    [*EVERY_SUBAGENT, *SPECIALISTS.values()],
    ids=[*(each.role for each in EVERY_SUBAGENT), *SPECIALISTS],
)


def criterion(**changes: Any) -> dict[str, Any]:
    """A criterion that is in order, but for `changes`."""
    return {"id": "C1", "statement": "It rhymes.", "how_to_verify": "Read it.", "level": "must", **changes}


def plan(**changes: Any) -> dict[str, Any]:
    """A plan that is in order, but for `changes`."""
    plain = {"goal": "a poem", "constraints": [], "assumptions": [], "out_of_scope": []}
    return {**plain, "criteria": [criterion()], **changes}


def refusal(model: type[BaseModel], value: dict[str, Any]) -> str:
    """Why `model` does not take `value`; fails if it does."""
    with pytest.raises(ValidationError) as error:
        model.model_validate(value)
    return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.value.errors())


# --- the subagents themselves ------------------------------------------------------------------------------------


def test_the_folder_holds_the_subagents_we_know() -> None:
    """One role each; a new one is looked at by every test below."""
    assert {each.role: each for each in EVERY_SUBAGENT} == {
        "planner": PLANNER,
        "generator": GENERATOR,
        "evaluator": EVALUATOR,
        "reviewer": REVIEWER,
        "narrator": NARRATOR,
        "decomposer": DECOMPOSER,
        "synthesizer": SYNTHESIZER,
    }


@each_subagent
def test_a_truncated_answer_has_a_larger_cap_to_be_asked_again_with(subagent: Subagent[Any, Any]) -> None:
    """Asking again with the same cap would only be paid again."""
    assert 0 < subagent.max_tokens < subagent.max_tokens_retry
    assert subagent.tier in TIERS


@each_constant
def test_instructions_name_every_field_of_the_answer_in_order(subagent: Subagent[Any, Any]) -> None:
    """The list in the instructions is the answer model's fields, so neither can change alone."""
    listed = re.findall(r"^- (\w+):", subagent.instructions, re.MULTILINE)
    item: type[BaseModel] = Assessment if subagent.answer is Evaluation else subagent.answer
    assert listed == list(item.model_fields)


READS_STATE = {REVIEWER.role}
"""Whose pipelines delegate to them with `reads`, so that a block `state` comes with every request."""


@each_subagent
def test_blocks_that_instructions_speak_of_are_fields_of_the_request(subagent: Subagent[Any, Any]) -> None:
    """No instruction refers to a block that never comes."""
    named = set(re.findall(r"block `(\w+)`", subagent.instructions))
    assert named
    delegated = {"state"} if subagent.role in READS_STATE else set()
    assert named <= set(subagent.request.model_fields) | delegated


# --- schemas -----------------------------------------------------------------------------------------------------


def objects(schema: Any) -> list[dict[str, Any]]:
    """Every object schema inside a schema, the outermost last."""
    if isinstance(schema, list):
        return [found for each in schema for found in objects(each)]
    if not isinstance(schema, dict):
        return []
    inner = [found for value in schema.values() for found in objects(value)]
    return [*inner, schema] if schema.get("type") == "object" else inner


@each_subagent
def test_every_answer_schema_survives_the_translation_for_the_api(subagent: Subagent[Any, Any]) -> None:
    """The API's subset of JSON schema keeps every field, in the order of thought, all required and none besides."""
    original = subagent.answer.model_json_schema()
    translated = anthropic.transform_schema(original)
    json.dumps(translated)
    pairs = list(zip(objects(original), objects(translated), strict=True))
    assert pairs
    for before, after in pairs:
        assert list(after["properties"]) == list(before["properties"])
        assert after["additionalProperties"] is False
        assert set(after["required"]) == set(after["properties"])


@each_subagent
def test_the_translation_leaves_the_original_schema_alone(subagent: Subagent[Any, Any]) -> None:
    """The schema in the history is the one the answer is validated with, so translating must not change it."""
    schema = subagent.answer.model_json_schema()
    before = json.dumps(schema)
    anthropic.transform_schema(schema)
    assert json.dumps(schema) == before


def test_the_evaluator_writes_its_evidence_before_its_verdict() -> None:
    """A model that decides first looks for quotations that agree with it."""
    fields = list(Assessment.model_fields)
    assert fields.index("evidence") < fields.index("verdict")


# --- the planner's answer ----------------------------------------------------------------------------------------


def test_a_plan_in_order_is_accepted() -> None:
    """Empty lists of constraints and the like are fine; criteria are the point."""
    accepted = Plan.model_validate(plan(criteria=[criterion(), criterion(id="C2", level="should")]))
    assert [each.id for each in accepted.criteria] == ["C1", "C2"]


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"criteria": []}, "criteria"),
        ({"criteria": None}, "criteria"),
        ({"criteria": [criterion(id=f"C{n}") for n in range(31)]}, "criteria"),
        ({"criteria": [criterion(level="should")]}, "at least one criterion must be a `must`"),
        ({"criteria": [criterion(), criterion()]}, "criterion ids must differ"),
        ({"criteria": [criterion(statement="")]}, "criteria.0.statement"),
        ({"criteria": [criterion(statement=" \n")]}, "criteria.0.statement"),
        ({"criteria": [criterion(how_to_verify="  ")]}, "criteria.0.how_to_verify"),
        ({"criteria": [criterion(level="may")]}, "criteria.0.level"),
        ({"criteria": [criterion(level="MUST")]}, "criteria.0.level"),
        ({"criteria": [criterion(), {"id": "C2"}]}, "criteria.1.statement"),
        ({"criteria": ["It rhymes."]}, "criteria.0"),
        ({"goal": ""}, "goal"),
        ({"goal": "  "}, "goal"),
        ({"goal": None}, "goal"),
        ({"constraints": None}, "constraints"),
        ({"assumptions": [1]}, "assumptions.0"),
        ({"out_of_scope": "nothing"}, "out_of_scope"),
    ],
)
def test_a_plan_that_could_not_be_judged_by_is_refused(changes: dict[str, Any], place: str) -> None:
    """No criteria, none that matters, twins or empty words: refused before they cost anything."""
    assert place in refusal(Plan, plan(**changes))


@pytest.mark.parametrize("missing", ["goal", "constraints", "assumptions", "out_of_scope", "criteria"])
def test_a_plan_leaves_nothing_out(missing: str) -> None:
    """A planner that has no constraints says so with an empty list."""
    value = plan()
    del value[missing]
    assert f"{missing}: Field required" in refusal(Plan, value)


@pytest.mark.parametrize("id", ["C1", "c", "R-2", "must_1", "A" * 32])
def test_a_criterion_id_is_a_short_word(id: str) -> None:
    """Ids are printed in tables and matched as they are."""
    assert Criterion.model_validate(criterion(id=id)).id == id


@pytest.mark.parametrize("id", ["", "1", "C 1", "C1\n", " C1", "C.1", "Ü1", "A" * 33, "C1|C2", "`C1`"])
def test_a_criterion_id_that_would_break_a_table_or_a_match_is_refused(id: str) -> None:
    """Spaces, line ends, punctuation and excess length are not for ids."""
    assert refusal(Criterion, criterion(id=id)).startswith("id: ")


def test_words_are_stripped_before_they_are_kept() -> None:
    """Blank ends carry no meaning and would only be repeated in every prompt."""
    assert Criterion.model_validate(criterion(statement="  It rhymes. \n")).statement == "It rhymes."


# --- the generator's and the evaluator's answers -----------------------------------------------------------------


@pytest.mark.parametrize("content", ["", " ", "\n\n", None, 5, ["text"], {"text": "x"}])
def test_a_draft_without_content_is_refused(content: Any) -> None:
    """Empty work is no work, and only text is work."""
    assert refusal(Draft, {"approach": "a", "content": content}).startswith("content: ")


def test_a_draft_needs_no_approach_worth_reading_but_has_one() -> None:
    """The approach may be empty, since nobody judges it; leaving it out is another form."""
    assert Draft.model_validate({"approach": "", "content": "done"}).content == "done"
    assert refusal(Draft, {"content": "done"}).startswith("approach: ")


@pytest.mark.parametrize("verdict", ["PASS", "passed", "ok", "", None, True])
def test_an_assessment_has_one_of_three_verdicts(verdict: Any) -> None:
    """Unknown verdicts are refused and never counted as either."""
    value = {"id": "C1", "evidence": "e", "verdict": verdict, "place": "", "remedy": ""}
    assert "verdict" in refusal(Evaluation, {"assessments": [value]})


def test_an_evaluation_of_nothing_is_refused() -> None:
    """An evaluator that assessed nothing has not answered."""
    assert "assessments" in refusal(Evaluation, {"assessments": []})


@pytest.mark.parametrize("missing", ["id", "evidence", "verdict", "place", "remedy"])
def test_an_assessment_leaves_nothing_out(missing: str) -> None:
    """Every part of the judgement is there, if only empty."""
    value = {"id": "C1", "evidence": "e", "verdict": "pass", "place": "", "remedy": ""}
    del value[missing]
    assert missing in refusal(Evaluation, {"assessments": [value]})


# --- who sees what -----------------------------------------------------------------------------------------------


def test_the_evaluator_sees_the_task_the_criteria_and_the_work_and_nothing_else() -> None:
    """Neither the generator's approach nor an earlier evaluation can sway it."""
    fields = set(EvaluateRequest.model_fields)
    assert fields == {"task", "criteria", "deliverable"}
    assert not fields & {"approach", "feedback", "previous", "goal", "findings"}
    assert EVALUATOR.request is EvaluateRequest


def test_the_planner_sees_the_task_alone() -> None:
    """There is nothing else yet, and nothing else ever reaches it."""
    assert set(PlanRequest.model_fields) == {"task"}


def test_the_generator_gets_its_own_last_version_and_findings_but_no_ones_reasoning() -> None:
    """Feedback is criterion, what was found, place and remedy; its own earlier approach is not kept."""
    assert "approach" not in GenerateRequest.model_fields
    assert {"previous", "feedback"} <= set(GenerateRequest.model_fields)
    assert set(Finding.model_fields) == {"criterion", "found", "place", "remedy"}


# --- what a user may ask for -------------------------------------------------------------------------------------


def test_a_task_is_enough() -> None:
    """Everything else has a default, and the default is to plan and to revise up to three times."""
    given = Input(task="  write a poem \n")
    assert (given.task, given.planner, given.criteria, given.max_revisions) == ("write a poem", True, None, 3)
    assert (given.budget_usd, given.deadline) == (None, None)


@pytest.mark.parametrize("task", ["", " ", "\n\t "])
def test_a_blank_task_is_refused(task: str) -> None:
    """Nothing to do is an error of the asker, found before anything is paid."""
    assert refusal(Input, {"task": task}).startswith("task: ")


def test_a_missing_task_is_refused() -> None:
    """There is no default task."""
    assert refusal(Input, {}).startswith("task: ")


def test_criteria_have_one_author() -> None:
    """With a planner the user's criteria would be ignored, so both at once are refused with what to type."""
    assert "--no-planner" in refusal(Input, {"task": "t", "criteria": [criterion()]})
    assert Input.model_validate({"task": "t", "planner": False, "criteria": [criterion()]}).criteria


@pytest.mark.parametrize(
    "criteria", [[], [criterion(level="should")], [criterion(), criterion()], [criterion(statement="")]]
)
def test_a_users_criteria_keep_the_planners_rules(criteria: list[dict[str, Any]]) -> None:
    """Whoever writes them, criteria that could not be judged by are refused."""
    assert "criteria" in refusal(Input, {"task": "t", "planner": False, "criteria": criteria})


def test_the_fixed_rubric_keeps_the_planners_rules_too() -> None:
    """What is asked when nobody names criteria is itself a valid list of criteria."""
    kept = Input.model_validate({"task": "t", "planner": False, "criteria": [each.model_dump() for each in RUBRIC]})
    assert kept.criteria == RUBRIC


@pytest.mark.parametrize("revisions", [0, 1, 10, "10"])
def test_work_may_be_revised_up_to_ten_times(revisions: Any) -> None:
    """Zero is one version and no revision."""
    assert Input.model_validate({"task": "t", "max_revisions": revisions}).max_revisions == int(revisions)


@pytest.mark.parametrize("revisions", [-1, 11, 1.5, "many", None])
def test_no_other_number_of_revisions_is_accepted(revisions: Any) -> None:
    """A run's length has a bound that cannot be talked away."""
    assert refusal(Input, {"task": "t", "max_revisions": revisions}).startswith("max_revisions: ")


ROLES = ["planner_model", "generator_model", "evaluator_model"]


@pytest.mark.parametrize("field", ROLES)
@pytest.mark.parametrize(
    "name",
    ["claude-haiku-5-5", "anthropic/claude-opus-5-5", "m", "us.anthropic.claude:0", "claude@20261101", "a" * 128],
)
def test_any_plausible_model_name_is_accepted(field: str, name: str) -> None:
    """Gateways have names of their own; whether a model exists is the API's to say."""
    assert getattr(Input.model_validate({"task": "t", field: name}), field) == name


@pytest.mark.parametrize("field", ROLES)
@pytest.mark.parametrize("name", ["", " ", "claude haiku", "-m", "m\n", "m|x", "`m`", "ä", "m;rm", "a" * 129])
def test_what_cannot_be_a_model_name_is_refused(field: str, name: str) -> None:
    """Blanks, line ends and characters that would break a table or a header are not part of a name."""
    assert refusal(Input, {"task": "t", field: name}).startswith(f"{field}: ")


def test_every_default_model_has_a_plausible_name() -> None:
    """The tiers' own models keep the rule that users' models must."""
    assert all(re.search(MODEL_NAME, name) for name in TIERS.values())


@pytest.mark.parametrize("budget", [0.01, 1, "2.50", 1_000_000])
def test_a_budget_is_some_dollars(budget: Any) -> None:
    """Cents and a million are both a budget."""
    assert Input.model_validate({"task": "t", "budget_usd": budget}).budget_usd == float(budget)


@pytest.mark.parametrize("budget", [0, -1, 1_000_001, float("nan"), float("inf"), "lots"])
def test_what_is_no_budget_is_refused(budget: Any) -> None:
    """None of these could be kept as a cap."""
    assert refusal(Input, {"task": "t", "budget_usd": budget}).startswith("budget_usd: ")


@pytest.mark.parametrize("deadline", [timedelta(0), timedelta(seconds=-1), "soon"])
def test_a_deadline_lies_ahead(deadline: Any) -> None:
    """A run that has no time is not started."""
    assert refusal(Input, {"task": "t", "deadline": deadline}).startswith("deadline: ")


def test_every_accepted_deadline_is_a_date() -> None:
    """An OverflowError in workflow code would hold the run for ever, so the input refuses what no calendar has."""
    try:
        given = Input(task="t", deadline=timedelta(days=9_999_999))
    except ValidationError:
        return
    assert given.deadline is not None
    assert datetime(2026, 11, 1, tzinfo=UTC) + given.deadline


@pytest.mark.parametrize("misspelt", ["budget", "budget_us", "max_revision", "Deadline"])
def test_a_field_nobody_knows_is_refused(misspelt: str) -> None:
    """A client that starts a run with `budget` instead of `budget_usd` is told, and does not spend without a cap."""
    assert misspelt in refusal(Input, {"task": "t", misspelt: 1})


def test_the_pipeline_takes_this_input() -> None:
    """What is tested here is what the workflow's run() is declared with."""
    assert PlanGenerateEvaluate.run.__annotations__["input"] == "Input"
