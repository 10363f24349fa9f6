"""Dialing: names, families, several addresses, bind addresses, attempts, timeouts, errors."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pytest

from nacre.aio import dial as dialing
from nacre.aio.dial import DialOptions, HostNotFound, Unreachable, dial, explain, resolve
from nacre.errors import ConnectFailed

Names: TypeAlias = Callable[..., None]
Heard: TypeAlias = list[tuple[str, str | None]]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture
def port(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """Replace what names stand for: ``names(host=["127.0.0.1", ...])``."""

    def set_names(**known: list[str]) -> None:
        real = socket.getaddrinfo

        def getaddrinfo(host: bytes, port: int, family: int, kind: int, **flags: int) -> list[Any]:
            name = host.decode()
            if name not in known:
                return real(host, port, family, kind, **flags)
            if flags:
                raise socket.gaierror(socket.EAI_NONAME, "not numeric")
            every = [row for text in known[name] for row in real(text, port, 0, kind)]
            chosen = [row for row in every if family in (0, row[0])]
            if not chosen:
                raise socket.gaierror(socket.EAI_NODATA, "No address of this family")
            return chosen

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return set_names


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Addresses that do not answer."""
    found: set[str] = set()
    real = asyncio.SelectorEventLoop.sock_connect

    async def sock_connect(
        loop: asyncio.SelectorEventLoop, sock: socket.socket, address: Any
    ) -> None:
        if address[0] in found:
            await asyncio.Event().wait()
        await real(loop, sock, address)

    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_connect", sock_connect)
    return found


@pytest.fixture
def heard() -> Heard:
    return []


@pytest.fixture
def report(heard: Heard) -> dialing.Report:
    return lambda address, error: heard.append((address, explain(error) if error else None))


async def test_a_socket_that_is_connected_and_does_not_block(port: int) -> None:
    with await dial("127.0.0.1", port) as sock:
        assert sock.getpeername() == ("127.0.0.1", port)
        assert not sock.getblocking()
        assert not sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


async def test_tcp_probes_a_silent_peer_if_asked_to(port: int) -> None:
    with await dial("127.0.0.1", port, DialOptions(keepalive=True)) as sock:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


