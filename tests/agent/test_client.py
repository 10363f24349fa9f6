import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile

import pytest

from agent.strange_agents import agent_that
from nacre.agent import client
from nacre.agent.client import Agent
from nacre.agent.keyring import Keyring
from nacre.agent.memory import MemoryKeyring
from nacre.agent.server import serve_agent
from nacre.errors import UnusableKey
from nacre.keys import Certificate, CertifiedKey, dump_private, generate
from nacre.keys.agents.constraints import Constraints
from nacre.keys.agents.destinations import DestinationConstraint, DestinationEnd, DestinationKey
from nacre.keys.agents.messages import Identity
from nacre.keys.agents.requests import encode_identities
from nacre.protocol.asks import SessionProof
from nacre.wire.codec import string

KEY = generate("ssh-ed25519", comment="mine")

needs_agent = pytest.mark.skipif(shutil.which("ssh-agent") is None, reason="no ssh-agent")


@pytest.fixture
def running(tmp_path):
    path = tmp_path / "agent"
    process = subprocess.Popen(
        ["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    yield path
    process.send_signal(signal.SIGTERM)
    process.wait(30)
    process.stdout.close()


def add(path, key, file):
    file.write_bytes(dump_private(key))
    file.chmod(0o600)
    environment = os.environ | {"SSH_AUTH_SOCK": str(path)}
    subprocess.run(["ssh-add", "-q", file], env=environment, check=True, timeout=30)


@pytest.mark.slow
@needs_agent
@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [
        ("ssh-ed25519", "ssh-ed25519"),
        ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256"),
        ("ssh-rsa", "rsa-sha2-256"),
        ("ssh-rsa", "rsa-sha2-512"),
    ],
)
async def test_a_real_agent_lists_and_signs(running, tmp_path, kind, algorithm):
    agent = Agent(running)
    assert await agent.keys() == []
    key = generate(kind, comment="mine")
    add(running, key, tmp_path / "key")
    assert await agent.keys() == [(key.public, "mine")]
    assert key.public.verify(await agent.sign(key.public, b"data", algorithm), b"data", algorithm)


@needs_agent
async def test_an_agent_without_the_key_refuses(running):
    with pytest.raises(UnusableKey, match="refuses to sign"):
        await Agent(running).sign(generate("ssh-ed25519").public, b"data", "ssh-ed25519")


async def test_no_agent_there(tmp_path):
    with pytest.raises(UnusableKey, match="no agent at"):
        await Agent(tmp_path / "nobody").keys()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"", "closed the connection without an answer"),
        (b"\0\0\0\x01\x05", "refuses"),
        (b"\xff\xff\xff\xff", "announces a message"),
    ],
)
async def test_a_strange_agent(tmp_path, answer, message):
    async def serve(reader, writer):
        await reader.readexactly(5)
        writer.write(answer)
        writer.close()

    path = tmp_path / "agent"
    async with await asyncio.start_unix_server(serve, path):
        with pytest.raises(UnusableKey, match=message):
            await Agent(path).keys()


def test_from_environment(monkeypatch):
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/agent")
    agent = Agent.from_environment()
    assert agent is not None
    assert agent.path == "/run/agent"
    monkeypatch.delenv("SSH_AUTH_SOCK")
    assert Agent.from_environment() is None


# --- agents that misbehave ---


async def hang(reader, writer):
    await asyncio.Event().wait()


async def drip(reader, writer):
    writer.write(b"\0\0\1\0")
    while True:
        writer.write(b"\x0c")
        await asyncio.sleep(0.01)


async def ask_and_hang(reader, writer):
    await reader.readexactly(5)
    await asyncio.Event().wait()


@pytest.mark.parametrize("behave", [hang, drip, ask_and_hang])
async def test_an_agent_that_hangs_is_given_up(monkeypatch, behave):
    monkeypatch.setattr(client, "QUICK", 0.1)
    monkeypatch.setattr(client, "SLOW", 0.1)
    async with agent_that(behave) as path:
        agent = Agent(path)
        for call in (
            agent.keys(),
            agent.rsa1_keys(),
            agent.add(KEY),
            agent.remove(KEY.public),
            agent.remove_all(),
            agent.lock("x"),
            agent.unlock("x"),
            agent.extensions(),
            agent.add_token("lib", "1234"),
            agent.remove_token("lib"),
        ):
            with pytest.raises(UnusableKey, match=r"not answered for 0\.1 seconds"):
                await call


