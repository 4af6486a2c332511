"""What a person reads when something around the pipelines is not as it should be.

HostingError        the home, a configuration or a process of ours: one line that ends in what to do next
  Unreachable       the Temporal server does not answer
"""

from __future__ import annotations


class HostingError(Exception):
    """`str()` is one line for a person: what is wrong and what to do about it."""


class Unreachable(HostingError):
    """Temporal cannot be reached at the address in the message."""
