"""A forwarded connection to an agent begins with the session it comes through."""

from __future__ import annotations

import asyncio
import socket

import pytest

from nacre.agent import forwarded
from nacre.agent.client import Agent
from nacre.agent.forwarded import bind
from nacre.errors import UnusableKey
from nacre.keys import generate
from nacre.keys.agents.messages import request_session_bind
from nacre.protocol.asks import SessionProof

HOST_KEY = generate("ssh-ed25519")
SESSION = SessionProof(b"session", HOST_KEY.public, HOST_KEY.sign(b"session", "ssh-ed25519"))
BIND = request_session_bind(
    HOST_KEY.public.blob, SESSION.session_id, SESSION.signature, forwarding=True
)


async def bound(answer: bytes | None) -> bytes:
    """Bind to an agent that gives an answer, or closes the connection; return what it got."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for end in (ours, theirs):
            end.setblocking(False)
        loop = asyncio.get_running_loop()
        binding = asyncio.create_task(bind(ours, SESSION))
        received = await loop.sock_recv(theirs, 4096)
        if answer is None:
            theirs.close()
        else:
            await loop.sock_sendall(theirs, answer)
        await binding
        return received


@pytest.mark.parametrize("number", [5, 6, 28], ids=["failure", "success", "extension failure"])
async def test_any_answer_of_an_agent_will_do(number: int) -> None:
    assert await bound(b"\0\0\0\1" + bytes([number])) == BIND


@pytest.mark.parametrize("answer", [None, b"\0\0\0\0", b"\xff" * 8], ids=repr)
async def test_what_is_no_agent_is_refused(answer: bytes | None) -> None:
    with pytest.raises(UnusableKey, match="agent"):
        await bound(answer)


async def test_an_agent_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarded, "QUICK", 0.01)
    with pytest.raises(UnusableKey, match="has not answered"):
        await bound(b"\0\0\0\1")


async def test_without_a_host_key_nothing_is_forwarded() -> None:
    """An agent that can't know the way of a request would let restricted keys be used anywhere."""
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(UnusableKey, match="exchanged by GSSAPI"):
        await bind(ours, SessionProof(b"session", None))


def test_a_login_without_a_host_key_asks_the_agent_unbound() -> None:
    agent = Agent("/nowhere")
    assert agent.bound(SessionProof(b"session", None)) is agent
    assert agent.bound(SESSION) is not agent
