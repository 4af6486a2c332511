"""A pipeline's Input becomes a command line: every field an option, every mistake one line in the words typed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import click
import pytest
from click.testing import CliRunner, Result
from pydantic import BaseModel, Field, StringConstraints, model_validator

from console.options import ENVIRONMENT_PREFIX, is_internal, parameters, positional, validated
from workflows.pipelines import discover


class Mood(Enum):
    """A choice with values of its own."""

    CALM = "calm"
    LOUD = "loud"


class Item(BaseModel):
    """A part of a list."""

    id: str
    count: int = Field(ge=0)


class Common(BaseModel):
    """What every command has."""

    budget: float | None = Field(default=None, gt=0, description="Dollars to spend.")


class Order(Common):
    """One field of every kind."""

    task: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)] = Field(description="What to do.")
    name: str = Field(default="nobody", description="Who asks.")
    max_revisions: int = Field(default=3, ge=0, le=10, description="How often.")
    ratio: float = Field(default=0.5, description="How much.")
    planner: bool = Field(default=True, description="Whether to plan.")
    verbose: bool | None = Field(default=None, description="Whether to talk.")
    tone: Literal["dry", "warm"] = Field(default="dry", description="How it sounds.")
    mood: Mood = Field(default=Mood.CALM, description="How it feels.")
    deadline: timedelta | None = Field(default=None, gt=timedelta(0), description="How long.")
    items: list[Item] | None = Field(default=None, max_length=3, description="Which parts.")

    @model_validator(mode="after")
    def _calm_is_not_warm(self) -> Order:
        if self.mood is Mood.LOUD and self.tone == "warm":
            raise ValueError("loud and warm do not go together")
        return self


def run(
    model: type[BaseModel], *words: str, input: bytes | None = None, env: Mapping[str, str] | None = None
) -> tuple[Result, BaseModel | None]:
    """Type these words after the command for `model`; what came out, and the model if it was accepted."""
    accepted: list[BaseModel] = []

    def take(**values: Any) -> None:
        accepted.append(validated(model, values))

    command = click.Command("run", params=parameters(model), callback=take)
    result = CliRunner().invoke(command, words, input=input, env=env)
    return result, accepted[0] if accepted else None


def accepted(*words: str, input: bytes | None = None, env: Mapping[str, str] | None = None) -> Order:
    """The order these words make; fails if they are refused."""
    result, order = run(Order, *words, input=input, env=env)
    assert result.exit_code == 0, result.output
    assert isinstance(order, Order)
    return order


def refusal(
    *words: str, model: type[BaseModel] = Order, input: bytes | None = None, env: Mapping[str, str] | None = None
) -> str:
    """The one line that these words are refused with."""
    result, _ = run(model, *words, input=input, env=env)
    assert result.exit_code == 2, result.output or repr(result.exception)
    usage, hint, _, message, *rest = result.stderr.split("\n")
    assert usage.startswith("Usage: ")
    assert "--help" in hint
    assert rest == [""], result.stderr
    assert result.stdout == ""
    return message.removeprefix("Error: ")


# --- every kind of field -----------------------------------------------------------------------------------------


def test_the_first_field_without_a_default_is_given_without_a_name() -> None:
    """Everything else has its default."""
    assert positional(Order) == "task"
    assert accepted("write a poem") == Order(task="write a poem")


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (["--name", "Ada"], {"name": "Ada"}),
        (["--name", "@Ada"], {"name": "@Ada"}),
        (["--max-revisions", "0"], {"max_revisions": 0}),
        (["--ratio", "0.25"], {"ratio": 0.25}),
        (["--ratio", "2"], {"ratio": 2.0}),
        (["--planner"], {"planner": True}),
        (["--no-planner"], {"planner": False}),
        (["--verbose"], {"verbose": True}),
        (["--no-verbose"], {"verbose": False}),
        (["--tone", "warm"], {"tone": "warm"}),
        (["--mood", "loud"], {"mood": Mood.LOUD}),
        (["--deadline", "90s"], {"deadline": timedelta(seconds=90)}),
        (["--items", '[{"id": "a", "count": 1}]'], {"items": [Item(id="a", count=1)]}),
        (["--items", "[]"], {"items": []}),
        (["--items", "null"], {"items": None}),
        (["--budget", "1.50"], {"budget": 1.5}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_every_kind_of_field_is_an_option(words: list[str], value: dict[str, Any]) -> None:
    """Text, numbers, flags, choices, enums, durations and JSON, as a person types them."""
    assert accepted("t", *words) == Order(task="t").model_copy(update=value)


def test_a_flag_that_nobody_touched_is_not_given() -> None:
    """An optional flag has three states, and not giving it is one."""
    assert accepted("t").verbose is None


def test_an_internal_field_is_no_option() -> None:
    """Not in the help, not on the command line, not from the environment."""

    class Child(BaseModel):
        task: str
        parent: str | None = Field(default=None, json_schema_extra={"internal": True}, description="Who started it.")

    assert "Who started it" not in help_of(Child)
    assert run(Child, "t", "--parent", "me")[0].exit_code == 2
    assert run(Child, "t", env={"BREAKWATER_PARENT": "me"})[1] == Child(task="t")


def test_own_fields_come_before_inherited_ones() -> None:
    """What is particular to a pipeline is read first in its help."""
    names = [parameter.name for parameter in parameters(Order)]
    assert names[0] == "task"
    assert names[-1] == "budget"
    assert set(names) == set(Order.model_fields)


def test_a_second_field_without_a_default_is_a_required_option() -> None:
    """Only one value can go without a name."""

    class Two(BaseModel):
        first: str
        second: int

    result, both = run(Two, "a", "--second", "2")
    assert result.exit_code == 0
    assert both == Two(first="a", second=2)
    assert "--second" in refusal("a", model=Two)


def test_a_model_without_required_fields_has_no_argument() -> None:
    """Then everything is an option."""
    assert positional(Common) is None
    assert run(Common, "--budget", "2")[1] == Common(budget=2)


@pytest.mark.parametrize(("typed", "number"), [("5", 5), ("-0", 0)])
def test_a_number_may_be_the_argument(typed: str, number: int) -> None:
    """pydantic reads the number from the text of the argument."""

    class Count(BaseModel):
        count: int = Field(ge=0)

    assert run(Count, "--", typed)[1] == Count(count=number)
    assert "COUNT" in refusal("many", model=Count)


@pytest.mark.parametrize(
    ("kind", "typed", "value"),
    [
        (timedelta, "10m", timedelta(minutes=10)),
        (list[Item], '[{"id": "a", "count": 1}]', [Item(id="a", count=1)]),
    ],
    ids=["duration", "list"],
)
def test_the_argument_is_read_like_an_option_of_its_kind(kind: Any, typed: str, value: Any) -> None:
    """A required field may be a duration or JSON as well as text."""
    model: type[BaseModel] = type("Only", (BaseModel,), {"__annotations__": {"only": kind}})
    result, read = run(model, typed)
    assert result.exit_code == 0, result.output
    assert read is not None
    assert read.model_dump() == model.model_validate({"only": value}).model_dump()


class Level(Enum):
    """A choice of numbers."""

    ONE = 1
    TWO = 2


class Numbered(BaseModel):
    """Choices that are not text."""

    size: Literal[1, 2] = 1
    level: Level = Level.ONE


@pytest.mark.parametrize("option", ["--size", "--level"])
def test_a_choice_of_numbers_can_be_chosen(option: str) -> None:
    """What the help offers is accepted."""
    assert run(Numbered, option, "2")[0].exit_code == 0


# --- text and files ----------------------------------------------------------------------------------------------


def test_text_may_come_from_a_file(tmp_path: Path) -> None:
    """`@file` is the file's content, UTF-8, as it is inside."""
    path = tmp_path / "task.txt"
    path.write_text("  write a poem\nabout É 漢 🙂\n", encoding="utf-8")
    assert accepted(f"@{path}").task == "write a poem\nabout É 漢 🙂"


