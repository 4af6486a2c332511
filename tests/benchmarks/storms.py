"""A storm that fits in a test."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hosting.home import PROJECT


def small_storm(file: Path, contenders: Iterable[str], *, runs: int) -> dict[str, Any]:
    """What the benchmark writes to `file` of an outage for these contenders, every duration a twentieth."""
    command = f"-m benchmarks.storm --scenario outage --runs {runs} --scale 0.05 --no-gate"
    asked = [part for name in contenders for part in ("--contender", name)]
    subprocess.run(
        [sys.executable, *command.split(), *asked, "--json", str(file)],
        check=True,
        capture_output=True,
        cwd=PROJECT,
        timeout=100,
    )
    said: dict[str, Any] = json.loads(file.read_text())
    return said
