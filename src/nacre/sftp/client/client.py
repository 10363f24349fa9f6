"""Files of a server, by the names of :mod:`os` and :mod:`pathlib`: what ``ssh.sftp()`` returns."""

from __future__ import annotations

import contextlib
import os
from types import TracebackType
from typing import Literal, Self, Unpack, overload

from nacre.aio.line import Line
from nacre.errors import NacreError
from nacre.sftp.client.calls import Path
from nacre.sftp.client.copies import Copies
from nacre.sftp.client.file import SFTPFile, SFTPTextFile
from nacre.sftp.client.names import NameCalls
from nacre.sftp.client.options import SFTPOptions
from nacre.sftp.client.session import SFTPSession
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.attributes import Attributes
from nacre.sftp.protocol.messages import OpenFlag
from nacre.wire import given

_FLAGS = {
    "r": OpenFlag.READ,
    "w": OpenFlag.WRITE | OpenFlag.CREAT | OpenFlag.TRUNC,
    "a": OpenFlag.WRITE | OpenFlag.CREAT | OpenFlag.APPEND,
    "x": OpenFlag.WRITE | OpenFlag.CREAT | OpenFlag.EXCL,
}


class SFTPClient(NameCalls, Copies):
    """Files of a server. ``async with`` closes the session at the end; tasks may share it.

    Paths are text or bytes. Relative ones start in the directory of :meth:`chdir`, at first the
    one the server chose. A call that fails raises :class:`~nacre.errors.SFTPError`, which is an
    OSError: FileNotFoundError, PermissionError and so on, with the path as ``filename``.
    """

    @overload
    async def open(
        self, path: Path, mode: Literal["r", "w", "a", "x", "r+", "w+", "rt", "wt"] = "r",
        *, encoding: str = "utf-8", errors: str = "strict", permissions: int | None = None,
    ) -> SFTPTextFile: ...  # fmt: skip

    @overload
    async def open(
        self, path: Path, mode: Literal["rb", "wb", "ab", "xb", "rb+", "r+b", "wb+", "w+b", "ab+"],
        *, encoding: str = "utf-8", errors: str = "strict", permissions: int | None = None,
    ) -> SFTPFile: ...  # fmt: skip

    @overload
    async def open(
        self, path: Path, mode: str,
        *, encoding: str = "utf-8", errors: str = "strict", permissions: int | None = None,
    ) -> SFTPFile | SFTPTextFile: ...  # fmt: skip

    async def open(
        self,
        path: Path,
        mode: str = "r",
        *,
        encoding: str = "utf-8",
        errors: str = "strict",
        permissions: int | None = None,
    ) -> SFTPFile | SFTPTextFile:
        """Open a file with a mode of Python's ``open``; without ``b`` it is a text file.

        :param permissions: for a file that is created; the server applies its umask.
        :raises ValueError: there is no such mode.
        """
        file = await self._open_binary(path, mode, permissions)
        return file if "b" in mode else SFTPTextFile(file, encoding, errors)

    async def _open_binary(self, path: Path, mode: str, permissions: int | None) -> SFTPFile:
        kinds = [letter for letter in mode if letter in _FLAGS]
        rest = sorted(letter for letter in mode if letter not in _FLAGS)
        if len(kinds) != 1 or rest not in ([], ["+"], ["b"], ["t"], ["+", "b"], ["+", "t"]):
            raise ValueError(f"invalid mode: {mode!r}")
        flags = _FLAGS[kinds[0]]
        if "+" in mode:
            flags |= OpenFlag.READ | OpenFlag.WRITE
        name = self.path(path)
        request = msg.Open(name, flags, Attributes(permissions=permissions))
        if flags & OpenFlag.EXCL:
            handle = await self._make(request, name)
        else:
            handle = await self._request(request)
        position = 0
        if flags & OpenFlag.APPEND:
            try:
                position = (await self._request(msg.FStat(handle))).size or 0
            except BaseException:
                self.session.close_handle(handle)
                raise
        return SFTPFile(
            self.session,
            handle,
            os.fspath(path),
            readable=bool(flags & OpenFlag.READ),
            writable=bool(flags & OpenFlag.WRITE),
            position=position,
        )

    async def read_bytes(self, path: Path) -> bytes:
        """Return a file's bytes."""
        async with await self._open_binary(path, "rb", None) as file:
            return await file.read()

    async def write_bytes(self, path: Path, data: bytes | bytearray | memoryview) -> int:
        """Write a file, replacing an existing one; return its size."""
        given.binary(data, "the data of write_bytes")  # before the file is emptied
        async with await self._open_binary(path, "wb", None) as file:
            return await file.write(data)

    async def read_text(self, path: Path, encoding: str = "utf-8") -> str:
        """Return a file's text."""
        return (await self.read_bytes(path)).decode(encoding)

    async def write_text(self, path: Path, data: str, encoding: str = "utf-8") -> int:
        """Write a file, replacing an existing one; return the text's length."""
        await self.write_bytes(path, given.text(data, "the data of write_text").encode(encoding))
        return len(data)

    # --- the session ---

    def close(self) -> None:
        """End the session; calls that wait fail with ConnectionLost."""
        self.session.close()

    async def wait_closed(self) -> None:
        """Return when the session has ended."""
        await self.session.wait_ended()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
        with contextlib.suppress(NacreError):
            await self.wait_closed()


async def open_sftp_over(
    line: Line, session: SFTPSession, **options: Unpack[SFTPOptions]
) -> SFTPClient:
    """Start an SFTP session over any line; its owner feeds ``session`` with the input."""
    try:
        await session.begin(line, **options)
    except BaseException:
        session.close()
        raise
    return SFTPClient(session)