def test_text_may_come_from_standard_input() -> None:
    """`-` is what is piped in."""
    assert accepted("-", input="from the pipe: ä\n".encode()).task == "from the pipe: ä"


def test_json_may_come_from_a_file_and_from_standard_input(tmp_path: Path) -> None:
    """Longer values are given as text is."""
    path = tmp_path / "items.json"
    path.write_text(json.dumps([{"id": "a", "count": 1}]))
    expected = [Item(id="a", count=1)]
    assert accepted("t", "--items", f"@{path}").items == expected
    assert accepted("t", "--items", "-", input=path.read_bytes()).items == expected


def test_a_dash_or_an_at_sign_inside_text_is_just_text() -> None:
    """Only a lone dash and a leading at-sign are special."""
    assert accepted("--", "- one\n- two").task == "- one\n- two"
    assert accepted("mail ada@example.org").task == "mail ada@example.org"


def test_a_missing_file_is_one_line_with_the_next_step(tmp_path: Path) -> None:
    """The path, the reason and what to give instead."""
    message = refusal(f"@{tmp_path}/nothing.txt")
    assert "'TASK'" in message
    assert f"cannot read {tmp_path}/nothing.txt: No such file or directory" in message
    assert "readable file after @" in message


@pytest.mark.parametrize("word", ["@.", "@"])
def test_a_directory_is_no_file(word: str) -> None:
    """Neither a directory nor a lone at-sign is read."""
    assert "cannot read .: Is a directory" in refusal(word)


