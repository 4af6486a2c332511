"""Results of benchmarks as files: the figures, and where, when and how they were measured."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from hosting.home import PROJECT

RESULTS = PROJECT / "benchmarks" / "results"
CPUS = Path("/proc/cpuinfo")
"""Where Linux says what its processors are called."""


class ResultUnreadable(Exception):
    """A file is no result of a benchmark: one line for a person."""


class Machine(BaseModel):
    """What a reader needs to compare: never what the machine is called."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    processor: str
    cores: int
    memory_gb: int
    system: str
    python: str

    @classmethod
    def here(cls) -> Machine:
        """This one."""
        return cls(
            processor=_processor(),
            cores=os.cpu_count() or 1,
            memory_gb=round(psutil.virtual_memory().total / 1e9),
            system=f"{platform.system()} {platform.machine()}",
            python=platform.python_version(),
        )

    def __str__(self) -> str:
        return f"{self.cores} cores ({self.processor}), {self.memory_gb} GB, {self.system}, Python {self.python}"


class Result(BaseModel):
    """What one benchmark has found."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    measured: datetime
    machine: Machine
    command: str
    figures: dict[str, JsonValue]


def read(file: Path, command: str) -> Result:
    """A result. A file as the benchmark itself wrote it was measured here and just now: that is added to it.

    Raises ResultUnreadable.
    """
    try:
        said = json.loads(file.read_text())
        if isinstance(said, dict) and not {"measured", "figures"} <= said.keys():
            when = datetime.fromtimestamp(file.stat().st_mtime, UTC).replace(microsecond=0)
            result = Result(measured=when, machine=Machine.here(), command=command, figures=said)
            write(file, result)
            return result
        return Result.model_validate(said)
    except (OSError, ValueError, ValidationError) as error:
        reason = str(error).partition("\n")[0]
        raise ResultUnreadable(f"{file} is no result of a benchmark: {reason}; measure it again") from error


def write(file: Path, result: Result) -> None:
    """Keep a result."""
    file.write_text(result.model_dump_json(indent=1) + "\n")


def _processor() -> str:
    if CPUS.is_file():
        names = (line.partition(":")[2].strip() for line in CPUS.read_text().splitlines() if "model name" in line)
        return next(names, "") or platform.machine()
    return platform.processor() or platform.machine()
