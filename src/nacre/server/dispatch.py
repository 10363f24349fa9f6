"""Decides how a session with files is served: by SFTP, or by scp."""

from __future__ import annotations

from collections.abc import Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from nacre.aio.maybe import settled
from nacre.scp.command import parse_scp
from nacre.scp.server import serve_scp
from nacre.sftp.filesystems.base import Filesystem
from nacre.sftp.server.audit import journal_of
from nacre.sftp.server.opened import carried_out
from nacre.sftp.server.service import serve_sftp
from nacre.sftp.server.threads import Threads

if TYPE_CHECKING:
    from nacre.server.session import Session
    from nacre.wire.codec import Buffer

T = TypeVar("T")

NOT_FOUND = 127
"""The exit status of a shell that can't find a command."""


async def serve_files(session: Session, filesystem: Filesystem) -> int:
    """Serve SFTP or scp to a session; returns the exit status.

    ``filesystem`` is closed at the end.
    """
    if session.subsystem is not None:
        return await serve_sftp(session, filesystem)
    command = None if session.command is None else parse_scp(session.command)
    threads = Threads(1) if filesystem.blocking else None

    async def do(work: Coroutine[Any, Any, T], *, last: bool = False) -> T:
        if threads is None:
            return await work
        try:
            return await threads.run(lambda: carried_out(work), last=last)
        except OSError:
            work.close()  # the system had no thread to begin it in
            raise

    try:
        if command is not None:
            journal = journal_of(session.connection)
            return await serve_scp(_SessionLine(session), do, filesystem, command, journal)
        await session.stderr.write(b"this server offers sftp and scp only\n")
        return NOT_FOUND
    finally:
        with suppress(OSError):
            await do(_close(filesystem), last=True)
        if threads is not None:
            threads.close()


async def _close(filesystem: Filesystem) -> None:
    await settled(filesystem.close())


class _SessionLine:
    """Standard input and output of a session, for scp."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def read(self, n: int = -1) -> bytes:
        return await self._session.stdin.read(n)

    async def write(self, data: Buffer) -> None:
        await self._session.stdout.write(data)
