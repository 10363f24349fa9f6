"""Local files as filesystems: one directory that a client can't leave, or the whole system."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache

from nacre.sftp.filesystems.base import WRITING, File, Filesystem, unsupported
from nacre.sftp.filesystems.mounts import is_local
from nacre.sftp.filesystems.walk import WalkedPlace, Walker, encoded, failure, pointing_at
from nacre.sftp.protocol.attributes import Attributes, Entry, longname
from nacre.sftp.protocol.extensions import FileSystemStatus
from nacre.sftp.protocol.messages import VERSION_3, OpenFlag
from nacre.sftp.protocol.paths import normalise
from nacre.wire.codec import Buffer

# No controlling terminal, no wait for the other end of a FIFO, no following of a link.
_OPEN = os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK | os.O_NOFOLLOW

_NO_WAIT = getattr(os, "RWF_NOWAIT", 0)

_UTF_8 = sys.getfilesystemencoding() == "utf-8"

_VECTORS = 1024
"""Buffers of one call at most: Linux's IOV_MAX."""

_CANNOT_LINK = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV)
_CANNOT_COPY = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF)


class LocalFile(File):
    """An open local file."""

    vectors = True

    def __init__(
        self,
        number: int,
        permitted: int,
        found: Callable[[os.stat_result], Attributes] = Attributes.of,
    ) -> None:
        self._number = number
        self._permitted = permitted
        self._found = found
        self._no_wait = _NO_WAIT

    def pread(self, size: int, offset: int) -> bytes:
        """See :meth:`nacre.File.pread`."""
        return os.pread(self._number, size, offset)

    def pwrite(self, data: Buffer, offset: int) -> None:
        """See :meth:`nacre.File.pwrite`."""
        self.pwritev([data], offset)

    def preadv(self, buffers: Sequence[memoryview], offset: int, *, wait: bool = True) -> int:
        """See :meth:`nacre.File.preadv`."""
        _check_offset(offset)
        total, left = 0, list(buffers)
        while left:
            count = self._preadv(left, offset + total, 0 if wait else self._no_wait)
            if not count:
                break
            total += count
            left = _behind(left, count)
        return total

    def _preadv(self, buffers: list[memoryview], offset: int, flags: int) -> int:
        try:
            return os.preadv(self._number, buffers, offset, flags)
        except OSError as error:
            if not flags or error.errno != errno.EOPNOTSUPP:
                raise
        # The file system does not know the flag, for example tmpfs: all of it is in memory.
        self._no_wait = 0
        return os.preadv(self._number, buffers, offset)

    def pwritev(self, buffers: Sequence[Buffer], offset: int) -> None:
        """See :meth:`nacre.File.pwritev`."""
        _check_offset(offset)
        left = [memoryview(buffer) for buffer in buffers if len(buffer)]
        while left:
            count = os.pwritev(self._number, left[:_VECTORS], offset)
            offset += count
            left = _behind(left, count)

    def copy_from(self, source: File, start: int, length: int, offset: int) -> int:
        """See :meth:`nacre.File.copy_from`."""
        # A subclass may change what is read or written: its own methods must see the bytes.
        if type(self) is not LocalFile or type(source) is not LocalFile:
            raise unsupported()
        try:
            return os.copy_file_range(source._number, self._number, length, start, offset)
        except OSError as error:
            if error.errno not in _CANNOT_COPY:
                raise
            raise unsupported() from None

    def stat(self) -> Attributes:
        """See :meth:`nacre.File.stat`."""
        return self._found(os.fstat(self._number))

    def extent(self) -> tuple[int, int]:
        """See :meth:`nacre.File.extent`."""
        found = os.fstat(self._number)
        return found.st_size, found.st_nlink

    def set_attributes(self, attributes: Attributes) -> None:
        """See :meth:`nacre.File.set_attributes`."""
        number = self._number
        if attributes.size is not None:
            _check_offset(attributes.size)
            os.ftruncate(number, attributes.size)
        if attributes.permissions is not None:
            os.fchmod(number, attributes.permissions & self._permitted)
        if (times := attributes.times_ns) is not None:
            os.utime(number, ns=times)
        if attributes.uid is not None and attributes.gid is not None:
            os.fchown(number, attributes.uid, attributes.gid)

    def fsync(self) -> None:
        """See :meth:`nacre.File.fsync`."""
        os.fsync(self._number)

    def statvfs(self) -> FileSystemStatus:
        """See :meth:`nacre.File.statvfs`."""
        return _statvfs(self._number)

    def close(self) -> None:
        """See :meth:`nacre.File.close`."""
        number, self._number = self._number, -1
        if number >= 0:
            os.close(number)


