"""Types of arguments whose parsers are loaded only when one is given, so that `--help` stays fast."""

from __future__ import annotations

from typing import Any

import click


class Late(click.ParamType[Any]):
    """A duration, whose parser is loaded only when one is given."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from console.options import Duration

        return Duration().convert(value, param, ctx)
