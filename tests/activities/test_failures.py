"""Every exception a call can end with has a kind that somebody chose, and the kind never depends on words."""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import pkgutil
import ssl
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import get_args

import aiohttp
import anthropic
import httpx2
import pytest
from anthropic._error_classes import ERROR_CLASSES
from anthropic.types.shared.error_type import ErrorType
from hypothesis import assume, example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from activities.claude import SIMULATOR_HEADER, Meter, NoCredential, StreamBroken, StreamEnded, StreamSilent
from activities.failures import (
    BY_CODE,
    BY_TYPE,
    MESSAGE_LIMIT,
    RETRY_AFTER_CAP,
    as_application_error,
    classify,
    describe,
    next_delay,
    retry_after,
)
from workflows.contracts import CALL_RETRY, CallFailure, Usage
from workflows.failures import FAILURES, FailureKind

REQUEST = httpx2.Request("POST", "https://api.example/v1/messages")
NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


def status_error(
    status: int,
    *,
    type: object = None,
    code: object = None,
    message: str = "words",
    headers: dict[str, str] | None = None,
    body: object = None,
) -> anthropic.APIStatusError:
    """The error the SDK makes of a response with this status and this body."""
    if body is None:
        error: dict[str, object] = {"message": message, "type": type}
        if code is not None:
            error["details"] = {"error_code": code}
        body = {"type": "error", "error": error}
    cls = ERROR_CLASSES.get((status, code if isinstance(code, str) else None)) or ERROR_CLASSES.get((status, None))
    if cls is None:
        cls = anthropic.InternalServerError if status >= 500 else anthropic.APIStatusError
    response = httpx2.Response(status, request=REQUEST, headers=headers or {})
    return cls(message, response=response, body=body)


# --- responses: by status and error code -------------------------------------------------------------------------

BY_STATUS_ALONE: dict[int, FailureKind] = {
    400: "request",
    401: "credentials",
    402: "spend",
    403: "credentials",
    404: "request",
    408: "timeout",
    409: "conflict",
    412: "request",
    413: "request",
    422: "request",
    429: "throttled",
    431: "request",
    499: "transport",
    501: "request",
    503: "overloaded",
    504: "overloaded",
    529: "overloaded",
}

CODES: dict[int, dict[str, FailureKind]] = {
    400: {
        "already_member": "request",
        "available_tools_limit_exceeded": "request",
        "bundle_attachment_not_supported": "request",
        "bundle_on_call": "request",
        "cannot_invite_emails_with_unverified_domains": "request",
        "cannot_remove_last_member": "request",
        "cannot_sign_out_primary_owner": "request",
        "cannot_sign_out_self": "request",
        "claude_code_key_creator_not_member": "request",
        "claude_code_version_too_old": "request",
        "cmek_feature_unsupported": "request",
        "cmek_key_disabled": "request",
        "cmek_key_network_blocked": "request",
        "compaction_block_ambiguous": "request",
        "compaction_block_misplaced": "request",
        "compaction_content_mismatch": "request",
        "compaction_incomplete_turn": "request",
        "compaction_nothing_to_summarize": "request",
        "compaction_signature_invalid": "request",
        "compaction_too_many_tool_references": "request",
        "compaction_tool_changes_mismatch": "request",
        "email_domain_not_allowed": "request",
        "environment_archived": "request",
        "external_key_in_workspace_policy": "request",
        "external_key_validation_failed": "request",
        "external_key_validation_timed_out": "request",
        "file_not_downloadable": "request",
        "image_dimensions_too_large": "request",
        "invalid_config_type_change": "request",
        "invalid_metadata": "request",
        "invite_already_exists": "request",
        "key_profile_mismatch": "request",
        "org_api_key_limit_exceeded": "request",
        "org_member_limit_exceeded": "request",
        "organization_not_enrolled_in_beta": "request",
        "organization_on_hold": "spend",
        "organization_type_not_supported": "request",
        "parent_organization_required": "request",
        "rbac_group_grants_owner_access": "request",
        "rbac_group_order_limit_exceeded": "request",
        "rbac_group_owner_access_unconfirmed": "request",
        "request_body_encoding_invalid": "request",
        "request_body_encoding_unsupported": "request",
        "request_body_timeout": "transport",
        "scan_failed": "request",
        "settings_document_limit_exceeded": "request",
        "settings_history_limit_exceeded": "request",
        "slack_channel_set_up_settings_refused": "request",
        "storage_quota_exceeded": "request",
        "thread_already_continued": "request",
        "thread_continue_in_flight": "request",
        "thread_fingerprint_mismatch": "request",
        "thread_unsupported_request": "request",
        "tool_name_conflict": "request",
        "tool_reference_unresolved": "request",
        "unsupported_charset": "request",
        "user_profile_not_found": "request",
        "user_profile_required": "request",
        "workspace_api_key_limit_exceeded": "request",
        "workspace_member_limit_exceeded": "request",
        "workspace_policy_violation": "request",
    },
    402: {
        "linked_organization_billing_unavailable": "spend",
        "linked_organization_spend_limit_reached": "spend",
    },
    403: {
        "api_key_scope_missing": "credentials",
        "cannot_sign_out_managed_member": "credentials",
        "cannot_sign_out_membership_admin": "credentials",
        "cannot_sign_out_owner": "credentials",
        "cannot_sign_out_privileged_member": "credentials",
        "claude_tag_writes_not_enabled": "credentials",
        "compliance_configuration_restricted": "credentials",
        "environment_create_disabled": "credentials",
        "environment_update_disabled": "credentials",
        "organization_level_scoped_api_key_required": "credentials",
        "sandbox_egress_restricted": "credentials",
        "spend_limits_admin_api_writes_not_enabled": "credentials",
        "user_profile_billing_not_authorized": "spend",
        "user_profile_not_billable": "spend",
    },
    404: {
        "environment_not_found": "request",
        "file_expired": "request",
        "rbac_group_managed_settings_not_found": "request",
        "rbac_group_not_found": "request",
        "rbac_role_not_found": "request",
        "slack_channel_set_up_environment_not_found": "request",
        "thread_not_found": "request",
    },
    409: {
        "concurrent_membership_change": "conflict",
        "external_key_changed": "conflict",
        "plugin_name_taken": "conflict",
        "scan_pending": "conflict",
        "skill_name_taken": "conflict",
        "skill_read_blocked_undecryptable": "conflict",
        "slack_channel_set_up_settings_conflict": "conflict",
    },
    412: {"heartbeat_precondition_failed": "request"},
    413: {"request_body_too_large_after_decoding": "request"},
    429: {
        "contract_spend_limit_reached": "spend",
        "enforced_spend_limit_reached": "spend",
        "ramp_limit_exceeded": "throttled",
    },
    503: {
        "cmek_context_unavailable": "overloaded",
        "cmek_key_unreachable": "overloaded",
        "registration_pending": "overloaded",
    },
    529: {"compaction_unavailable": "overloaded"},
}

