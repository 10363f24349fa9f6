"""The client's calls about attributes of files: ``stat``, ``chmod``, ``utime`` and so on."""

from __future__ import annotations

import os
import stat
import time
from math import floor

from nacre.sftp.client.calls import Calls, Path
from nacre.sftp.client.results import stat_result, statvfs_result
from nacre.sftp.protocol import extensions as ext
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.attributes import Attributes, FileDetails


class AttributeCalls(Calls):
    """What a file is, and changes of that."""

    async def stat(self, path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        """Return a file's attributes: by default those of what a link points at."""
        return stat_result(await self._remote.stat(self.path(path), follow=follow_symlinks))

    async def lstat(self, path: Path) -> os.stat_result:
        """Return a file's attributes: a link's own."""
        return await self.stat(path, follow_symlinks=False)

    async def statvfs(self, path: Path) -> os.statvfs_result:
        """Return the state of the file system that holds ``path``.

        :raises SFTPError: with ``EOPNOTSUPP`` when the server does not offer ``statvfs``.
        """
        return statvfs_result(await self._request(ext.StatVFS(self.path(path))))

    async def exists(self, path: Path) -> bool:
        """Tell whether there is a file; for a dangling link the answer is no."""
        return await self._mode(path) is not None

    async def lexists(self, path: Path) -> bool:
        """Tell whether there is a file or a link, dangling or not."""
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
        """Return when a file was last changed, in seconds since 1970."""
        return (await self.stat(path)).st_mtime

    async def _mode(self, path: Path, *, follow: bool = True) -> int | None:
        """Return a file's type and permissions, 0 if the server sent none; None without a file."""
        try:
            found = await self._remote.stat(self.path(path), follow=follow)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found.permissions or 0

    async def chmod(self, path: Path, mode: int, *, follow_symlinks: bool = True) -> None:
        """Set a file's permissions."""
        await self._set(path, Attributes(permissions=stat.S_IMODE(mode)), follow_symlinks)

    async def chown(
        self, path: Path, uid: int | str, gid: int | str, *, follow_symlinks: bool = True
    ) -> None:
        """Set a file's owner and group, by number; -1 leaves one unchanged.

        With versions 4 to 6 either may be a name.

        :raises ValueError: with version 3, one is a name.
        """
        if not self.session.client.version.names and not {type(uid), type(gid)} <= {int}:
            raise ValueError("version 3 of SFTP has no names of owners: give numbers, or version=6")
        now = Attributes()
        if -1 in (uid, gid):
            now = await self._remote.stat(self.path(path), follow=follow_symlinks)
        await self._set(path, with_owner(now, uid, gid), follow_symlinks)

    async def utime(
        self,
        path: Path,
        times: tuple[float, float] | None = None,
        *,
        follow_symlinks: bool = True,
    ) -> None:
        """Set the times of last access and change, in seconds since 1970; by default to now."""
        atime, mtime = times or (time.time(), time.time())
        # Version 3 has whole seconds, and ignores the details.
        parts = FileDetails(atime_ns=_nanoseconds(atime), mtime_ns=_nanoseconds(mtime))
        wanted = Attributes(atime=floor(atime), mtime=floor(mtime), details=parts)
        await self._set(path, wanted, follow_symlinks)

    async def truncate(self, path: Path, length: int) -> None:
        """Make a file ``length`` bytes long."""
        await self._set(path, Attributes(size=length), True)

    async def _set(self, path: Path, attributes: Attributes, follow: bool) -> None:
        name = self.path(path)
        await self._request(
            msg.SetStat(name, attributes) if follow else ext.LSetStat(name, attributes)
        )

    async def digest(self, path: Path) -> bytes:
        """Return the SHA-256 of a file; where the server can't hash, the file is read."""
        name = self.path(path)
        return await self._remote.digest(name, (await self._remote.stat(name)).size or 0)

    async def names(
        self, uids: tuple[int, ...], gids: tuple[int, ...]
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the names of users and groups, in the order of their numbers; "" is unknown.

        :raises SFTPError: with ``EOPNOTSUPP`` when the server does not offer
            ``users-groups-by-id``.
        """
        return await self._request(ext.UsersGroupsById.of(uids, gids))


def with_owner(now: Attributes, uid: int | str, gid: int | str) -> Attributes:
    """Return what sets an owner and a group, each by number or name; -1 is the one of ``now``.

    :raises ValueError: the version has no names, or the server did not tell the one to be kept.
    """
    user = now.details.owner or now.uid if uid == -1 else uid
    group = now.details.group or now.gid if gid == -1 else gid
    if isinstance(user, int) and isinstance(group, int):
        return Attributes(uid=user, gid=group)
    if user is None or group is None:
        raise ValueError("the server does not tell who owns the file: give the owner and the group")
    return Attributes(details=FileDetails(owner=str(user), group=str(group)))


def _nanoseconds(seconds: float) -> int:
    return int((seconds - floor(seconds)) * 1e9)
