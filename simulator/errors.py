"""How the API says no: one JSON shape, a type for each status, and codes where a status has several causes."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from pydantic import ValidationError

TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""The documented type of each status. Others are api_error from 500 up, invalid_request_error below."""

STATUSES: Mapping[str, int] = {kind: status for status, kind in TYPES.items()}
"""The way back, for an error that has a type but needs a status; the highest wins where two share a type."""

_SENTENCES: Mapping[int, str] = {429: "Too many requests", 529: "Overloaded"}
"""Where the service's own words differ from the phrase HTTP has for the status."""


class ApiError(Exception):
    """An error answer: raised anywhere below the routes, turned into a response in one place.

    Type and message follow from the status unless they are given. `headers` go out beside those of every response.
    """

    def __init__(
        self,
        status: int,
        message: str | None = None,
        *,
        type: str | None = None,
        error_code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status = status
        self.message = message or _sentence(status)
        self.type = type or type_of(status)
        self.error_code = error_code
        self.headers: Mapping[str, str] = headers or {}
        super().__init__(f"{status} {self.type}: {self.message}")

    def body(self, request_id: str | None) -> dict[str, object]:
        """The JSON that goes over the wire, in a response or in an `event: error` of a stream."""
        error: dict[str, object] = {"type": self.type, "message": self.message}
        if self.error_code is not None:
            error["details"] = {"error_code": self.error_code}
        return {"type": "error", "error": error, "request_id": request_id}


def type_of(status: int) -> str:
    """The error type the API uses for `status`."""
    return TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")


def one_line(error: ValidationError) -> str:
    """What pydantic found, as the API says it: the place, then the problem, all in one line."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(": ".join(filter(None, (".".join(map(str, each["loc"])), each["msg"]))) for each in found)


def _sentence(status: int) -> str:
    if status in _SENTENCES:
        return _SENTENCES[status]
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"HTTP status {status}"
