"""Where files are copied from and to: this machine or a server, with the same methods."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import stat
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, suppress
from functools import partial
from typing import Protocol, TypeVar

from nacre.errors import SFTPError
from nacre.limits import MIB
from nacre.sftp.client.disk import Disk
from nacre.sftp.client.session import SFTPSession
from nacre.sftp.protocol import extensions as ext
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol import symlinks
from nacre.sftp.protocol.attributes import Attributes, Entry, FileDetails, type_in
from nacre.sftp.protocol.messages import OpenFlag, SFTPRequest
from nacre.sftp.protocol.paths import is_name, join
from nacre.sftp.protocol.pipeline import without_holes
from nacre.wire.codec import Buffer
from nacre.wire.text import safe

T = TypeVar("T")

HASH = "sha256"
"""The hash that copies are compared by."""

_LISTINGS = 4
"""READDIRs in flight for one listing."""

_HOLES = 100_000
"""Holes of one file that are searched for, at most."""


class Place(Protocol):
    """A file system to copy from or to. Paths are text, with bytes as surrogate escapes."""

    async def stat(self, path: str, *, follow: bool = True) -> Attributes:
        """Return a file's attributes; with ``follow``, those of what a symbolic link points at."""

    def listing(self, path: str) -> AsyncGenerator[Entry, None]:
        """Yield the entries of a directory without ``.`` and ``..``; each has its type."""

    def names(self, path: str) -> AsyncGenerator[list[str], None]:
        """Yield the names in a directory without ``.`` and ``..``, many at a time."""

    async def mkdir(self, path: str, mode: int) -> None:
        """Make a directory."""

    async def remove(self, path: str) -> None:
        """Remove a file."""

    async def replace(self, old: str, new: str) -> None:
        """Rename ``old`` in one step; an existing ``new`` is replaced."""

    async def readlink(self, path: str) -> str:
        """Return where a symbolic link points."""

    async def symlink(self, target: str, path: str) -> None:
        """Make the symbolic link ``path``, which points at ``target``."""

    async def set_attributes(self, path: str, attributes: Attributes) -> None:
        """Set permissions and times, if ``attributes`` has them."""

    async def digest(self, path: str, size: int) -> bytes:
        """Return the hash of a file's first ``size`` bytes."""

    def hashes_itself(self) -> bool:
        """Tell whether ``digest`` transfers no file over the network."""


