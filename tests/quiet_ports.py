"""Ports that stay free until the test that asked for them uses them, whoever else opens connections meanwhile."""

from __future__ import annotations

import random

from hosting.ports import is_free

QUIET = range(20_000, 32_000)
"""No system gives these to a connection or to whoever asks for any port: Linux begins at 32,768, macOS at 49,152."""
_each_once = iter(random.sample(QUIET, len(QUIET)))


def quiet_port() -> int:
    """One of them that nobody listens on, never the same twice: a server that was killed can come back on it."""
    return next(filter(is_free, _each_once))