def test_a_file_that_is_not_utf_8_is_refused_with_the_place(tmp_path: Path) -> None:
    """No guessing at encodings: the first bad byte is named."""
    path = tmp_path / "latin1.txt"
    path.write_bytes("schön".encode("latin-1"))
    assert f"{path} is not UTF-8 text (byte 3); convert it first" in refusal(f"@{path}")
    assert "standard input is not UTF-8 text (byte 0)" in refusal("-", input=b"\xff\xfeh\x00")


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    """Windows editors write one; JSON with it is refused and a task begins with an invisible character."""
    path = tmp_path / "items.json"
    path.write_bytes(b'\xef\xbb\xbf[{"id": "a", "count": 1}]')
    assert not accepted(f"@{path}").task.startswith("\ufeff")
    assert accepted("t", "--items", f"@{path}").items == [Item(id="a", count=1)]


def test_an_empty_file_is_an_empty_task(tmp_path: Path) -> None:
    """Where the text comes from does not change what is wrong with it."""
    path = tmp_path / "empty.txt"
    path.write_text(" \n")
    assert refusal(f"@{path}") == "TASK: is empty"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not JSON: Expecting value at line 1, column 1"),
        ("nope", "not JSON: Expecting value at line 1, column 1"),
        ("[1,\n 2", "not JSON: Expecting ',' delimiter at line 2, column 3"),
        ("[] []", "not JSON: Extra data at line 1, column 4"),
        ("{'id': 1}", "not JSON: Expecting property name"),
    ],
)
def test_what_is_not_json_is_refused_with_the_place(text: str, why: str) -> None:
    """Line and column, in one line."""
    message = refusal("t", "--items", text)
    assert "--items" in message
    assert why in message


@pytest.mark.parametrize("text", ["[" * 100_000, "1" * 5_000], ids=["nesting", "digits"])
def test_monstrous_json_is_refused_in_one_line_too(text: str, tmp_path: Path) -> None:
    """A bad file is the user's mistake and not a traceback."""
    path = tmp_path / "monster.json"
    path.write_text(text)
    assert "not JSON" in refusal("t", "--items", f"@{path}")


# --- durations ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "length"),
    [
        ("90s", timedelta(seconds=90)),
        ("90", timedelta(seconds=90)),
        ("1.5s", timedelta(seconds=1.5)),
        ("0.25", timedelta(seconds=0.25)),
        ("10m", timedelta(minutes=10)),
        ("2h", timedelta(hours=2)),
        ("1d", timedelta(days=1)),
        ("1h30m", timedelta(hours=1, minutes=30)),
        ("1d2h3m4s", timedelta(days=1, hours=2, minutes=3, seconds=4)),
        ("90m", timedelta(minutes=90)),
        (" 5m ", timedelta(minutes=5)),
    ],
)
def test_a_duration_is_written_as_people_write_it(typed: str, length: timedelta) -> None:
    """Days, hours, minutes and seconds, the larger first; a bare number is seconds."""
    assert accepted("t", "--deadline", typed).deadline == length


@pytest.mark.parametrize(
    "typed", ["", " ", "s", "soon", "1.5h", "30m1h", "1h 30m", "-5s", "5w", "PT5M", "1:30", "nan", "inf", "1e3", "5S"]
)
def test_what_is_no_duration_is_refused_with_examples(typed: str) -> None:
    """The message repeats what was typed and shows what would do."""
    assert f"{typed!r} is not a duration; write it like 90s, 10m, 2h or 1h30m" in refusal("t", "--deadline", typed)