class LocalPlace:
    """The files of this machine."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    async def stat(self, path: str, *, follow: bool = True) -> Attributes:
        """See :class:`Place`."""
        return Attributes.of(
            await self._disk.run_quick(lambda: os.stat(path, follow_symlinks=follow))
        )

    async def listing(self, path: str) -> AsyncGenerator[Entry, None]:
        """See :class:`Place`."""
        entries = os.scandir(path)
        try:
            while batch := await self._disk.run_quick(partial(_some_entries, entries)):
                for entry in batch:
                    yield entry
        finally:
            entries.close()

    async def names(self, path: str) -> AsyncGenerator[list[str], None]:
        """See :class:`Place`."""
        yield await self._disk.run_quick(partial(os.listdir, path or "."))

    async def mkdir(self, path: str, mode: int) -> None:
        """See :class:`Place`."""
        await self._disk.run_quick(lambda: os.mkdir(path, mode))

    async def remove(self, path: str) -> None:
        """See :class:`Place`."""
        await self._disk.run_quick(lambda: os.unlink(path))

    async def replace(self, old: str, new: str) -> None:
        """See :class:`Place`."""
        await self._disk.run_quick(lambda: os.replace(old, new))

    async def readlink(self, path: str) -> str:
        """See :class:`Place`."""
        return await self._disk.run_quick(lambda: os.readlink(path))

    async def symlink(self, target: str, path: str) -> None:
        """See :class:`Place`."""
        await self._disk.run_quick(lambda: os.symlink(target, path))

    async def set_attributes(self, path: str, attributes: Attributes) -> None:
        """See :class:`Place`."""
        await self._disk.run_quick(lambda: set_attributes(path, attributes))

    async def digest(self, path: str, size: int) -> bytes:
        """See :class:`Place`."""
        return await self._disk.run(lambda: _digest(path, size))

    def hashes_itself(self) -> bool:
        """See :class:`Place`."""
        return True


class RemotePlace:
    """The files of a server.

    :ivar session: the session to it.
    """

    def __init__(self, session: SFTPSession) -> None:
        self.session = session

    async def stat(self, path: str, *, follow: bool = True) -> Attributes:
        """See :class:`Place`; a type that the server does not send is found out."""
        found = await self.session.request(msg.Stat(path) if follow else msg.LStat(path))
        if found.has_type:
            return found
        return found.of_type(await self._type(path, follow=follow))

    async def _type(self, path: str, *, follow: bool) -> int:
        """Return the type of a file for which STAT, or LSTAT without ``follow``, tells none."""
        with suppress(SFTPError):
            if not follow:
                with suppress(SFTPError):
                    await self.session.request(msg.ReadLink(path))
                    return stat.S_IFLNK
                found = await self.session.request(msg.Stat(path))
                if found.has_type:
                    return stat.S_IFMT(found.permissions or 0)
            self.session.close_handle(await self.session.request(msg.OpenDir(path)))
            return stat.S_IFDIR
        return stat.S_IFREG

    async def listing(self, path: str) -> AsyncGenerator[Entry, None]:
        """See :class:`Place`. A type that no attributes tell is in ``longname``, or is asked for.

        :raises SFTPError: the server lists a name that could lead out of the directory.
        """
        async with aclosing(self.entries(path)) as blocks:
            async for block in blocks:
                if not all(entry.attributes.has_type for entry in block):
                    block = await asyncio.gather(*[self._typed(path, entry) for entry in block])
                for entry in block:
                    yield entry

    async def entries(self, path: str) -> AsyncGenerator[list[Entry], None]:
        """Yield the entries of a directory as the server lists them, without ``.`` and ``..``.

        :raises SFTPError: the server lists a name that could lead out of the directory.
        """
        async with aclosing(self._blocks(path, msg.ReadDir)) as blocks:
            async for entries in blocks:
                valid = [entry for entry in entries if is_name(entry.name)]
                if len(valid) != len(entries):
                    _check_names([entry.name for entry in entries], path)
                yield valid

    async def _typed(self, directory: str, entry: Entry) -> Entry:
        found = entry.attributes
        if found.has_type:
            return entry
        kind = type_in(entry.longname)
        if not kind:
            with suppress(SFTPError):  # it is gone, or may not be looked at: the caller will see
                asked = await self.stat(join(directory, entry.name), follow=False)
                kind = stat.S_IFMT(asked.permissions or 0)
        return Entry(entry.name, entry.longname, found.of_type(kind)) if kind else entry

    async def names(self, path: str) -> AsyncGenerator[list[str], None]:
        """See :class:`Place`.

        :raises SFTPError: the server lists a name that could lead out of the directory.
        """
        async with aclosing(self._blocks(path, msg.ReadNames)) as blocks:
            async for names in blocks:
                valid = [name for name in names if is_name(name)]
                if len(valid) != len(names):
                    _check_names(names, path)
                yield valid

    async def _blocks(
        self, path: str, read: Callable[[bytes], SFTPRequest[T | None]]
    ) -> AsyncGenerator[T, None]:
        """Yield the results of READDIRs.

        :param read: makes the request.
        """
        if not self.session.turns.alone:
            begun = False
            try:
                async with aclosing(self._results(path, read)) as blocks:
                    async for block in blocks:
                        begun = True
                        yield block
                return
            except SFTPError:
                # If the server gave its handle to a file meanwhile, it is listed again.
                if begun or not self.session.turns.alone:
                    raise
        async with self.session.turns.turn(), aclosing(self._results(path, read)) as blocks:
            whole = [block async for block in blocks]
        for block in whole:
            yield block

    async def _results(
        self, path: str, read: Callable[[bytes], SFTPRequest[T | None]]
    ) -> AsyncGenerator[T, None]:
        session = self.session
        handle = await session.request(msg.OpenDir(path))
        waiting = [session.start(read(handle)) for _ in range(_LISTINGS)]
        try:
            while (block := await session.result(waiting.pop(0))) is not None:
                session.check_handle(handle)
                waiting.append(session.start(read(handle)))
                yield block
            session.check_handle(handle)
        finally:
            session.close_handle(handle)

    async def mkdir(self, path: str, mode: int) -> None:
        """See :class:`Place`."""
        await self.session.request(msg.MkDir(path, Attributes(permissions=mode)))

    async def remove(self, path: str) -> None:
        """See :class:`Place`."""
        await self.session.request(msg.Remove(path))

    async def replace(self, old: str, new: str) -> None:
        """See :class:`Place`; if the server lacks ``posix-rename``, ``new`` must not exist."""
        if self.session.client.offers(ext.PosixRename.EXTENSION):
            await self.session.request(ext.PosixRename(old, new))
        else:
            await self.session.request(msg.Rename(old, new))

    async def readlink(self, path: str) -> str:
        """See :class:`Place`."""
        return await self.session.request(msg.ReadLink(path))

    async def symlink(self, target: str, path: str) -> None:
        """See :class:`Place`."""
        await self.session.request(self.symlinking(target, path))

    def symlinking(self, target: str, path: str) -> SFTPRequest[None]:
        """Return the request for :meth:`symlink`, in the order of its paths that the server has."""
        client = self.session.client
        as_drafted = client.version.link_first
        return symlinks.symlink(target, path, client.peer, as_drafted=as_drafted)

    async def set_attributes(self, path: str, attributes: Attributes) -> None:
        """See :class:`Place`."""
        await self.session.request(msg.SetStat(path, attributes))

    async def digest(self, path: str, size: int) -> bytes:
        """See :class:`Place`; if the server can't hash, the file is read."""
        if not size:
            return hashlib.new(HASH).digest()
        async with self.session.turns.turn():
            return await self._digest(path, size)

    async def _digest(self, path: str, size: int) -> bytes:
        handle = await self.session.request(msg.Open(path, OpenFlag.READ))
        try:
            if self.hashes_itself():
                answer = await self.session.request(ext.CheckFileHandle(handle, HASH, 0, size, 0))
                found = answer.hashes
            else:
                found = await self._read_and_hash(handle, size)
            self.session.check_handle(handle)
            return found
        finally:
            self.session.close_handle(handle)

    async def _read_and_hash(self, handle: bytes, size: int) -> bytes:
        from nacre.sftp.client.pumps import DownloadPump

        found = hashlib.new(HASH)

        def write(chunks: list[Buffer], offset: int) -> None:
            for chunk in chunks:
                found.update(chunk)

        await DownloadPump(self.session, handle, write, 0, size, lambda data: None).run()
        return found.digest()

    def hashes_itself(self) -> bool:
        """See :class:`Place`."""
        offered = self.session.client.extensions.get("check-file", "")
        return HASH in offered.split(",")


