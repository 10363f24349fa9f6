"""The listening sockets of a daemon, and what is printed about them."""

from __future__ import annotations

import errno
import os
import socket
import stat
import tempfile
from pathlib import Path

import pytest

from nacre.config.server.files import parse
from nacre.daemon.sockets import (
    Address,
    ListeningSockets,
    Passed,
    announce,
    bind,
    configured,
    place,
    show,
)
from nacre.errors import StateError


def close(sockets: list[socket.socket]) -> None:
    for sock in sockets:
        sock.close()


def test_a_socket_listens_on_the_address() -> None:
    (sock,) = bind(Address("127.0.0.1", 0))
    with sock, socket.create_connection(sock.getsockname(), timeout=30):
        assert sock.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize("wanted", [True, False])
def test_keepalive_is_inherited_by_accepted_sockets(wanted: bool) -> None:
    (sock,) = bind(Address("127.0.0.1", 0), keepalive=wanted)
    with sock, socket.create_connection(sock.getsockname(), timeout=30):
        accepted, _ = sock.accept()
        with accepted:
            assert bool(accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)) is wanted
            idle = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
            assert (idle == 300) is wanted, "not the system's two hours"


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


def config(*words: str) -> tuple[Address, ...]:
    return configured(parse(words))


def test_the_addresses_of_a_configuration() -> None:
    assert config() == (Address("", 22, told_by="Port"),)
    words = ("Port=1", "Port=2", "ListenAddress=::1", "ListenAddress=h:3", "AddressFamily=inet")
    inet = socket.AF_INET
    assert [(a.host, a.port, a.family) for a in config(*words)] == [
        *[("::1", 1, inet), ("::1", 2, inet), ("h", 3, inet)]
    ]
    (address,) = config("ListenAddress=127.0.0.1:4 rdomain vrf1")
    assert (address.domain, address.told_by) == ("vrf1", "ListenAddress")


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_family_alone(family: int) -> None:
    try:
        sockets = bind(Address("", 0, family))
    except StateError:
        pytest.skip("no IPv6 here")
    assert {sock.family for sock in sockets} == {family}
    close(sockets)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may bind to a device")
def test_a_routing_domain_is_the_device_of_the_socket() -> None:
    (sock,) = bind(Address("127.0.0.1", 0, domain="lo"))
    with sock:
        device = sock.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16)
        assert device.rstrip(b"\0") == b"lo"
        with socket.create_connection(sock.getsockname(), timeout=30):
            pass
    with pytest.raises(StateError, match="no routing domain vrf-none"):
        bind(Address("127.0.0.1", 0, domain="vrf-none"))


def port_of(sock: socket.socket) -> int:
    port = sock.getsockname()[1]
    assert isinstance(port, int)
    return port


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return port_of(sock)


def test_a_change_keeps_what_stays_and_closes_what_goes() -> None:
    one, two, three = (Address("127.0.0.1", 0, told_by=name) for name in "abc")
    with ListeningSockets() as sockets:
        sockets.change([one, two])
        first, second = sockets.all
        closed: list[socket.socket] = []

        def note(sock: socket.socket) -> None:
            closed.append(sock)
            sock.close()

        sockets.change([two, three], close=note)
        assert closed == [first]
        assert sockets.all[0] is second
        assert len(sockets.all) == 2
        for keepalive in (False, True):
            sockets.change([two, three], keepalive=keepalive)
            assert sockets.all[0] is second
            wanted = second.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert bool(wanted) is keepalive


def test_a_change_that_fails_changes_nothing() -> None:
    with ListeningSockets() as sockets, socket.create_server(("127.0.0.1", 0)) as taken:
        kept = Address("127.0.0.1", free_port())
        sockets.change([kept])
        new = [Address("127.0.0.1", 0), Address("127.0.0.1", port_of(taken))]
        for wanted in ([kept, *new], new):
            with pytest.raises(StateError, match="another program uses it"):
                sockets.change(wanted)
            (sock,) = sockets.all
            with socket.create_connection(("127.0.0.1", kept.port), timeout=30):
                assert port_of(sock) == kept.port


def test_an_address_that_goes_makes_room_for_one_that_contains_it() -> None:
    with ListeningSockets() as sockets:
        port = free_port()
        sockets.change([Address("127.0.0.1", port)])
        sockets.change([Address("0.0.0.0", port)])
        assert [sock.getsockname() for sock in sockets.all] == [("0.0.0.0", port)]