async def test_the_next_address_is_tried_when_one_is_slow(
    port: int,
    names: Names,
    silent: set[str],
    heard: Heard,
    report: dialing.Report,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names(host=["127.0.0.2", "127.0.0.1"])
    silent.add("127.0.0.2")
    monkeypatch.setattr(dialing, "ATTEMPT_DELAY", 0.01)
    with await dial("host", port, DialOptions(report=report)) as sock:
        assert sock.getpeername() == ("127.0.0.1", port)
    assert heard == [("127.0.0.2", None), ("127.0.0.1", None)]


async def test_the_next_address_is_tried_at_once_when_one_refuses(
    port: int, names: Names, heard: Heard, report: dialing.Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    names(host=["127.0.0.2", "127.0.0.1"])
    monkeypatch.setattr(dialing, "ATTEMPT_DELAY", 3600)
    async with asyncio.timeout(30):
        with await dial("host", port, DialOptions(report=report)):
            pass
    refused = "Connection refused"
    assert heard == [("127.0.0.2", None), ("127.0.0.2", refused), ("127.0.0.1", None)]


async def test_the_loser_of_a_race_is_closed(
    port: int, listener: socket.socket, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both attempts connect in the same turn of the loop; only one socket is kept."""
    names(host=["127.0.0.1", "127.0.0.1"])
    both = asyncio.Barrier(2)
    real = asyncio.SelectorEventLoop.sock_connect

    async def sock_connect(
        loop: asyncio.SelectorEventLoop, sock: socket.socket, address: Any
    ) -> None:
        await real(loop, sock, address)
        await both.wait()

    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_connect", sock_connect)
    monkeypatch.setattr(dialing, "ATTEMPT_DELAY", 0.01)
    kept = await dial("host", port)
    accepted = [listener.accept()[0] for _ in range(2)]
    kept.close()
    for sock in accepted:
        sock.setblocking(False)
        with sock:
            async with asyncio.timeout(30):
                assert await asyncio.get_running_loop().sock_recv(sock, 1) == b""


async def test_every_round_tries_every_address(
    port: int,
    listener: socket.socket,
    names: Names,
    heard: Heard,
    report: dialing.Report,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listener.close()
    names(host=["127.0.0.1", "127.0.0.2"])
    monkeypatch.setattr(dialing, "ROUND_DELAY", 0)
    with pytest.raises(Unreachable) as caught:
        await dial("host", port, DialOptions(attempts=3, report=report))
    assert [address for address, error in heard if error is None] == ["127.0.0.1", "127.0.0.2"] * 3
    assert [type(error) for error in caught.value.failures] == [ConnectionRefusedError] * 2


async def test_an_attempt_after_a_failure_may_succeed(
    port: int, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener.close()
    opened: list[socket.socket] = []

    def report(address: str, error: OSError | None) -> None:
        if error is not None:
            opened.append(socket.create_server(("127.0.0.1", port)))

    monkeypatch.setattr(dialing, "ROUND_DELAY", 0)
    with await dial("127.0.0.1", port, DialOptions(attempts=2, report=report)) as sock:
        assert sock.getpeername() == ("127.0.0.1", port)
    assert len(opened) == 1
    opened[0].close()


async def test_an_address_that_does_not_answer_in_time(silent: set[str]) -> None:
    silent.add("127.0.0.1")
    with pytest.raises(Unreachable, match=r"can't connect to 127\.0\.0\.1 port 9: ") as caught:
        await dial("127.0.0.1", 9, DialOptions(timeout=0.01))
    (failure,) = caught.value.failures
    assert isinstance(failure, TimeoutError)
    assert explain(failure) == "Connection timed out"


async def test_each_address_has_its_own_timeout(
    port: int,
    names: Names,
    silent: set[str],
    heard: Heard,
    report: dialing.Report,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names(host=["127.0.0.2", "127.0.0.1"])
    silent.add("127.0.0.2")
    monkeypatch.setattr(dialing, "ATTEMPT_DELAY", 3600)
    with await dial("host", port, DialOptions(timeout=0.05, report=report)) as sock:
        assert sock.getpeername() == ("127.0.0.1", port)
    assert heard[1] == ("127.0.0.2", "Connection timed out")


async def test_a_timeout_of_the_caller_is_the_callers(silent: set[str]) -> None:
    silent.add("127.0.0.1")
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(0.01):
            await dial("127.0.0.1", 9, DialOptions(timeout=3600))
    assert not isinstance(caught.value, ConnectFailed)


async def test_a_bind_address(port: int) -> None:
    with await dial("127.0.0.1", port, DialOptions(bind="127.0.0.3")) as sock:
        assert sock.getsockname()[0] == "127.0.0.3"


async def test_a_bind_address_for_each_family(
    port: int, names: Names, heard: Heard, report: dialing.Report
) -> None:
    """The name to connect from has an address of one family only: the other attempt fails."""
    names(host=["::1", "127.0.0.1"], here=["127.0.0.3"])
    with await dial("host", port, DialOptions(bind="here", report=report)) as sock:
        assert sock.getsockname()[0] == "127.0.0.3"
    assert heard[:2] == [("::1", None), ("::1", "No address of this family")]


async def test_a_bind_address_of_another_host(port: int) -> None:
    with pytest.raises(Unreachable) as caught:
        await dial("127.0.0.1", port, DialOptions(bind="192.0.2.1"))
    assert [error.errno for error in caught.value.failures] == [errno.EADDRNOTAVAIL]


async def test_one_family_only(
    port: int, names: Names, heard: Heard, report: dialing.Report
) -> None:
    names(host=["::1", "127.0.0.1"])
    with await dial("host", port, DialOptions(family="inet", report=report)):
        assert heard == [("127.0.0.1", None)]


async def test_no_address_of_the_family(port: int) -> None:
    with pytest.raises(HostNotFound):
        await dial("127.0.0.1", port, DialOptions(family="inet6"))


@pytest.mark.parametrize("host", ["nobody.invalid", "a" * 64 + ".invalid", "ü" * 64])
async def test_a_name_without_an_address(host: str) -> None:
    with pytest.raises(HostNotFound, match="can't find the host ") as caught:
        await dial(host, 22)
    assert caught.value.reason
    assert caught.value.reason in str(caught.value)


async def test_the_error_names_each_reason_once_and_a_remedy(
    port: int, listener: socket.socket, names: Names
) -> None:
    listener.close()
    names(host=["127.0.0.1", "127.0.0.2"])
    with pytest.raises(Unreachable) as caught:
        await dial("host", port, wanted="a web server")
    assert str(caught.value) == (
        f"can't connect to host port {port}: Connection refused; "
        "is a web server running there, on this port?"
    )
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


async def test_families_alternate(names: Names) -> None:
    names(host=["::1", "::2", "::3", "127.0.0.1"])
    order = [address[0] for _, address in await resolve("host", 1)]
    assert order == ["::1", "127.0.0.1", "::2", "::3"]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(errno.ECONNREFUSED, "Connect call failed ('::1', 1)"), "Connection refused"),
        (socket.gaierror(socket.EAI_NONAME, "no such name"), "no such name"),
        (OSError("no errno"), "no errno"),
    ],
)
def test_the_systems_text_for_an_error(error: OSError, text: str) -> None:
    assert explain(error) == text
