from __future__ import annotations

import asyncio
import os
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from nacre.agent import server
from nacre.agent.client import Agent
from nacre.agent.keyring import AgentClient, Keyring
from nacre.agent.memory import ClientKeyring, MemoryKeyring
from nacre.agent.server import listen_at, serve_agent
from nacre.errors import UnusableKey
from nacre.keys import PublicKey, generate
from nacre.keys.agents import messages as agent

KEY = generate("ssh-ed25519", comment="a key")


@pytest.fixture
def directory() -> Iterator[Path]:
    made = tempfile.mkdtemp(dir="/tmp")
    yield Path(made)
    shutil.rmtree(made)


async def test_the_socket_is_the_owners_and_goes_at_the_end() -> None:
    async with serve_agent(None, MemoryKeyring()) as served:
        path = Path(served.path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert await Agent(served.path).keys() == []
    assert not path.parent.exists()


async def test_a_path_that_is_in_use_is_refused(directory: Path) -> None:
    path = directory / "agent"
    async with serve_agent(path, MemoryKeyring()):
        with pytest.raises(OSError, match="in use"):
            await serve_agent(path, MemoryKeyring())
    assert not path.exists()
    assert directory.exists()


async def test_another_agents_socket_is_left(directory: Path) -> None:
    path = directory / "agent"
    async with serve_agent(path, MemoryKeyring()):
        path.unlink()
        other = listen_at(path)
    assert path.exists()
    other.sock.close()
    other.remove()
    assert not path.exists()


async def test_a_keyring_learns_who_asks() -> None:
    seen: list[AgentClient] = []

    class Curious(MemoryKeyring):
        def for_client(self, client: AgentClient) -> ClientKeyring:
            seen.append(client)
            return super().for_client(client)

    async with serve_agent(None, Curious()) as served:
        await Agent(served.path).keys()
    assert seen == [AgentClient(os.getuid(), os.getpid())]


async def test_other_accounts_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    async with serve_agent(None, MemoryKeyring(), log=log.append) as served:
        for uid in (os.geteuid() + 1, 65534):
            monkeypatch.setattr(server, "_client", lambda sock, uid=uid: AgentClient(uid, 1))
            with pytest.raises(UnusableKey, match=r"lost the agent|without an answer"):
                await Agent(served.path).keys()
        for uid in (os.geteuid(), 0):
            monkeypatch.setattr(server, "_client", lambda sock, uid=uid: AgentClient(uid, 1))
            assert await Agent(served.path).keys() == []
    assert len(log) == 2
    assert "65534" in log[1]


async def test_clients_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAXIMUM_CLIENTS", 2)
    async with serve_agent(None, MemoryKeyring()) as served:
        held = [await asyncio.open_unix_connection(served.path) for _ in range(2)]
        for reader, writer in held:
            writer.write(agent.request_identities())
            await reader.readexactly(9)
        with pytest.raises(UnusableKey):
            await Agent(served.path).keys()
        held[0][1].close()
        await held[0][1].wait_closed()
        while True:
            try:
                assert await Agent(served.path).keys() == []
                break
            except UnusableKey:  # the server has not yet read the end of the first
                await asyncio.sleep(0)
        held[1][1].close()


async def test_a_client_that_stalls_slows_no_other() -> None:
    async with serve_agent(None, MemoryKeyring()) as served:
        stalled = []
        for sent in (b"", b"\0\0", b"\0\0\1\0half", agent.request_identities() * 20000):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(served.path)
            sock.setblocking(False)
            if sent:
                sock.send(sent)
            stalled.append(sock)
        async with asyncio.timeout(30):
            assert await Agent(served.path).keys() == []
        for sock in stalled:
            sock.close()


@pytest.mark.parametrize("size", [b"\0\0\0\0", b"\0\4\0\1", b"\xff\xff\xff\xff"])
async def test_a_length_out_of_bounds_ends_the_connection(size: bytes) -> None:
    log: list[str] = []
    async with serve_agent(None, MemoryKeyring(), log=log.append) as served:
        reader, writer = await asyncio.open_unix_connection(served.path)
        writer.write(agent.request_identities() + size)
        assert len(await reader.read()) == 9
        writer.close()
    assert "bytes" in log[0]


async def test_requests_are_answered_in_their_order() -> None:
    class Slow(Keyring):
        def keys(self) -> list[tuple[PublicKey, str]]:
            return []

        async def sign(self, key: PublicKey, data: bytes, algorithm: str) -> bytes:
            await asyncio.sleep(0.01)
            return KEY.sign(data, algorithm)

    async with serve_agent(None, Slow()) as served:
        reader, writer = await asyncio.open_unix_connection(served.path)
        sign = agent.request_signature(KEY.public.blob, b"data", "ssh-ed25519")
        writer.write(sign + agent.request_identities())
        writer.write_eof()
        answers = agent.Frames().receive(await reader.read())
        writer.close()
    assert [answer[0] for answer in answers] == [14, 12]


async def test_closing_ends_the_connections() -> None:
    served = await serve_agent(None, MemoryKeyring())
    reader, writer = await asyncio.open_unix_connection(served.path)
    writer.write(agent.request_identities())
    await reader.readexactly(9)
    waiting = asyncio.create_task(served.wait_closed())
    await served.close()
    await waiting
    assert await reader.read() == b""
    writer.close()
    await served.close()