EXPECTED: dict[tuple[int, str | None], FailureKind] = {
    **{(status, None): kind for status, kind in BY_STATUS_ALONE.items()},
    **{(status, code): kind for status, kinds in CODES.items() for code, kind in kinds.items()},
}


def test_every_status_and_code_that_the_sdk_knows_is_classified_here() -> None:
    """A new version of the SDK with new errors stops here until somebody has decided what they mean."""
    new = sorted(set(ERROR_CLASSES) - set(EXPECTED), key=str)
    gone = sorted(set(EXPECTED) - set(ERROR_CLASSES), key=str)
    assert not new, (
        f"the anthropic SDK has errors that nobody has classified: {new}. Read each one's docstring, decide who can "
        "act (workflows/failures.py), write the kind into CODES in this file and, if it differs from what the status "
        "means, into BY_CODE in activities/failures.py"
    )
    assert not gone, f"the anthropic SDK no longer has {gone}: remove them from CODES in this file"


@pytest.mark.parametrize(("status", "code"), sorted(EXPECTED, key=str))
def test_a_response_is_classified_by_its_code_or_else_its_status(status: int, code: str | None) -> None:
    """The SDK's own class for this status and code gets the kind of the table above."""
    error = status_error(status, code=code)
    assert type(error) is ERROR_CLASSES[status, code]
    assert classify(error) == EXPECTED[status, code]


@pytest.mark.parametrize("code", sorted(BY_CODE))
@pytest.mark.parametrize("status", [200, 400, 403, 429, 500])
@pytest.mark.parametrize("type", [None, "api_error", "rate_limit_error", "invalid_request_error"])
def test_a_code_decides_over_type_and_status(status: int, type: str | None, code: str) -> None:
    """A spend limit is one in whatever response it comes: it is never retried as a rate limit."""
    assert classify(status_error(status, type=type, code=code)) == BY_CODE[code]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (402, "spend"),
        (418, "request"),
        (451, "request"),
        (500, "overloaded"),
        (502, "overloaded"),
        (520, "overloaded"),
        (599, "overloaded"),
        (200, "overloaded"),
        (302, "overloaded"),
    ],
)
def test_a_status_without_a_class_of_its_own_has_a_kind_too(status: int, kind: FailureKind) -> None:
    """An unknown 4xx is the request's fault; anything else is the service's."""
    assert classify(status_error(status)) == kind


