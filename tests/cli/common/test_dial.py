"""The programs' way to a host: what the configuration asks for, and OpenSSH's words for errors."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterator

import pytest

from nacre.cli.common.dial import dial_host
from nacre.client.target import Target
from nacre.config.client.files import parse
from nacre.errors import ConnectFailed, DeadlineExceeded


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


async def dialled(
    host: str, port: int, *options: str, debug: list[str] | None = None
) -> socket.socket:
    target = Target("name", host, port, "alice")
    lines = [] if debug is None else debug
    return await dial_host(target, parse(options), lines.append)


def port_of(server: socket.socket) -> int:
    port: int = server.getsockname()[1]
    return port


async def test_a_socket_ready_for_use(listener: socket.socket) -> None:
    port = port_of(listener)
    lines: list[str] = []
    with await dialled("127.0.0.1", port, "BindAddress=127.0.0.1", debug=lines) as sock:
        assert sock.getpeername() == ("127.0.0.1", port)
        assert sock.getblocking() is False
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert lines == [f"Connecting to 127.0.0.1 [127.0.0.1] port {port}."]


async def test_without_keepalive(listener: socket.socket) -> None:
    with await dialled("127.0.0.1", port_of(listener), "TCPKeepAlive=no") as sock:
        assert not sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


async def test_refused(listener: socket.socket) -> None:
    port = port_of(listener)
    listener.close()
    lines: list[str] = []
    with pytest.raises(ConnectFailed) as caught:
        await dialled("127.0.0.1", port, debug=lines)
    assert str(caught.value) == f"connect to host 127.0.0.1 port {port}: Connection refused"
    assert lines[1:] == [f"connect to address 127.0.0.1 port {port}: Connection refused"]


async def test_no_such_name() -> None:
    with pytest.raises(ConnectFailed, match=r"Could not resolve hostname nobody\.invalid: "):
        await dialled("nobody.invalid", 22)


async def test_a_name_that_would_repaint_the_terminal_is_shown_safe() -> None:
    with pytest.raises(ConnectFailed) as caught:
        await dialled("no\x1b[2Jbody.invalid", 22)
    assert r"Could not resolve hostname no\x1b[2Jbody.invalid: " in str(caught.value)


async def test_no_such_bind_address(listener: socket.socket) -> None:
    with pytest.raises(ConnectFailed, match=r"Could not resolve hostname nobody\.invalid: "):
        await dialled("127.0.0.1", port_of(listener), "BindAddress=nobody.invalid")


async def test_no_address_of_the_family(listener: socket.socket) -> None:
    with pytest.raises(ConnectFailed, match="Could not resolve hostname"):
        await dialled("127.0.0.1", port_of(listener), "AddressFamily=inet6")


async def test_attempts(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    port = port_of(listener)
    listener.close()
    monkeypatch.setattr("nacre.aio.dial.ROUND_DELAY", 0)
    lines: list[str] = []
    with pytest.raises(ConnectFailed):
        await dialled("127.0.0.1", port, "ConnectionAttempts=3", debug=lines)
    assert len([line for line in lines if line.startswith("Connecting")]) == 3


async def test_no_answer_in_the_system_s_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(self: object, sock: socket.socket, address: object) -> None:
        raise TimeoutError(errno.ETIMEDOUT, "[Errno 110] Connect call failed")

    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_connect", fails)
    with pytest.raises(DeadlineExceeded) as caught:
        await dialled("127.0.0.1", 9)
    assert str(caught.value) == "connect to host 127.0.0.1 port 9: Connection timed out"


@pytest.mark.slow
async def test_connect_timeout_ends_an_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(self: object, sock: socket.socket, address: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_connect", never)
    with pytest.raises(DeadlineExceeded, match="Connection timed out"):
        await dialled("127.0.0.1", 9, "ConnectTimeout=1")
