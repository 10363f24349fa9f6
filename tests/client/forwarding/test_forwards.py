"""Ports and agents forwarded between nacre's client and server, over both protocols."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import socket
import stat
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import nacre
from aio.test_versions import rsa1_host_key
from nacre.errors import ChannelOpenFailed, ConfigurationError, ConnectionLost, RequestFailed
from nacre.limits import DEFAULT_LIMITS
from nacre.protocol.tcpip import Endpoint
from parties import PASSWORD, client_for, until

DATA = random.Random(7).randbytes(3 << 20)


class Generous(nacre.Users):
    """Lets its user forward whatever there is to forward."""

    def __init__(self) -> None:
        super().__init__({"alice": PASSWORD})
        self.asked: list[tuple[str, int]] = []

    def direct_connection(self, host: str, port: int, connection: nacre.ServerConnection) -> bool:
        self.asked.append((host, port))
        return True

    def remote_listen(self, host: str, port: int, connection: nacre.ServerConnection) -> str | None:
        return "127.0.0.1"

    def agent_forwarding(self, session: nacre.Session) -> bool:
        return True


async def handle(session: nacre.Session) -> int:
    """``agent``: asks the client's agent something. ``wait``: does nothing until EOF."""
    if session.command == b"agent":
        async with session.agent_socket() as agent:
            mode = stat.S_IMODE(os.stat(os.path.dirname(agent.path)).st_mode)
            reader, writer = await asyncio.open_unix_connection(agent.path)
            writer.write(b"ask")
            answer = await reader.readexactly(6)
            writer.close()
            await session.stdout.write(f"{mode:o} {answer.decode()} {agent.path}".encode())
    elif session.command == b"lends":
        await session.stdout.write(str(session.forwards_agent).encode())
    else:
        await session.stdin.read()
    return 0