class _Listing:
    """The entries of an open directory, read on demand; to be closed."""

    def __init__(self, number: int, filesystem: LocalFilesystem) -> None:
        self._number = number
        self._filesystem = filesystem
        self._owners: dict[tuple[int, int], tuple[str, str]] = {}

    def __iter__(self) -> Iterator[Entry]:
        if self._number < 0:
            return
        now = time.time()
        # The root's `..` is outside the root: any `..` is listed with the attributes of `.`.
        for name in (".", ".."):
            yield self._entry(name, os.stat(self._number), now)
        with os.scandir(self._number) as scanned:
            for one in scanned:
                name = one.name
                if not _UTF_8:
                    name = os.fsencode(name).decode("utf-8", "surrogateescape")
                try:
                    found = one.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue  # it was removed meanwhile
                yield self._entry(name, found, now)

    def _entry(self, name: str, found: os.stat_result, now: float) -> Entry:
        owner = found.st_uid, found.st_gid
        if (known := self._owners.get(owner)) is None:
            (user,), (group,) = self._filesystem.names(owner[:1], owner[1:])
            known = self._owners[owner] = user, group
        attributes = self._filesystem.found(found)
        line = longname(
            name, attributes, now=now, user=known[0], group=known[1], links=found.st_nlink
        )
        return Entry(name, line, attributes)

    def close(self) -> None:
        number, self._number = self._number, -1
        if number >= 0:
            os.close(number)


