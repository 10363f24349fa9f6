import asyncio
import os
import shutil
import signal
import subprocess

import pytest

from nacre.agent.client import Agent
from nacre.errors import UnusableKey
from nacre.keys import dump_private, generate

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
    process.wait(10)
    process.stdout.close()


def add(path, key, file):
    file.write_bytes(dump_private(key))
    file.chmod(0o600)
    environment = os.environ | {"SSH_AUTH_SOCK": str(path)}
    subprocess.run(["ssh-add", "-q", file], env=environment, check=True, timeout=10)


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
