"""Logins with agents that misbehave: none of them hangs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

import nacre
from agent.strange_agents import agent_that
from nacre.agent import client
from nacre.keys.agents.messages import Identity
from nacre.keys.agents.requests import FAILURE, encode_identities, encode_signature

KEY, HOST = nacre.generate("ssh-ed25519"), nacre.generate("ssh-ed25519")
OTHER = nacre.generate("ssh-ed25519")
USERS = nacre.Users({"alice": ["secret", KEY.public]})
LISTED = encode_identities([Identity(KEY.public.blob, "held")])
NAMES = ["end", "refusal", "cut off", "garbage", "no message"]


@contextlib.asynccontextmanager
async def agent_with(*answers: bytes | None) -> AsyncIterator[None]:
    """Set SSH_AUTH_SOCK to an agent that gives an answer to each connection: None is none, ever."""
    left = list(answers)

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        answer = left.pop(0) if left else b""
        # The first request binds the connection to the session; it is refused.
        writer.write(FAILURE + (answer or b""))
        if answer is None:
            await asyncio.Event().wait()

    async with agent_that(behave) as path:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SSH_AUTH_SOCK", path)
            yield


async def greet(session: nacre.Session) -> int:
    await session.stdout.write(b"in")
    return 0


async def login(**more: object) -> str:
    async with (
        nacre.listen(host_keys=[HOST], policy=USERS, handler=greet) as server,
        nacre.connect(
            "127.0.0.1",
            server.port,
            user="alice",
            trust=nacre.AnyHostKey(),
            config=None,
            **more,  # type: ignore[arg-type]
        ) as ssh,
    ):
        return (await ssh.run("x")).stdout


async def test_an_agent_that_never_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "QUICK", 0.1)
    async with asyncio.timeout(20), agent_with(None):
        assert await login(password="secret") == "in"


@pytest.mark.parametrize(
    "answer", [b"", FAILURE, b"\0\0\0\1", b"garbage!", b"\xff" * 40], ids=NAMES[:5]
)
async def test_an_agent_that_lists_nonsense(answer: bytes) -> None:
    async with asyncio.timeout(20), agent_with(answer):
        assert await login(password="secret") == "in"


@pytest.mark.parametrize(
    "answer",
    [b"", FAILURE, b"\0\0\0\1", encode_signature(OTHER.sign(b"other data", "ssh-ed25519"))],
    ids=[*NAMES[:3], "of another key"],
)
async def test_an_agent_that_does_not_sign(answer: bytes) -> None:
    async with asyncio.timeout(20), agent_with(LISTED, answer):
        assert await login(password="secret") == "in"


async def test_an_agent_that_never_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PATIENT", 0.1)
    async with asyncio.timeout(20), agent_with(LISTED, None):
        assert await login(password="secret") == "in"


async def test_a_signature_that_is_waited_for_ends_with_the_login() -> None:
    async with agent_with(LISTED, None):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await login()