# --- errors by type ----------------------------------------------------------------------------------------------

TYPES: dict[str, FailureKind] = {
    "invalid_request_error": "request",
    "authentication_error": "credentials",
    "billing_error": "spend",
    "permission_error": "credentials",
    "not_found_error": "request",
    "request_too_large": "request",
    "rate_limit_error": "throttled",
    "timeout_error": "timeout",
    "api_error": "overloaded",
    "overloaded_error": "overloaded",
    "memory_precondition_failed_error": "request",
    "memory_path_conflict_error": "conflict",
    "conflict_error": "conflict",
}


def test_every_error_type_that_the_sdk_knows_is_classified_here() -> None:
    """`request_too_large` is documented by the API though not listed by the SDK."""
    assert set(get_args(ErrorType)) | {"request_too_large"} == set(TYPES)
    assert set(BY_TYPE) == set(TYPES)


@pytest.mark.parametrize("type", sorted(TYPES))
@pytest.mark.parametrize("code", [None, "a_code_of_next_year"])
def test_an_error_event_inside_a_200_is_classified_by_its_type(type: str, code: str | None) -> None:
    """In a stream the status says nothing any more; an unknown code means what its type means."""
    assert classify(status_error(200, type=type, code=code)) == TYPES[type]


@pytest.mark.parametrize("type", ["an_error_of_next_year", "", None])
def test_an_unknown_error_inside_a_200_is_the_services(type: str | None) -> None:
    """The service began to answer and gave up: retried, and counted."""
    assert classify(status_error(200, type=type)) == "overloaded"


@pytest.mark.parametrize("body", ["upstream connect error", "", [], 5, {"error": "busy"}, {"error": None}, {"a": 1}])
@pytest.mark.parametrize(("status", "kind"), [(200, "overloaded"), (400, "request"), (502, "overloaded")])
def test_a_body_of_another_form_leaves_the_status_to_decide(status: int, kind: FailureKind, body: object) -> None:
    """Proxies answer with whatever they like."""
    assert classify(status_error(status, body=body)) == kind


@pytest.mark.parametrize("type", [["overloaded_error"], {"name": "overloaded_error"}])
def test_a_type_that_is_no_text_leaves_the_status_to_decide(type: object) -> None:
    """A strange body must not become a TypeError inside the translation, which Temporal would retry unclassified."""
    assert classify(status_error(503, type=type)) == "overloaded"


MISLEADING = [
    "",
    "overloaded_error",
    "Error code: 429 rate_limit_error",
    "your credit balance is too low; enforced_spend_limit_reached",
    "invalid x-api-key authentication_error",
    "timed out",
    "Connection reset by peer",
]


@pytest.mark.parametrize("message", MISLEADING)
@pytest.mark.parametrize(("status", "code"), [(400, None), (401, None), (429, None), (500, None), (529, None)])
def test_what_a_response_says_in_words_does_not_matter(status: int, code: str | None, message: str) -> None:
    """The same status with another message is the same kind."""
    assert classify(status_error(status, code=code, message=message)) == classify(status_error(status, code=code))


@pytest.mark.parametrize("message", MISLEADING)
@pytest.mark.parametrize(
    "cls", [StreamSilent, StreamEnded, StreamBroken, NoCredential, httpx2.ReadError, ValueError, RuntimeError]
)
def test_what_an_exception_says_in_words_does_not_matter(cls: type[Exception], message: str) -> None:
    """The same class with another message is the same kind."""
    assert classify(cls(message)) == classify(cls("words"))


# --- every exception class of the SDK ----------------------------------------------------------------------------