@pytest.mark.parametrize("typed", ["9999999999d", "9" * 400])
def test_a_duration_beyond_all_measure_is_refused(typed: str) -> None:
    """Too long is said in words and not with an OverflowError."""
    assert "is too long" in refusal("t", "--deadline", typed)


@pytest.mark.parametrize("typed", ["0", "0s", "0h0m"])
def test_a_duration_of_nothing_is_up_to_the_model(typed: str) -> None:
    """Zero is a duration; whether it makes sense is the field's bound to say."""
    assert refusal("t", "--deadline", typed) == "--deadline: Input should be greater than 0 seconds"


def test_a_number_without_a_unit_after_one_with_a_unit_is_refused() -> None:
    """Whoever types 1h30 means an hour and a half; a deadline is not guessed."""
    assert "is not a duration" in refusal("t", "--deadline", "1h30")


# --- the environment ---------------------------------------------------------------------------------------------


def test_an_option_may_come_from_the_environment() -> None:
    """Every option has a variable, named after it."""
    env = {
        "BREAKWATER_MAX_REVISIONS": "7",
        "BREAKWATER_PLANNER": "no",
        "BREAKWATER_DEADLINE": "10m",
        "BREAKWATER_TONE": "warm",
        "BREAKWATER_ITEMS": '[{"id": "a", "count": 1}]',
    }
    assert accepted("t", env=env) == Order(
        task="t",
        max_revisions=7,
        planner=False,
        deadline=timedelta(minutes=10),
        tone="warm",
        items=[Item(id="a", count=1)],
    )


def test_what_is_typed_wins_over_the_environment() -> None:
    """A variable is a default and nothing more."""
    assert accepted("t", "--max-revisions", "1", env={"BREAKWATER_MAX_REVISIONS": "7"}).max_revisions == 1
    assert accepted("t", "--planner", env={"BREAKWATER_PLANNER": "no"}).planner


def test_an_empty_variable_is_none() -> None:
    """`BREAKWATER_MAX_REVISIONS=` in a file of settings means: not set."""
    assert accepted("t", env={"BREAKWATER_MAX_REVISIONS": "", "BREAKWATER_DEADLINE": ""}) == Order(task="t")


def test_a_bad_variable_is_refused_by_name() -> None:
    """Whoever typed nothing wrong must see that it came from the environment."""
    assert "BREAKWATER_MAX_REVISIONS" in refusal("t", env={"BREAKWATER_MAX_REVISIONS": "many"})


# --- help --------------------------------------------------------------------------------------------------------


def help_of(model: type[BaseModel]) -> str:
    """The help of a model's command, without its line breaks."""
    result, _ = run(model, "--help")
    assert result.exit_code == 0
    return " ".join(result.output.split())


def test_help_shows_every_option_with_its_words_default_and_variable() -> None:
    """The description of a field is the help of its option."""
    text = help_of(Order)
    assert "run [OPTIONS] TASK" in text
    for name, field in Order.model_fields.items():
        if name != "task":
            assert field.description
            assert f"--{name.replace('_', '-')}" in text
            assert field.description in text
            assert f"[env var: {ENVIRONMENT_PREFIX}{name.upper()}]" in text
    assert "How often. [default: 3]" in text
    assert "How much. [default: 0.5]" in text
    assert "Who asks. [default: nobody]" in text
    assert "Whether to plan. [default: yes]" in text
    assert "How it sounds. [default: dry]" in text
    assert "--tone [dry|warm]" in text
    assert "--mood [calm|loud]" in text
    assert "--planner / --no-planner" in text


def test_an_option_without_a_default_shows_none() -> None:
    """`[default: None]` would say nothing to anybody."""
    assert "None" not in help_of(Order)
    assert "How long. [env var" in help_of(Order)


class Defaults(BaseModel):
    """Defaults that are not text."""

    mood: Mood = Field(default=Mood.CALM, description="How it feels.")
    wait: timedelta = Field(default=timedelta(minutes=90), description="How long.")
    names: list[str] = Field(default_factory=lambda: ["a"], description="Who.")
    off: bool = Field(default=False, description="Whether.")