@pytest.fixture(params=[2, 1], ids=["SSH-2", "SSH-1"])
def protocol(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def policy() -> Generous:
    return Generous()


@pytest.fixture
async def server(make_server: Any, policy: Generous, host_key: nacre.PrivateKey) -> nacre.Server:
    keys = [host_key, rsa1_host_key()]
    return await make_server(policy=policy, handler=handle, host_keys=keys, protocols=(2, 1))


@pytest.fixture
async def ssh(server: nacre.Server, protocol: int) -> AsyncIterator[nacre.Connection]:
    async with client_for(server, protocols=(protocol,)) as connection:
        yield connection


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def target(serve: Serve) -> AsyncIterator[int]:
    """A server on a port of this host."""

    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    async with await asyncio.start_server(closing, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()


async def digest(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer only when the other side has said that it has no more."""
    writer.write(hashlib.sha256(await reader.read()).digest())
    await writer.drain()


async def round_trip(port: int, data: bytes, host: str = "127.0.0.1") -> bytes:
    reader, writer = await asyncio.open_connection(host, port)

    async def send() -> None:
        writer.write(data)
        await writer.drain()
        writer.write_eof()

    try:
        _, answer = await asyncio.gather(send(), reader.read())
    finally:
        writer.close()
    return answer


@pytest.mark.slow
async def test_local(ssh: nacre.Connection, policy: Generous) -> None:
    async with target(echo) as port, ssh.forward_local("127.0.0.1", port) as listener:
        assert await round_trip(listener.port, DATA) == DATA
        assert policy.asked == [("127.0.0.1", port)]


@pytest.mark.slow
async def test_remote(ssh: nacre.Connection, protocol: int) -> None:
    port = 0 if protocol == 2 else free_port()
    async with (
        target(echo) as goal,
        ssh.forward_remote("127.0.0.1", goal, listen_port=port) as listener,
    ):
        assert listener.port
        assert await round_trip(listener.port, DATA) == DATA


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.mark.slow
async def test_each_end_of_data_is_passed_on_alone(ssh: nacre.Connection, protocol: int) -> None:
    port = 0 if protocol == 2 else free_port()
    async with (
        target(digest) as goal,
        ssh.forward_local("127.0.0.1", goal) as there,
        ssh.forward_remote("127.0.0.1", goal, listen_port=port) as back,
    ):
        expected = hashlib.sha256(DATA).digest()
        assert await round_trip(there.port, DATA) == expected
        assert await round_trip(back.port, DATA) == expected


@pytest.mark.slow
async def test_many_at_once(ssh: nacre.Connection) -> None:
    async with target(echo) as port, ssh.forward_local("127.0.0.1", port) as listener:
        pieces = [DATA[n << 15 : (n + 1) << 15] for n in range(40)]
        answers = await asyncio.gather(*(round_trip(listener.port, piece) for piece in pieces))
        assert answers == pieces


@pytest.mark.slow
async def test_a_connection_as_streams(ssh: nacre.Connection) -> None:
    async with target(digest) as port, ssh.open_connection("127.0.0.1", port) as tunnel:
        await tunnel.writer.write(DATA)
        tunnel.writer.write_eof()
        assert await tunnel.reader.read() == hashlib.sha256(DATA).digest()


async def test_a_destination_that_refuses_the_connection(
    ssh: nacre.Connection, protocol: int, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    with pytest.raises(ChannelOpenFailed) as raised:
        await ssh.open_connection("127.0.0.1", port)
    if protocol == 2:
        assert "Connection refused" in str(raised.value)
        assert raised.value.code == 2
    async with ssh.forward_local("127.0.0.1", port) as listener:
        assert await round_trip(listener.port, b"") == b""
    assert f"forwarding to 127.0.0.1 port {port} failed" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("port", [-1, 0, 69658, "22"])
async def test_ports_that_are_none(ssh: nacre.Connection, port: Any) -> None:
    for call in (ssh.open_connection, ssh.forward_local, ssh.forward_remote):
        with pytest.raises(ConfigurationError, match="is not a port"):
            call("localhost", port)
    if port == 0:
        return
    for refused in (
        lambda: ssh.forward_local("localhost", 22, listen_port=port),
        lambda: ssh.forward_remote("localhost", 22, listen_port=port),
        lambda: ssh.forward_dynamic(listen_port=port),
    ):
        with pytest.raises(ConfigurationError, match="listen_port"):
            refused()


async def test_a_port_that_is_taken(ssh: nacre.Connection) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            await ssh.forward_local("h", 1, listen_host="127.0.0.1", listen_port=port)
        with pytest.raises(RequestFailed, match=f"port {port}"):
            await ssh.forward_remote("h", 1, listen_port=port)


async def test_a_closed_listener_refuses_connections_and_keeps_those_it_has(
    ssh: nacre.Connection, protocol: int
) -> None:
    async with target(echo) as goal:
        async with ssh.forward_local("127.0.0.1", goal, listen_host="127.0.0.1") as there:
            assert not there.closed
            reader, writer = await asyncio.open_connection("127.0.0.1", there.port)
        assert there.closed
        with pytest.raises(ConnectionRefusedError):
            await round_trip(there.port, b"")
        writer.write(b"goes on")
        assert await reader.readexactly(7) == b"goes on"
        writer.close()
        if protocol == 2:
            async with ssh.forward_remote("127.0.0.1", goal) as back:
                assert await round_trip(back.port, b"x") == b"x"
            assert back.closed
            with pytest.raises(ConnectionRefusedError):
                await round_trip(back.port, b"")
            async with ssh.forward_remote("127.0.0.1", goal, listen_port=back.port):
                assert await round_trip(back.port, b"x") == b"x"


async def test_what_the_end_of_a_connection_cuts_off_is_reset(
    server: nacre.Server, protocol: int
) -> None:
    gone: list[BaseException | bytes] = []

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            gone.append(await reader.read())
        except ConnectionError as error:
            gone.append(error)

    async with target(wait) as port:
        ssh = await client_for(server, protocols=(protocol,))
        listener = await ssh.forward_local("127.0.0.1", port)
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(b"x")
        await writer.drain()
        await until(lambda: server.connections[0]._channels)
        ssh.abort()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        await until(lambda: listener.closed and gone)
        with pytest.raises(ConnectionLost):
            await ssh.forward_local("127.0.0.1", port)
    assert isinstance(gone[0], ConnectionResetError)


@pytest.mark.slow
async def test_a_slow_reader_stops_the_writer(ssh: nacre.Connection) -> None:
    """What is under way is bounded, and all of it comes in the end."""
    go = asyncio.Event()
    whole = hashlib.sha256()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await go.wait()
        while data := await reader.read(1 << 16):
            whole.update(data)
        writer.write(whole.digest())

    async with target(slow) as port, ssh.forward_local("127.0.0.1", port) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        expected, sent = hashlib.sha256(), 0
        while True:
            writer.write(DATA)
            expected.update(DATA)
            sent += len(DATA)
            try:
                async with asyncio.timeout(1):
                    await writer.drain()
            except TimeoutError:
                break
            assert sent < 64 << 20
        go.set()
        await writer.drain()
        writer.write_eof()
        assert await reader.read() == expected.digest()
        writer.close()


async def test_other_channels_work_while_one_is_not_read(server: nacre.Server) -> None:
    """SSH-2 has windows: a slow reader holds up nobody else."""
    stop = asyncio.Event()

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await stop.wait()

    async with client_for(server) as ssh, target(never) as slow, target(echo) as quick:
        tunnel = await ssh.open_connection("127.0.0.1", slow)
        stuck = asyncio.create_task(tunnel.writer.write(bytes(64 << 20)))
        async with ssh.open_connection("127.0.0.1", quick) as other:
            for _ in range(20):
                await other.writer.write(b"x" * 1000)
                assert await other.reader.readexactly(1000)
        assert not stuck.done()
        stuck.cancel()
        await asyncio.gather(stuck, return_exceptions=True)
        await tunnel.close()
        stop.set()


async def test_a_reset_here_closes_the_connection_there(ssh: nacre.Connection) -> None:
    ended = asyncio.Event()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        await reader.read()
        ended.set()

    async with target(wait) as port, ssh.forward_local("127.0.0.1", port) as listener:
        loop = asyncio.get_running_loop()
        with socket.socket() as sock:
            sock.setblocking(False)
            await loop.sock_connect(sock, ("127.0.0.1", listener.port))
            assert await loop.sock_recv(sock, 5) == b"hello"
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        async with asyncio.timeout(30):
            await ended.wait()
        await until(lambda: not ssh._channels)


# --- SOCKS ---


async def socks(port: int, *steps: tuple[bytes, bytes]) -> bytes:
    """Say the first of each step and expect the second; return what an echo then says."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for said, expected in steps:
            writer.write(said)
            if expected:
                assert await reader.readexactly(len(expected)) == expected
        writer.write(b"through")
        writer.write_eof()
        return await reader.read()
    finally:
        writer.close()


def asked(port: int, *parts: bytes) -> bytes:
    return b"".join(parts) + struct.pack(">H", port)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["4", "4a", "5 address", "5 name", "5 IPv6", "5 split"])
async def test_dynamic(ssh: nacre.Connection, policy: Generous, how: str) -> None:
    async with target(echo) as port, ssh.forward_dynamic() as proxy:
        four, name = socket.inet_aton("127.0.0.1"), b"\x09127.0.0.1"
        ok4, ok5 = b"\0\x5a" + bytes(6), b"\5\0\0\1" + bytes(6)
        number = struct.pack(">H", port)
        steps = {
            "4": [(b"\4\1" + number + four + b"user\0", ok4)],
            "4a": [(b"\4\1" + number + b"\0\0\0\1" + b"\0" + b"127.0.0.1\0", ok4)],
            "5 address": [(b"\5\1\0", b"\5\0"), (b"\5\1\0\1" + four + number, ok5)],
            "5 name": [(b"\5\2\2\0", b"\5\0"), (b"\5\1\0\3" + name + number, ok5)],
            "5 IPv6": [
                (b"\5\1\0", b"\5\0"),
                (b"\5\1\0\4" + socket.inet_pton(socket.AF_INET6, "::ffff:127.0.0.1") + number, ok5),
            ],
            # Whoever does not wait for the answers loses nothing.
            "5 split": [(b"\5\1\0\5\1\0\1" + four + number, b"\5\0" + ok5)],
        }[how]
        assert await socks(proxy.port, *steps) == b"through"
        assert policy.asked[0][1] == port


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b""),
        (b"\5\1\2", b"\5\xff"),
    ],
)
async def test_what_the_proxy_refuses(
    ssh: nacre.Connection, policy: Generous, said: bytes, answer: bytes
) -> None:
    async with ssh.forward_dynamic() as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(said)
        writer.write_eof()
        try:
            assert await reader.read() == answer
        except ConnectionResetError:
            assert not answer
        writer.close()
    assert policy.asked == []