CLASSES: dict[str, FailureKind] = {
    # What a call raises, or may.
    "anthropic.APIConnectionError": "transport",
    "anthropic.APITimeoutError": "timeout",
    "anthropic.APIResponseValidationError": "transport",
    "anthropic.APIError": "transport",
    "anthropic.RetryableError": "transport",
    "anthropic.CredentialsError": "credentials",
    "anthropic.IdentityTokenFileError": "credentials",
    "anthropic.lib.credentials._workload.WorkloadIdentityError": "credentials",
    "anthropic.lib.foundry.MutuallyExclusiveAuthError": "credentials",
    # Responses; which of them is decided by code, type and status.
    "anthropic.APIStatusError": "overloaded",
    "anthropic.InternalServerError": "overloaded",
    # What only a mistake of ours can raise: we send no webhooks, tools, files or raw streams.
    "anthropic.AnthropicError": "our_bug",
    "anthropic.APIWebhookValidationError": "our_bug",
    "anthropic._response.MissingStreamClassError": "our_bug",
    "anthropic._response.StreamAlreadyConsumed": "our_bug",
    "anthropic.lib._extras._common.MissingDependencyError": "our_bug",
    "anthropic.lib.credentials._secrets._NonObjectPayloadError": "our_bug",
    "anthropic.lib.tools._beta_functions.ToolError": "our_bug",
    "anthropic.lib.tools._file_store.FileStoreError": "our_bug",
    "anthropic.lib.tools._memories.SessionMemoryError": "our_bug",
    "anthropic.lib.tools._toolsets._base.AsyncOnSyncToolsetError": "our_bug",
    "anthropic.lib.tools._toolsets._base.NestedCallError": "our_bug",
    "anthropic.lib.tools._toolsets._base.SyncOnAsyncToolsetError": "our_bug",
    "anthropic.lib.tools._toolsets._browser.BrowserStateError": "our_bug",
    "anthropic.lib.tools._toolsets._errors.ConfirmDeclinedError": "our_bug",
    "anthropic.lib.tools._toolsets._errors.ConfirmFailedError": "our_bug",
    "anthropic.lib.tools._toolsets._errors.DisabledMemberError": "our_bug",
    "anthropic.lib.tools._toolsets._errors.InvalidMemberInputError": "our_bug",
    "anthropic.lib.tools._toolsets._errors.TabMissingError": "our_bug",
    "anthropic.lib.tools._toolsets._errors.ToolsetClosedError": "our_bug",
    "anthropic.lib.tools._toolsets._errors.ToolsetConfigError": "our_bug",
    "anthropic.lib.tools._toolsets._errors.ToolsetContractError": "our_bug",
    "anthropic.lib.tools._toolsets._errors.ToolsetUsageError": "our_bug",
    "anthropic.lib.tools._toolsets._errors.ToolsetsFixedError": "our_bug",
    "anthropic.lib.tools._toolsets._errors.URLRefusedError": "our_bug",
    "anthropic.lib.tools._toolsets._errors.UnavailableMemberError": "our_bug",
    "anthropic.lib.tools._toolsets._errors.UnknownMemberError": "our_bug",
    "anthropic.lib.tools._toolsets._errors.UploadNoRootsError": "our_bug",
    "anthropic.lib.tools._toolsets._errors.UploadOutsideRootsError": "our_bug",
    "anthropic.lib.tools._toolsets._errors.UploadRefusedError": "our_bug",
}


def subclasses(cls: type[BaseException]) -> Iterator[type[BaseException]]:
    """Every class below `cls` that Python knows of."""
    for each in cls.__subclasses__():
        yield each
        yield from subclasses(each)


def name_of(cls: type) -> str:
    """Where a class is found."""
    return f"{cls.__module__}.{cls.__qualname__}"


@functools.cache
def exceptions_of(package: str) -> dict[str, type[BaseException]]:
    """Every exception class that some module of a package defines, after importing all of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old modules of the SDK say that they are old
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            with contextlib.suppress(ImportError):  # an extra that is not installed here
                importlib.import_module(module.name)
    found = {name_of(each): each for each in subclasses(BaseException)}
    return {name: cls for name, cls in found.items() if name.partition(".")[0] == package}


def instance(cls: type[BaseException]) -> BaseException:
    """An instance of any exception class, its attributes as the SDK would set them."""
    response = httpx2.Response(200, request=REQUEST)
    if issubclass(cls, anthropic.APIStatusError):
        return cls("words", response=response, body=None)
    if issubclass(cls, anthropic.APITimeoutError):
        return cls(REQUEST)
    if issubclass(cls, anthropic.APIConnectionError):
        return cls(message="words", request=REQUEST)
    if issubclass(cls, anthropic.APIResponseValidationError):
        return cls(response, None)
    if issubclass(cls, anthropic.APIError):
        return cls("words", REQUEST, body=None)
    return cls.__new__(cls, "words")


def test_every_exception_class_of_the_sdk_is_classified_here() -> None:
    """Reflection over all of the SDK's modules: a class that nobody thought of fails this test."""
    found = exceptions_of("anthropic")
    by_table = {name_of(cls) for cls in ERROR_CLASSES.values()}
    new = sorted(set(found) - set(CLASSES) - by_table)
    gone = sorted(set(CLASSES) - set(found))
    assert len(found) > 130
    assert not new, (
        f"the anthropic SDK has exception classes that nobody has classified: {new}. Decide who can act "
        "(workflows/failures.py), write the kind into CLASSES in this file and, unless it is `our_bug`, into "
        "BY_CLASS in activities/failures.py"
    )
    assert not gone, f"the anthropic SDK no longer has {gone}: remove them from CLASSES in this file"


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_each_class_of_the_sdk_has_the_kind_somebody_chose(name: str) -> None:
    """An instance of the class, whatever it says, is of the kind in the table above."""
    assert classify(instance(exceptions_of("anthropic")[name])) == CLASSES[name]


