"""The home: where it is, that it is private, and what is said when it cannot be used."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from hosting.errors import HostingError
from hosting.home import HOME_VARIABLE, PROJECT, Home


def test_without_a_variable_it_is_beside_starter_wherever_the_user_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two folders to stand in, one home."""
    monkeypatch.chdir(tmp_path)
    assert Home.locate({}).root == PROJECT / ".breakwater"
    assert Home.locate({HOME_VARIABLE: ""}).root == PROJECT / ".breakwater"
    assert (PROJECT / "starter.py").is_file()


def test_a_variable_moves_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is one from where the user stands, `~` is their own folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert Home.locate({HOME_VARIABLE: "here"}).root == tmp_path / "here"
    assert Home.locate({HOME_VARIABLE: "~/there"}).root == tmp_path / "me" / "there"


def test_locating_creates_nothing(tmp_path: Path) -> None:
    """A command that needs no home leaves none."""
    Home.locate({HOME_VARIABLE: str(tmp_path / "home")})
    assert not list(tmp_path.iterdir())


def test_it_is_created_for_its_owner_only(home: Home) -> None:
    """Prompts and answers are in there; a second time changes nothing."""
    home.prepare()
    home.prepare()
    for folder in (home.root, home.logs, home.users, home.workers):
        assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("below", ["", "deeper/home"])
def test_a_file_in_its_place_is_one_line(tmp_path: Path, below: str) -> None:
    """The file is named, and what to do."""
    (tmp_path / "home").write_text("not a folder")
    with pytest.raises(HostingError, match=r"home.*set BREAKWATER_HOME to a folder that you can write to$") as caught:
        Home(tmp_path / "home" / below).prepare()
    assert "\n" not in str(caught.value)


def test_a_read_only_disk_is_one_line(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system says about it, and what to do."""

    def refuse(self: Path, *_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(HostingError, match=r"cannot keep data in .*: Read-only file system; set BREAKWATER_HOME"):
        home.prepare()


def test_a_folder_of_somebody_else_is_one_line(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """It exists, but not for us."""
    home.prepare()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(HostingError, match=r"cannot write to .*; set BREAKWATER_HOME"):
        home.prepare()
