"""An SFTP server as a program of this machine, over its standard streams."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from nacre.errors import ConnectFailed, ConnectionLost
from nacre.limits import KIB
from nacre.sftp.client.client import SFTPClient, open_sftp_over
from nacre.sftp.client.session import SFTPSession
from nacre.wire.codec import Buffer

_READ = 256 * KIB


class _Pipes:
    """The two pipes of a program, as a session's line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._reading: asyncio.Task[None] | None = None

    def feed(self, session: SFTPSession) -> None:
        """Hand what comes to ``session``."""
        self._reading = asyncio.create_task(self._read(session))

    async def _read(self, session: SFTPSession) -> None:
        stdout = self._process.stdout
        assert stdout is not None
        while data := await stdout.read(_READ):
            session.feed(data)
        session.end()
        await self._process.wait()

    def before_write(self, collect: Callable[[], None], *, at_once: bool = False) -> None:
        """Call ``collect`` in this turn of the loop."""
        asyncio.get_running_loop().call_soon(collect)

    def try_write(self, data: Buffer) -> int:
        """Send nothing yet: :meth:`write` does."""
        return 0

    async def write(self, data: Buffer) -> None:
        """Send all of ``data``."""
        stdin = self._process.stdin
        assert stdin is not None
        try:
            # A copy: the transport keeps what the pipe does not take, and the block is used again.
            stdin.write(bytes(data))
            await stdin.drain()
        except OSError as error:
            raise ConnectionLost("the SFTP server reads no more") from error

    def adjust_window(self, count: int) -> None:
        """There is no window to open."""

    def close(self) -> None:
        """Let the program see the end of its input."""
        stdin = self._process.stdin
        assert stdin is not None
        stdin.close()

    async def wait_closed(self) -> None:
        """Return when the program has ended."""
        if self._reading is not None:
            await asyncio.wait([self._reading])


async def start_server(command: str) -> SFTPClient:
    """Start a program that serves SFTP on its standard streams.

    :raises ConnectFailed: it does not start.
    """
    from shlex import split

    try:
        process = await asyncio.create_subprocess_exec(
            *[os.fsencode(word) for word in split(command)],
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
    except (OSError, ValueError) as error:
        raise ConnectFailed(f"can't start {command!r}: {error}") from error
    session = SFTPSession()
    pipes = _Pipes(process)
    pipes.feed(session)
    return await open_sftp_over(pipes, session)
