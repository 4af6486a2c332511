"""Where the API is and what opens it: settings that no request can be sent with, found before a run waits for them.

Such a request fails without having left, which looks like a network that is down: every worker would wait for ever for
an API that nobody has called. What is wrong is said without the value, which is or may hold a secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from activities.urls import is_http

CREDENTIALS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")
BASE_URL = "ANTHROPIC_BASE_URL"
CONTROL = re.compile("[\x00-\x1f\x7f]")


class EndpointInvalid(Exception):
    """The settings of the API cannot be used; `str()` is one line that says which, and what to do."""


def check_endpoint(environment: Mapping[str, str]) -> None:
    """Raises EndpointInvalid for a credential that no header can carry, or an address that nothing can be sent to."""
    for name in (*CREDENTIALS, BASE_URL):
        if found := CONTROL.search(environment.get(name, "")):
            what = "a line break" if found[0] in "\r\n" else "a control character"
            raise EndpointInvalid(f"{name} contains {what}, and no request can carry that; set it without")
    if url := environment.get(BASE_URL):
        _check_url(url)


def _check_url(url: str) -> None:
    try:
        login = "@" in urlsplit(url).netloc
    except ValueError:
        login = False
    if login:
        raise EndpointInvalid(
            f"{BASE_URL} names a user or a password, which cannot be sent beside the API's key; leave out what stands "
            "before the @"
        )
    if not is_http(url) or url != url.strip():
        raise EndpointInvalid(f"{BASE_URL} is no address of an API; set it to something like https://api.anthropic.com")