def test_a_class_of_next_year_below_a_known_one_is_classified_like_it() -> None:
    """A subclass that the table does not know has its parent's kind until somebody decides otherwise."""

    class DnsError(anthropic.APIConnectionError):
        pass

    class Unheard(anthropic.AnthropicError):
        pass

    assert classify(DnsError(request=REQUEST)) == "transport"
    assert classify(Unheard("words")) == "our_bug"


def not_connected(cause: BaseException) -> anthropic.APIConnectionError:
    """What the SDK makes of whatever its transport raises."""
    error = anthropic.APIConnectionError(request=REQUEST)
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (ValueError("Forbidden control character in sk-secret-1"), "request"),
        (httpx2.UnsupportedProtocol("notaurl, password sk-secret-1"), "request"),
        (httpx2.ConnectError("refused"), "transport"),
        (httpx2.ReadTimeout("slow"), "transport"),
        (json.JSONDecodeError("not JSON", "", 0), "transport"),
        (UnicodeDecodeError("utf-8", b"", 0, 1, "not text"), "transport"),
    ],
)
def test_what_was_never_sent_is_no_fault_of_the_network(cause: Exception, kind: FailureKind) -> None:
    """A key with a line break fails every call in the same way: neither a retry nor a closed circuit mends it."""
    failure = describe(not_connected(cause), attempt=1, meter=Meter(), billed=Usage())
    assert failure.kind == kind
    if kind == "request":
        assert not FAILURES[failure.kind].retryable
        assert not FAILURES[failure.kind].counts
        assert "nothing was sent" in failure.message
        assert "secret" not in failure.message


# --- what comes through the SDK from below -----------------------------------------------------------------------

HTTPX2: dict[str, FailureKind] = {
    "CloseError": "transport",
    "ConnectError": "transport",
    "ConnectTimeout": "timeout",
    "CookieConflict": "our_bug",
    "DecodingError": "transport",
    "HTTPError": "our_bug",
    "HTTPStatusError": "our_bug",
    "InvalidURL": "our_bug",
    "LocalProtocolError": "transport",
    "NetworkError": "transport",
    "PoolTimeout": "timeout",
    "ProtocolError": "transport",
    "ProxyError": "transport",
    "ReadError": "transport",
    "ReadTimeout": "timeout",
    "RemoteProtocolError": "transport",
    "RequestError": "transport",
    "RequestNotRead": "our_bug",
    "ResponseNotRead": "our_bug",
    "SSEError": "transport",
    "StreamClosed": "our_bug",
    "StreamConsumed": "our_bug",
    "StreamError": "our_bug",
    "TimeoutException": "timeout",
    "TooManyRedirects": "transport",
    "TransportError": "transport",
    "UnsupportedProtocol": "request",
    "WriteError": "transport",
    "WriteTimeout": "timeout",
}
"""What httpx2 raises mid-stream comes through the SDK as it is; before that the SDK wraps it."""


def httpx2_exceptions() -> dict[str, type[Exception]]:
    """Every exception class that httpx2 exports."""
    exported = {name: getattr(httpx2, name) for name in dir(httpx2)}
    return {
        name: cls
        for name, cls in exported.items()
        if isinstance(cls, type) and issubclass(cls, Exception) and not issubclass(cls, Warning)
    }


def test_every_exception_that_httpx2_exports_is_classified_here() -> None:
    """A new transport error is decided upon before it is met in the field."""
    found = set(httpx2_exceptions())
    assert found == set(HTTPX2), (
        f"httpx2 exports other exceptions than this table: new {sorted(found - set(HTTPX2))}, gone "
        f"{sorted(set(HTTPX2) - found)}. Decide their kind in HTTPX2 in this file and in BY_CLASS in "
        "activities/failures.py"
    )


