"""From a pipeline's Input to a complete command: every field an option, its description the help, its bounds checked.

The first field without a default is the positional argument. Text may be given as it is, as `@file`, or as `-` for
standard input; anything that is not a plain value is JSON, given in the same three ways. What a field says of itself in
`json_schema_extra`: `internal` makes it no option (a pipeline sets it when it starts another run), `names` lets it be
typed as names between commas, and `shown_default` is what the help calls its default.
"""

from __future__ import annotations

import json
import re
import sys
import types
from collections.abc import Iterable, Mapping
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import to_json

from workflows.contracts import LARGEST_REQUEST

ENVIRONMENT_PREFIX = "BREAKWATER_"
_DURATION = re.compile(r"^(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?$")
_SECONDS = re.compile(r"^\d+(?:\.\d+)?$")
LONGEST = timedelta(days=36_500)
"""Of a duration: what it ends at is still a date."""


class Text(click.ParamType[Any]):
    """Text as it is, the content of `@file`, or standard input for `-`."""

    name = "text | @file | -"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not isinstance(value, str):
            return str(value)
        if value == "-":
            return self._decode(sys.stdin.buffer.read(LARGEST_REQUEST + 1), "standard input", param, ctx)
        if not value.startswith("@"):
            return value
        path = Path(value[1:])
        try:
            with path.open("rb") as file:
                return self._decode(file.read(LARGEST_REQUEST + 1), str(path), param, ctx)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            self.fail(f"cannot read {path}: {reason}; give the path of a readable file after @", param, ctx)

    def _decode(self, data: bytes, source: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if len(data) > LARGEST_REQUEST:
            limit = f"more than {LARGEST_REQUEST // 2**20} MiB, which is all that the API takes at once"
            self.fail(f"{source} is {limit}; give it less", param, ctx)
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            self.fail(f"{source} is not UTF-8 text (byte {error.start}); convert it first", param, ctx)


class Json(Text):
    """A JSON value: as it is, from `@file`, or from standard input."""

    name = "json | @file | -"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        text = super().convert(value, param, ctx)
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            self.fail(f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}", param, ctx)
        except (ValueError, RecursionError) as error:
            self.fail(f"not JSON that can be read ({type(error).__name__}); simplify it", param, ctx)


class Listed(Json):
    """A JSON list, one JSON object of it, or plain names between commas."""

    name = "a,b | json | @file | -"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        if value.startswith(("@", "[", "{")) or value == "-":
            return super().convert(value, param, ctx)
        return [name for name in (part.strip() for part in value.split(",")) if name]


class Duration(click.ParamType[Any]):
    """A length of time: 90s, 10m, 2h, 1d, 1h30m, or seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        text = str(value).strip()
        found = _DURATION.match(f"{text}s" if _SECONDS.match(text) else text)
        if not found or not any(found.groups()):
            self.fail(f"{value!r} is not a duration; write it like 90s, 10m, 2h or 1h30m", param, ctx)
        days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
        try:
            length = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        except OverflowError:
            length = timedelta.max
        if length > LONGEST:
            self.fail(f"{value!r} is too long; at most {LONGEST.days}d", param, ctx)
        return length


class Member(click.Choice[Any]):
    """One of some values, chosen by the text it shows."""

    def __init__(self, values: Iterable[Any]) -> None:
        self.values = {str(each): each for each in values}
        super().__init__(list(self.values))

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return self.values[super().convert(value, param, ctx)]


def parameters(model: type[BaseModel]) -> list[click.Parameter]:
    """A click parameter for every field of `model` that is a user's to set, its own before the inherited ones."""
    inherited = {name for base in model.__mro__[1:] for name in getattr(base, "__annotations__", {})}
    names = sorted(
        (name for name, field in model.model_fields.items() if not is_internal(field)),
        key=lambda name: name in inherited,
    )
    main = positional(model)
    return [
        _argument(name, model.model_fields[name]) if name == main else _option(name, model.model_fields[name])
        for name in names
    ]


def options(model: type[BaseModel], names: Iterable[str], default: str) -> list[click.Parameter]:
    """Options for these fields of `model` alone, where `default` says in words what counts without them."""
    return [_option(name, model.model_fields[name], f" [default: {default}]") for name in names]


def positional(model: type[BaseModel]) -> str | None:
    """The field given without a name: the first that has no default."""
    return next((name for name, field in model.model_fields.items() if field.is_required()), None)


def validated(model: type[BaseModel], values: Mapping[str, Any]) -> BaseModel:
    """The model from what was typed. Raises click.UsageError, one line, naming options as they are typed."""
    given = {name: value for name, value in values.items() if value is not None}
    try:
        return model.model_validate(given)
    except ValidationError as error:
        main = positional(model)
        found = error.errors(include_url=False, include_input=False)
        raise click.UsageError(
            "; ".join(_problem(each["loc"], each["type"], each["msg"], main) for each in found)
        ) from error


def one_line(error: ValueError) -> str:
    """What is wrong with a value, in one line; a pydantic error without the places, which are not the user's words."""
    if not isinstance(error, ValidationError):
        return str(error)
    found = error.errors(include_url=False, include_input=False)
    return "; ".join(each["msg"].removeprefix("Value error, ") for each in found)


def _problem(location: tuple[int | str, ...], kind: str, message: str, main: str | None) -> str:
    words = (
        "is empty" if kind == "string_too_short" and "at least 1 " in message else message.removeprefix("Value error, ")
    )
    if not location:
        return words
    name, *rest = map(str, location)
    shown = name.upper() if name == main else _flag(name)
    return ".".join([shown, *rest]) + f": {words}"


def is_internal(field: FieldInfo) -> bool:
    """Whether a field is the program's own to set."""
    return _extra(field, "internal") is True


def _extra(field: FieldInfo, name: str) -> Any:
    """What a field says of itself for the command line: `internal`, `names`, `shown_default`."""
    return field.json_schema_extra.get(name) if isinstance(field.json_schema_extra, dict) else None


def _argument(name: str, field: FieldInfo) -> click.Argument:
    kind = _plain(field.annotation)
    return click.Argument([name], type=Text() if kind is str else _type(kind), required=True)


def _option(name: str, field: FieldInfo, default: str | None = None) -> click.Option:
    kind = _plain(field.annotation)
    common: dict[str, Any] = {
        "help": _help(field) if default is None else (field.description or "") + default,
        "envvar": ENVIRONMENT_PREFIX + name.upper(),
        "show_envvar": True,
        "default": None,
        "required": field.is_required(),
    }
    if kind is bool:
        return click.Option([f"{_flag(name)}/--no-{_flag(name)[2:]}"], **common)
    return click.Option([_flag(name)], type=Listed() if _extra(field, "names") else _type(kind), **common)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _help(field: FieldInfo) -> str:
    words = field.description or ""
    default = _extra(field, "shown_default") or field.get_default(call_default_factory=True)
    if field.is_required() or default is None or default == []:
        return words
    return f"{words} [default: {_shown(default)}]"


def _shown(value: Any) -> str:
    """A default as one would type it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, str | int | float):
        return str(value)
    if isinstance(value, timedelta):
        minutes, seconds = divmod(value.total_seconds(), 60)
        hours, minutes = divmod(minutes, 60)
        parts = [(hours, "h"), (minutes, "m"), (seconds, "s")]
        return "".join(f"{number:g}{unit}" for number, unit in parts if number) or "0s"
    return to_json(value).decode()


def _plain(annotation: Any) -> Any:
    """The type behind Annotated and Optional."""
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation = get_args(annotation)[0]
        elif origin in (Union, types.UnionType):
            some = [each for each in get_args(annotation) if each is not type(None)]
            if len(some) != 1:
                return annotation
            annotation = some[0]
        else:
            return annotation


def _type(kind: Any) -> click.ParamType[Any]:
    if get_origin(kind) is Literal:
        return Member(get_args(kind))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return Member(each.value for each in kind)
    simple: dict[Any, click.ParamType[Any]] = {
        str: click.STRING,
        int: click.INT,
        float: click.FLOAT,
        timedelta: Duration(),
    }
    return simple.get(kind, Json())