def test_a_false_default_is_no() -> None:
    """A flag's default is a word and not `False`."""
    assert "Whether. [default: no]" in help_of(Defaults)


@pytest.mark.parametrize(
    "shown",
    [
        "How it feels. [default: calm]",
        "How long. [default: 1h30m]",
        'Who. [default: ["a"]]',
    ],
)
def test_a_default_is_shown_as_it_would_be_typed(shown: str) -> None:
    """What the help shows can be copied behind the option."""
    assert shown in help_of(Defaults)


# --- mistakes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([""], "TASK: is empty"),
        ([" \n"], "TASK: is empty"),
        (["t", "--max-revisions", "11"], "--max-revisions: Input should be less than or equal to 10"),
        (["t", "--max-revisions", "-1"], "--max-revisions: Input should be greater than or equal to 0"),
        (["t", "--budget", "0"], "--budget: Input should be greater than 0"),
        (["t", "--budget", "nan"], "--budget: Input should be greater than 0"),
        (["t", "--items", "5"], "--items: Input should be a valid list"),
        (["t", "--items", '[{"id": "a"}]'], "--items.0.count: Field required"),
        (
            ["t", "--items", '[{"id": "a", "count": 1}, {"id": "b", "count": -1}]'],
            "--items.1.count: Input should be greater than or equal to 0",
        ),
        (["t", "--mood", "loud", "--tone", "warm"], "loud and warm do not go together"),
        (
            ["", "--max-revisions", "11"],
            "TASK: is empty; --max-revisions: Input should be less than or equal to 10",
        ),
    ],
)
def test_a_mistake_is_one_line_named_as_it_was_typed(words: list[str], line: str) -> None:
    """Options by their flags, the argument by its name, and pydantic's words without its frame."""
    assert refusal(*words) == line


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ([], "Missing argument 'TASK'"),
        (["t", "--max-revisions", "many"], "'many' is not a valid integer"),
        (["t", "--ratio", "much"], "'much' is not a valid float"),
        (["t", "--tone", "loud"], "'loud' is not one of 'dry', 'warm'"),
        (["t", "--mood", "LOUD"], "'LOUD' is not one of 'calm', 'loud'"),
        (["t", "--max-revision", "3", "--nope"], "No such option"),
        (["t", "u"], "unexpected extra argument"),
    ],
)
def test_clicks_own_refusals_are_one_line_too(words: list[str], part: str) -> None:
    """What never reaches the model is refused in the same shape."""
    assert part in refusal(*words)


def test_text_that_is_too_short_is_not_called_empty() -> None:
    """Three letters where five are asked for are not nothing."""

    class Coded(BaseModel):
        code: str = Field(min_length=5)

    assert "is empty" not in refusal("abc", model=Coded)


def test_a_refusal_never_echoes_the_value() -> None:
    """A long or secret value does not end up on the terminal or in a log."""
    assert "hunter2" not in refusal("t", "--items", '[{"id": "a", "count": "hunter2"}]')


def test_validation_is_a_usage_error_with_its_cause() -> None:
    """`validated` works without a command: starter and tests see the same error."""
    with pytest.raises(click.UsageError) as error:
        validated(Order, {"task": "t", "max_revisions": 11})
    assert error.value.message.startswith("--max-revisions: ")
    assert error.value.__cause__ is not None
    assert validated(Order, {"task": "t", "name": None}) == Order(task="t")


# --- the real pipelines ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(discover()))
def test_every_field_of_every_pipeline_has_help(name: str) -> None:
    """Nobody has to read the source to know what an option does."""
    model = discover()[name].input
    assert all(field.description for field in model.model_fields.values())
    text = help_of(model)
    for field in model.model_fields.values():
        shown = " ".join((field.description or "").split()) in text
        assert shown is not is_internal(field) or field.is_required()


@pytest.mark.parametrize("name", sorted(discover()))
def test_every_pipeline_has_a_text_to_give_without_a_name(name: str) -> None:
    """`starter.py run NAME "what to do"` works for all of them."""
    model = discover()[name].input
    assert positional(model) is not None
    flags = [flag for parameter in parameters(model) for flag in (*parameter.opts, *parameter.secondary_opts)]
    assert len(set(flags)) == len(flags)
    assert all(re.fullmatch(r"(--[a-z][a-z0-9-]*|[a-z][a-z0-9_]*)", flag) for flag in flags)
