"""Kinds of attacks: each is one connection, and is begun again when it is over."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

import nacre
from bench.hostile.target import AT_HOME, ATTACKER, Target

# isort: split
from attacks.links import inside
from nacre.aio.versions import client_engine
from nacre.protocol.asks import Ask, AskArithmetic, AskAuthentication
from nacre.protocol.engine import Engine
from nacre.protocol.options import ClientOptions, algorithms
from nacre.protocol.phases import Role
from nacre.sftp.protocol.extensions import CheckFileName
from nacre.ssh2.transport.messages import KexInitiate, Ping
from nacre.ssh2.transport.negotiate import kexinit
from nacre.testing import agreeable
from nacre.wire.codec import mpint

CONNECTIONS = 40

SESSIONS = 10
"""As MaxSessions."""

AT_ONCE = 4
"""Requests of one connection for files."""


async def silent(target: Target) -> None:
    """Connect, and say nothing."""
    reader, writer = await _open(target)
    try:
        await _drop(reader)
    finally:
        writer.close()


async def exchanges(target: Target) -> None:
    """Have the server compute in its largest group, with a value that costs nothing."""
    reader, writer = await _open(target)
    try:
        writer.write(b"SSH-2.0-hostile\r\n")
        offered = algorithms(kex=target.group)
        _, payload = kexinit(offered, offered.host_key, Role.CLIENT, os.urandom(16), ())
        value = mpint(1 << 2000 | 12345)[4:]
        writer.write(_packet(payload) + _packet(KexInitiate(value).encode()))
        await _drop(reader)
    finally:
        writer.close()


async def passwords(target: Target) -> None:
    """Guess a password."""
    with suppress(nacre.NacreError):
        async with target.connect(ATTACKER, "a wrong guess"):
            pass


async def ignored(target: Target) -> None:
    """Send messages that have no effect, before the login."""
    _, writer = await _open(target)
    try:
        writer.write(b"SSH-2.0-hostile\r\n")
        many = _packet(b"\2" + (16).to_bytes(4) + bytes(16)) * 500
        while True:
            writer.write(many)
            await writer.drain()
    finally:
        writer.close()


async def pings(target: Target) -> None:
    """Send probes that the server has to answer (``ping@openssh.com``), before the login."""
    reader, writer = await _open(target)
    try:
        engine = await _before_login(reader, writer)
        dropped = asyncio.ensure_future(_drop(reader))
        outbox = inside(engine)._outbox
        while not dropped.done():
            for _ in range(500):
                outbox.send_parts(Ping(b"").encode(), b"")
            writer.write(outbox.take())
            await writer.drain()
    finally:
        writer.close()


async def opens(target: Target) -> None:
    """As a user who is logged in, have the server connect to a port that nobody listens on."""
    async with target.connect(ATTACKER) as ssh:
        while True:
            with suppress(nacre.ChannelOpenFailed):
                await ssh.open_connection("127.0.0.1", 1)


async def names(target: Target) -> None:
    """As a user who is logged in, have the server look up names that there are not."""
    async with target.connect(ATTACKER) as ssh:
        while True:
            with suppress(nacre.ChannelOpenFailed):
                await ssh.open_connection(f"{os.urandom(8).hex()}.invalid", 1)


async def output(target: Target) -> None:
    """As a user who is logged in, run what prints without end, and drop it."""
    async with target.connect(ATTACKER) as ssh, ssh.process("yes") as process:
        while await process.stdout.read(1 << 20):
            pass


async def hashes(target: Target) -> None:
    """As a user who is logged in, have a large file hashed (``check-file``), four at a time.

    sshd has no such request: there the file is read, which is the nearest that it has.
    """
    async with target.connect(ATTACKER) as ssh, ssh.sftp() as sftp:
        work = _hash if sftp.extensions.get("check-file") else _read
        await asyncio.gather(*(work(sftp, target.file) for _ in range(AT_ONCE)))


async def _hash(sftp: nacre.SFTPClient, path: str) -> None:
    while True:
        await sftp.session.request(CheckFileName(path, "sha512", 0, 0, 0))


async def _read(sftp: nacre.SFTPClient, path: str) -> None:
    while True:
        async with await sftp.open(path, "rb") as file:
            while await file.read(1 << 20):
                pass


async def home(target: Target) -> None:
    """As a user whose home hangs, begin as many sessions as a connection may have (MaxSessions)."""
    async with target.connect(ATTACKER) as ssh:
        commands = (ssh.run("true") for _ in range(SESSIONS - AT_ONCE))
        files = (_files_at_home(ssh) for _ in range(AT_ONCE))
        await asyncio.gather(*commands, *files)


async def _files_at_home(ssh: nacre.Connection) -> None:
    async with ssh.sftp() as sftp:
        await sftp.stat("x")


async def keys(target: Target) -> None:
    """Log in with a key that is to be looked for in a home that hangs."""
    async with target.connect(AT_HOME):
        pass


async def log(target: Target) -> None:
    """As a user who is logged in, make lines of a log that nobody reads."""
    await opens(target)


KINDS: dict[str, Callable[[Target], Awaitable[None]]] = {
    kind.__name__: kind
    for kind in (
        *(silent, exchanges, passwords, ignored, pings),
        *(opens, names, output, hashes, home, keys, log),
    )
}


async def _open(target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", target.port, local_addr=(ATTACKER, 0))


async def _before_login(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Engine:
    """Exchange keys; return the client's engine, which is asked how to log in.

    :raises asyncio.IncompleteReadError: the server has ended the connection.
    """
    engine = client_engine(ClientOptions(user="nobody"), (2,))
    engine.start(0.0)
    while True:
        for event in engine.take_events():
            if isinstance(event, AskAuthentication):
                return engine
            if isinstance(event, AskArithmetic):
                engine.answer(event.ask_id, event.compute())
            elif isinstance(event, Ask) and (answer := agreeable(event)) is not None:
                engine.answer(event.ask_id, answer)
        writer.write(engine.take_output())
        if not (data := await reader.read(1 << 16)):
            raise asyncio.IncompleteReadError(b"", None)
        engine.receive(data, 0.0)


async def _drop(reader: asyncio.StreamReader) -> None:
    with suppress(ConnectionError):
        while await reader.read(1 << 16):
            pass


def _packet(payload: bytes) -> bytes:
    """Return a packet before the first keys (RFC 4253 section 6)."""
    padding = 4 + -(len(payload) + 9) % 8
    return (len(payload) + 1 + padding).to_bytes(4) + bytes([padding]) + payload + bytes(padding)


async def attack(kind: str, target: Target) -> None:
    """Attack without end; what the server refuses is tried again after a tenth of a second."""
    told: set[type[Exception]] = set()

    async def again_and_again() -> None:
        while True:
            try:
                await KINDS[kind](target)
            except (OSError, nacre.NacreError, asyncio.IncompleteReadError) as error:
                if type(error) not in told:
                    told.add(type(error))
                    print(f"{kind} {target.name}: {error!r}", file=sys.stderr, flush=True)
            await asyncio.sleep(0.1)

    await asyncio.gather(*(again_and_again() for _ in range(CONNECTIONS)))