@pytest.mark.parametrize("name", sorted(HTTPX2))
def test_each_exception_of_httpx2_has_the_kind_somebody_chose(name: str) -> None:
    """Transport and timeouts are retried; what only our own misuse can raise is a defect."""
    cls = httpx2_exceptions()[name]
    assert classify(cls.__new__(cls, "words")) == HTTPX2[name]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (StreamSilent("no content for 60 s"), "timeout"),
        (StreamEnded("ended"), "transport"),
        (StreamBroken("not JSON"), "transport"),
        (NoCredential("set a key"), "credentials"),
        (aiohttp.ClientPayloadError("words"), "transport"),
        (aiohttp.ServerDisconnectedError(), "transport"),
        (aiohttp.ClientConnectionResetError("words"), "transport"),
        (ssl.SSLError("words"), "transport"),
        (ssl.SSLCertVerificationError("words"), "transport"),
        (ConnectionResetError("words"), "transport"),
        (ConnectionRefusedError("words"), "transport"),
        (BrokenPipeError("words"), "transport"),
        (TimeoutError("words"), "timeout"),
        (ValueError("max_tokens is too large for a call without a stream"), "request"),
        (json.JSONDecodeError("words", "{", 1), "transport"),
        (TypeError("could not resolve authentication method"), "our_bug"),
        (KeyError("words"), "our_bug"),
        (AttributeError("words"), "our_bug"),
        (RuntimeError("words"), "our_bug"),
        (AssertionError(), "our_bug"),
        (OSError("words"), "our_bug"),
        (ExceptionGroup("words", [ValueError("words")]), "our_bug"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_everything_else_has_the_kind_somebody_chose(error: BaseException, kind: FailureKind) -> None:
    """Our own stream errors, what the operating system raises, and defects."""
    assert classify(error) == kind


@pytest.mark.parametrize(
    "cls", [aiohttp.ServerTimeoutError, aiohttp.ConnectionTimeoutError, aiohttp.SocketTimeoutError]
)
def test_a_timeout_of_aiohttp_is_a_timeout(cls: type[aiohttp.ServerTimeoutError]) -> None:
    """It is both a ClientError and a TimeoutError; what it says is that nothing came."""
    assert classify(cls("words")) == "timeout"


def test_usage_that_is_no_number_is_not_the_requests_fault() -> None:
    """The meter validates what the API says it used: nonsense there is the response's fault, and not the author's."""
    with pytest.raises(ValidationError) as nonsense:
        Usage.model_validate({"input_tokens": "many"})
    assert classify(nonsense.value) != "request"


def test_a_stream_that_is_not_utf_8_is_not_the_requests_fault() -> None:
    """The SDK decodes each line of a stream as UTF-8: a damaged byte is the connection's or the service's."""
    with pytest.raises(UnicodeDecodeError) as damaged:
        b"data: \xff".decode("utf-8")
    assert FAILURES[classify(damaged.value)].retryable


# --- how long to wait --------------------------------------------------------------------------------------------


def http_date(offset: timedelta) -> str:
    """A header's date, so long after now."""
    return format_datetime(NOW + offset, usegmt=True)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, None),
        ({"retry-after": "30"}, timedelta(seconds=30)),
        ({"retry-after": " 30 "}, timedelta(seconds=30)),
        ({"retry-after": "1.5"}, timedelta(seconds=1.5)),
        ({"retry-after": "0"}, timedelta(0)),
        ({"retry-after-ms": "1500"}, timedelta(seconds=1.5)),
        ({"retry-after-ms": "0.5"}, timedelta(microseconds=500)),
        ({"retry-after-ms": "1500", "retry-after": "30"}, timedelta(seconds=1.5)),
        ({"retry-after-ms": "soon", "retry-after": "30"}, timedelta(seconds=30)),
        ({"retry-after-ms": "-1", "retry-after": "30"}, timedelta(seconds=30)),
        ({"retry-after": http_date(timedelta(seconds=90))}, timedelta(seconds=90)),
        ({"retry-after": http_date(timedelta(0))}, timedelta(0)),
        ({"retry-after": http_date(timedelta(seconds=-90))}, timedelta(0)),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, timedelta(0)),
        ({"retry-after": "Sun, 01 Nov 2026 12:01:00"}, timedelta(minutes=1)),
        ({"retry-after": "Sun, 01 Nov 2026 14:01:00 +0200"}, timedelta(minutes=1)),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}, RETRY_AFTER_CAP),
        ({"retry-after": "3600"}, RETRY_AFTER_CAP),
        ({"retry-after": "3601"}, RETRY_AFTER_CAP),
        ({"retry-after": "1e300"}, RETRY_AFTER_CAP),
        ({"retry-after": "9" * 400}, RETRY_AFTER_CAP),
        ({"retry-after": "inf"}, RETRY_AFTER_CAP),
        ({"retry-after-ms": "inf"}, RETRY_AFTER_CAP),
        ({"retry-after-ms": "1e300"}, RETRY_AFTER_CAP),
        ({"retry-after-ms": "3600001"}, RETRY_AFTER_CAP),
        ({"retry-after": "nan"}, None),
        ({"retry-after-ms": "nan"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "-inf"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "2026-11-01T12:01:00Z"}, None),
        ({"retry-after": "1, 2"}, None),
        ({"retry-after": "Sun, 32 Nov 2026 12:01:00 GMT"}, None),
        ({"retry-after": "Sun, 01 Nov 2026 12:01:00 +9999"}, None),
    ],
    ids=str,
)
def test_a_retry_after_is_read_in_every_form(headers: dict[str, str], wait: timedelta | None) -> None:
    """Milliseconds, seconds and dates, capped; nothing clear is None, which is not zero."""
    assert retry_after(headers, NOW) == wait


