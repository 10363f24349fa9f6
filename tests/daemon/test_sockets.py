"""The listening sockets of a daemon, and what is printed about them."""

from __future__ import annotations

import errno
import socket

import pytest

from nacre.daemon.sockets import Address, announce, bind, show
from nacre.errors import StateError


def close(sockets: list[socket.socket]) -> None:
    for sock in sockets:
        sock.close()


def test_a_socket_listens_on_the_address() -> None:
    (sock,) = bind(Address("127.0.0.1", 0))
    with sock, socket.create_connection(sock.getsockname(), timeout=10):
        assert sock.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize("wanted", [True, False])
def test_keepalive_is_inherited_by_accepted_sockets(wanted: bool) -> None:
    (sock,) = bind(Address("127.0.0.1", 0), keepalive=wanted)
    with sock, socket.create_connection(sock.getsockname(), timeout=10):
        accepted, _ = sock.accept()
        with accepted:
            assert bool(accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)) is wanted


def test_no_host_is_every_address() -> None:
    sockets = bind(Address("", 0))
    try:
        hosts = {sock.getsockname()[0] for sock in sockets}
        assert "0.0.0.0" in hosts
        assert hosts <= {"0.0.0.0", "::"}
    finally:
        close(sockets)


def test_a_name_with_the_same_address_twice_is_bound_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *about, **options: [found, found])
    sockets = bind(Address("twice.example", 0))
    close(sockets)
    assert len(sockets) == 1


def test_a_port_in_use_is_refused_with_the_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StateError, match=rf"127\.0\.0\.1:{port}: .*another program uses it"):
            bind(Address("127.0.0.1", port))


def test_sockets_that_were_bound_before_a_failure_are_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    free = socket.socket()
    made = [free]

    def create(*about: object, **options: object) -> socket.socket:
        if not made:
            raise OSError(errno.EADDRINUSE, "in use")
        return made.pop()

    monkeypatch.setattr(socket, "create_server", create)
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda *about, **options: [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 0)) for host in ("a", "b")
        ],
    )
    with pytest.raises(StateError):
        bind(Address("two.example", 0))
    assert free.fileno() == -1


@pytest.mark.parametrize(
    ("number", "reason", "remedy"),
    [
        (errno.EACCES, "Permission denied", "only root may use ports below 1024"),
        (errno.EADDRNOTAVAIL, "Cannot assign requested address", "give another address"),
        (socket.EAI_NONAME, "not known", "give another address"),
    ],
)
def test_each_failure_names_the_address_the_reason_and_the_remedy(
    number: int, reason: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*about: object, **options: object) -> None:
        raise OSError(number, "not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(StateError) as caught:
        bind(Address("::1", 22))
    message = str(caught.value)
    assert message.startswith(f"can't listen on [::1]:22: {reason}: ")
    assert remedy in message


def test_ipv6_addresses_are_shown_in_brackets() -> None:
    assert (show("::1", 22), show("h", 22), show("", 0)) == ("[::1]:22", "h:22", ":0")


def test_each_socket_is_announced_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    sockets = [*bind(Address("127.0.0.1", 0)), *bind(Address("127.0.0.1", 0))]
    try:
        announce(sockets)
        ports = [sock.getsockname()[1] for sock in sockets]
    finally:
        close(sockets)
    assert capsys.readouterr().err == "".join(f"listening on 127.0.0.1:{p}\n" for p in ports)
