"""How the tests are run: in several processes if they are all run, and in each of them started without waste.

A test must be called the same in each process, so nothing random and no order of a set belongs in its parameters. It
shares the machine with three others: what it times must be waiting, not computing, and its ports are quiet_ports'.
"""

from __future__ import annotations

import gc

import pytest

PROCESSES = 4
"""For two cores: a test waits for servers and processes more than it computes."""

# What is imported while tests are collected stays for good: looking through it for garbage again and again is a third
# of the time that a process needs to begin.
gc.disable()


def pytest_collection_finish() -> None:
    """From here on there is garbage, and what was there before is never looked at."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Each process imports everything once, 3 s of CPU: too dear for one file that somebody asks for by name."""
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    return PROCESSES if whole else 0
