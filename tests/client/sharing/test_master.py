"""What a master answers its clients; what it does for them is a stand-in's."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import nacre
from nacre.client.sharing import master as master_module
from nacre.client.sharing.master import Guest, Master
from nacre.client.sharing.messages import (
    DYNAMIC,
    NO_ESCAPE,
    Alive,
    AliveCheck,
    CloseForward,
    Done,
    Exited,
    Failure,
    Forbidden,
    GetInformation,
    Hello,
    Information,
    NewSession,
    NewStdioForward,
    OpenForward,
    PortChosen,
    Proxy,
    SessionOpened,
    StopListening,
    TerminalFailed,
    Terminate,
    decode,
    encode,
    joined,
)
from nacre.client.sharing.sockets import ControlListener, ControlSocket
from nacre.errors import RequestFailed
from nacre.wire.codec import u32
from nacre.wire.message import Record
from parties import until

SESSION = NewSession(5, b"", 1, 0, 0, 0, NO_ESCAPE, "xterm", "true", b"")
FORWARD = (6, DYNAMIC, "", 1080, "socks", 0)


class Client:
    """A client by hand."""

    def __init__(self, path: str) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self.sock.setblocking(False)

    async def _exactly(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            data = await asyncio.get_running_loop().sock_recv(self.sock, size - len(found))
            if not data:
                raise EOFError
            found += data
        return found

    async def told(self) -> Record:
        async with asyncio.timeout(30):
            return decode(await self._exactly(int.from_bytes(await self._exactly(4), "big")))

    async def greeted(self) -> Client:
        assert await self.told() == Hello(4, joined(["info", "0"]))
        self.send(Hello(4, b""))
        return self

    def send(self, message: Record, *descriptors: int) -> None:
        self.sock.sendall(encode(message))
        for one in descriptors:
            socket.send_fds(self.sock, [b"\0"], [one])

    async def ask(self, message: Record, *descriptors: int) -> Record:
        self.send(message, *descriptors)
        return await self.told()

    async def ended(self) -> bool:
        with suppress(EOFError):
            await self.told()
            return False
        return True


class StandIn:
    """Services whose sessions write to their descriptors and end when ``go`` is set.

    :ivar error: raised by what is asked for next.
    """

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.error: Exception | None = None
        self.cancelled = 0
        self.port = 0
        self.wanted: list[Record] = []

    def _note(self, wanted: Record) -> None:
        self.wanted.append(wanted)
        if self.error is not None:
            raise self.error

    async def session(
        self, wanted: NewSession, descriptors: Sequence[int], guest: Guest
    ) -> int | None:
        try:
            self._note(wanted)
            guest.opened()
            guest.no_terminal()
            await self.go.wait()
            os.write(descriptors[1], b"out")
            return 9
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            for one in descriptors:
                os.close(one)

    async def join(self, wanted: NewStdioForward, descriptors: Sequence[int], guest: Guest) -> None:
        for one in descriptors:
            os.close(one)
        self._note(wanted)
        guest.opened()

    async def open_forward(self, wanted: OpenForward) -> int:
        self._note(wanted)
        return self.port

    async def close_forward(self, wanted: CloseForward) -> None:
        self._note(wanted)


class Setting:
    """A master, and clients of it."""

    def __init__(self, ssh: nacre.Connection, path: str) -> None:
        self.services = StandIn()
        self.path = path
        self.lines: list[str] = []
        self.master = Master(ssh, ControlListener(path), self.services, log=self.lines.append)
        self.clients: list[Client] = []

    def connect(self) -> Client:
        self.clients.append(Client(self.path))
        return self.clients[-1]

    async def client(self) -> Client:
        return await self.connect().greeted()


@pytest.fixture
async def at(ssh: nacre.Connection) -> AsyncIterator[Setting]:
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        setting = Setting(ssh, str(Path(directory) / "m"))
        yield setting
        for client in setting.clients:
            client.sock.close()
        await ssh.wait_idle()
        setting.master.stop()
        assert not os.listdir(directory)


async def test_it_is_alive(at):
    client = await at.client()
    assert await client.ask(AliveCheck(3)) == Alive(3, os.getpid())
    client.sock.sendall(u32(8) + u32(0x1000FFFF) + u32(4))
    assert await client.told() == Failure(4, "unsupported request")
    assert await client.ask(AliveCheck(5)) == Alive(5, os.getpid())


async def test_what_it_says_of_the_connection(at, ssh: Any):
    client = await at.client()
    told = await client.ask(GetInformation(1, "connection"))
    assert isinstance(told, Information)
    lines = told.lines.splitlines()
    assert lines[0] == f"alice@127.0.0.1 port {ssh.port}"
    assert lines[1].startswith("SSH-2.0-")
    assert lines[2:4] == [f"kex {ssh.algorithms.kex}", "host key ssh-ed25519"]
    assert lines[-1] == "compression none"
    assert await client.ask(GetInformation(2, "channels")) == Information(2, "")
    process = await ssh.process("hang")
    assert await client.ask(GetInformation(3, "channels")) == Information(3, "#0 session:command\n")
    process.close()
    await process.wait_closed()
    refused = await client.ask(GetInformation(4, "weather"))
    assert refused == Failure(4, "nothing is known of that")


@pytest.mark.parametrize(
    "first", [AliveCheck(1), Hello(3, b""), Done(1)], ids=lambda one: type(one).__name__
)
async def test_a_client_that_does_not_begin_with_version_4(at, first):
    client = at.connect()
    await client.told()
    client.send(first)
    assert await client.ended()
    assert "breaks its protocol" in at.lines[-1]


async def test_a_session(at):
    reading, writing = os.pipe()
    client = await at.client()
    opened = await client.ask(SESSION, reading, writing, writing)
    os.close(writing)
    assert isinstance(opened, SessionOpened)
    assert opened.request_id == 5
    assert at.services.wanted == [SESSION]
    assert await client.told() == TerminalFailed(opened.session_id)
    # Other requests are answered meanwhile, but a second session is not begun.
    assert await client.ask(AliveCheck(1)) == Alive(1, os.getpid())
    second = await client.ask(SESSION, reading, reading, reading)
    assert second == Failure(5, "Multiple sessions not supported")
    at.services.go.set()
    assert await client.told() == Exited(opened.session_id, 9)
    assert await client.ended()
    assert os.read(reading, 10) == b"out"
    assert os.read(reading, 10) == b""
    os.close(reading)


async def test_a_client_that_goes_away_ends_its_session(at):
    client, other = await at.client(), await at.client()
    for one in (client, other):
        assert isinstance(await one.ask(SESSION, 0, 1, 2), SessionOpened)
    client.sock.close()
    await until(lambda: at.services.cancelled == 1)
    assert isinstance(await other.told(), TerminalFailed)
    at.services.go.set()
    assert isinstance(await other.told(), Exited)


async def test_a_client_that_goes_away_at_once_leaves_no_descriptor(at):
    client = await at.client()
    client.send(SESSION, 0, 1, 2)
    client.sock.close()
    await until(lambda: at.services.cancelled == 1)


async def test_a_session_that_does_not_begin(at):
    at.services.error = RequestFailed("no more sessions")
    client = await at.client()
    assert await client.ask(SESSION, 0, 1, 2) == Failure(5, "no more sessions")
    assert await client.ended()


async def test_joined_descriptors(at):
    client = await at.client()
    wanted = NewStdioForward(8, b"", "host", 80)
    assert isinstance(await client.ask(wanted, 0, 1), SessionOpened)
    assert await client.ended()
    assert at.services.wanted == [wanted]


async def test_forwardings(at):
    client = await at.client()
    assert await client.ask(OpenForward(*FORWARD)) == Done(6)
    at.services.port = 4711
    assert await client.ask(OpenForward(*FORWARD)) == PortChosen(6, 4711)
    assert await client.ask(CloseForward(*FORWARD)) == Done(6)
    at.services.error = RequestFailed("it is taken")
    assert await client.ask(OpenForward(*FORWARD)) == Failure(6, "it is taken")
    assert await client.ask(CloseForward(*FORWARD)) == Failure(6, "it is taken")


async def test_stop_and_exit(at):
    client, other = await at.client(), await at.client()
    assert await client.ask(StopListening(1)) == Done(1)
    assert at.master.stopped.is_set()
    assert not os.path.exists(at.path)
    assert not at.master.terminated.is_set()
    assert await other.ask(Terminate(2)) == Done(2)
    assert at.master.terminated.is_set()


REQUESTS: dict[str, tuple[Record, int]] = {
    "session": (SESSION, 3),
    "join": (NewStdioForward(5, b"", "host", 80), 2),
    "forward": (OpenForward(5, *FORWARD[1:]), 0),
    "stop": (StopListening(5), 0),
    "exit": (Terminate(5), 0),
}


@pytest.mark.parametrize(("message", "count"), REQUESTS.values(), ids=REQUESTS)
async def test_the_user_may_say_no(at, message, count):
    questions: list[str] = []

    async def ask(question: str) -> bool:
        questions.append(question)
        return False

    at.master.ask = ask
    client = await at.client()
    assert await client.ask(message, *range(count)) == Forbidden(5, "Permission denied")
    assert "shared connection to 127.0.0.1?" in questions[0]
    assert not at.services.wanted
    assert not at.master.stopped.is_set()
    assert await client.ask(AliveCheck(1)) == Alive(1, os.getpid())


async def test_the_user_may_say_no_to_the_proxy_mode(at):
    """CVE-2026-35388: OpenSSH's master did not ask about it."""
    questions: list[str] = []

    async def ask(question: str) -> bool:
        questions.append(question)
        return False

    at.master.ask = ask
    client = await at.client()
    assert await client.ask(Proxy(5)) == Forbidden(5, "Permission denied")
    assert questions == ["Allow shared connection to 127.0.0.1? "]
    assert await client.ended()


async def test_clients_beyond_the_bound(at, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(master_module, "MAXIMUM_CLIENTS", 1)
    first = await at.client()
    assert await at.connect().ended()
    first.sock.close()
    await until(lambda: not at.master._clients)
    await at.client()


async def test_clients_of_other_accounts(at, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ControlSocket, "ours", property(lambda _: False))
    assert await at.connect().ended()


async def test_the_end_of_the_connection_ends_all(at, ssh: Any):
    client = await at.client()
    assert isinstance(await client.ask(SESSION, 0, 1, 2), SessionOpened)
    await client.told()
    await ssh.close()
    await until(at.master.stopped.is_set)
    assert await client.ended()
    assert at.services.cancelled == 1
    assert not os.path.exists(at.path)