async def test_the_proxy_replies_with_the_reason(server: nacre.Server) -> None:
    async with client_for(server) as ssh, ssh.forward_dynamic() as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"\5\1\0\5\1\0\1\x7f\0\0\1" + struct.pack(">H", free_port()))
        assert await reader.read() == b"\5\0\5\5\0\1" + bytes(6)
        writer.close()


# --- agents ---


@asynccontextmanager
async def agent(directory: Path) -> AsyncIterator[Path]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received = await reader.readexactly(3)
        if received != b"ask":  # in SSH-2 the session's binding comes first, and is refused
            size = int.from_bytes(received + await reader.readexactly(1), "big")
            await reader.readexactly(size)
            writer.write(b"\0\0\0\1\5")
            received = await reader.readexactly(3)
        assert received == b"ask"
        writer.write(b"answer")
        writer.close()

    path = directory / "agent"
    async with await asyncio.start_unix_server(serve, path):
        yield path


async def test_agent(ssh: nacre.Connection, tmp_path: Path) -> None:
    async with agent(tmp_path) as path:
        ssh.forward_agent(path)
        mode, answer, there = (await ssh.run("agent", check=True)).stdout.split()
    assert (mode, answer) == ("700", "answer")
    assert not os.path.exists(os.path.dirname(there))


