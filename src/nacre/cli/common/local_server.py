"""An SFTP server over the standard streams of a program: ``-D`` and ``-S`` of sftp and scp."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Unpack

from nacre.errors import ConnectFailed, ConnectionLost
from nacre.limits import KIB
from nacre.sftp.client.client import SFTPClient, open_sftp_over
from nacre.sftp.client.options import SFTPOptions
from nacre.sftp.client.session import SFTPSession
from nacre.wire.codec import Buffer

_READ = 256 * KIB


class _Pipes:
    """The pipes of a server program, as an SFTP session's line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._reading: asyncio.Task[None] | None = None

    def feed(self, session: SFTPSession) -> None:
        """Pass the program's output to ``session``, in a task."""
        self._reading = asyncio.create_task(self._read(session))

    async def _read(self, session: SFTPSession) -> None:
        stdout = self._process.stdout
        assert stdout is not None
        while data := await stdout.read(_READ):
            session.feed(data)
        session.end()
        await self._process.wait()

    def before_write(self, collect: Callable[[], None], *, at_once: bool = False) -> None:
        """Call ``collect`` in the next iteration of the loop."""
        asyncio.get_running_loop().call_soon(collect)

    def try_write(self, data: Buffer) -> int:
        """Write nothing, and return 0: :meth:`write` does it."""
        return 0

    async def write(self, data: Buffer) -> None:
        """Write all of ``data``.

        :raises ConnectionLost: the program closed its input.
        """
        stdin = self._process.stdin
        assert stdin is not None
        try:
            # A copy: the transport keeps what the pipe does not take; the caller reuses the block.
            stdin.write(bytes(data))
            await stdin.drain()
        except OSError as error:
            raise ConnectionLost("the SFTP server program closed its input") from error

    def adjust_window(self, count: int) -> None:
        """Do nothing: pipes have no window."""

    def close(self) -> None:
        """Close the program's input."""
        stdin = self._process.stdin
        assert stdin is not None
        stdin.close()

    async def wait_closed(self) -> None:
        """Wait until the program has ended."""
        if self._reading is not None:
            await asyncio.wait([self._reading])


async def start_server(command: str | Sequence[str], **options: Unpack[SFTPOptions]) -> SFTPClient:
    """Start a program that serves SFTP on its standard streams.

    :param command: its words, or a text that is split as by a shell.
    :param options: see :meth:`~nacre.sftp.client.session.SFTPSession.begin`.
    :raises ConnectFailed: it does not start.
    :raises NacreError: it does not serve SFTP.
    """
    from shlex import split

    try:
        given = split(command) if isinstance(command, str) else command
        words = [os.fsencode(word) for word in given]
        if not words:
            raise ValueError("the command line is empty")
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
    except (OSError, ValueError) as error:
        shown = command if isinstance(command, str) else command[0]
        raise ConnectFailed(f"can't start the SFTP server program {shown!r}: {error}") from error
    session = SFTPSession()
    pipes = _Pipes(process)
    pipes.feed(session)
    try:
        return await open_sftp_over(pipes, session, **options)
    except BaseException:
        with suppress(ProcessLookupError):
            process.kill()
        await pipes.wait_closed()
        raise
