"""Uploads: each is one file that is open on the server, whatever the number of requests.

So the server sees one upload, as that of any client of SFTP: with its quota, event and hooks.
A browser that loses its network asks how much has come, and goes on from there.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass

from nacre.console.web.browsers import BrowserSession
from nacre.console.web.calls import APIRefused
from nacre.console.web.file_connections import AHEAD, FileConnections, told
from nacre.errors import NacreError
from nacre.sftp.client.client import SFTPClient
from nacre.sftp.client.file import SFTPFile

IDLE = 300.0
"""Seconds that an upload waits for its next bytes."""

_END = 10.0
"""Seconds that the end of an upload has which was given up."""

_KNOWN = 60.0
"""Seconds for which a finished upload is known."""

_NUMBER = 16
"""Random bytes of the name of an upload."""

_LARGEST = 1 << 50


@dataclass(slots=True, eq=False)
class ConsoleUpload:
    """A file that is being written.

    :ivar session: whose it is.
    :ivar size: bytes that are to come; None where that is not known.
    :ivar sftp: the SFTP session that has nothing but this file.
    :ivar written: bytes that have come.
    :ivar busy: whether a request writes to it now.
    """

    session: BrowserSession
    size: int | None
    sftp: SFTPClient
    file: SFTPFile
    stack: AsyncExitStack
    written: int = 0
    busy: bool = False
    ending: asyncio.TimerHandle | None = None


class Uploads:
    """The uploads of all sessions. It belongs to a loop."""

    def __init__(self, connections: FileConnections) -> None:
        self._connections = connections
        self._uploads: dict[str, ConsoleUpload] = {}
        self._finished: dict[str, tuple[BrowserSession, int | None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def begin(
        self, session: BrowserSession, path: str, size: int | None, *, replaces: bool
    ) -> str:
        """Begin an upload, and return its name.

        :param replaces: whether a file of this name may be there.
        :raises APIRefused: the file can't be made.
        """
        if size is not None and not 0 <= size <= _LARGEST:
            raise APIRefused(422, "this is no size of a file")
        async with AsyncExitStack() as stack:
            sftp = await stack.enter_async_context(self._connections.upload(session))
            file = await sftp.open(path, "wb" if replaces else "xb")
            file.ahead = AHEAD
            upload = ConsoleUpload(session, size, sftp, file, stack.pop_all())
        number = os.urandom(_NUMBER).hex()
        self._uploads[number] = upload
        self._wait(number, upload)
        return number

    def find(self, session: BrowserSession, number: str) -> ConsoleUpload:
        """Return an upload of a session.

        :raises APIRefused: it has none of this name.
        """
        found = self._uploads.get(number)
        if found is None or found.session is not session:
            raise APIRefused(404, "there is no such upload: it has ended, or was given up")
        return found

    async def append(
        self, session: BrowserSession, number: str, offset: int, pieces: AsyncIterator[bytes]
    ) -> int:
        """Write what comes, and return how much of the file has come.

        What came before a request broke off stays. An error of the server ends the upload.

        :param offset: where in the file it belongs: what has come so far ends there.
        :raises APIRefused: it does not, or it can't be written.
        """
        upload = self.find(session, number)
        if upload.busy or offset != upload.written:
            raise APIRefused(409, f"{upload.written} bytes have come so far")
        upload.busy = True
        if upload.ending is not None:
            upload.ending.cancel()
        try:
            await self._check(session, number)
            async for piece in pieces:
                if upload.size is not None and upload.written + len(piece) > upload.size:
                    raise APIRefused(422, "more comes than was announced")
                await upload.file.write(piece)
                upload.written += len(piece)
            await upload.file.flush()
        except (NacreError, OSError) as error:
            await self.discard(number)
            raise told(error) from None
        finally:
            upload.busy = False
            if self._uploads.get(number) is upload:
                self._wait(number, upload)
        return upload.written

    async def _check(self, session: BrowserSession, number: str) -> None:
        """Have the API say now and then that the session holds, as for other pages.

        :raises APIRefused: it does not: the upload has broken off.
        """
        try:
            async with self._connections.opened(session):
                pass
        except APIRefused as error:
            if error.status in (401, 403):
                await self.discard(number)
            raise

    async def finish(self, session: BrowserSession, number: str) -> int:
        """Close a file that is whole, and return its size.

        A browser that has lost the answer may ask again, for a minute.

        :raises APIRefused: it is not, or the server refuses it.
        """
        of, size = self._finished.get(number, (None, None))
        if of is session:
            if size is None:
                raise APIRefused(423, "the file is being closed")
            return size
        self.find(session, number)
        await self._check(session, number)
        upload = self.find(session, number)
        if upload.busy or upload.size not in (None, upload.written):
            raise APIRefused(423, f"{upload.written} bytes have come so far")
        self._forget(number)
        self._finished[number] = (session, None)
        try:
            await upload.file.close()
        except BaseException as error:
            del self._finished[number]
            await _break_off(upload)
            if isinstance(error, (NacreError, OSError)):
                raise told(error) from None
            raise
        self._finished[number] = (session, upload.written)
        asyncio.get_running_loop().call_later(_KNOWN, self._finished.pop, number, None)
        await upload.stack.aclose()
        return upload.written

    async def cancel(self, session: BrowserSession, number: str) -> None:
        """Give an upload up: it has broken off.

        :raises APIRefused: there is no such upload.
        """
        self.find(session, number)
        await self.discard(number)

    def _wait(self, number: str, upload: ConsoleUpload) -> None:
        def on_idle() -> None:
            task = asyncio.get_running_loop().create_task(self.discard(number))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        if upload.ending is not None:
            upload.ending.cancel()
        upload.ending = asyncio.get_running_loop().call_later(IDLE, on_idle)

    def _forget(self, number: str) -> ConsoleUpload | None:
        upload = self._uploads.pop(number, None)
        if upload is not None and upload.ending is not None:
            upload.ending.cancel()
        return upload

    async def discard(self, number: str) -> None:
        """Give an upload up, if there is one of this name."""
        upload = self._forget(number)
        if upload is not None:
            await _break_off(upload)

    async def close(self) -> None:
        """Give all uploads up."""
        for number in list(self._uploads):
            await self.discard(number)


async def _break_off(upload: ConsoleUpload) -> None:
    """End an upload that is not whole.

    The user's --partial-uploads says what becomes of what has come. Nothing is removed here: by its
    name a file can be that of somebody else, who has made it meanwhile.
    """
    async with upload.stack:
        # Closed, the file would be whole.
        upload.sftp.close()
        with suppress(NacreError, OSError, TimeoutError):
            async with asyncio.timeout(_END):
                await upload.sftp.wait_closed()
