"""Processes of a server that are a socket in the test, and what the monitor has for them."""

from __future__ import annotations

import asyncio
import socket

from nacre.daemon.separate.link import Link, pair
from nacre.daemon.separate.messages import (
    StartWith,
)
from nacre.daemon.separate.monitor import (
    Separated,
)
from nacre.keys import generate
from nacre.keys.certificate import Certificate, CertifiedKey
from nacre.wire.message import Message

HOST_KEY = generate("ssh-ed25519")
CERTIFIED = CertifiedKey(
    Certificate.issue(HOST_KEY.public, generate("ssh-ed25519"), kind="host"), HOST_KEY
)
BLOB = HOST_KEY.public.blob


class Said:
    """A process that is a socket here."""

    def __init__(self, process: Separated) -> None:
        ours, self.raw = pair()
        self.raw.settimeout(30)
        self.ended: list[str | None] = []
        self.process = process
        process._link = Link(ours, process._on_message, self._on_lost)
        process._begin = StartWith(b"settings"), ()
        self._over = asyncio.Event()

    def _on_lost(self, reason: str | None) -> None:
        self.ended.append(reason)
        self.process.lost()
        self._over.set()

    def say(self, message: Message | bytes, *descriptors: int) -> None:
        data = message if isinstance(message, bytes) else message.encode()
        socket.send_fds(self.raw, [len(data).to_bytes(4) + data], descriptors)

    def heard(self) -> bytes:
        size = int.from_bytes(self.raw.recv(4, socket.MSG_WAITALL))
        return self.raw.recv(size, socket.MSG_WAITALL)

    async def over(self) -> str | None:
        async with asyncio.timeout(30):
            await self._over.wait()
        (reason,) = self.ended
        return reason

    def close(self) -> None:
        assert self.process._link is not None
        self.process._link.close()
        self.process.lost()
        self.raw.close()
