"""Which ports the server gets."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from hosting import ports
from hosting.errors import HostingError
from hosting.ports import GRPC_VARIABLE, LOOPBACK, UI_VARIABLE, choose, is_free
from tests.quiet_ports import quiet_port


@pytest.fixture
def busy() -> Iterator[int]:
    """A port somebody listens on."""
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture
def usual(monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """Two free ports that pass for the usual ones, for the real ones may be in use where tests run."""
    pair = quiet_port(), quiet_port()
    monkeypatch.setattr(ports, "USUAL", pair)
    return pair


def test_free_usual_ports_are_taken_without_a_word(usual: tuple[int, int]) -> None:
    """That is where everybody looks."""
    chosen = choose(None, {})
    assert (chosen.grpc, chosen.ui, chosen.note) == (*usual, None)


def test_a_busy_usual_port_is_replaced_and_that_is_said(
    usual: tuple[int, int], busy: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one stays."""
    monkeypatch.setattr(ports, "USUAL", (busy, usual[1]))
    chosen = choose(None, {})
    assert chosen.ui == usual[1]
    assert chosen.grpc not in (busy, usual[1])
    assert chosen.note == f"port {busy} is in use, {chosen.grpc} is used instead"


def test_a_server_that_comes_back_keeps_its_ports(usual: tuple[int, int]) -> None:
    """Its clients still look there; if one is taken by now, it is another."""
    before = quiet_port(), quiet_port()
    chosen = choose(before, {})
    assert (chosen.grpc, chosen.ui) == before


def test_fixed_ports_are_those_and_no_others(usual: tuple[int, int]) -> None:
    """Even if one is what the other usually is."""
    assert choose(None, {GRPC_VARIABLE: str(usual[1])}).grpc == usual[1]
    chosen = choose(None, {GRPC_VARIABLE: str(usual[1]), UI_VARIABLE: str(usual[0])})
    assert (chosen.grpc, chosen.ui, chosen.note) == (usual[1], usual[0], None)


def test_a_busy_fixed_port_is_one_line(busy: int) -> None:
    """Whoever fixes a port means it."""
    for variable in (GRPC_VARIABLE, UI_VARIABLE):
        with pytest.raises(HostingError, match=rf"^port {busy} \({variable}\) is in use; stop what listens there"):
            choose(None, {variable: str(busy)})


@pytest.mark.parametrize("value", ["x", "0", "65536", "-1", "7233.5", "²", " 7233"])
def test_what_is_no_port_is_one_line(value: str) -> None:
    """The variable is named, and what it may be."""
    with pytest.raises(HostingError, match=f"^{GRPC_VARIABLE} is .* 1 to 65535"):
        choose(None, {GRPC_VARIABLE: value})


def test_one_port_for_both_is_one_line(usual: tuple[int, int]) -> None:
    """Two listeners need two."""
    with pytest.raises(HostingError, match="different ports"):
        choose(None, {GRPC_VARIABLE: str(usual[0]), UI_VARIABLE: str(usual[0])})


def test_a_port_is_free_until_somebody_listens(busy: int, usual: tuple[int, int]) -> None:
    """Both ways."""
    assert not is_free(busy)
    assert is_free(usual[0])
