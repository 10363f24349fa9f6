"""Files of a server without await; open files are the file objects of :mod:`io`."""

from __future__ import annotations

import atexit
import io
import logging
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from functools import wraps
from typing import IO, TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar
from weakref import WeakSet

from nacre.aio.home import own
from nacre.blocking.background import Attribute, Closing, Facade, background, plain, waiting
from nacre.errors import NotUsableHere
from nacre.limits import KIB
from nacre.sftp.client import client as sftp_client
from nacre.sftp.client import file as sftp_file
from nacre.sftp.client.calls import Path
from nacre.sftp.client.copies import Copies, Paths, TransferOptions
from nacre.wire import given
from nacre.wire.text import safe

if TYPE_CHECKING:
    from typing import Unpack

    from _typeshed import ReadableBuffer, WriteableBuffer

    from nacre.sftp.client.session import SFTPSession

P = ParamSpec("P")
T = TypeVar("T")
Inner = TypeVar("Inner")

BUFFER = 256 * KIB
"""Bytes that a buffered file keeps: as many as one request has."""

_open: WeakSet[IO[Any]] = WeakSet()
"""Files that :meth:`SFTPClient.open` returned."""


@atexit.register
def _close_files() -> None:
    """Close the files that are still open, as Python does with those of this machine.

    It runs before the loop ends: exit functions are called in the reverse order.
    """
    for file in list(_open):
        try:
            file.close()
        except Exception as error:
            name = getattr(file, "name", "")
            logging.getLogger("nacre.client").warning(
                "%s was left open, and not all of it may have been written: %s",
                safe(str(name)),
                safe(str(error)),
            )


class RawSFTPFile(io.RawIOBase):
    """An open file as a raw file object. Like :class:`nacre.SFTPFile` it reads ahead, and writes
    without waiting for the server.

    :ivar name: the path, as the caller gave it.
    """

    def __init__(self, inner: sftp_file.SFTPFile, mode: str) -> None:
        self._inner = inner
        self._parents = False
        self.name = inner.name
        self.mode = mode
        own(self)

    def disown(self, error: NotUsableHere) -> None:
        """Leave the file to the parent in a forked child; see :mod:`nacre.aio.home`."""
        self._parents = True

    def readable(self) -> bool:
        return self._inner.readable()

    def writable(self) -> bool:
        return self._inner.writable()

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill ``buffer``; return the number of bytes, which is smaller only at the end."""
        view = memoryview(buffer).cast("B")
        return background.call(lambda: self._inner.readinto(view))

    def readall(self) -> bytes:
        """Return everything up to the end."""
        return background.call(self._inner.read)

    def write(self, data: ReadableBuffer) -> int:
        """Write all of ``data``; the server's errors raise later, in ``close`` at the latest."""
        view = given.binary(data, "what is written to a file")
        return background.call(lambda: self._inner.write(view))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position, and return it."""
        return background.call(lambda: self._inner.seek(offset, whence))

    def tell(self) -> int:
        """Return the position."""
        return background.call(self._inner.tell)

    def truncate(self, size: int | None = None) -> int:
        """Make the file ``size`` bytes long, by default up to the position."""
        return background.call(lambda: self._inner.truncate(size))

    def flush(self) -> None:
        """Return when the server has everything that was written."""
        if not (self._parents or self._inner.closed) and self._inner.writable():
            background.call(self._inner.flush)

    def fsync(self) -> None:
        """Flush the file, and let the server bring it to its disk."""
        background.call(self._inner.fsync)

    def stat(self) -> os.stat_result:
        """Return the file's attributes."""
        return background.call(self._inner.stat)

    def close(self) -> None:
        """Flush the file and close it.

        :raises SFTPError: a write or the close failed; the file is closed nevertheless.
        """
        if self.closed:
            return
        try:
            if not self._parents:
                background.call(self._inner.close)
        finally:
            super().close()


