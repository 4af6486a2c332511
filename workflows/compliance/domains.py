"""What a compliance review is reviewed for: each domain is a record, so a user adds one with a file, not with code."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from workflows.models import Model

MOST_DOMAINS = 20
"""In one review: each is a call of its own, all at once."""


class Domain(BaseModel):
    """One domain: what its reviewer looks for, and whether the review can pass without it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,31}$")]
    instructions: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20_000)]
    required: bool = True
    model: Model | None = None


BUILT_IN = {
    domain.name: domain
    for domain in (
        Domain(
            name="AML",
            instructions=(
                "Domain AML, anti-money-laundering. Look for signs of placement, layering and integration: amounts "
                "just below a reporting threshold, splitting, round-tripping, rapid movement through several accounts, "
                "cash or virtual assets without an economic reason, a purpose that does not fit the parties, "
                "counterparties or routes that add nothing but distance."
            ),
        ),
        Domain(
            name="KYC",
            instructions=(
                "Domain KYC, know your customer. Decide whether originator and beneficiary are identified: full name, "
                "address, date of birth or registration number, verified identity, beneficial owner of a legal entity, "
                "source of funds where the risk asks for it, status as a politically exposed person. What is missing, "
                "contradictory or out of date is an issue."
            ),
        ),
        Domain(
            name="FATF",
            instructions=(
                "Domain FATF, the recommendations of the Financial Action Task Force. Check the originator and "
                "beneficiary information that recommendation 16 (the travel rule) wants with a transfer, jurisdictions "
                "under increased monitoring or a call for action as far as the transaction shows them, and virtual "
                "asset service providers on either side (recommendation 15)."
            ),
        ),
    )
}
"""The domains that are there without a file."""
DEFAULT = tuple(BUILT_IN.values())


def _listed(value: Any) -> Any:
    """One or several, by name or as records, or as names between commas."""
    if isinstance(value, str):
        value = [name for name in (part.strip() for part in value.split(",")) if name]
    if not isinstance(value, list):
        value = [value]
    return [_known(each) if isinstance(each, str) else each for each in value]


def _known(name: str) -> Domain:
    if name.upper() not in BUILT_IN:
        raise ValueError(
            f"there is no domain {name[:40]!r}; there are {', '.join(BUILT_IN)}, and others as records "
            "{name, instructions, required, model}"
        )
    return BUILT_IN[name.upper()]


def _distinct(domains: list[Domain]) -> list[Domain]:
    names = [domain.name.upper() for domain in domains]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"{twice} is named twice; a domain is reviewed once")
    return domains


Domains = Annotated[list[Domain], Field(max_length=MOST_DOMAINS), BeforeValidator(_listed), AfterValidator(_distinct)]
"""A list of domains, each given by name or as a record."""
