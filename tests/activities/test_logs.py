"""A worker's log: no values of variables ever, and no words of others while values are encrypted."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from hosting.home import PROJECT

CRASH = """
import logging, structlog
from activities.logs import log_to_stderr

log_to_stderr(discreetly={discreetly})

def call(headers):
    try:
        raise KeyError("inner-words")
    except KeyError as error:
        raise ValueError("quoted-words") from error

try:
    call({{"x-api-key": "-".join(["canary", "key"])}})
except ValueError:
    structlog.get_logger("call").exception("call.crashed", run="run-1")
    more = {{"more": "quoted-words"}}
    logging.getLogger("temporalio.activity").warning("said %s", "quoted-words", exc_info=True, extra=more)
structlog.get_logger("call").warning("call.failed", kind="request", why="quoted-words")
structlog.get_logger("call").warning("journal.not_kept", why="quoted-words")
structlog.get_logger("worker").warning("model.simulated", why="no credential is set")
structlog.get_logger("vault").warning("vault.waits", why="the disk is full")
logging.getLogger("hosting.process").warning("temporal.died pid=%s", 17)
logging.getLogger("hosting.process").warning("record.damaged path=%s error=%r", "/a b", ValueError("x=1"))
logging.getLogger("hosting.process").warning("no fields: 100 %% of %s", 3)
logging.getLogger("elsewhere").warning("said pid=%s", 18)
"""


def logged(discreetly: bool, as_json: bool = False) -> str:
    """What a process says that logs an exception and some facts."""
    crash = CRASH.format(discreetly=discreetly).replace("log_to_stderr(", f"log_to_stderr(as_json={as_json}, ")
    program = [sys.executable, "-c", crash]
    return subprocess.run(program, cwd=PROJECT, capture_output=True, text=True, check=True).stderr


@pytest.mark.parametrize("discreetly", [False, True])
def test_a_crash_never_shows_the_values_of_variables(discreetly: bool) -> None:
    """Where and of which class, but not the headers that a frame had in its hands."""
    said = logged(discreetly)
    assert "call.crashed" in said
    assert "ValueError" in said
    assert "KeyError" in said
    assert "in call" in said
    assert "canary-key" not in said


def test_words_of_others_are_only_logged_without_encryption() -> None:
    """An error's message may quote a prompt; what happened, where and of which kind is always there."""
    assert logged(False).count("quoted-words") == 6
    said = logged(True)
    assert "quoted-words" not in said
    assert "inner-words" not in said
    for fact in (
        "run=run-1",
        "kind=request",
        "the disk is full",
        "no credential",
        "temporal.died pid=17",
        "temporalio.activity",
    ):
        assert fact in said


@pytest.mark.parametrize("discreetly", [False, True])
def test_hostings_facts_have_fields_as_ours_do(discreetly: bool) -> None:
    """Whoever collects logs asks for an event by its name; of others' words nothing is taken apart."""
    lines = [json.loads(line) for line in logged(discreetly, as_json=True).splitlines()]
    facts = {line["event"]: line for line in lines}
    assert facts["temporal.died"]["pid"] == 17
    assert facts["record.damaged"]["path"] == "/a b"
    assert facts["record.damaged"]["error"] == "ValueError('x=1')"
    assert "no fields: 100 % of 3" in facts
    assert discreetly or "said pid=18" in facts
    assert not any("positional_args" in line for line in lines)