def _iterating(
    method: Callable[Concatenate[Inner, P], AsyncIterator[T]],
) -> Callable[Concatenate[Facade[Inner], P], Iterator[T]]:
    """Make a method that yields one by one what an asynchronous iterator yields."""

    @wraps(method)
    def call(self: Facade[Inner], /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        found = method(self._inner, *args, **kwargs)
        try:
            while True:
                try:
                    yield background.call(found.__anext__)
                except StopAsyncIteration:
                    return
        finally:
            if isinstance(found, AsyncGenerator) and not background.ended:
                background.call(found.aclose)

    return call


class SFTPClient(Closing[sftp_client.SFTPClient]):
    """Files of a server. ``with`` closes the session at the end; threads may share it.

    Like :class:`nacre.SFTPClient`; open files are the file objects of :mod:`io`.
    """

    extensions = Attribute[Any]()
    session: Attribute[SFTPSession] = Attribute()

    chdir = waiting(sftp_client.SFTPClient.chdir)
    getcwd = waiting(sftp_client.SFTPClient.getcwd)
    realpath = waiting(sftp_client.SFTPClient.realpath)
    expanduser = waiting(sftp_client.SFTPClient.expanduser)
    stat = waiting(sftp_client.SFTPClient.stat)
    lstat = waiting(sftp_client.SFTPClient.lstat)
    statvfs = waiting(sftp_client.SFTPClient.statvfs)
    exists = waiting(sftp_client.SFTPClient.exists)
    lexists = waiting(sftp_client.SFTPClient.lexists)
    isdir = waiting(sftp_client.SFTPClient.isdir)
    isfile = waiting(sftp_client.SFTPClient.isfile)
    islink = waiting(sftp_client.SFTPClient.islink)
    getsize = waiting(sftp_client.SFTPClient.getsize)
    getmtime = waiting(sftp_client.SFTPClient.getmtime)
    scandir = _iterating(sftp_client.SFTPClient.scandir)
    listdir = waiting(sftp_client.SFTPClient.listdir)
    walk = _iterating(sftp_client.SFTPClient.walk)
    mkdir = waiting(sftp_client.SFTPClient.mkdir)
    makedirs = waiting(sftp_client.SFTPClient.makedirs)
    remove = waiting(sftp_client.SFTPClient.remove)
    unlink = remove
    rmdir = waiting(sftp_client.SFTPClient.rmdir)
    rmtree = waiting(sftp_client.SFTPClient.rmtree)
    rename = waiting(sftp_client.SFTPClient.rename)
    replace = waiting(sftp_client.SFTPClient.replace)
    symlink = waiting(sftp_client.SFTPClient.symlink)
    link = waiting(sftp_client.SFTPClient.link)
    readlink = waiting(sftp_client.SFTPClient.readlink)
    chmod = waiting(sftp_client.SFTPClient.chmod)
    chown = waiting(sftp_client.SFTPClient.chown)
    utime = waiting(sftp_client.SFTPClient.utime)
    truncate = waiting(sftp_client.SFTPClient.truncate)
    read_bytes = waiting(sftp_client.SFTPClient.read_bytes)
    write_bytes = waiting(sftp_client.SFTPClient.write_bytes)
    read_text = waiting(sftp_client.SFTPClient.read_text)
    write_text = waiting(sftp_client.SFTPClient.write_text)
    digest = waiting(sftp_client.SFTPClient.digest)
    names = waiting(sftp_client.SFTPClient.names)
    glob = waiting(sftp_client.SFTPClient.glob)
    get = waiting(sftp_client.SFTPClient.get)
    put = waiting(sftp_client.SFTPClient.put)
    close = plain(sftp_client.SFTPClient.close)
    wait_closed = waiting(sftp_client.SFTPClient.wait_closed)

    def copy(
        self,
        source: Paths,
        target: Path,
        to: SFTPClient | None = None,
        *,
        glob: bool = False,
        **options: Unpack[TransferOptions],
    ) -> None:
        """Copy files on the server, or to another server: see :meth:`nacre.SFTPClient.copy`."""
        there: Copies | None = None if to is None else to._inner
        background.call(lambda: self._inner.copy(source, target, there, glob=glob, **options))

    def open(
        self,
        path: Path,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        *,
        permissions: int | None = None,
    ) -> IO[Any]:
        """Open a file as Python's ``open`` does.

        :param buffering: 0 for a raw file, in binary mode; otherwise the size of the buffer.
        :param permissions: for a file that is created; the server applies its umask.
        :raises ValueError: the mode or the combination of arguments is not valid.
        """
        binary = "b" in mode
        if binary and (encoding or errors or newline):
            raise ValueError("binary mode takes no encoding, errors or newline; use a text mode")
        if not binary and buffering == 0:
            raise ValueError("text can't be unbuffered; use a binary mode")
        plain_mode = mode.replace("t", "") + ("" if binary else "b")
        inner = background.call(lambda: self._inner.open(path, plain_mode, permissions=permissions))
        assert isinstance(inner, sftp_file.SFTPFile)
        opened: Any = RawSFTPFile(inner, mode)
        if buffering:
            opened = _buffered(opened, BUFFER if buffering < 2 else buffering)
        if not binary:
            opened = io.TextIOWrapper(opened, encoding or "utf-8", errors, newline, buffering == 1)
            opened.mode = mode
        _open.add(opened)
        file: IO[Any] = opened
        return file


def _buffered(raw: RawSFTPFile, size: int) -> Any:
    if raw.readable() and raw.writable():
        return io.BufferedRandom(raw, size)
    if raw.writable():
        return io.BufferedWriter(raw, size)
    return io.BufferedReader(raw, size)