def _check_names(names: Sequence[str], path: str) -> None:
    for name in names:
        if not is_name(name) and name not in (".", ".."):
            shown = f"the server lists a name that is not valid: '{safe(name, 256)}'"
            raise SFTPError(errno.EBADMSG, shown, path)


def _some_entries(entries: Iterator[os.DirEntry[str]]) -> list[Entry]:
    batch = []
    for entry in entries:
        with suppress(FileNotFoundError):
            found = Attributes.of(entry.stat(follow_symlinks=False))
            batch.append(Entry(entry.name, "", found))
        if len(batch) >= 256:
            break
    return batch


PERMISSIONS = 0o777
"""The bits that a copy can get: set-user-ID, set-group-ID and sticky are left out. They would give
the rights of who copies to a program that somebody else wrote."""


def kept(attributes: Attributes) -> Attributes:
    """Return what the option ``preserve`` gives to a copy: permissions and times."""
    permissions = attributes.permissions
    return Attributes(
        permissions=None if permissions is None else permissions & PERMISSIONS,
        atime=attributes.atime,
        mtime=attributes.mtime,
        details=FileDetails(
            atime_ns=attributes.details.atime_ns, mtime_ns=attributes.details.mtime_ns
        ),
    )


def set_attributes(path: str | int, attributes: Attributes) -> None:
    """Set permissions and times of a local file, if ``attributes`` has them."""
    if attributes.permissions is not None:
        os.chmod(path, attributes.permissions & PERMISSIONS)
    if (times := attributes.times_ns) is not None:
        os.utime(path, ns=times)


def _digest(path: str, size: int) -> bytes:
    found = hashlib.new(HASH)
    buffer = bytearray(MIB)
    view = memoryview(buffer)
    with open(path, "rb", buffering=0) as file:
        while size and (got := file.readinto(view[: min(size, len(view))])):
            found.update(view[:got])
            size -= got
    return found.digest()


def data_parts(descriptor: int, size: int) -> list[tuple[int, int | None]]:
    """Return the parts of a local file of ``size`` bytes that hold data."""
    status = os.fstat(descriptor)
    if status.st_blocks * 512 >= size:
        return [(0, size)]
    return list(without_holes(size, _holes(descriptor, size)))


def _holes(descriptor: int, size: int) -> list[tuple[int, int]]:
    holes: list[tuple[int, int]] = []
    at = 0
    try:
        while len(holes) < _HOLES and (at := os.lseek(descriptor, at, os.SEEK_HOLE)) < size:
            try:
                end = os.lseek(descriptor, at, os.SEEK_DATA)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                end = size
            holes.append((at, end))
            at = end
    except OSError:
        # The file system can't search for more holes; those it reported are valid.
        return holes
    return holes
