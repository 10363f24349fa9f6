"""What may be forwarded, and peers that want more."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import nacre
from nacre.errors import ChannelOpenFailed
from nacre.limits import DEFAULT_LIMITS, Limits
from nacre.protocol.requests import OtherRequest
from nacre.protocol.tcpip import (
    AGENT_CHANNEL,
    CANCEL,
    DIRECT,
    FORWARDED,
    LISTEN,
    TCPIPChannel,
    TCPIPForward,
)
from nacre.server.serving import Serving

HOST_KEY = nacre.generate("ssh-ed25519")
PASSWORD = "open sesame"


class Policy(nacre.Users):
    """Lets its user connect to one place alone."""

    def __init__(self, port: int = 0) -> None:
        super().__init__({"alice": PASSWORD})
        self.port = port

    def direct_connection(self, host: str, port: int, connection: nacre.ServerConnection) -> bool:
        return (host, port) == ("127.0.0.1", self.port)

    def remote_listen(self, host: str, port: int, connection: nacre.ServerConnection) -> str:
        return "127.0.0.1"

    def session_request(self, session: nacre.Session, request: object) -> bool:
        return True


async def wait(session: nacre.Session) -> int:
    await session.stdin.read()
    return int(session.forwards_agent)


@asynccontextmanager
async def connected(
    policy: nacre.Policy, limits: Limits = DEFAULT_LIMITS
) -> AsyncIterator[tuple[nacre.Connection, nacre.ServerConnection]]:
    """Return both ends of a connection."""
    async with (
        nacre.listen(
            host_keys=[HOST_KEY],
            policy=policy,
            handler=wait,
            limits=limits,
            log=lambda record: None,
        ) as server,
        nacre.connect(
            "127.0.0.1",
            server.port,
            user="alice",
            password=PASSWORD,
            keys=[],
            agent=False,
            trust=nacre.AnyHostKey(),
        ) as ssh,
    ):
        yield ssh, server.connections[0]


class Target:
    """Counts who comes."""

    def __init__(self) -> None:
        self.count = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.count += 1
        await reader.read()
        writer.close()


@asynccontextmanager
async def target() -> AsyncIterator[tuple[Target, int]]:
    found = Target()
    async with await asyncio.start_server(found.serve, "127.0.0.1", 0) as server:
        yield found, server.sockets[0].getsockname()[1]


async def opened(connection: Any, kind: str, data: bytes) -> bool:
    """Tell whether the other end grants a channel; it is closed again."""
    channel = connection.open_channel(kind, data)
    try:
        async with asyncio.timeout(20):
            await channel.wait_opened()
    except ChannelOpenFailed:
        return False
    channel.close()
    return True


def tricks(port: int) -> Iterator[tuple[str, int]]:
    """Other ways to write 127.0.0.1, and ports that are the same in sixteen bits."""
    for host in (
        *("localhost", "127.1", "127.0.0.01", "0x7f.0.0.1", "2130706433", "127.0.0.1.", "0.0.0.0"),
        *("::1", "::ffff:127.0.0.1", "[127.0.0.1]", "127.0.0.1\0", "127.0.0.1\0.example.org"),
        *(" 127.0.0.1", "127.0.0.1 ", "127.0.0.1\n", "", "*", "127.0.0.2", "１27.0.0.1"),
    ):
        yield host, port
    yield "127.0.0.1", port + 65536
    yield "127.0.0.1", (1 << 32) - 65536 + port


async def test_a_place_is_what_was_written() -> None:
    """The policy decides on the very text and number that are then used."""
    async with target() as (found, port), connected(Policy(port)) as (ssh, _):
        for host, number in tricks(port):
            data = TCPIPChannel(host, number, "127.0.0.1", 1).encode()
            assert not await opened(ssh, DIRECT, data), (host, number)
        assert found.count == 0
        assert await opened(ssh, DIRECT, TCPIPChannel("127.0.0.1", port, "", 0).encode())


@pytest.mark.parametrize("data", [b"", b"\0\0\0\1h", b"\xff\xff\xff\xff", bytes(100)])
async def test_malformed_data_is_refused_and_no_more(data: bytes) -> None:
    async with connected(Policy()) as (ssh, server):
        assert not await opened(ssh, DIRECT, data)
        ssh.forward_agent("/nonexistent")
        assert not await opened(server, FORWARDED, data)
        assert await ssh.request(LISTEN, data) is None
        assert await ssh.request(CANCEL, data) is None
        assert not ssh.closed


async def test_a_request_on_a_forwarded_connection_is_refused_and_no_more() -> None:
    async with target() as (_, port), connected(Policy(port)) as (ssh, server):
        data = TCPIPChannel("127.0.0.1", port, "127.0.0.1", 1).encode()
        channel = ssh.open_channel(DIRECT, data)
        await channel.wait_opened()
        for name in ("unknown", "auth-agent-req@openssh.com"):
            request = OtherRequest(name, b"")
            assert not await channel.granted(channel.request(request, want_reply=True))
        assert not ssh.closed
        assert not server.closed
        channel.close()
        while not channel.closed:
            await channel.changed.wait()


async def test_a_server_can_not_come_through_what_was_not_forwarded() -> None:
    async with target() as (found, port), connected(Policy()) as (ssh, server):
        there = TCPIPChannel("127.0.0.1", port, "127.0.0.1", 1).encode()
        assert not await opened(server, FORWARDED, there)
        assert not await opened(server, AGENT_CHANNEL, b"")
        # A client that forwards something else takes nothing more.
        async with ssh.forward_remote("127.0.0.1", port) as listener:
            assert not await opened(server, FORWARDED, there)
            assert not await opened(server, AGENT_CHANNEL, b"")
            mine = TCPIPChannel("localhost", listener.port, "127.0.0.1", 1).encode()
            assert await opened(server, FORWARDED, mine)
        # What is closed is closed for the server too.
        assert not await opened(server, FORWARDED, mine)
        assert found.count == 1


async def test_a_server_can_not_open_what_only_clients_open() -> None:
    async with target() as (found, port), connected(Policy()) as (_, server):
        with pytest.raises(ChannelOpenFailed):
            server.open_channel(DIRECT, TCPIPChannel("127.0.0.1", port, "", 0).encode())
        assert found.count == 0


async def test_a_port_is_cancelled_by_its_own_name_alone() -> None:
    async with connected(Policy()) as (ssh, _), connected(Policy()) as (other, _):
        listener = await ssh.forward_remote("h", 1)
        for host, port in (("127.0.0.1", listener.port), ("localhost", 0), ("", listener.port)):
            assert await ssh.request(CANCEL, TCPIPForward(host, port).encode()) is None
        assert (
            await other.request(CANCEL, TCPIPForward("localhost", listener.port).encode()) is None
        )
        assert await ssh.request(CANCEL, TCPIPForward("localhost", listener.port).encode()) == b""


async def test_an_agent_that_was_refused_stays_refused() -> None:
    """The policy says no: the session has no agent, and no socket can be made for it."""
    async with connected(Policy()) as (ssh, server):
        ssh.forward_agent("/nonexistent")
        async with ssh.process("wait") as process:
            assert isinstance(server, Serving)
            (session,) = server.sessions
            with pytest.raises(nacre.LocalProtocolError):
                session.agent_socket()
            process.stdin.write_eof()
            assert await process.wait() == 0


async def test_more_connections_than_there_may_be() -> None:
    """Opens beyond the bound are refused at once, and all go with the connection."""
    limits = replace(DEFAULT_LIMITS, channels=50)
    async with target() as (found, port), connected(Policy(port), limits) as (ssh, server):
        data = TCPIPChannel("127.0.0.1", port, "", 0).encode()
        mine = [ssh.open_channel(DIRECT, data) for _ in range(300)]
        async with asyncio.timeout(40):
            ends = (channel.wait_opened() for channel in mine)
            refused = [e for e in await asyncio.gather(*ends, return_exceptions=True) if e]
        assert [type(error) for error in refused] == [ChannelOpenFailed] * 250
        assert len(server._channels) == found.count == 50
    assert not server._channels
    assert not ssh._channels


def test_nothing_of_forwarding_is_loaded_before_it_is_asked_for(tmp_path: Path) -> None:
    program = f"""
import asyncio, sys, nacre
import nacre.cli.ssh.command, nacre.cli.ssh.session, nacre.cli.common.connect
async def main():
    async def handle(session):
        return 3
    key = nacre.generate("ssh-ed25519")
    policy = nacre.Users({{"a": "b"}})
    async with nacre.listen(host_keys=[key], policy=policy, handler=handle) as server:
        async with nacre.connect("127.0.0.1", server.port, user="a", password="b", keys=[],
                                 agent=False, trust=nacre.AnyHostKey()) as ssh:
            assert (await ssh.run("x")).exit_status == 3
            before = loaded()
            assert await ssh.request("{LISTEN}", b"") is None
            print(before, bool(loaded()))
def loaded():
    names = ("client.forwarding.forwards", "server.forwarding.forwards", "tunnels.relay",
             "tunnels.listeners", "tunnels.socks")
    return [name for name in names if "nacre." + name in sys.modules]
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=50, check=False
    )
    assert (done.returncode, done.stdout) == (0, "[] True\n"), done.stderr
