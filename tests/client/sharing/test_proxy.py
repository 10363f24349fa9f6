"""The proxy mode: a client's channels over a master's connection to a server in this process."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from typing import ClassVar

import pytest

import nacre
from nacre.aio.connection import COMMON, BaseConnection, Handlers
from nacre.client.forwarding.forwards import Forwards
from nacre.client.process import NO_MODES, Process, Start, start_process
from nacre.client.sharing.proxy import serve_proxy
from nacre.errors import ChannelOpenFailed, RequestFailed
from nacre.protocol.asks import AskOpen
from nacre.protocol.options import EngineOptions
from nacre.protocol.phases import Role
from nacre.protocol.requests import OtherRequest
from nacre.protocol.tcpip import (
    AGENT_REQUEST,
    CANCEL,
    DIRECT,
    LISTEN,
    Endpoint,
    TCPIPChannel,
    TCPIPForward,
)
from nacre.ssh2.proxied import ProxiedEngine
from parties import PASSWORD, client_for, until


class Near(BaseConnection):
    """The client's end."""

    handlers: ClassVar[Handlers]

    def __init__(self) -> None:
        engine = ProxiedEngine(Role.CLIENT, EngineOptions())
        super().__init__(engine, keepalive=None, keepalive_count=1)

    forwards: Forwards

    def _on_open(self, ask: AskOpen) -> None:
        self.spawn(self.forwards.accept(ask))

    async def process(self, command: str, **options: object) -> Process:
        start = Start(command, None, {"LC_A": "b"}, None, (80, 24), NO_MODES)
        return await start_process(self.open_channel("session"), start)


Near.handlers = {**COMMON, AskOpen: Near._on_open}


@pytest.fixture
async def near(ssh: nacre.Connection) -> AsyncIterator[Near]:
    ours, theirs = socket.socketpair()
    serving = asyncio.create_task(serve_proxy(ssh, ssh._forwarding, theirs))
    made = Near()
    await made.loop.connect_accepted_socket(lambda: made.driver, ours)
    yield made
    await made.close()
    async with asyncio.timeout(30):
        await serving
        await ssh.wait_idle()


async def test_status_and_both_outputs(near):
    process = await near.process("print 100000 3000")
    out, err = await asyncio.gather(process.stdout.read(), process.stderr.read())
    assert (out, err) == (bytes(100000), b"e" * 3000)
    assert await process.wait() == 0
    process = await near.process("exit 9")
    assert await process.wait() == 9
    process = await near.process("kill")
    assert await process.wait() is None
    assert process.exit_signal == "TERM"
    process = await near.process("env")
    assert await process.stdout.read() == b"LC_A=b\n"


async def test_much_data_both_ways_and_a_half_close(near):
    process = await near.process("cat")
    data = os.urandom(6 << 20)

    async def feed() -> None:
        await process.stdin.write(data)
        process.stdin.write_eof()

    got, _ = await asyncio.gather(process.stdout.read(), feed())
    assert got == data
    assert await process.wait() == 0


async def test_channels_at_once(near):
    async def one(number: int) -> int | None:
        process = await near.process("cat")
        await process.stdin.write(b"%d" % number)
        process.stdin.write_eof()
        assert await process.stdout.read() == b"%d" % number
        return await process.wait()

    assert set(await asyncio.gather(*map(one, range(8)))) == {0}


async def test_a_client_that_does_not_read_stops_no_other(near):
    stalled = await near.process("print 50000000 0")
    process = await near.process("print 10 0")
    async with asyncio.timeout(30):
        assert await process.stdout.read() == bytes(10)
    stalled.close()


async def test_a_client_that_is_gone_ends_its_sessions(near, ssh):
    await near.process("hang")
    await near.process("say-and-hang")
    assert len(ssh.channels) == 2
    near.abort()
    await until(lambda: not ssh.channels)


async def test_the_end_of_the_connection_ends_the_client(near, ssh):
    process = await near.process("hang")
    await ssh.close()
    async with asyncio.timeout(30):
        await process.wait()
    assert process.exit_status is None


async def test_what_the_server_refuses_is_refused(near):
    place = TCPIPChannel("127.0.0.1", 1, "127.0.0.1", 0).encode()
    with pytest.raises(ChannelOpenFailed):
        await near.open_channel(DIRECT, place).wait_opened()
    with pytest.raises(ChannelOpenFailed, match="refused"):
        await near.open_channel("tun@openssh.com").wait_opened()
    start = Start(None, "no-such", {}, None, (80, 24), NO_MODES)
    with pytest.raises(RequestFailed):
        await start_process(near.open_channel("session"), start)


@pytest.mark.parametrize("name", [AGENT_REQUEST, "x11-req", "strange@example.org"])
async def test_sessions_do_not_get_what_leads_to_the_masters_host(near, name):
    channel = near.open_channel("session")
    await channel.wait_opened()
    request = OtherRequest(name, b"")
    assert not await channel.granted(channel.request(request, want_reply=True))
    channel.close()


class Generous(nacre.Users):
    def remote_listen(self, host: str, port: int, connection: nacre.ServerConnection) -> str:
        return "127.0.0.1"

    def agent_forwarding(self, session: nacre.Session) -> bool:
        return True


@pytest.fixture
async def ssh(make_server) -> AsyncIterator[nacre.Connection]:
    async with client_for(await make_server(policy=Generous({"alice": PASSWORD}))) as connection:
        yield connection


async def test_the_masters_agent_serves_sessions_that_ask_for_one(near, ssh):
    ssh.forward_agent("/no/such/agent")
    channel = near.open_channel("session")
    await channel.wait_opened()
    for name, granted in ((AGENT_REQUEST, True), ("x11-req", False)):
        token = channel.request(OtherRequest(name, b""), want_reply=True)
        assert await channel.granted(token) is granted
    channel.close()


async def test_a_port_of_the_server_leads_to_the_client_that_asked(near, ssh):
    ours = Forwards(near)
    near.forwards = ours

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read() + b" and back")
        writer.close()

    async with asyncio.timeout(30), await asyncio.start_server(answer, "127.0.0.1", 0) as here:
        place = Endpoint("127.0.0.1", here.sockets[0].getsockname()[1])
        listener = await ours.remote(place, Endpoint("127.0.0.1", 0))
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(b"there")
        writer.write_eof()
        assert await reader.read() == b"there and back"
        writer.close()
        await listener.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", listener.port)
        # A client that is gone leaves nothing at the server.
        left = await ours.remote(place, Endpoint("127.0.0.1", 0))
        near.abort()
        await until(lambda: not ssh._forwarding._remote)
        assert left.closed


@pytest.mark.parametrize(
    ("name", "data"),
    [(LISTEN, b"short"), (CANCEL, TCPIPForward("", 22).encode()), ("strange@example.org", b"")],
)
async def test_global_requests_that_are_refused(near, name, data):
    assert await near.request(name, data) is None


async def test_global_requests_are_answered(near):
    assert await near.keepalive() >= 0
