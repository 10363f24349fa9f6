"""The client's calls about names: listings, and the making, moving and removing of files."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, TypeVar

from nacre.errors import AlreadyExists, NacreError, SFTPError
from nacre.sftp.client.attributes import AttributeCalls
from nacre.sftp.client.calls import Name, Path, alike, gives_no_reason, text_of
from nacre.sftp.client.results import DirEntry
from nacre.sftp.protocol import extensions as ext
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.attributes import Attributes
from nacre.sftp.protocol.messages import SFTPRequest
from nacre.sftp.protocol.paths import join

T = TypeVar("T")

_REMOVALS = 64
"""REMOVEs in flight while a tree is removed."""


class NameCalls(AttributeCalls):
    """Directories and what is in them."""

    # --- listing ---

    async def scandir(self, path: Name | os.PathLike[Name] = ".") -> AsyncIterator[DirEntry[Name]]:  # type: ignore[assignment]
        """Yield the entries of a directory as they arrive, in the server's order."""
        directory = text_of(path)
        async with aclosing(self._remote.listing(self.path(path))) as entries:
            async for entry in entries:
                yield DirEntry(
                    alike(entry.name, path),
                    alike(join(directory, entry.name), path),
                    entry.longname,
                    entry.attributes,
                )

    async def listdir(self, path: Name | os.PathLike[Name] = ".") -> list[Name]:  # type: ignore[assignment]
        """Return the names in a directory, in the server's order."""
        found: list[str] = []
        async with aclosing(self._remote.names(self.path(path))) as blocks:
            async for block in blocks:
                found += block
        if isinstance(os.fspath(path), bytes):
            return [alike(name, path) for name in found]
        return found  # type: ignore[return-value]

    async def walk(
        self, top: Name | os.PathLike[Name], *, topdown: bool = True, followlinks: bool = False
    ) -> AsyncIterator[tuple[Name, list[Name], list[Name]]]:
        """Yield each directory's path, the directories in it, and the other files, as ``os.walk``.

        With ``topdown``, directories that the caller removes from the list are not walked.
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
            below = alike(join(text_of(whole), text_of(name)), whole)
            if followlinks or not await self.islink(below):
                async for found in self.walk(below, topdown=topdown, followlinks=followlinks):
                    yield found
        if not topdown:
            yield whole, directories, others

    async def readlink(self, path: Name | os.PathLike[Name]) -> Name:
        """Return where a symbolic link points."""
        return alike(await self._remote.readlink(self.path(path)), path)

    # --- making ---

    async def mkdir(self, path: Path, mode: int = 0o777) -> None:
        """Make a directory."""
        name = self.path(path)
        await self._make(msg.MkDir(name, Attributes(permissions=mode)), name)

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

    async def symlink(self, target: Path, path: Path) -> None:
        """Make the symbolic link ``path``, which points at ``target``."""
        name = self.path(path)
        await self._make(self._remote.symlinking(text_of(target), name), name)

    async def link(self, existing: Path, path: Path) -> None:
        """Make ``path`` another name of the file ``existing``."""
        name = self.path(path)
        await self._make(ext.HardLink(self.path(existing), name), name)

    async def rename(self, old: Path, new: Path) -> None:
        """Rename a file; an existing ``new`` is an error (see :meth:`replace`)."""
        name = self.path(new)
        await self._make(msg.Rename(self.path(old), name), name)

    async def replace(self, old: Path, new: Path) -> None:
        """Rename a file, in one step; an existing ``new`` is replaced.

        :raises SFTPError: with ``EOPNOTSUPP`` when the server offers no ``posix-rename``.
        """
        await self._request(ext.PosixRename(self.path(old), self.path(new)))

    async def _make(self, request: SFTPRequest[T], name: str) -> T:
        """Send a request that makes ``name``, which must not exist.

        :raises AlreadyExists: it does. Version 3 has no code for that, so after a failure without
            a reason the name is looked up.
        """
        try:
            return await self._request(request)
        except SFTPError as error:
            if gives_no_reason(error) and await self.lexists(name):
                raise AlreadyExists(errno.EEXIST, "File exists", name, code=error.code) from None
            raise

    # --- removing ---

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
            if gives_no_reason(error) and await self.listdir(name):
                raise SFTPError(errno.ENOTEMPTY, "Directory not empty", name) from None
            raise

    async def rmtree(self, path: Path) -> None:
        """Remove a directory and everything in it; links are removed, not followed."""
        top = self.path(path)
        waiting: list[asyncio.Future[Any]] = []
        directories = []
        async with aclosing(self._remote.listing(top)) as entries:
            async for entry in entries:
                below = join(top, entry.name)
                if entry.attributes.is_directory:
                    directories.append(below)
                    continue
                waiting.append(self.session.start(msg.Remove(below)))
                if len(waiting) >= _REMOVALS:
                    await self.session.result(waiting.pop(0))
        for directory in directories:
            await self.rmtree(directory)
        for future in waiting:
            await self.session.result(future)
        await self.rmdir(top)
