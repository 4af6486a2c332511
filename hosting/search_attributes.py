"""The search attributes of the runs: which of them a server knows, and how it comes to know the others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from temporalio.client import Client

ANSWER = timedelta(seconds=5)
"""For one question about them."""


async def missing_search_attributes(client: Client) -> list[str]:
    """Those of contracts.SEARCH_ATTRIBUTES that runs in the client's namespace cannot carry.

    All of them if the server does not say (not every account may ask): a run without them works, a run with an unknown
    one is refused. One of another type counts as missing, for the same reason.
    """
    from temporalio.api.enums.v1 import IndexedValueType
    from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
    from temporalio.service import RPCError

    from workflows.contracts import SEARCH_ATTRIBUTES

    try:
        answer = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=client.namespace), timeout=ANSWER
        )
    except RPCError:
        return list(SEARCH_ATTRIBUTES)
    known = {name: IndexedValueType.Name(value) for name, value in answer.custom_attributes.items()}
    return [name for name, type in SEARCH_ATTRIBUTES.items() if known.get(name) != _type_name(type)]


async def add_search_attributes(client: Client, names: Sequence[str]) -> None:
    """Register attributes in the client's namespace. Raises RPCError, also if one exists with another type."""
    from temporalio.api.enums.v1 import IndexedValueType
    from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest

    from workflows.contracts import SEARCH_ATTRIBUTES

    wanted = {name: IndexedValueType.Value(_type_name(SEARCH_ATTRIBUTES[name])) for name in names}
    await client.operator_service.add_search_attributes(
        AddSearchAttributesRequest(namespace=client.namespace, search_attributes=wanted), timeout=ANSWER
    )


def how_to_add(names: Sequence[str], address: str, namespace: str) -> str:
    """One line for a person: what is missing, what that means, and the command that adds it."""
    from workflows.contracts import SEARCH_ATTRIBUTES

    create = f"temporal operator search-attribute create --address {address} -n {namespace}"
    # One at a time: of several names the command adds only the first, and says that it has added them (1.9.1).
    commands = [f"{create} --name {name} --type {SEARCH_ATTRIBUTES[name]}" for name in names]
    return (
        f"namespace {namespace!r} lacks the search attributes {', '.join(names)}: runs work, but lists cannot be "
        f"filtered by them; add them: {' && '.join(commands)}"
    )


def _type_name(type: str) -> str:
    """`KeywordList` as the API spells it: INDEXED_VALUE_TYPE_KEYWORD_LIST."""
    return "INDEXED_VALUE_TYPE_" + re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type).upper()
