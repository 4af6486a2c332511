"""Breakwater's command line: start runs, watch them, read how they ended.

    python starter.py run plan-generate-evaluate "Design and implement a to-do CLI in Python."
    python starter.py --help

With no TEMPORAL_ADDRESS (or other Temporal profile) a real Temporal server is started on this machine and kept in
`.breakwater/`; set BREAKWATER_HOME to keep it elsewhere. Exit codes: 0 finished and passed; 1 finished, not passed or
incomplete; 2 usage; 3 failed or cancelled; 4 cannot reach Temporal (or the circuits' store).
"""

from __future__ import annotations

import sys

from console.app import main
from hosting.leaving import run_and_leave

if __name__ == "__main__":
    run_and_leave(lambda: main(sys.argv[1:]))