class LocalFilesystem(Filesystem):
    """A local directory, which a client sees as ``/`` and can't leave.

    No link and no rename during a walk leads out of it: every step of every path is made here,
    relative to an open directory. Absolute links are relative to the root. Only regular files are
    opened.
    """

    permitted = 0o1777
    """The permission bits that may be set: not set-user-ID and set-group-ID."""

    found: Callable[[os.stat_result], Attributes] = Attributes.of
    """Makes attributes of what the system tells of a file."""

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        user: str = "",
        read_only: bool = False,
        home: str | os.PathLike[str] | None = None,
    ) -> None:
        """Serve the directory ``root``.

        :param user: the name shown as the owner of files that belong to this process's account.
        :param home: the directory of this system at which relative paths start; it counts only if
            it exists and lies below ``root``, and otherwise they start at ``root``.
        :raises OSError: ``root`` can't be opened.
        """
        self.read_only = read_only
        self._user = user
        self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        if home is not None:
            self.start = _inside(os.fspath(root), os.fspath(home))
        self._home = self.start
        self._follows_links = True
        self._make_walkers()

    def _make_walkers(self) -> None:
        base = tuple(encoded(self.start).split(b"/"))
        self._resolver = self._walker = Walker(self._root, base)
        if not self._follows_links:
            self._walker = Walker(self._root, base, follows_links=False)

    def keep_to_real_paths(self) -> None:
        """See :meth:`nacre.Filesystem.keep_to_real_paths`."""
        self._follows_links = False
        self._make_walkers()

    def start_at(self, directory: str) -> None:
        """Make relative paths start at ``directory``, a path as clients name it; ``~`` stays.

        :raises OSError: there is no such directory.
        """
        start = self._resolver.real(directory)
        if not stat.S_ISDIR(self._stat(start, follow=True).st_mode):
            raise failure(errno.ENOTDIR)
        self.start = start
        self._make_walkers()

    def speak(self, version: int) -> None:
        """See :meth:`nacre.Filesystem.speak`."""
        self.found = Attributes.of if version == VERSION_3 else Attributes.detailed

    @property
    def prompt(self) -> bool:
        """Whether no part of the directory is behind a network."""
        return is_local(self._root)

    def close(self) -> None:
        """See :meth:`nacre.Filesystem.close`."""
        number, self._root = self._root, -1
        if number >= 0:
            os.close(number)

    def open(self, path: str, flags: OpenFlag, attributes: Attributes) -> LocalFile:
        """See :meth:`nacre.Filesystem.open`."""
        mode = 0o666 if attributes.permissions is None else attributes.permissions & 0o777
        wanted = _system_flags(int(flags))
        try:
            number = self._open(path, wanted, mode, follow=False)
        except OSError as error:
            if error.errno != errno.ELOOP or wanted & os.O_EXCL:
                raise
            number = self._open(path, wanted, mode, follow=True)
        try:
            _check_regular(number)
        except BaseException:
            os.close(number)
            raise
        return LocalFile(number, self.permitted, self.found)

    def _open(self, path: str, flags: int, mode: int, *, follow: bool) -> int:
        with self._walker.place(path, follow=follow) as place:
            return os.open(place.name, flags, mode, dir_fd=place.directory)

    def scandir(self, path: str) -> _Listing:
        """See :meth:`nacre.Filesystem.scandir`."""
        with self._walker.place(path, follow=True) as place:
            flags = os.O_RDONLY | os.O_DIRECTORY | _OPEN
            return _Listing(os.open(place.name, flags, dir_fd=place.directory), self)

    def stat(self, path: str) -> Attributes:
        """See :meth:`nacre.Filesystem.stat`."""
        found = self._stat(path, follow=False)
        # Most files are no links: then one call is enough.
        return self.found(self._stat(path, follow=True) if stat.S_ISLNK(found.st_mode) else found)

    def lstat(self, path: str) -> Attributes:
        """See :meth:`nacre.Filesystem.lstat`."""
        return self.found(self._stat(path, follow=False))

    def _stat(self, path: str, *, follow: bool) -> os.stat_result:
        with self._walker.place(path, follow=follow) as place:
            return os.stat(place.name, dir_fd=place.directory, follow_symlinks=False)

    def set_attributes(
        self, path: str, attributes: Attributes, *, follow_symlinks: bool = True
    ) -> None:
        """See :meth:`nacre.Filesystem.set_attributes`."""
        with self._walker.place(path, follow=follow_symlinks) as place:
            where = place.directory
            if attributes.size is not None:
                self._truncate(place, attributes.size)
            if attributes.permissions is not None:
                _chmod(place, attributes.permissions & self.permitted)
            if (times := attributes.times_ns) is not None:
                os.utime(place.name, ns=times, dir_fd=where, follow_symlinks=False)
            if attributes.uid is not None and attributes.gid is not None:
                uid, gid = attributes.uid, attributes.gid
                os.chown(place.name, uid, gid, dir_fd=where, follow_symlinks=False)

    @staticmethod
    def _truncate(place: WalkedPlace, size: int) -> None:
        _check_offset(size)
        number = os.open(place.name, os.O_WRONLY | _OPEN, dir_fd=place.directory)
        try:
            _check_regular(number)
            os.ftruncate(number, size)
        finally:
            os.close(number)

    def remove(self, path: str) -> None:
        """See :meth:`nacre.Filesystem.remove`."""
        with self._walker.place(path) as place:
            os.unlink(place.name, dir_fd=place.directory)

    def mkdir(self, path: str, attributes: Attributes) -> None:
        """See :meth:`nacre.Filesystem.mkdir`."""
        mode = 0o777 if attributes.permissions is None else attributes.permissions & 0o777
        with self._walker.place(_bare(path)) as place:
            os.mkdir(place.name, mode, dir_fd=place.directory)

    def rmdir(self, path: str) -> None:
        """See :meth:`nacre.Filesystem.rmdir`."""
        with self._walker.place(_bare(path)) as place:
            os.rmdir(place.name, dir_fd=place.directory)

    def rename(self, old: str, new: str, *, replace: bool) -> None:
        """See :meth:`nacre.Filesystem.rename`."""
        with self._both(old, new) as (source, target):
            if not replace and _link_and_remove(source, target):
                return
            os.rename(
                source.name,
                target.name,
                src_dir_fd=source.directory,
                dst_dir_fd=target.directory,
            )

    def link(self, old: str, new: str) -> None:
        """See :meth:`nacre.Filesystem.link`."""
        with self._both(old, new) as (source, target):
            _link(source, target)

    @contextmanager
    def _both(self, old: str, new: str) -> Iterator[tuple[WalkedPlace, WalkedPlace]]:
        with self._walker.place(_bare(old)) as source, self._walker.place(_bare(new)) as target:
            yield source, target

    def symlink(self, target: str, link: str) -> None:
        """See :meth:`nacre.Filesystem.symlink`."""
        data = encoded(target)
        with self._walker.place(link) as place:
            os.symlink(data, place.name, dir_fd=place.directory)

    def readlink(self, path: str) -> str:
        """See :meth:`nacre.Filesystem.readlink`."""
        with self._walker.place(path) as place:
            found = os.readlink(place.name, dir_fd=place.directory)
        return found.decode("utf-8", "surrogateescape")

    def realpath(self, path: str) -> str:
        """See :meth:`nacre.Filesystem.realpath`."""
        return self._resolver.real(path)

    def home(self, user: str) -> str:
        """See :meth:`nacre.Filesystem.home`."""
        if user not in ("", self._user):
            raise failure(errno.ENOENT)
        return self._home

    def statvfs(self, path: str) -> FileSystemStatus:
        """See :meth:`nacre.Filesystem.statvfs`."""
        with self._walker.place(path, follow=True) as place:
            number = pointing_at(place)
        try:
            return _statvfs(number)
        finally:
            os.close(number)

    def names(
        self, uids: tuple[int, ...], gids: tuple[int, ...]
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """See :meth:`nacre.Filesystem.names`."""
        users = tuple([self._user if uid == os.geteuid() else "" for uid in uids])
        return users, tuple([self._user if gid == os.getegid() else "" for gid in gids])

    def numbers(
        self, users: tuple[str, ...], groups: tuple[str, ...]
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """See :meth:`nacre.Filesystem.numbers`."""
        if not self._user or any(name != self._user for name in users + groups):
            raise failure(errno.EINVAL)
        return (os.geteuid(),) * len(users), (os.getegid(),) * len(groups)


class SystemFilesystem(LocalFilesystem):
    """All local files, with the rights of this process; relative paths start at ``home``."""

    def __init__(
        self, home: str, *, user: str = "", read_only: bool = False, set_id: bool = False
    ) -> None:
        """Serve the system.

        :param home: an absolute path; relative paths start at ``/`` if it is no directory.
        :param user: the name of the session's user, who may have no account of this name.
        :param set_id: let the user set the set-user-ID and set-group-ID bits.
        """
        super().__init__("/", user=user, read_only=read_only, home=home)
        if set_id:
            self.permitted = 0o7777

    def home(self, user: str) -> str:
        """See :meth:`nacre.Filesystem.home`."""
        if user in ("", self._user):
            return self._home
        try:
            return pwd.getpwnam(user).pw_dir
        except (KeyError, ValueError):
            raise failure(errno.ENOENT) from None

    def names(
        self, uids: tuple[int, ...], gids: tuple[int, ...]
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """See :meth:`nacre.Filesystem.names`."""
        return tuple(map(_user_name, uids)), tuple(map(_group_name, gids))

    def numbers(
        self, users: tuple[str, ...], groups: tuple[str, ...]
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """See :meth:`nacre.Filesystem.numbers`."""
        try:
            uids = tuple([pwd.getpwnam(name).pw_uid for name in users])
            return uids, tuple([grp.getgrnam(name).gr_gid for name in groups])
        except (KeyError, ValueError):
            raise failure(errno.EINVAL) from None


def _inside(root: str, home: str) -> str:
    """Return where the directory ``home`` is below ``root``, as an absolute path there."""
    if not os.path.isdir(home):
        return "/"
    if os.path.realpath(root) == "/":
        return normalise(home)  # as the user knows it, links included
    place = os.path.relpath(os.path.realpath(home), os.path.realpath(root))
    outside = place == ".." or place.startswith("../")
    return "/" if outside else normalise(place)


def _user_name(uid: int) -> str:
    with suppress(KeyError, OverflowError):
        return pwd.getpwuid(uid).pw_name
    return ""


def _group_name(gid: int) -> str:
    with suppress(KeyError, OverflowError):
        return grp.getgrgid(gid).gr_name
    return ""


@cache
def _system_flags(flags: int) -> int:
    chosen = _OPEN
    if not flags & (OpenFlag.WRITE | OpenFlag.APPEND):
        # Creating or truncating a file needs the right to write, whatever else is asked for.
        chosen |= os.O_RDWR if flags & WRITING else os.O_RDONLY
    else:
        chosen |= os.O_RDWR if flags & OpenFlag.READ else os.O_WRONLY
    if flags & OpenFlag.APPEND:
        chosen |= os.O_APPEND
    if flags & OpenFlag.CREAT:
        chosen |= os.O_CREAT
        if flags & OpenFlag.EXCL:
            chosen |= os.O_EXCL
    if flags & OpenFlag.TRUNC:
        chosen |= os.O_TRUNC
    return chosen


def _check_regular(number: int) -> None:
    mode = os.fstat(number).st_mode
    if stat.S_ISDIR(mode):
        raise failure(errno.EISDIR)
    if not stat.S_ISREG(mode):
        raise failure(errno.EACCES)


def _check_offset(offset: int) -> None:
    if offset >= 1 << 63:
        raise failure(errno.EFBIG)


def _behind(buffers: Sequence[memoryview], count: int) -> list[memoryview]:
    """Return ``buffers`` without their first ``count`` bytes."""
    left = list(buffers)
    while left and count >= len(left[0]):
        count -= len(left.pop(0))
    if count:
        left[0] = left[0][count:]
    return left


def _bare(path: str) -> str:
    """Return a path without trailing slashes: the last name need not exist yet."""
    return path.rstrip("/") or path


def _chmod(place: WalkedPlace, mode: int) -> None:
    """Set the permissions of the file at a place; never follow a link."""
    number = pointing_at(place)
    try:
        os.chmod(f"/proc/self/fd/{number}", mode)
    except FileNotFoundError:  # there is no /proc
        opened = os.open(place.name, os.O_RDONLY | _OPEN, dir_fd=place.directory)
        try:
            os.fchmod(opened, mode)
        finally:
            os.close(opened)
    finally:
        os.close(number)


def _link(source: WalkedPlace, target: WalkedPlace) -> None:
    os.link(
        source.name,
        target.name,
        src_dir_fd=source.directory,
        dst_dir_fd=target.directory,
        follow_symlinks=False,
    )


def _link_and_remove(source: WalkedPlace, target: WalkedPlace) -> bool:
    """Rename without replacing anything; return False if hard links can't do that here.

    :raises OSError: the target exists.
    """
    found = os.stat(source.name, dir_fd=source.directory, follow_symlinks=False)
    if not stat.S_ISDIR(found.st_mode):
        try:
            _link(source, target)
        except OSError as error:
            if error.errno not in _CANNOT_LINK:
                raise
        else:
            os.unlink(source.name, dir_fd=source.directory)
            return True
    with suppress(FileNotFoundError):
        os.stat(target.name, dir_fd=target.directory, follow_symlinks=False)
        raise failure(errno.EEXIST)
    return False


def _statvfs(number: int) -> FileSystemStatus:
    found = os.statvfs(number)
    mask = (1 << 64) - 1
    return FileSystemStatus(
        found.f_bsize,
        found.f_frsize,
        found.f_blocks,
        found.f_bfree,
        found.f_bavail,
        found.f_files,
        found.f_ffree,
        found.f_favail,
        found.f_fsid & mask,
        found.f_flag & 3,  # read-only and nosuid: the extension has no other flags
        found.f_namemax,
    )
