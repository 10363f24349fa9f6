"""A filesystem in which rules say what may be done in which directory.

What is wanted: a rule holds for where a path really leads. No link, and no rename by another
session of the same user, carries the rights of one directory into another.

Plan: each method asks the filesystem behind for the real path, judges that, and then passes the
real path on. The filesystem behind follows no link any more
(:meth:`~nacre.Filesystem.keep_to_real_paths`), so if one appears in between, the method fails. A
directory is renamed only where the same rule holds for it before and afterwards, and no rule
begins at it or below, so its content keeps its rights. A file goes to another rule only for who
may read it, delete it and store it there, by a hard link where there are some: the kernel makes
none of a directory, whatever took the file's place.

:data:`NEEDS` is the table of what each method needs.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from nacre.aio.maybe import Maybe, settled
from nacre.sftp.filesystems.base import (
    WRITING,
    File,
    Filesystem,
    NotPermitted,
    WrappedFile,
    WrappedFilesystem,
)
from nacre.sftp.filesystems.quota.limits import one_name
from nacre.sftp.filesystems.rules import DirectoryRule, DirectoryRules, parent
from nacre.sftp.protocol.attributes import Attributes, Entry
from nacre.sftp.protocol.extensions import FileSystemStatus
from nacre.sftp.protocol.messages import OpenFlag
from nacre.sftp.protocol.paths import join, normalise
from nacre.wire.codec import Buffer

NEEDS: dict[str, tuple[str, ...]] = {
    # open, by what it does
    "read": ("download",),
    "create": ("upload",),
    "change": ("overwrite",),
    # set_attributes: the size, and everything else
    "truncate": ("overwrite",),
    "set": ("chmod",),
    # directories
    "scandir": ("list",),
    "mkdir": ("mkdir",),
    "rmdir": ("delete",),
    # names
    "remove": ("delete",),
    "symlink": ("symlink",),
    "readlink": ("list",),
    # rename: the old name under the same rule, and under another one; the new name, if it is free,
    # and if it is replaced
    "rename": ("rename",),
    "move": ("rename", "download", "delete"),
    "arrive": ("upload",),
    "replace": ("overwrite",),
    # link: the file, whose other name is to be under the same rule, and the new name
    "name": ("rename",),
    "link": ("upload",),
}
"""The rights that each act needs, all of them. To look at a file (stat, lstat, realpath, statvfs)
is no act: see :data:`LOOKS`."""

LOOKS = frozenset({"list", "download"})
"""The rights one of which is needed to look at attributes. Of a directory, any right to what is in
it will do as well, or that one below it has a rule that allows something."""

_LINKS = 8
"""Links that are looked into on a way that leads nowhere; with more it is denied."""

_DIRECTORIES = frozenset({"mkdir", "rmdir"})
"""Acts on what can only be a directory: patterns of ``allow`` are not for it."""


class RightsFilesystem(WrappedFilesystem):
    """Another filesystem, as far as rules allow it."""

    def __init__(self, inner: Filesystem, rules: DirectoryRules, *, links: bool = True) -> None:
        """Judge what is asked of ``inner``, which is this object's own from now on.

        :param links: whether files may get further names: hard links.
        :raises OSError: with ``EOPNOTSUPP``, ``inner`` can't keep from following links.
        """
        inner.keep_to_real_paths()
        super().__init__(inner)
        self._rules = rules
        self._links = links
        self.start = inner.start

    # --- what is judged ---

    async def _real(self, path: str, *, follow: bool) -> tuple[str, OSError | None]:
        """Return the real path that ``path`` leads to, and why a part of it could not be found.

        What can't be found is judged as well: who may not look learns nothing of it.

        :param follow: whether to follow a link at the end.
        """
        bare = path.rstrip("/")
        name = bare.rpartition("/")[2]
        if follow or bare != path or name in ("", ".", ".."):
            return await self._found(path or ".", "")
        return await self._found(bare[: -len(name)] or ".", name)

    async def _found(self, path: str, rest: str, links: int = _LINKS) -> tuple[str, OSError | None]:
        try:
            found = await settled(self.inner.realpath(path))
            return (join(found, rest) if rest else found), None
        except OSError as error:
            problem = error
        if problem.errno == errno.ELOOP:
            return normalise(join(path, rest), self.start), problem
        # The longest part of the path that there is; a path has some thousand parts at most.
        names = join(self.start, path).split("/")
        low, high = 1, len(names)
        known = "/"
        while high - low > 1:
            middle = (low + high) // 2
            try:
                known = await settled(self.inner.realpath("/".join(names[:middle]) or "/"))
                low = middle
            except OSError:
                high = middle
        try:
            # A link on the way may lead to what the user may not look at.
            target = await settled(self.inner.readlink(join(known, names[low])))
        except OSError:
            return normalise("/".join([".", *names[low:], rest]), known), problem
        if not links:
            raise NotPermitted(f"{join(self.start, path)}: too many links lead nowhere")
        onward = join(join(known, target), "/".join([".", *names[low + 1 :]]))
        return (await self._found(onward, rest, links - 1))[0], problem

    def _check(self, act: str, path: str) -> None:
        """Check that an act is allowed at a real path.

        :raises NotPermitted: it is not.
        """
        permitted = self._rules.permitted(path, directory=act in _DIRECTORIES)
        for right in NEEDS[act]:
            if right not in permitted:
                raise self._denied(right, path)

    def _allows(self, act: str, path: str) -> bool:
        return self._rules.permitted(path).issuperset(NEEDS[act])

    def _denied(self, right: str, path: str, rule: DirectoryRule | None = None) -> NotPermitted:
        rule = rule or self._rules.of(path)
        if rule is None:
            return NotPermitted(f"{path}: no rule holds here, so {right} is not allowed")
        if right not in rule.rights:
            return NotPermitted(f"{path}: {right} is not among the rights of {rule.directory}")
        return NotPermitted(f"{path}: a pattern of {rule.directory} denies the name")

    async def _place(self, act: str, path: str, *, follow: bool = False) -> str:
        """Return the real path for an act that is allowed there."""
        real, problem = await self._real(path, follow=follow)
        self._check(act, real)
        if problem is not None:
            raise problem
        return real

    def _is_way(self, real: str) -> bool:
        """Return whether a path may be looked at if it is a directory."""
        rules = self._rules
        return bool(
            rules.permitted(real, directory=True) & LOOKS
            or rules.permitted_inside(real)
            or rules.lead_through(real)
        )

    async def _look(self, path: str, *, follow: bool) -> tuple[str, Attributes]:
        """Return the real path and the attributes of what may be looked at."""
        real, problem = await self._real(path, follow=follow)
        visible = bool(self._rules.permitted(real) & LOOKS)
        if not visible and not self._is_way(real):
            raise self._denied("list", real)
        if problem is not None:
            raise problem if visible else self._denied("list", real)
        try:
            found = await settled((self.inner.stat if follow else self.inner.lstat)(real))
        except FileNotFoundError:
            if visible:
                raise
            raise self._denied("list", real) from None
        if not visible and not found.is_directory:
            raise self._denied("list", real)
        return real, found

    # --- the interface ---

    async def start_at(self, directory: str) -> None:
        """See :meth:`nacre.Filesystem.start_at`."""
        await settled(self.inner.start_at(directory))
        self.start = self.inner.start

    async def open(self, path: str, flags: OpenFlag, attributes: Attributes) -> File:
        """See :meth:`nacre.Filesystem.open`.

        A file that is created can't be one that exists, and the other way round, whatever happens
        meanwhile: it is opened with ``EXCL``, or without ``CREAT``.
        """
        exclusive = bool(flags & OpenFlag.CREAT and flags & OpenFlag.EXCL)
        real, problem = await self._real(path, follow=not exclusive)
        writes = bool(flags & WRITING)
        # Without WRITE and APPEND, a filesystem may open the file for both.
        reads = bool(flags & OpenFlag.READ) or not flags & (OpenFlag.WRITE | OpenFlag.APPEND)
        if reads:
            self._check("read", real)
        creates = bool(flags & OpenFlag.CREAT) and self._allows("create", real)
        if writes and not creates:
            self._check("create" if exclusive else "change", real)
        if problem is not None:
            raise problem
        if creates:
            new = (flags | OpenFlag.EXCL) & ~OpenFlag.TRUNC
            try:
                file = await settled(self.inner.open(real, new, attributes))
                return self._file(file, real, reads=reads, writes=True, created=True)
            except FileExistsError:
                if exclusive:
                    raise
            self._check("change", real)
        kept = flags & ~(OpenFlag.CREAT | OpenFlag.EXCL)
        try:
            file = await settled(self.inner.open(real, kept, attributes))
        except FileNotFoundError:
            if flags & OpenFlag.CREAT and not creates:
                raise self._denied("upload", real) from None
            raise
        return self._file(file, real, reads=reads, writes=writes, created=False)

    def _file(self, file: File, real: str, *, reads: bool, writes: bool, created: bool) -> File:
        sets = self._allows("set", real)
        return _JudgedFile(
            file,
            real,
            reads=reads,
            writes=writes,
            # Who stores a file says its mode in OPEN, and writing sets the times anyway.
            sets_mode=sets or created,
            sets_times=sets or writes,
            sets_owner=sets,
        )

    async def scandir(self, path: str) -> Iterable[Entry] | AsyncIterable[Entry]:
        """See :meth:`nacre.Filesystem.scandir`; names that a pattern denies are left out."""
        real, problem = await self._real(path, follow=True)
        rule = self._rules.inside(real)
        if not self._rules.permitted_inside(real).issuperset(NEEDS["scandir"]):
            raise self._denied("list", real, rule)
        if problem is not None:
            raise problem
        found: Iterable[Entry] | AsyncIterable[Entry] = await settled(self.inner.scandir(real))

        def keeps(entry: Entry) -> bool:
            if entry.name in (".", "..") or rule is None:
                return True
            where = join(real, entry.name)
            return not rule.hides(where, directory=entry.attributes.is_directory)

        if isinstance(found, AsyncIterable):
            return _KeptLater(found, keeps)
        return _Kept(found, keeps)

    async def stat(self, path: str) -> Attributes:
        """See :meth:`nacre.Filesystem.stat`."""
        return (await self._look(path, follow=True))[1]

    async def lstat(self, path: str) -> Attributes:
        """See :meth:`nacre.Filesystem.lstat`."""
        return (await self._look(path, follow=False))[1]

    async def set_attributes(
        self, path: str, attributes: Attributes, *, follow_symlinks: bool = True
    ) -> None:
        """See :meth:`nacre.Filesystem.set_attributes`."""
        real, problem = await self._real(path, follow=follow_symlinks)
        if attributes.size is not None:
            self._check("truncate", real)
        if attributes.size is None or attributes._replace(size=None) != Attributes():
            self._check("set", real)
        if problem is not None:
            raise problem
        # The path is real: what is a link now was none when it was judged.
        await settled(self.inner.set_attributes(real, attributes, follow_symlinks=follow_symlinks))

    async def remove(self, path: str) -> None:
        """See :meth:`nacre.Filesystem.remove`."""
        await settled(self.inner.remove(await self._place("remove", path)))

    async def mkdir(self, path: str, attributes: Attributes) -> None:
        """See :meth:`nacre.Filesystem.mkdir`."""
        await settled(self.inner.mkdir(await self._place("mkdir", _bare(path)), attributes))

    async def rmdir(self, path: str) -> None:
        """See :meth:`nacre.Filesystem.rmdir`."""
        await settled(self.inner.rmdir(await self._place("rmdir", _bare(path))))

    async def rename(self, old: str, new: str, *, replace: bool) -> None:
        """See :meth:`nacre.Filesystem.rename`."""
        source = await self._place("rename", _bare(old))
        target, problem = await self._real(_bare(new), follow=False)
        arrives = self._allows("arrive", target)
        replaces = replace and self._allows("replace", target)
        if not arrives and not replaces:
            raise self._denied("upload", target)
        if problem is not None:
            raise problem
        for path in (source, target):
            if (begins := self._rules.begin_below(path)) is not None:
                raise NotPermitted(f"{path}: {begins} has a rule of its own, so it stays in place")
        if self._rules.of(source) != self._rules.of(target):
            self._check("move", source)
            await self._check_file(source, target)
        if not arrives:
            await self._check_replaced(target)
        try:
            await self._moved(source, target, replace=replaces)
        except FileExistsError:
            if replace and not replaces:
                raise self._denied("overwrite", target) from None
            raise

    async def _check_replaced(self, target: str) -> None:
        """Check that there is a file to replace.

        If it is removed meanwhile, its name is used again: the user may change what it names.
        """
        try:
            await settled(self.inner.lstat(target))
        except FileNotFoundError:
            raise self._denied("upload", target) from None

    async def _check_file(self, source: str, target: str) -> None:
        if (await settled(self.inner.lstat(source))).is_directory:
            raise NotPermitted(
                f"{source}: what is in the directory would get the rights of {parent(target)}, so "
                "it is not moved there: copy it"
            )

    async def _moved(self, source: str, target: str, *, replace: bool) -> None:
        """Rename; to another rule by a hard link, which can't be one of a directory."""
        inner = self.inner
        if self._rules.of(source) == self._rules.of(target):
            await settled(inner.rename(source, target, replace=replace))
            return
        place = target
        if replace:
            place = join(parent(target), f".nacre-{secrets.token_hex(8)}")
        try:
            await settled(inner.link(source, place))
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
            raise OSError(
                errno.EXDEV,
                f"{source}: without hard links no file goes to where {parent(target)} has other "
                "rights: copy it",
            ) from None
        if replace:
            try:
                await settled(inner.rename(place, target, replace=True))
            finally:
                # It is still there after a failure, and if both names are the same file.
                with suppress(OSError):
                    await settled(inner.remove(place))
        await settled(inner.remove(source))

    async def link(self, old: str, new: str) -> None:
        """See :meth:`nacre.Filesystem.link`."""
        if not self._links:
            raise one_name()
        source = await self._place("name", _bare(old))
        target = await self._place("link", _bare(new))
        if self._rules.of(source) != self._rules.of(target):
            raise NotPermitted(
                f"{source}: the file would have other rights as {target}, so it gets no such name"
            )
        await settled(self.inner.link(source, target))

    async def symlink(self, target: str, link: str) -> None:
        """See :meth:`nacre.Filesystem.symlink`; where it points is judged when it is used."""
        await settled(self.inner.symlink(target, await self._place("symlink", link)))

    async def readlink(self, path: str) -> str:
        """See :meth:`nacre.Filesystem.readlink`."""
        return await settled(self.inner.readlink(await self._place("readlink", path)))

    async def realpath(self, path: str) -> str:
        """See :meth:`nacre.Filesystem.realpath`.

        Where the user may not look, the text of the path is all that it tells.
        """
        real, problem = await self._real(path, follow=True)
        if not self._rules.permitted(real) & LOOKS:
            directory = False
            if problem is None and self._is_way(real):
                with suppress(OSError):
                    directory = (await settled(self.inner.lstat(real))).is_directory
            return real if directory else normalise(path, self.start)
        if problem is not None:
            raise problem
        return real

    async def statvfs(self, path: str) -> FileSystemStatus:
        """See :meth:`nacre.Filesystem.statvfs`."""
        real, _ = await self._look(path, follow=True)
        return await settled(self.inner.statvfs(real))