@pytest.mark.parametrize("value", ["1 Jan 99999999999 00:00:00", f"Sun, 01 Nov 2026 00:00:00 {'9' * 30}"])
def test_a_date_that_no_calendar_has_is_none(value: str) -> None:
    """Garbage in a header must not become an OverflowError inside the translation."""
    assert retry_after({"retry-after": value}, NOW) is None


def test_the_headers_of_a_response_are_read_whatever_their_case() -> None:
    """A response's headers are case-insensitive, as HTTP has them."""
    assert retry_after(httpx2.Headers({"Retry-After": "7"}), NOW) == timedelta(seconds=7)


@given(
    st.one_of(
        st.none(),
        st.text(max_size=40).filter(lambda text: "9999999999" not in text),
        st.floats().map(str),
        st.integers().map(str),
        st.datetimes(timezones=st.just(UTC)).map(lambda at: format_datetime(at, usegmt=True)),
    ),
    st.one_of(st.none(), st.text(max_size=40), st.floats().map(str)),
)
def test_no_header_holds_a_call_for_less_than_nothing_or_more_than_the_cap(
    seconds: str | None, milliseconds: str | None
) -> None:
    """Whatever the API says, the wait is None or between zero and an hour."""
    given_headers = {"retry-after": seconds, "retry-after-ms": milliseconds}
    wait = retry_after({name: value for name, value in given_headers.items() if value is not None}, NOW)
    assert wait is None or timedelta(0) <= wait <= RETRY_AFTER_CAP


def failure(kind: FailureKind = "overloaded", *, attempts: int = 1, wait: timedelta | None = None) -> CallFailure:
    """A failed attempt of which only kind, number and wait matter."""
    return CallFailure(kind=kind, message="words", attempts=attempts, retry_after=wait)


LONGEST = timedelta(seconds=60)
lucks = st.floats(min_value=0, max_value=1, exclude_max=True)
attempts_made = st.integers(min_value=0, max_value=10_000)
waits = st.timedeltas(min_value=timedelta(0), max_value=RETRY_AFTER_CAP)


@pytest.mark.parametrize(("attempts", "most"), [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (8, 60), (1_000, 60)])
def test_the_wait_doubles_up_to_a_minute_with_equal_jitter(attempts: int, most: int) -> None:
    """Half of the wait is certain and half is luck."""
    assert next_delay(failure(attempts=attempts), 0.0) == timedelta(seconds=most) / 2
    assert next_delay(failure(attempts=attempts), 0.5) == timedelta(seconds=most) * 0.75


def test_the_longest_wait_is_the_retry_policys() -> None:
    """The activity's jitter and Temporal's policy agree on the maximum."""
    assert CALL_RETRY.maximum_interval == LONGEST


@given(attempts_made, lucks)
def test_jitter_has_bounds(attempts: int, luck: float) -> None:
    """A wait is never zero, never above a minute, and never below half of what it would be without luck."""
    wait = next_delay(failure(attempts=attempts), luck)
    assert timedelta(0) < wait <= LONGEST
    assert wait >= next_delay(failure(attempts=attempts), 0.0)
    assert wait <= 2 * next_delay(failure(attempts=attempts), 0.0)


@given(attempts_made, attempts_made, lucks)
def test_a_later_attempt_never_waits_less_for_the_same_luck(some: int, more: int, luck: float) -> None:
    """Up to its maximum the wait only grows."""
    assume(some <= more)
    assert next_delay(failure(attempts=some), luck) <= next_delay(failure(attempts=more), luck)


@given(waits, attempts_made, lucks)
@example(timedelta(0), 1, 0.0)
@example(RETRY_AFTER_CAP, 8, 0.999999)
def test_nobody_comes_back_earlier_than_asked(wait: timedelta, attempts: int, luck: float) -> None:
    """A retry-after is kept to, and passed by at most a tenth and a second."""
    delay = next_delay(failure("throttled", attempts=attempts, wait=wait), luck)
    assert wait <= delay <= wait * 1.1 + timedelta(seconds=1, microseconds=1)


@given(waits, lucks, lucks)
@example(timedelta(0), 0.0, 0.5)
def test_two_calls_told_the_same_do_not_come_back_at_once(wait: timedelta, one: float, other: float) -> None:
    """Different luck is a different moment, even after a retry-after of zero."""
    assume(abs(one - other) > 1e-5)
    told = failure("throttled", wait=wait)
    assert next_delay(told, one) != next_delay(told, other)


