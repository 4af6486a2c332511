"""Breakwater's command line: start runs, watch them, read how they ended.

    python starter.py run plan-generate-evaluate "Design and implement a to-do CLI in Python."
    python starter.py --help

With no TEMPORAL_ADDRESS (or other Temporal profile) a real Temporal server is started on this machine and kept in
`.breakwater/`; set BREAKWATER_HOME to keep it elsewhere. Exit codes: 0 finished and passed; 1 finished, not passed or
incomplete; 2 usage; 3 failed or cancelled; 4 cannot reach Temporal (or the circuits' store).
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from console.app import main

if __name__ == "__main__":
    code = main(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        with suppress(BrokenPipeError):  # whoever read it has gone
            stream.flush()
    # Not sys.exit: a thread of Temporal's runtime that holds something while the interpreter is taken apart aborts the
    # process, and the exit code is lost. Nothing is left to do here.
    os._exit(code)
