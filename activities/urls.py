"""Addresses of servers: whether they are any, and how they may be shown."""

from __future__ import annotations

import re
from urllib.parse import urlsplit


def is_http(url: str) -> bool:
    """Whether a request over HTTP or HTTPS could be sent there."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def without_login(url: str) -> str:
    """An address as it may be printed: without a user or a password."""
    return re.sub(r"//[^/]*@", "//", url)
