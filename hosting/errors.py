"""What a person reads when something around the pipelines is not as it should be.

HostingError        the home, a configuration or a process of ours: one line that ends in what to do next
  NoNamespace       the Temporal server answers, and does not have the namespace
  Unreachable       the Temporal server does not answer
    Misconnected    it answers, but not in the way it is asked: TLS, or another protocol
  WaitEnded         somebody stopped us while we waited for a server
"""

from __future__ import annotations


class HostingError(Exception):
    """`str()` is one line for a person: what is wrong and what to do about it."""

    @property
    def what(self) -> str:
        """What is wrong, without the advice."""
        return str(self).partition(";")[0]


class NoNamespace(HostingError):
    """The server has no namespace of the name in the message; somebody may be about to create it."""


class Unreachable(HostingError):
    """Temporal cannot be reached at the address in the message."""


class Misconnected(Unreachable):
    """What is at the address wants to be asked in another way, so that waiting for it would not help."""


class WaitEnded(HostingError):
    """Stopped while waiting; not a failure."""
