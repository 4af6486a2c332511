"""What the environment says about a worker's process; `worker.py` lists it at its top."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import click
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from activities.stores.address import check_address, read_address
from hosting.versions import Version
from workflows.contracts import SILENCE

LISTENING = r"(127\.0\.0\.1|0\.0\.0\.0|localhost|\[::1?\])"
"""Where a worker may listen: this machine, or all of a container's addresses."""


class Settings(BaseModel):
    """What the environment says about this process."""

    model_config = ConfigDict(frozen=True)

    max_concurrent_subagents: int = Field(default=100, ge=1, le=10_000)
    max_cached_workflows: int = Field(default=1_000, ge=0, le=100_000)
    max_pollers: int = Field(default=20, ge=1, le=100)
    subagent_silence_timeout: float = Field(default=SILENCE.total_seconds(), gt=0, le=3_600)
    worker_grace_period: float = Field(default=30, ge=0, le=86_400)
    worker_patience: float = Field(default=300, ge=0, le=86_400)
    breakwater_stand_in_url: str | None = Field(
        default=None, pattern=r"^https?://[^\s/@]+/?$", examples=["http://host:1"]
    )
    metrics_address: str | None = Field(default=None, pattern=rf"^{LISTENING}:\d{{1,5}}$", examples=["127.0.0.1:9464"])
    log_format: Literal["text", "json"] = "text"
    health_address: str | None = Field(default=None, pattern=rf"^({LISTENING}?:)?\d{{1,5}}$", examples=["8081"])
    breakwater_deployment: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$")
    breakwater_build_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,99}$")
    breakwater_store: str | None = None
    journal_ttl: float = Field(default=86_400, ge=1, le=30 * 86_400)
    breaker_failure_threshold: int = Field(default=5, ge=1)
    breaker_recovery_timeout: float = Field(default=60, gt=0, le=86_400)
    breaker_failure_rate: float = Field(default=0.5, gt=0, le=1)
    breaker_window: int = Field(default=20, ge=1, le=1_000)
    breaker_on_store_loss: Literal["local", "deny"] = "local"

    @property
    def version(self) -> Version | None:
        """The version of this process's workers; None: they have none."""
        if self.breakwater_deployment is None or self.breakwater_build_id is None:
            return None
        return Version(self.breakwater_deployment, self.breakwater_build_id)

    @classmethod
    def _problem(cls, name: str, message: str) -> str:
        examples = cls.model_fields[name].examples
        return f"{name.upper()}: " + (f"give it like {examples[0]}" if examples else message)

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Settings:
        """The settings. Raises click.UsageError or StoreAddressInvalid, one line, naming the variable that is wrong."""
        given = {name: value for name in cls.model_fields if (value := environment.get(name.upper()))}
        if store := read_address(environment):
            check_address(store)
            given["breakwater_store"] = store
        named = {"breakwater_deployment", "breakwater_build_id"}
        if len(named & given.keys()) == 1:
            (missing,) = (each.upper() for each in named - given.keys())
            raise click.UsageError(f"a version has a deployment and a build id: set {missing} too, or neither")
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            wrong = [cls._problem(str(each["loc"][0]), each["msg"]) for each in error.errors()]
            raise click.UsageError("; ".join(wrong)) from error
