"""Files of a server, by the names of :mod:`os` and :mod:`pathlib`: what ``ssh.sftp()`` gives."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import stat
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, overload

from nacre.aio.line import Line
from nacre.errors import AlreadyExists, NacreError, SFTPError
from nacre.sftp.client.copies import Copies
from nacre.sftp.client.file import SFTPFile, SFTPTextFile
from nacre.sftp.client.results import DirEntry, stat_result, statvfs_result
from nacre.sftp.client.session import SFTPSession
from nacre.sftp.protocol import extensions as ext
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.attributes import Attributes
from nacre.sftp.protocol.messages import OpenFlag, SFTPRequest
from nacre.sftp.protocol.paths import join
from nacre.sftp.protocol.status import FX

T = TypeVar("T")
Name = TypeVar("Name", str, bytes)
Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]

_FLAGS = {
    "r": OpenFlag.READ,
    "w": OpenFlag.WRITE | OpenFlag.CREAT | OpenFlag.TRUNC,
    "a": OpenFlag.WRITE | OpenFlag.CREAT | OpenFlag.APPEND,
    "x": OpenFlag.WRITE | OpenFlag.CREAT | OpenFlag.EXCL,
}


def text_of(path: Path) -> str:
    """Return a remote path as text; bytes that are no UTF-8 are surrogate escapes."""
    plain = os.fspath(path)
    return plain if isinstance(plain, str) else plain.decode("utf-8", "surrogateescape")


def bytes_of(path: str) -> bytes:
    """Return the bytes of a remote path."""
    return path.encode("utf-8", "surrogateescape")


class SFTPClient(Copies):
    """Files of a server. ``async with`` closes the session at the end; tasks may share it.

    Paths are text or bytes, relative ones start in the directory of :meth:`chdir`, at first the
    one the server chose. What can't be done raises :class:`~nacre.errors.SFTPError`, which is an
    OSError: FileNotFoundError, PermissionError and so on, with the path as ``filename``.
    """

    def __init__(self, session: SFTPSession) -> None:
        super().__init__(session)
        self._directory = ""

    @property
    def extensions(self) -> Mapping[str, str]:
        """What the server announced: names of extensions, and their data."""
        return self.session.client.extensions

    # --- paths ---

    def path(self, path: Path) -> str:
        """Return what is sent for ``path``."""
        return join(self._directory, text_of(path)) or "."

    async def chdir(self, path: Path) -> None:
        """Let relative paths start in another directory; only this client is told."""
        directory = await self.realpath(text_of(path))
        if not (await self._request(msg.Stat(directory))).is_directory:
            raise NotADirectoryError(errno.ENOTDIR, "Not a directory", directory)
        self._directory = directory

    async def getcwd(self) -> str:
        """Return the absolute path that relative ones start from."""
        return self._directory or await self.realpath(".")

    async def realpath(self, path: Name | os.PathLike[Name]) -> Name:
        """Return the absolute path, without links where the server resolves them."""
        found = await self._request(msg.RealPath(self.path(path)))
        return _alike(found, path)

    async def expanduser(self, path: str) -> str:
        """Return the absolute path; ``~`` and ``~user`` in front are home directories.

        :raises SFTPError: with ``EOPNOTSUPP`` when the server offers no such extension.
        """
        if not path.startswith("~"):
            return await self.realpath(path)
        return await self._request(ext.ExpandPath(path))

    # --- looking ---

    async def stat(self, path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        """Return a file's attributes: of what a link points at, unless told otherwise."""
        return stat_result(await self._remote.stat(self.path(path), follow=follow_symlinks))

    async def lstat(self, path: Path) -> os.stat_result:
        """Return a file's attributes: a link's own."""
        return await self.stat(path, follow_symlinks=False)

    async def statvfs(self, path: Path) -> os.statvfs_result:
        """Return the state of the file system that holds ``path``."""
        return statvfs_result(await self._request(ext.StatVFS(self.path(path))))

    async def exists(self, path: Path) -> bool:
        """Tell whether there is a file; a link that points nowhere is none."""
        return await self._mode(path) is not None

    async def lexists(self, path: Path) -> bool:
        """Tell whether there is a file, or a link that points nowhere."""
        return await self._mode(path, follow=False) is not None

    async def isdir(self, path: Path) -> bool:
        """Tell whether it is a directory, or a link to one."""
        return stat.S_ISDIR(await self._mode(path) or 0)

    async def isfile(self, path: Path) -> bool:
        """Tell whether it is a regular file, or a link to one."""
        return stat.S_ISREG(await self._mode(path) or 0)

    async def islink(self, path: Path) -> bool:
        """Tell whether it is a symbolic link."""
        return stat.S_ISLNK(await self._mode(path, follow=False) or 0)

    async def getsize(self, path: Path) -> int:
        """Return a file's size in bytes."""
        return (await self.stat(path)).st_size

    async def getmtime(self, path: Path) -> float:
        """Return when a file was changed last, in seconds since 1970."""
        return (await self.stat(path)).st_mtime

    async def _mode(self, path: Path, *, follow: bool = True) -> int | None:
        try:
            found = await self._remote.stat(self.path(path), follow=follow)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found.permissions or 0

    async def scandir(self, path: Name | os.PathLike[Name] = ".") -> AsyncIterator[DirEntry[Name]]:  # type: ignore[assignment]
        """Give the entries of a directory as they come, in the server's order."""
        directory = text_of(path)
        async with aclosing(self._remote.listing(self.path(path))) as entries:  # type: ignore[type-var]
            async for entry in entries:
                yield DirEntry(
                    _alike(entry.name, path),
                    _alike(join(directory, entry.name), path),
                    entry.longname,
                    entry.attributes,
                )

    async def listdir(self, path: Name | os.PathLike[Name] = ".") -> list[Name]:  # type: ignore[assignment]
        """Return the names in a directory, in the server's order."""
        return [entry.name async for entry in self.scandir(path)]

    async def walk(
        self, top: Name | os.PathLike[Name], *, topdown: bool = True, followlinks: bool = False
    ) -> AsyncIterator[tuple[Name, list[Name], list[Name]]]:
        """Give each directory's path, the directories in it, and the other files, as ``os.walk``.

        From the top down, directories that the caller takes out of the list are left out.
        Directories that can't be read are left out.
        """
        directories: list[Name] = []
        others: list[Name] = []
        whole: Name = os.fspath(top)
        try:
            async for entry in self.scandir(whole):
                is_dir = entry.is_dir()
                if followlinks and entry.is_symlink():
                    is_dir = await self.isdir(entry.path)
                (directories if is_dir else others).append(entry.name)
        except OSError as error:
            if isinstance(error, NacreError) and not isinstance(error, SFTPError):
                raise
            return
        if topdown:
            yield whole, directories, others
        for name in directories:
            below = _alike(join(text_of(whole), text_of(name)), whole)
            if followlinks or not await self.islink(below):
                async for found in self.walk(below, topdown=topdown, followlinks=followlinks):
                    yield found
        if not topdown:
            yield whole, directories, others

    # --- changing ---

    async def mkdir(self, path: Path, mode: int = 0o777) -> None:
        """Make a directory."""
        name = self.path(path)
        await self._creating(msg.MkDir(name, Attributes(permissions=mode)), name)

    async def makedirs(self, path: Path, mode: int = 0o777, *, exist_ok: bool = False) -> None:
        """Make a directory, and those above it."""
        name = self.path(path)
        above = os.path.dirname(name.rstrip("/"))
        if above.strip("/") and not await self.exists(
            join("/", above) if name[0] == "/" else above
        ):
            await self.makedirs(above, mode, exist_ok=True)
        try:
            await self.mkdir(path, mode)
        except OSError:
            if not exist_ok or not await self.isdir(path):
                raise

    async def remove(self, path: Path) -> None:
        """Remove a file."""
        await self._request(msg.Remove(self.path(path)))

    unlink = remove

    async def rmdir(self, path: Path) -> None:
        """Remove an empty directory."""
        name = self.path(path)
        try:
            await self._request(msg.RmDir(name))
        except SFTPError as error:
            if _says_nothing(error) and await self.listdir(name):
                raise SFTPError(errno.ENOTEMPTY, "Directory not empty", name) from None
            raise

    async def rmtree(self, path: Path) -> None:
        """Remove a directory with all that is in it; links are removed, not followed."""
        top = self.path(path)
        waiting: list[asyncio.Future[Any]] = []
        directories = []
        async with aclosing(self._remote.listing(top)) as entries:  # type: ignore[type-var]
            async for entry in entries:
                below = join(top, entry.name)
                if entry.attributes.is_directory:
                    directories.append(below)
                    continue
                waiting.append(self.session.start(msg.Remove(below)))
                if len(waiting) >= 64:
                    await self.session.result(waiting.pop(0))
        for directory in directories:
            await self.rmtree(directory)
        for future in waiting:
            await self.session.result(future)
        await self.rmdir(top)

    async def rename(self, old: Path, new: Path) -> None:
        """Rename a file; an existing ``new`` is an error (see :meth:`replace`)."""
        name = self.path(new)
        await self._creating(msg.Rename(self.path(old), name), name)

    async def replace(self, old: Path, new: Path) -> None:
        """Rename a file, in one step; an existing ``new`` is replaced.

        :raises SFTPError: with ``EOPNOTSUPP`` when the server offers no ``posix-rename``.
        """
        await self._request(ext.PosixRename(self.path(old), self.path(new)))

    async def symlink(self, target: Path, path: Path) -> None:
        """Make the symbolic link ``path``, which points at ``target``."""
        name = self.path(path)
        await self._creating(msg.SymLink(text_of(target), name), name)

    async def link(self, existing: Path, path: Path) -> None:
        """Make ``path`` another name of the file ``existing``."""
        name = self.path(path)
        await self._creating(ext.HardLink(self.path(existing), name), name)

    async def readlink(self, path: Name | os.PathLike[Name]) -> Name:
        """Return where a symbolic link points."""
        return _alike(await self._remote.readlink(self.path(path)), path)

    async def chmod(self, path: Path, mode: int, *, follow_symlinks: bool = True) -> None:
        """Set a file's permissions."""
        await self._set(path, Attributes(permissions=stat.S_IMODE(mode)), follow_symlinks)

    async def chown(self, path: Path, uid: int, gid: int, *, follow_symlinks: bool = True) -> None:
        """Set a file's owner and group, by number; -1 leaves one as it is."""
        if uid < 0 or gid < 0:
            now = await self.stat(path, follow_symlinks=follow_symlinks)
            uid = now.st_uid if uid < 0 else uid
            gid = now.st_gid if gid < 0 else gid
        await self._set(path, Attributes(uid=uid, gid=gid), follow_symlinks)

    async def utime(
        self,
        path: Path,
        times: tuple[float, float] | None = None,
        *,
        follow_symlinks: bool = True,
    ) -> None:
        """Set the times of last access and change, in seconds since 1970; by default to now."""
        atime, mtime = times or (time.time(), time.time())
        await self._set(path, Attributes(atime=int(atime), mtime=int(mtime)), follow_symlinks)

    async def truncate(self, path: Path, length: int) -> None:
        """Make a file ``length`` bytes long."""
        await self._set(path, Attributes(size=length), True)

    async def _set(self, path: Path, attributes: Attributes, follow: bool) -> None:
        name = self.path(path)
        await self._request(
            msg.SetStat(name, attributes) if follow else ext.LSetStat(name, attributes)
        )

    # --- files ---

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
        """Open a file with one of the modes of Python's ``open``; text unless it holds ``b``.

        :param permissions: for a file that is made; the server's umask is taken off.
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
            handle = await self._creating(request, name)
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
        """Write a file; returns its size."""
        async with await self._open_binary(path, "wb", None) as file:
            return await file.write(data)

    async def read_text(self, path: Path, encoding: str = "utf-8") -> str:
        """Return a file's text."""
        return (await self.read_bytes(path)).decode(encoding)

    async def write_text(self, path: Path, data: str, encoding: str = "utf-8") -> int:
        """Write a file; returns the text's length."""
        await self.write_bytes(path, data.encode(encoding))
        return len(data)

    async def digest(self, path: Path) -> bytes:
        """Return the SHA-256 of a file; a server that can't hash is read from."""
        name = self.path(path)
        return await self._remote.digest(name, (await self._remote.stat(name)).size or 0)

    async def names(
        self, uids: tuple[int, ...], gids: tuple[int, ...]
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the names of users and groups, in the order of their numbers; "" is unknown."""
        return await self._request(ext.UsersGroupsById.of(uids, gids))

    # --- the session ---

    def close(self) -> None:
        """End the session; what waits fails."""
        self.session.close()

    async def wait_closed(self) -> None:
        """Return when the session has ended."""
        await self.session.wait_ended()

    async def _request(self, request: SFTPRequest[T]) -> T:
        extension = request.EXTENSION
        if extension and not self.session.client.offers(extension):
            raise SFTPError(
                errno.EOPNOTSUPP, f"The server offers no {extension}", request.paths[0], code=8
            )
        return await self.session.request(request)

    async def _creating(self, request: SFTPRequest[T], name: str) -> T:
        """Make something that must not be there: version 3 has no code for what already is."""
        try:
            return await self._request(request)
        except SFTPError as error:
            if _says_nothing(error) and await self.lexists(name):
                raise AlreadyExists(errno.EEXIST, "File exists", name, code=error.code) from None
            raise

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


def _says_nothing(error: SFTPError) -> bool:
    return error.code == FX.FAILURE and error.errno == errno.EIO


def _alike(found: str, asked: Name | os.PathLike[Name]) -> Name:
    if isinstance(os.fspath(asked), bytes):
        return bytes_of(found)  # type: ignore[return-value]
    return found  # type: ignore[return-value]


async def open_sftp_over(
    line: Line,
    session: SFTPSession,
    *,
    read_size: int | None = None,
    window: int | None = None,
) -> SFTPClient:
    """Start an SFTP session over any line, whose bytes ``session`` is fed."""
    try:
        await session.begin(line, read_size=read_size, window=window)
    except BaseException:
        session.close()
        raise
    return SFTPClient(session)
