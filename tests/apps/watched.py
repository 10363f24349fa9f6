"""A session whose output is waited for, and what a test types into it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import nacre
from parties import client_for

_CONTROL = re.compile(r"\x1b\[[0-9;?<>]*[A-Za-z~]|\x1b[=>]|\x1b\][^\x07]*\x07|[\x00-\x08\x0e-\x1f]")


class Watched:
    """A session of a client.

    :ivar raw: everything that was printed.
    """

    def __init__(self, process: Any, connection: nacre.Connection) -> None:
        self.process = process
        self.connection = connection
        self.raw = ""
        self._from = 0

    @property
    def shown(self) -> str:
        """What was printed, without control sequences."""
        return _CONTROL.sub("", self.raw)

    async def expect(self, text: str) -> None:
        """Wait until a text is printed, behind the one that was waited for last."""
        async with asyncio.timeout(60):
            while (at := self.shown.find(text, self._from)) < 0:
                data = await self.process.stdout.read(65536)
                assert data, f"{text!r} was never printed: {self.shown!r}"
                self.raw += data.decode()
        self._from = at + len(text)

    async def expect_raw(self, text: str) -> None:
        """Wait until a text is printed, control sequences and all."""
        async with asyncio.timeout(60):
            while text not in self.raw:
                data = await self.process.stdout.read(65536)
                assert data, f"{text!r} was never printed: {self.raw!r}"
                self.raw += data.decode()

    async def type(self, text: str) -> None:
        await self.process.stdin.write(text.encode())

    async def end(self) -> tuple[int | None, str]:
        """Return the exit status, and what was printed to standard error."""
        async with asyncio.timeout(60):
            self.raw += (await self.process.stdout.read()).decode()
            errors = (await self.process.stderr.read()).decode()
            return await self.process.wait(), errors


@asynccontextmanager
async def watched(
    server: nacre.Server,
    command: str | None = None,
    *,
    term: str | None = "xterm-256color",
    size: tuple[int, int] = (80, 24),
    env: dict[str, str] | None = None,
) -> AsyncIterator[Watched]:
    """Begin a session, with a terminal unless ``term`` is None."""
    async with (
        client_for(server) as connection,
        connection.process(command, term=term, size=size, env=env or {}) as process,
    ):
        yield Watched(process, connection)
