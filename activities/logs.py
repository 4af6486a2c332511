"""A worker's logs: dotted facts with fields on standard error, ours and the libraries' in one form."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from activities.vault.discretion import discreet

FIELD = re.compile(r" (\w+)=%([sr])")
"""How hosting, which knows of no library for it, writes a field of a fact: `temporal.died pid=%s`."""


def facts(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor for what the standard library was given: hosting's facts get their fields back."""
    arguments = event.pop("positional_args", None)
    record = event.get("_record")
    if isinstance(record, logging.LogRecord) and record.name.startswith("hosting") and isinstance(arguments, tuple):
        fields = FIELD.findall(str(record.msg))
        if fields and len(fields) == len(arguments):
            event["event"] = str(record.msg).partition(" ")[0]
            pairs = zip(fields, arguments, strict=True)
            event.update({name: repr(value) if how == "r" else value for (name, how), value in pairs})
    return event


def log_to_stderr(discreetly: bool, as_json: bool = False) -> None:
    """Ours and the libraries' logs in one form: time, level, a dotted fact, its fields; no words of others on request.

    As text for people, or one JSON object a line for whoever collects logs.

    Never a traceback with the values of variables: a request's headers are among them, and keys are among those.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    text = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), pad_event_to=0, exception_formatter=structlog.dev.plain_traceback
    )
    lines = (structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str, ensure_ascii=False))
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[facts, *shared],
            pass_foreign_args=True,
            processors=[
                *([discreet] if discreetly else []),
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *(lines if as_json else [text]),
            ],
        )
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for chatty in ("httpx2", "temporalio.worker", "aiohttp.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
