"""A worker whose calls are given up after four seconds without a heartbeat instead of ten, so that a drill is short.

    python -m tests.drills.quick_worker

They are tried again after half a second, too. Everything else is worker.py's.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import activities.pulse
import worker
import workflows.delegate
from workflows.contracts import CALL_RETRY

HEARTBEAT_TIMEOUT = timedelta(seconds=4)
HEARTBEAT_EVERY = HEARTBEAT_TIMEOUT / 5
AGAIN_AFTER = timedelta(seconds=0.5)
RETRY = replace(CALL_RETRY, initial_interval=AGAIN_AFTER, maximum_interval=AGAIN_AFTER)

if __name__ == "__main__":
    workflows.delegate.HEARTBEAT_TIMEOUT = HEARTBEAT_TIMEOUT  # type: ignore[attr-defined]
    workflows.delegate.CALL_RETRY = RETRY  # type: ignore[attr-defined]
    activities.pulse.HEARTBEAT_EVERY = HEARTBEAT_EVERY  # type: ignore[attr-defined]
    worker.HEARTBEAT_EVERY = HEARTBEAT_EVERY  # type: ignore[attr-defined]
    worker.main()
