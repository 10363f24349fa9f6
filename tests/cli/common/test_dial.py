import asyncio
import socket

import pytest

from nacre.cli.common.dial import Way, dial
from nacre.errors import ConnectFailed, DeadlineExceeded


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1], server


async def test_a_socket_ready_for_use(listener):
    port, _ = listener
    said = []
    with await dial(Way("127.0.0.1", port, bind="127.0.0.1"), said.append) as sock:
        assert sock.getpeername() == ("127.0.0.1", port)
        assert sock.getblocking() is False
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert said == [f"Connecting to 127.0.0.1 [127.0.0.1] port {port}."]


async def test_without_keepalive(listener):
    with await dial(Way("127.0.0.1", listener[0], keepalive=False), print) as sock:
        assert not sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


async def test_refused(listener):
    port, server = listener
    server.close()
    with pytest.raises(ConnectFailed) as caught:
        await dial(Way("127.0.0.1", port), print)
    assert str(caught.value) == f"connect to host 127.0.0.1 port {port}: Connection refused"


async def test_no_such_name():
    with pytest.raises(ConnectFailed, match=r"Could not resolve hostname nobody\.invalid: "):
        await dial(Way("nobody.invalid", 22), print)


async def test_no_address_of_the_family(listener):
    with pytest.raises(ConnectFailed, match="Could not resolve hostname"):
        await dial(Way("127.0.0.1", listener[0], family="inet6"), print)


async def test_attempts(listener, monkeypatch):
    port, server = listener
    server.close()
    monkeypatch.setattr("nacre.cli.common.dial._PAUSE", 0)
    said = []
    with pytest.raises(ConnectFailed):
        await dial(Way("127.0.0.1", port, attempts=3), said.append)
    assert len([line for line in said if line.startswith("Connecting")]) == 3


async def test_no_answer_in_time(monkeypatch):
    async def never(self, sock, address):
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_connect", never)
    with pytest.raises(DeadlineExceeded, match="Connection timed out"):
        await dial(Way("127.0.0.1", 9, timeout=0.01), print)