def _bare(path: str) -> str:
    """Return a path without trailing slashes: a link at its end is not followed."""
    return path.rstrip("/") or path


class _Kept:
    """The entries of a directory that are shown."""

    def __init__(self, entries: Iterable[Entry], keeps: Callable[[Entry], bool]) -> None:
        self._entries = entries
        self._keeps = keeps

    def __iter__(self) -> Iterator[Entry]:
        return filter(self._keeps, self._entries)

    def close(self) -> None:
        if hasattr(self._entries, "close"):
            self._entries.close()


class _KeptLater:
    """The entries of a directory that are shown, of a filesystem with coroutines."""

    def __init__(self, entries: AsyncIterable[Entry], keeps: Callable[[Entry], bool]) -> None:
        self._entries = entries
        self._keeps = keeps

    async def __aiter__(self) -> AsyncIterator[Entry]:
        async for entry in self._entries:
            if self._keeps(entry):
                yield entry

    async def aclose(self) -> None:
        if hasattr(self._entries, "aclose"):
            await self._entries.aclose()


class _JudgedFile(WrappedFile):
    """An open file, which is used as it was opened."""

    def __init__(
        self,
        file: File,
        path: str,
        *,
        reads: bool,
        writes: bool,
        sets_mode: bool,
        sets_times: bool,
        sets_owner: bool,
    ) -> None:
        super().__init__(file)
        self.vectors = file.vectors
        self._path = path
        self._reads = reads
        self._writes = writes
        self._sets = {"permissions": sets_mode, "times": sets_times, "owner": sets_owner}

    def _check_reads(self) -> None:
        if not self._reads:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    def _check_writes(self) -> None:
        if not self._writes:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    def pread(self, size: int, offset: int) -> Maybe[Buffer]:
        self._check_reads()
        return self.inner.pread(size, offset)

    def preadv(self, buffers: Sequence[memoryview], offset: int, *, wait: bool = True) -> int:
        self._check_reads()
        return self.inner.preadv(buffers, offset, wait=wait)

    def pwrite(self, data: Buffer, offset: int) -> Maybe[None]:
        self._check_writes()
        return self.inner.pwrite(data, offset)

    def pwritev(self, buffers: Sequence[Buffer], offset: int) -> None:
        self._check_writes()
        self.inner.pwritev(buffers, offset)

    def copy_from(self, source: File, start: int, length: int, offset: int) -> Maybe[int]:
        self._check_writes()
        if isinstance(source, _JudgedFile):
            source._check_reads()
            source = source.inner
        return self.inner.copy_from(source, start, length, offset)

    def set_attributes(self, attributes: Attributes) -> Maybe[None]:
        if attributes.size is not None:
            self._check_writes()
        asked: dict[str, Any] = {
            "permissions": attributes.permissions,
            "times": attributes.times_ns,
            "owner": attributes.gid if attributes.uid is None else attributes.uid,
        }
        for name, given in asked.items():
            if given is not None and not self._sets[name]:
                raise NotPermitted(f"{self._path}: chmod is needed for {name}")
        return self.inner.set_attributes(attributes)
