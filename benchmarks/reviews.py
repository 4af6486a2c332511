"""Two hundred reviews of two hundred transactions, started in the same second: is every report its own?

    python -m benchmarks.reviews [REVIEWS] [--json FILE]

Two starters (`starter.py batch`) with half of them each, two worker processes, the stand-in, a home of its own. Every
second transaction has an amount that the stand-in's reviewer for AML objects to, and quotes: a report is right if its
outcome is that of its own transaction and every issue quotes its own amount. Prints a table.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from time import monotonic
from typing import Any

import click

ROOT = Path(__file__).resolve().parents[1]
REVIEWS = 200
STARTERS = 2
READY = 60.0
"""Seconds until a worker has to say that it is ready."""


def transaction(number: int) -> dict[str, str]:
    """No two alike; every second one is just below the stand-in's threshold."""
    return {"id": f"T-{number}", "amount": f"{9000 + number if number % 2 else 1000 + number}.00"}


def is_right(report: Mapping[str, Any], number: int) -> bool:
    """Whether a report is that of transaction `number`: outcome, digest, and what its issues quote."""
    own, result = transaction(number), report["result"]
    written = json.dumps(own, sort_keys=True, separators=(",", ":")).encode()
    issues = [issue["evidence"] for row in result["rows"] for issue in row["issues"]]
    return (
        result["transaction_sha256"] == sha256(written).hexdigest()
        and result["outcome"] == ("FAIL" if number % 2 else "PASS")
        and [row["domain"] for row in result["rows"]] == ["AML", "KYC", "FATF"]
        and issues == ([own["amount"]] if number % 2 else [])
    )


async def start(environment: Mapping[str, str], *command: str, out: int = DEVNULL, err: int = DEVNULL) -> Process:
    """A process of this checkout."""
    return await asyncio.create_subprocess_exec(
        sys.executable, *command, cwd=ROOT, env=dict(environment), stdout=out, stderr=err
    )


async def stopped(process: Process) -> None:
    """Ask a process to end and wait until it has."""
    if process.returncode is None:
        process.terminate()
    await process.communicate()


async def _address(up: Process) -> str:
    """Where the server is that `starter.py up` has brought up."""
    assert up.stderr
    address = ""
    async with asyncio.timeout(READY):
        while not (line := (await up.stderr.readline()).decode()).startswith("up"):
            if line.startswith("Temporal"):
                address = line.split()[1]
    return address


async def measure(reviews: int) -> dict[str, float]:
    """Run it: how many reports there are, how many of them are right, and how long all took."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANTHROPIC_", "TEMPORAL_"))}
    with tempfile.TemporaryDirectory() as folder:
        environment = {**kept, "BREAKWATER_HOME": f"{folder}/home", "BREAKWATER_STAND_IN_LATENCY": "0"}
        files = [Path(folder) / f"{number}.jsonl" for number in range(STARTERS)]
        for number, file in enumerate(files):
            mine = range(number, reviews, STARTERS)
            file.write_text("".join(json.dumps(transaction(each)) + "\n" for each in mine))
        up = await start(environment, "starter.py", "up", err=PIPE)
        second = None
        try:
            environment["TEMPORAL_ADDRESS"] = await _address(up)
            second = await start(environment, "worker.py")
            begun = monotonic()
            starters = [
                await start(environment, "starter.py", "batch", "compliance-review", f"@{file}", out=PIPE)
                for file in files
            ]
            told = [out for out, _ in await asyncio.gather(*(each.communicate() for each in starters))]
            took = monotonic() - begun
        finally:
            for process in (second, up):
                if process is not None:
                    await stopped(process)
            environment.pop("TEMPORAL_ADDRESS", None)
            await (await start(environment, "starter.py", "down")).wait()
    reports = [(number, json.loads(line)) for number, out in enumerate(told) for line in out.splitlines()]
    right = sum(is_right(report, number + STARTERS * (report["line"] - 1)) for number, report in reports)
    return {
        "reviews": reviews,
        "starters": STARTERS,
        "workers": 2,
        "reports": len(reports),
        "right": right,
        "seconds": round(took, 1),
    }


@click.command()
@click.argument("reviews", type=click.IntRange(min=2), default=REVIEWS)
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the figures to this file.")
def main(reviews: int, file: Path | None) -> None:
    """Start so many reviews at once, and look whether every report is its own. Exits 1 if one is not."""
    found = asyncio.run(measure(reviews))
    print("| " + " | ".join(found) + " |\n" + "|---" * len(found) + "|")
    print("| " + " | ".join(f"{each:g}" for each in found.values()) + " |")
    if file:
        file.write_text(json.dumps(found, indent=1) + "\n")
    sys.exit(0 if found["right"] == reviews else 1)


if __name__ == "__main__":
    main()
