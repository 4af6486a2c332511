"""The roles of a divided task: what a decomposer, a specialist and a synthesizer answer fits together."""

from __future__ import annotations

import json
from typing import Any

import pytest

from simulator.assignments import Assignment
from simulator.decomposition import decompose, specialise, synthesise

COMPARISON = "Compare PostgreSQL, SQLite and DuckDB for a small analytics team."


def assignment(*asked_for: str, **blocks: object) -> Assignment:
    """What a subagent was asked, without the fences."""
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in blocks.items()}
    return Assignment(texts, frozenset(asked_for))


def plan(**blocks: object) -> dict[str, Any]:
    """The plan for these blocks."""
    found = decompose(assignment(**blocks))
    assert isinstance(found, dict)
    return found


def test_a_comparison_has_a_piece_for_each_thing() -> None:
    """Two to four, in the task's own words, each told what to leave to the others."""
    found = plan(task=COMPARISON)
    assert found["complexity"] == "comparison"
    assert [each["id"] for each in found["subtasks"]] == ["postgresql-1", "sqlite-2", "duckdb-3"]
    assert "DuckDB" in found["subtasks"][0]["boundaries"]
    assert {each["output"] for each in found["subtasks"]} == {"table"}


def test_a_task_that_lists_its_questions_is_divided_by_them() -> None:
    """What follows the colon, not the whole sentence."""
    found = plan(task="Write a report on batteries: prices, suppliers, and regulation. Recommend what to buy.")
    assert found["complexity"] == "complex"
    assert [each["id"] for each in found["subtasks"]] == ["prices-1", "suppliers-2", "regulation-3"]


def test_a_task_of_one_thing_is_simple() -> None:
    """Nothing is divided for the sake of it."""
    assert plan(task="Write a haiku about the sea.") == {
        "complexity": "simple",
        "reasoning": "One person can do it in one go.",
        "subtasks": [],
    }


def test_a_later_plan_replaces_what_failed() -> None:
    """A new id, another wording, and the old id in `replaces`."""
    found = plan(task=COMPARISON, failed=[{"id": "sqlite-2", "objective": "Find out about SQLite.", "why": "declined"}])
    [again] = found["subtasks"]
    assert (again["id"], again["replaces"]) == ("sqlite-2-2", "sqlite-2")
    assert again["objective"] != "Find out about SQLite."


@pytest.mark.parametrize("member", ["content", "findings", "rows", "decision"])
def test_a_specialist_answers_in_the_form_it_was_asked_for(member: str) -> None:
    """The objective is in it, whatever the form, and so is what it builds on."""
    found = specialise(assignment(member, "gaps", objective="Find out the price.", state={"result/a": {}}))
    assert isinstance(found, dict)
    assert member in found
    assert found["gaps"] == []
    assert "Find out the price" in json.dumps(found)


def test_a_synthesis_has_a_section_for_each_piece_and_names_what_is_missing() -> None:
    """It says what the specialists said."""
    objective = "Find out about SQLite."
    answers = [
        specialise(assignment(form, objective=objective)) for form in ("content", "findings", "rows", "decision")
    ]
    found = synthesise(
        assignment(
            task=COMPARISON,
            subtasks=[{"id": f"s{n}", "objective": f"Part {n}", "result": f"result/s{n}"} for n in range(4)],
            state={f"result/s{n}": answer for n, answer in enumerate(answers)},
            missing=[{"id": "duckdb-3", "objective": "Find out about DuckDB.", "why": "declined"}],
        )
    )
    assert isinstance(found, dict)
    content = str(found["content"])
    assert [line for line in content.splitlines() if line.startswith("## ")] == [f"## Part {n}" for n in range(4)]
    assert content.count("Find out about SQLite") >= 4
    assert "duckdb-3" in content


@pytest.mark.parametrize("persona", [decompose, specialise, synthesise])
def test_an_assignment_that_makes_no_sense_gets_no_answer(persona: Any) -> None:
    """Then any value that fits the schema is the answer."""
    assert persona(assignment(other="x")) is None