async def test_no_agent_unless_it_is_lent(
    ssh: nacre.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with pytest.raises(ConfigurationError, match="no agent"):
        ssh.forward_agent()
    assert (await ssh.run("lends")).stdout == "False"


async def test_an_agent_that_is_not_there(
    server: nacre.Server, protocol: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with client_for(server, protocols=(protocol,)) as ssh:
        ssh.forward_agent(tmp_path / "nobody")
        assert (await ssh.run("agent")).exit_status == 255
    assert "the agent can't be reached" in caplog.text


# --- what a server refuses ---


@pytest.fixture
async def strict(
    make_server: Any, host_key: nacre.PrivateKey, protocol: int
) -> AsyncIterator[nacre.Connection]:
    """A connection to a server whose policy says nothing of forwarding."""
    keys = [host_key, rsa1_host_key()]
    server = await make_server(handler=handle, host_keys=keys, protocols=(2, 1))
    async with client_for(server, protocols=(protocol,)) as connection:
        yield connection


async def test_nothing_is_forwarded_by_default(
    strict: nacre.Connection, protocol: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    connected = asyncio.Event()

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()

    async with target(note) as port, agent(tmp_path) as path:
        with pytest.raises(ChannelOpenFailed):
            await strict.open_connection("127.0.0.1", port)
        with pytest.raises(RequestFailed):
            await strict.forward_remote("127.0.0.1", port, listen_port=free_port())
        strict.forward_agent(path)
        assert (await strict.run("lends")).stdout == "False"
    assert not connected.is_set()
    assert "does not let the command 'lends' use our agent" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("host", ["", "a b", "a\0b", "a\nb", "x" * 256])
async def test_hosts_that_cannot_be(ssh: nacre.Connection, policy: Generous, host: str) -> None:
    with pytest.raises(ChannelOpenFailed):
        await ssh.open_connection(host, 80)
    assert policy.asked == []


@pytest.mark.slow
@pytest.mark.parametrize("port", [0, 65536, 65536 + 22, 0xFFFFFFFF])
async def test_ports_that_cannot_be(ssh: nacre.Connection, policy: Generous, port: int) -> None:
    """The server refuses them too: another client may not check what it is told."""
    with pytest.raises(ChannelOpenFailed):
        await ssh._forwarding.open(Endpoint("127.0.0.1", port))
    assert policy.asked == []


async def test_ports_to_listen_on_are_bounded(
    make_server: Any, host_key: nacre.PrivateKey, policy: Generous
) -> None:
    limits = replace(DEFAULT_LIMITS, listeners=3)
    server = await make_server(policy=policy, limits=limits)
    async with client_for(server) as ssh:
        for _ in range(3):
            await ssh.forward_remote("h", 1)
        with pytest.raises(RequestFailed):
            await ssh.forward_remote("h", 1)


async def test_channels_are_bounded(
    make_server: Any, host_key: nacre.PrivateKey, policy: Generous
) -> None:
    """One more than a connection may have is refused, and the rest goes on."""
    server = await make_server(policy=policy, limits=replace(DEFAULT_LIMITS, channels=5))
    async with client_for(server) as ssh, target(echo) as port:
        tunnels = [await ssh.open_connection("127.0.0.1", port) for _ in range(5)]
        with pytest.raises(ChannelOpenFailed, match="too many"):
            await ssh.open_connection("127.0.0.1", port)
        for tunnel in tunnels:
            await tunnel.writer.write(b"x")
            assert await tunnel.reader.readexactly(1) == b"x"
            await tunnel.close()
        async with ssh.open_connection("127.0.0.1", port):
            pass


async def test_a_policy_that_fails_refuses(make_server: Any) -> None:
    class Broken(Generous):
        def direct_connection(self, *asked: Any) -> bool:
            raise ValueError("as asked")

        def remote_listen(self, *asked: Any) -> str | None:
            raise ValueError("as asked")

    async with client_for(await make_server(policy=Broken())) as ssh:
        with pytest.raises(ChannelOpenFailed):
            await ssh.open_connection("127.0.0.1", 80)
        with pytest.raises(RequestFailed):
            await ssh.forward_remote("h", 1)


async def test_a_server_that_stops_ends_what_it_forwards(
    make_server: Any, policy: Generous
) -> None:
    server = await make_server(policy=policy)
    async with client_for(server) as ssh, target(echo) as port:
        listener = await ssh.forward_remote("127.0.0.1", port)
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        await server.close()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await round_trip(listener.port, b"")


async def test_other_requests_are_still_refused(server: nacre.Server) -> None:
    async with client_for(server) as ssh:
        assert await ssh.request("streamlocal-forward@openssh.com", b"") is None
        assert await ssh.request("tcpip-forward", b"malformed") is None
        assert await ssh.request("cancel-tcpip-forward", b"\0\0\0\1h\0\0\0\1") is None
        assert await ssh.keepalive() >= 0


async def test_forwards_are_logged(server: nacre.Server, records: list[dict[str, object]]) -> None:
    async with client_for(server) as ssh, target(echo) as port:
        async with ssh.open_connection("127.0.0.1", port):
            pass
        listener = await ssh.forward_remote("h", 1)
    logged = [record for record in records if record["event"] == "forward"]
    assert [(one.get("to"), one.get("listen"), one["granted"]) for one in logged] == [
        (f"127.0.0.1:{port}", None, True),
        (None, f"localhost:{listener.port}", True),
    ]


def test_a_session_without_an_agent_has_no_socket() -> None:
    class Asked:
        forwards_agent = False

    with pytest.raises(nacre.LocalProtocolError):
        nacre.Session.agent_socket(Asked())  # type: ignore[arg-type]


async def test_a_connection_is_idle_when_its_forwarded_connections_have_ended(
    server: nacre.Server,
) -> None:
    reading = asyncio.Event()

    async def one_word(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        await reading.wait()
        writer.write(b"word")
        await writer.drain()

    async with client_for(server) as ssh, target(one_word) as port:
        assert await asyncio.wait_for(ssh.wait_idle(), 30) is None
        async with ssh.forward_local("127.0.0.1", port) as listener:
            talking = asyncio.create_task(round_trip(listener.port, b"x"))
            await until(lambda: ssh._holding or ssh._channels)
            idle = asyncio.create_task(ssh.wait_idle())
            reading.set()
            assert await talking == b"word"
            await asyncio.wait_for(idle, 30)


async def test_work_that_holds_a_connection_keeps_it_from_being_idle(server: nacre.Server) -> None:
    async with client_for(server) as ssh:
        going_on = asyncio.Event()

        async def work() -> None:
            await going_on.wait()

        ssh.spawn(work())
        await asyncio.wait_for(ssh.wait_idle(), 30)
        ssh.spawn(work(), holds=True)
        idle = asyncio.create_task(ssh.wait_idle())
        for _ in range(5):
            await asyncio.sleep(0)
        assert not idle.done()
        going_on.set()
        await asyncio.wait_for(idle, 30)


async def test_forwarded_connections_are_listed(ssh: nacre.Connection) -> None:
    assert ssh.forwarded == ()
    async with (
        target(echo) as port,
        ssh.forward_local("127.0.0.1", port) as local,
        ssh.forward_remote("127.0.0.1", port, listen_port=free_port()) as remote,
        ssh.process("wait"),
    ):
        _, near = await asyncio.open_connection("127.0.0.1", local.port)
        _, far = await asyncio.open_connection("127.0.0.1", remote.port)
        here = near.get_extra_info("sockname")[1]
        await until(lambda: len(ssh.forwarded) == 2)
        listed = "\n".join(ssh.forwarded)
        assert f" from 127.0.0.1 port {here} to 127.0.0.1 port {port}" in listed
        assert f" from the server to 127.0.0.1 port {port}" in listed
        near.close()
        await until(lambda: len(ssh.forwarded) == 1)
        far.close()
        await until(lambda: not ssh.forwarded)
