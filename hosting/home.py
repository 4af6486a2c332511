"""The home: one folder that holds everything the embedded processes keep, and the paths in it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hosting.errors import HostingError

PROJECT = Path(__file__).resolve().parents[1]
"""The folder of starter.py and worker.py."""
HOME_VARIABLE = "BREAKWATER_HOME"
PRIVATE = 0o700
"""Prompts and answers are in there: for its owner only."""


@dataclass(frozen=True)
class Home:
    """Where one installation keeps its server's data, records, logs and locks. Paths only, until `prepare`."""

    root: Path

    @classmethod
    def locate(cls, environment: Mapping[str, str] = os.environ) -> Home:
        """The folder BREAKWATER_HOME names, else `.breakwater` beside starter.py, wherever the user stands."""
        given = environment.get(HOME_VARIABLE)
        return cls(Path(given).expanduser().absolute() if given else PROJECT / ".breakwater")

    @property
    def database(self) -> Path:
        """The server's SQLite file: every run there ever was."""
        return self.root / "temporal.db"

    @property
    def server_record(self) -> Path:
        """Which process is the server. It is there from before a start until after a stop."""
        return self.root / "temporal.json"

    @property
    def stand_in_record(self) -> Path:
        """Which process is the stand-in for the model."""
        return self.root / "stand-in.json"

    @property
    def breaker_store(self) -> str:
        """The circuits' store of this home's processes, as BREAKWATER_STORE names one."""
        return f"sqlite:///{self.root / 'circuits.db'}"

    @property
    def blobs(self) -> Path:
        """Large values, as files; a history holds only references to them."""
        return self.root / "blobs"

    @property
    def journal(self) -> str:
        """Where this home's processes keep answers already paid for, as an address."""
        return f"sqlite:///{self.root / 'journal.db'}"

    @property
    def codec_token(self) -> Path:
        """What the codec server wants to hear; whoever may read this file may read every value."""
        return self.root / "codec-token"

    @property
    def workers(self) -> Path:
        """One record for each worker that was started to outlive its starter."""
        return self.root / "workers"

    @property
    def users(self) -> Path:
        """One lock file for each process that uses what runs here."""
        return self.root / "users"

    @property
    def logs(self) -> Path:
        """What the processes said."""
        return self.root / "logs"

    @property
    def start_lock(self) -> Path:
        """Held by whoever starts or stops something here."""
        return self.root / "start.lock"

    @property
    def kept(self) -> Path:
        """There if somebody asked that everything stays up until `down`."""
        return self.root / "kept"

    def prepare(self) -> None:
        """Create the folder and what is in it. Raises HostingError if it cannot be used."""
        try:
            self.root.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
            for folder in (self.workers, self.users, self.logs):
                folder.mkdir(mode=PRIVATE, exist_ok=True)
        except FileExistsError as error:
            raise HostingError(f"{error.filename} is a file and should be a folder; {_ADVICE}") from error
        except OSError as error:
            raise HostingError(f"cannot keep data in {self.root}: {error.strerror}; {_ADVICE}") from error
        for folder in (self.root, self.workers, self.users, self.logs):
            if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
                raise HostingError(f"cannot write to {folder}; {_ADVICE}")


_ADVICE = f"set {HOME_VARIABLE} to a folder that you can write to"