# --- what is kept of a failure -----------------------------------------------------------------------------------


def described(error: BaseException, meter: Meter | None = None) -> CallFailure:
    """A failure as the second attempt's, which had been billed something."""
    return describe(error, attempt=2, meter=meter or Meter(), billed=Usage(input_tokens=7))


def test_a_responses_failure_keeps_all_that_helps_to_act() -> None:
    """Status, type, code, request id, wait, attempts and usage travel in the details."""
    error = status_error(
        429,
        type="rate_limit_error",
        code="ramp_limit_exceeded",
        message="slow down",
        headers={"request-id": "req_9", "retry-after": "12"},
    )
    assert described(error) == CallFailure(
        kind="throttled",
        message="429 rate_limit_error: slow down",
        request_id="req_9",
        http_status=429,
        error_code="ramp_limit_exceeded",
        retry_after=timedelta(seconds=12),
        attempts=2,
        usage=Usage(input_tokens=7),
        simulated=False,
    )


@pytest.mark.parametrize("status", [400, 429, 500, 529])
def test_a_message_contains_the_status(status: int) -> None:
    """The number that an operator looks for is in the line itself."""
    assert described(status_error(status)).message.startswith(f"{status} ")


def test_without_a_type_or_words_a_message_still_says_something() -> None:
    """A proxy's bare 502 is told by status and class."""
    assert described(status_error(502, body="<html>")).message == "502 InternalServerError: no message"


def test_another_exceptions_message_names_its_class() -> None:
    """`StreamEnded: …` says more than the words alone."""
    assert described(StreamEnded("too early")).message == "StreamEnded: too early"


@pytest.mark.parametrize("error", [status_error(400, message="a\nb\r\n\tc " * 300), KeyError("a\nb" * 900)])
def test_a_message_is_one_line_of_at_most_five_hundred_characters(error: Exception) -> None:
    """Line ends become spaces and a long message is cut, visibly."""
    message = described(error).message
    assert len(message) == MESSAGE_LIMIT == 500
    assert message.endswith("…")
    assert message.split() == message.split(" ")


@given(st.text(), st.sampled_from([200, 400, 429, 500, 529]))
def test_any_words_make_one_short_line(words: str, status: int) -> None:
    """Whatever the API or an exception says, and however long, the message is a line."""
    for error in (status_error(status, message=words), RuntimeError(words)):
        message = described(error).message
        assert len(message.splitlines()) == 1
        assert len(message) <= MESSAGE_LIMIT


def test_a_failure_mid_stream_keeps_the_request_id_the_stream_began_with() -> None:
    """What the meter saw is kept when the error itself has no response."""
    meter = Meter(request_id="req_1", simulated=True)
    kept = described(StreamSilent("no content for 60 s"), meter)
    assert (kept.request_id, kept.simulated, kept.http_status) == ("req_1", True, None)


def test_an_errors_own_request_id_wins() -> None:
    """The response that failed is the one to ask the provider about."""
    error = status_error(500, headers={"request-id": "req_2"})
    assert described(error, Meter(request_id="req_1")).request_id == "req_2"
    assert described(status_error(500), Meter(request_id="req_1")).request_id == "req_1"


def test_an_error_of_the_stand_in_is_simulated() -> None:
    """The header on an error response says so as it does on an answer."""
    assert described(status_error(529, headers={SIMULATOR_HEADER: "1"})).simulated
    assert not described(status_error(529)).simulated


@pytest.mark.parametrize("kind", get_args(FailureKind))
def test_the_error_an_activity_raises_is_typed_and_retried_as_the_table_says(kind: FailureKind) -> None:
    """Its type is the kind, its detail the failure, and only what is retried has a next delay."""
    error = as_application_error(failure(kind))
    meaning = FAILURES[kind]
    assert error.type == kind
    assert error.message == "words"
    assert error.details == (failure(kind),)
    assert error.non_retryable == (not meaning.retryable)
    assert (error.next_retry_delay is not None) == meaning.retryable


def test_the_next_attempt_waits_for_as_long_as_the_api_asked() -> None:
    """The delay that Temporal is told is never shorter than the header."""
    delay = as_application_error(failure("throttled", wait=timedelta(minutes=5))).next_retry_delay
    assert delay is not None
    assert delay >= timedelta(minutes=5)


def test_a_failure_survives_the_way_through_json() -> None:
    """The details that a workflow reads are the details that the activity wrote."""
    kept = described(status_error(429, headers={"retry-after": "1.5", "request-id": "r"}))
    assert CallFailure.model_validate(json.loads(kept.model_dump_json())) == kept
