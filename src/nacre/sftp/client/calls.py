"""What the calls of a client share: the session, the current directory, and requests by path."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from typing import TypeAlias, TypeVar

from nacre.errors import SFTPError
from nacre.sftp.client.places import RemotePlace
from nacre.sftp.client.session import SFTPSession
from nacre.sftp.protocol import extensions as ext
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.messages import SFTPRequest
from nacre.sftp.protocol.paths import join
from nacre.sftp.protocol.status import FX

T = TypeVar("T")
Name = TypeVar("Name", str, bytes)
Path: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]


class Calls:
    """Requests of one session, with paths relative to a directory that the client remembers.

    :ivar session: the session to the server.
    """

    def __init__(self, session: SFTPSession) -> None:
        self.session = session
        self._remote = RemotePlace(session)
        self._directory = ""

    @property
    def extensions(self) -> Mapping[str, str]:
        """What the server announced: names of extensions, and their data."""
        return self.session.client.extensions

    def path(self, path: Path) -> str:
        """Return what is sent for ``path``."""
        return join(self._directory, text_of(path)) or "."

    async def chdir(self, path: Path) -> None:
        """Let relative paths start in another directory; the server keeps no such state."""
        directory = await self.realpath(text_of(path))
        if not (await self._remote.stat(directory)).is_directory:
            raise NotADirectoryError(errno.ENOTDIR, "Not a directory", directory)
        self._directory = directory

    async def getcwd(self) -> str:
        """Return the absolute path that relative ones start from."""
        return self._directory or await self.realpath(".")

    async def realpath(self, path: Name | os.PathLike[Name]) -> Name:
        """Return the absolute path, with links resolved where the server resolves them."""
        found = await self._request(msg.RealPath(self.path(path)))
        return alike(found, path)

    async def expanduser(self, path: str) -> str:
        """Return the absolute path; a leading ``~`` or ``~user`` is a home directory.

        :raises SFTPError: with ``EOPNOTSUPP`` when the server does not offer ``expand-path``.
        """
        if not path.startswith("~"):
            return await self.realpath(path)
        return await self._request(ext.ExpandPath(path))

    async def _request(self, request: SFTPRequest[T]) -> T:
        """Send a request and return its result.

        :raises SFTPError: with ``EOPNOTSUPP`` when it is an extension that the server lacks.
        """
        extension = request.EXTENSION
        if extension and not self.session.client.offers(extension):
            raise SFTPError(
                errno.EOPNOTSUPP,
                f"The server offers no {extension}",
                request.paths[0],
                code=int(FX.OP_UNSUPPORTED),
            )
        return await self.session.request(request)


def text_of(path: Path) -> str:
    """Return a remote path as text; bytes that are not UTF-8 become surrogate escapes."""
    plain = os.fspath(path)
    return plain if isinstance(plain, str) else plain.decode("utf-8", "surrogateescape")


def bytes_of(path: str) -> bytes:
    """Return the bytes of a remote path."""
    return path.encode("utf-8", "surrogateescape")


def alike(found: str, given: Name | os.PathLike[Name]) -> Name:
    """Return ``found`` as bytes if the caller gave bytes, else as text."""
    if isinstance(os.fspath(given), bytes):
        return bytes_of(found)  # type: ignore[return-value]
    return found  # type: ignore[return-value]


def gives_no_reason(error: SFTPError) -> bool:
    """Tell whether the server only reported a failure: version 3 has few codes."""
    return error.code == FX.FAILURE and error.errno == errno.EIO