async def test_an_agent_that_accepts_nothing_is_given_up(monkeypatch):
    monkeypatch.setattr(client, "QUICK", 0.1)
    directory = tempfile.mkdtemp(dir="/tmp")
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(f"{directory}/agent")
    sock.listen(0)
    waiting = []
    try:
        for _ in range(4):
            one = socket.socket(socket.AF_UNIX)
            one.setblocking(False)
            waiting.append(one)
            with contextlib.suppress(BlockingIOError):
                one.connect(f"{directory}/agent")
        with pytest.raises(UnusableKey):
            await Agent(f"{directory}/agent").keys()
    finally:
        for one in (*waiting, sock):
            one.close()
        shutil.rmtree(directory)


async def test_a_signature_may_take_its_time_and_is_cancelled_with_the_login(monkeypatch):
    monkeypatch.setattr(client, "QUICK", 0.01)
    ended = asyncio.Event()

    async def think(reader, writer):
        while await reader.read(1024):
            pass
        ended.set()

    async with agent_that(think) as path:
        agent = Agent(path)
        task = asyncio.create_task(agent.sign(KEY.public, b"data", "ssh-ed25519"))
        await asyncio.sleep(0.1)
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(30):
            await ended.wait()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\0\0\0\x05\x0c\0",
        b"\0\0\0\x05\x0c\xff\xff\xff\xff",
        b"\0\0\0\x0a\x0c\0\0\0\x01\xff\xff\xff\xff\0",
        b"SSH-2.0-OpenSSH\r\n" * 100,
        b"\0\0\0\0",
    ],
)
async def test_garbage_and_early_ends_are_errors(answer):
    async def send(reader, writer):
        await reader.readexactly(5)
        writer.write(answer)
        await writer.drain()

    async with agent_that(send) as path:
        agent = Agent(path)
        with pytest.raises(UnusableKey):
            await agent.keys()


async def test_a_flood_is_not_read():
    async def flood(reader, writer):
        with contextlib.suppress(OSError):
            while True:
                writer.write(b"\0\0\0\x05\x0c\0\0\0\0" * 10_000)
                await writer.drain()

    async with agent_that(flood) as path:
        agent = Agent(path)
        async with asyncio.timeout(30):
            assert await agent.keys() == []


async def test_keys_that_nacre_lacks_are_left_out():
    blobs = [b"", b"nonsense", string(b"ssh-new@example.com") + b"x" * 40, KEY.public.blob]
    listed = encode_identities([Identity(blob, "a") for blob in blobs])

    async def send(reader, writer):
        await reader.readexactly(5)
        writer.write(listed)
        await writer.drain()

    async with agent_that(send) as path:
        agent = Agent(path)
        assert await agent.keys() == [(KEY.public, "a")]
        assert await agent.identities() == [(blob, "a") for blob in blobs]


# --- nacre's agent ---


async def test_what_an_agent_holds_is_changed():
    async with serve_agent(None, MemoryKeyring()) as served:
        agent = Agent(served.path)
        await agent.add(KEY)
        certified = CertifiedKey(Certificate.issue(KEY.public, KEY), KEY)
        await agent.add(certified, Constraints(lifetime=60))
        assert [key for key, _ in await agent.keys()] == [KEY.public, certified.public]
        await agent.sign(certified.public, b"data", certified.public.signature_algorithms[0])
        await agent.remove(certified.public)
        assert await agent.keys() == [(KEY.public, "mine")]
        await agent.lock("secret")
        assert await agent.keys() == []
        with pytest.raises(UnusableKey, match="refuses to lock itself"):
            await agent.lock("secret")
        await agent.unlock("secret")
        await agent.remove_all()
        assert await agent.keys() == []
        assert await agent.extensions() == ("session-bind@openssh.com",)
        with pytest.raises(UnusableKey, match="refuses to use the token"):
            await agent.add_token("lib", "1234")


async def test_a_bound_agent_tells_the_session_first():
    host, other = generate("ssh-ed25519"), generate("ssh-ed25519")
    destination = DestinationConstraint(
        DestinationEnd(), DestinationEnd("host", (DestinationKey(host.public),))
    )
    async with serve_agent(None, MemoryKeyring()) as served:
        agent = Agent(served.path)
        await agent.add(KEY, Constraints(destinations=(destination,)))
        for key, listed in ((host, [(KEY.public, "mine")]), (other, [])):
            signature = key.sign(b"session", "ssh-ed25519")
            bound = agent.bound(SessionProof(b"session", key.public, signature))
            assert await bound.keys() == listed


async def test_an_agent_that_can_not_be_bound_is_asked_all_the_same():
    class Plain(Keyring):
        def keys(self):
            return [(KEY.public, "mine")]

        def sign(self, key, data, algorithm):
            return KEY.sign(data, algorithm)

    async with serve_agent(None, Plain()) as served:
        bound = Agent(served.path).bound(SessionProof(b"session", KEY.public))
        assert await bound.keys() == [(KEY.public, "mine")]
        await bound.sign(KEY.public, b"data", "ssh-ed25519")
