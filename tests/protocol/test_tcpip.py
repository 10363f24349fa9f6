"""Ports that callers name, checked before the system cuts them to 16 bits."""

from __future__ import annotations

import pytest

import nacre
import nacre.blocking
from nacre.errors import ConfigurationError
from nacre.protocol.tcpip import check_port

NONE = [-1, 65536, 69658, 1 << 64, "22", 22.0, None, True, b"22"]


@pytest.mark.parametrize("port", [1, 22, 65535])
def test_ports(port: int) -> None:
    check_port("port", port)
    check_port("port", port, chosen="the system")


@pytest.mark.parametrize("port", NONE)
@pytest.mark.parametrize("chosen", ["", "the system"])
def test_what_is_no_port(port: object, chosen: str) -> None:
    with pytest.raises(ConfigurationError, match=r"give an int from . to 65535"):
        check_port("port", port, chosen=chosen)


def test_zero_is_for_those_who_let_somebody_choose() -> None:
    check_port("listen_port", 0, chosen="the server")
    with pytest.raises(ConfigurationError, match="port=0 is not a port: give an int from 1"):
        check_port("port", 0)
    with pytest.raises(ConfigurationError, match="0 lets the server choose"):
        check_port("listen_port", -1, chosen="the server")


@pytest.mark.parametrize("port", [*(port for port in NONE if port is not None), 0])
def test_connect_refuses_at_once_with_await_and_without(port: object) -> None:
    for connect in (nacre.connect, nacre.blocking.connect):
        with pytest.raises(ConfigurationError, match="is not a port"):
            connect("127.0.0.1", port)  # type: ignore[arg-type]


@pytest.mark.parametrize("port", NONE)
def test_listen_refuses_at_once_with_await_and_without(port: object) -> None:
    key = nacre.generate("ssh-ed25519")
    for listen in (nacre.listen, nacre.blocking.listen):
        with pytest.raises(ConfigurationError, match="is not a port"):
            listen("127.0.0.1", port, host_keys=[key], policy=None)  # type: ignore[arg-type]
