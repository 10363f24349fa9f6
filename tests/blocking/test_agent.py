"""An agent without await."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nacre.agent.memory import MemoryKeyring
from nacre.agent.server import AgentServer, serve_agent
from nacre.blocking import Agent
from nacre.blocking.background import background
from nacre.errors import UnusableKey
from nacre.keys import generate

KEY = generate("ssh-ed25519", comment="mine")


@pytest.fixture
def served() -> Iterator[AgentServer]:
    async def start() -> AgentServer:
        return await serve_agent(None, MemoryKeyring())

    async def close() -> None:
        await server.close()

    server = background.call(start)
    yield server
    background.call(close)


def test_keys_are_added_used_and_removed(
    served: AgentServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", served.path)
    agent = Agent.from_environment()
    assert agent is not None
    assert agent.path == served.path
    agent.add(KEY)
    assert agent.keys() == [(KEY.public, "mine")]
    signature = agent.sign(KEY.public, b"data", "ssh-ed25519")
    assert KEY.public.verify(signature, b"data", "ssh-ed25519")
    agent.remove(KEY.public)
    with pytest.raises(UnusableKey, match="refuses"):
        agent.remove(KEY.public)


def test_no_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    assert Agent.from_environment() is None
    with pytest.raises(UnusableKey, match="no agent at"):
        Agent("/nonexistent/agent").keys()