def test_sockets_pass_to_another_process() -> None:
    one, two, three = (Address("127.0.0.1", 0, told_by=name) for name in "abc")
    with ListeningSockets() as ours, ListeningSockets() as theirs:
        ours.change([one, two])
        data, descriptors = ours.pack()
        theirs.adopt(Passed(data, [os.dup(fd) for fd in descriptors]))
        kept = theirs.all[1]
        ours.change([two, three])
        data, descriptors = ours.pack()
        theirs.adopt(Passed(data, [os.dup(fd) for fd in descriptors]))
        assert theirs.all[0] is kept
        assert [s.getsockname() for s in theirs.all] == [s.getsockname() for s in ours.all]


def test_one_usable_address_may_be_enough() -> None:
    told: list[str] = []
    with ListeningSockets() as sockets, socket.create_server(("127.0.0.1", 0)) as taken:
        free, used = Address("127.0.0.1", 0), Address("127.0.0.1", port_of(taken))
        sockets.change([used, free], report=told.append)
        (sock,) = sockets.all
        assert "another program uses it" in told[0]
        taken.close()
        sockets.change([used, free], report=told.append)
        assert len(told) == 1
        assert [port_of(one) for one in sockets.all] == [used.port, port_of(sock)]


def test_one_address_must_be_usable() -> None:
    told: list[str] = []
    with ListeningSockets() as sockets, socket.create_server(("127.0.0.1", 0)) as taken:
        used = Address("127.0.0.1", port_of(taken))
        with pytest.raises(StateError, match="another program uses it"):
            sockets.change([used], report=told.append)
        kept = Address("127.0.0.1", free_port())
        sockets.change([kept], report=told.append)
        with pytest.raises(StateError, match="another program uses it"):
            sockets.change([used], report=told.append)
        assert [port_of(one) for one in sockets.all] == [kept.port]


def test_a_path_is_a_socket_of_the_servers_account_that_another_process_may_have() -> None:
    with tempfile.TemporaryDirectory(prefix="nacre-") as directory:
        address = Address(f"{directory}/api", 0, socket.AF_UNIX, told_by="--api")
        with ListeningSockets() as sockets:
            sockets.change([address])
            assert stat.S_IMODE(os.stat(address.host).st_mode) == 0o600
            assert [place(one) for one in sockets.all] == [address.host]
            data, descriptors = sockets.pack()
            with ListeningSockets() as others:
                others.adopt(Passed(data, [os.dup(one) for one in descriptors]))
                assert others.addresses == (address,)
            with pytest.raises(StateError, match="api: Address already in use: give another path"):
                bind(address)
        (again,) = bind(address)
        again.close()


@pytest.mark.parametrize(
    ("name", "said"),
    [("file", "File exists"), ("none/api", "No such file"), ("x" * 200, "path too long")],
)
def test_a_path_that_can_not_be_a_socket_is_told_and_left_as_it_is(name: str, said: str) -> None:
    with tempfile.TemporaryDirectory(prefix="nacre-") as directory:
        (Path(directory) / "file").write_text("kept")
        with pytest.raises(StateError, match=f"{said}.*: give another path with --api"):
            bind(Address(f"{directory}/{name}", 0, socket.AF_UNIX, told_by="--api"))
        assert (Path(directory) / "file").read_text() == "kept"


def test_a_path_where_others_could_put_their_own_socket_is_refused() -> None:
    with tempfile.TemporaryDirectory(prefix="nacre-") as directory:
        above = Path(directory) / "a"
        place = above / "b"
        place.mkdir(parents=True)
        address = Address(f"{place}/api", 0, socket.AF_UNIX, told_by="--api")
        for shared, mode, said in (
            (place, 0o777, "can write to the directory"),
            (place, 0o770, "can write to the directory"),
            (place, 0o1777, "can write to the directory"),
            (above, 0o777, "can change the directory"),
        ):
            shared.chmod(mode)
            with pytest.raises(StateError, match=f"{said} {shared}: give a path with --api"):
                bind(address)
            assert os.listdir(place) == []
            shared.chmod(0o755)
        above.chmod(0o1777)
        (sock,) = bind(address)
        sock.close()
