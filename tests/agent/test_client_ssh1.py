"""RSA1 keys of an agent: SSH-1's requests of the agent protocol."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import nacre
from nacre.crypto.legacy import challenge_response
from nacre.errors import UnusableKey
from nacre.keys import generate
from nacre.keys.agents.messages import decode_rsa_identities, decode_rsa_response
from nacre.keys.families.rsa1 import RSA1PrivateKey
from nacre.wire.codec import WireReader, mpint1, string, u8, u32
from parties import handle


@cache
def key(which: str) -> RSA1PrivateKey:
    made = generate("rsa1", bits=1024)
    assert isinstance(made, RSA1PrivateKey)
    return made


def answer(request: bytes) -> bytes:
    """Answer as an agent does that holds one RSA1 key, and none of SSH-2."""
    reader = WireReader(request)
    numbers = key("user").signer.numbers
    match reader.u8():
        case 1:
            listed = u32(1024) + mpint1(numbers.e) + mpint1(numbers.n) + string(b"old key")
            return u8(2) + u32(1) + listed
        case 3:
            assert (reader.u32(), reader.mpint1(), reader.mpint1()) == (1024, numbers.e, numbers.n)
            challenge, session = reader.mpint1(), reader.fixed(16)
            assert reader.u32() == 1
            reader.end()
            text = key("user").signer.decrypt(challenge, 32, os.urandom)
            return u8(4) + challenge_response(text, session)
        case 11:
            return u8(12) + u32(0)
    return u8(5)


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Path]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = int.from_bytes(await reader.readexactly(4), "big")
        writer.write(string(answer(await reader.readexactly(size))))
        await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(serve, tmp_path / "agent")
    yield tmp_path / "agent"
    server.close()


async def test_login_with_an_agents_key(agent: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
    host_key = generate("rsa1", bits=1280)
    policy = nacre.Users({"alice": key("user").public})
    async with (
        nacre.listen(host_keys=[host_key], policy=policy, handler=handle, protocols=(1,)) as server,
        nacre.connect(
            "127.0.0.1", server.port, user="alice", trust=nacre.AnyHostKey(), protocols=(1,)
        ) as ssh,
    ):
        assert ssh.methods == ("publickey",)


def test_answers_that_are_none() -> None:
    for broken in (b"", u8(5), u8(2), u8(2) + u32(3000), u8(2) + u32(1) + bytes(3)):
        with pytest.raises(UnusableKey):
            decode_rsa_identities(broken)
    for broken in (u8(5), u8(4) + bytes(15), u8(4) + bytes(17)):
        with pytest.raises(UnusableKey):
            decode_rsa_response(broken)
