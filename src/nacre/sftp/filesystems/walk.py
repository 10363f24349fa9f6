"""Walks paths below a root directory and never leaves it, whatever is renamed or linked meanwhile.

Each step opens one name relative to the descriptor of the directory reached so far, and follows no
link: links are read and walked here, absolute ones from the root. ``..`` leads to the directory
that the walk came through, which is checked by device and inode number; at the root it is the root.
The text of a path decides nothing.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress

_LINKS = 40
"""Symbolic links in one walk, as in Linux."""

_STEPS = 8192
"""Names in one walk, including those of links."""

_PATH = 4096
"""Bytes of a path: Linux's PATH_MAX."""

_NO_NUMBER = (-1, -1)

_HERE = getattr(os, "O_PATH", os.O_RDONLY) | os.O_CLOEXEC
_DIRECTORY = _HERE | os.O_DIRECTORY | os.O_NOFOLLOW


def failure(number: int) -> OSError:
    """Return the exception of an errno."""
    return OSError(number, os.strerror(number))


def encoded(path: str) -> bytes:
    """Return a path's bytes.

    :raises OSError: it contains a zero byte, or is too long.
    """
    if "\0" in path:
        raise failure(errno.EINVAL)
    data = path.encode("utf-8", "surrogateescape")
    if len(data) > _PATH:
        raise failure(errno.ENAMETOOLONG)
    return data


class Walker:
    """Finds places below ``root``, a descriptor; relative paths start from ``base``."""

    def __init__(
        self, root: int, base: tuple[bytes, ...] = (), *, follows_links: bool = True
    ) -> None:
        """Walk below ``root``.

        :param follows_links: if False, a link that would have to be followed fails with ELOOP.
        """
        self._root = root
        self._base = base
        self._links = _LINKS if follows_links else 0

    def place(self, path: str, *, follow: bool = False) -> WalkedPlace:
        """Find the place that ``path`` names; its last name need not exist.

        To be used with ``with``, which closes it.

        :param follow: whether to follow a link at the end. What then is at the place was no link
            when the walk looked at it.
        :raises OSError: a directory on the way is missing or can't be entered.
        """
        data = encoded(path)
        names = data.split(b"/")
        if not data.startswith(b"/"):
            names = [*self._base, *names]
        # A path that ends in a slash names a directory, so a link at its end is followed.
        follow = follow or data.endswith((b"/", b"/."))
        try:
            return self._walk(names, follow, numbered=b".." in names)
        except _NumbersNeeded:
            return self._walk(names, follow, numbered=True)

    def _walk(self, names: list[bytes], follow: bool, *, numbered: bool) -> WalkedPlace:
        place = WalkedPlace(self._root, numbered, self._links)
        try:
            place.go(names, follow)
        except BaseException:
            place.close()
            raise
        return place

    def real(self, path: str) -> str:
        """Return the absolute path below the root, without links; its last name need not exist."""
        with self.place(path, follow=True) as place:
            names = [name for name, _ in place.above]
            if place.name != b".":
                names.append(place.name)
        return "/" + b"/".join(names).decode("utf-8", "surrogateescape")


class _NumbersNeeded(Exception):
    """A link contains ``..``, and the inode numbers on the way were not recorded."""


class WalkedPlace:
    """Where a walk is or has ended: a name in a directory, or the directory itself, ``.``.

    :ivar directory: the descriptor of the directory, open as long as the place is.
    :ivar name: the name in it.
    :ivar above: for each directory on the way its name, and the device and inode of its parent.
    """

    __slots__ = ("_links", "_numbered", "_root", "_steps", "above", "directory", "name")

    def __init__(self, root: int, numbered: bool, links: int = _LINKS) -> None:
        self._root = root
        self._numbered = numbered
        self._links = links
        self._steps = 0
        self.directory = root
        self.above: list[tuple[bytes, tuple[int, int]]] = []
        self.name = b"."

    def __enter__(self) -> WalkedPlace:
        return self

    def __exit__(self, *_: object) -> None:
        if self.directory != self._root:
            self.close()

    def close(self) -> None:
        """Close the directory."""
        self._move(self._root)

    def _move(self, directory: int) -> None:
        if self.directory != self._root:
            os.close(self.directory)
        self.directory = directory

    def go(self, names: list[bytes], follow: bool) -> None:
        """Walk along ``names``; keep the last one as ``name``."""
        todo = [name for name in reversed(names) if name not in (b"", b".")]
        while todo:
            self._steps += 1
            if self._steps > _STEPS:
                raise failure(errno.ELOOP)
            name = todo.pop()
            if name == b"..":
                self._up()
            elif not todo and not follow:
                self.name = name
            elif (target := self._enter(name, last=not todo)) is not None:
                if not self._links:
                    raise failure(errno.ELOOP)
                self._links -= 1
                if target.startswith(b"/"):
                    self._move(self._root)
                    self.above.clear()
                todo += [part for part in reversed(target.split(b"/")) if part not in (b"", b".")]

    def _enter(self, name: bytes, *, last: bool) -> bytes | None:
        """Enter the directory ``name``; if it is a link, return its target instead.

        If it is the last name, and no link, it becomes the place's ``name``.
        """
        if last:
            with suppress(OSError):
                return os.readlink(name, dir_fd=self.directory)
            self.name = name
            return None
        try:
            entered = os.open(name, _DIRECTORY, dir_fd=self.directory)
        except OSError as error:
            if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
            return self._target(name)
        try:
            number = _number(self.directory) if self._numbered else _NO_NUMBER
        except BaseException:
            os.close(entered)
            raise
        self.above.append((name, number))
        self._move(entered)
        return None

    def _target(self, name: bytes) -> bytes:
        try:
            return os.readlink(name, dir_fd=self.directory)
        except OSError as error:
            if error.errno == errno.EINVAL:
                raise failure(errno.ENOTDIR) from None
            raise

    def _up(self) -> None:
        if not self.above:
            return
        if not self._numbered:
            raise _NumbersNeeded
        _, number = self.above.pop()
        above = os.open(b"..", _DIRECTORY, dir_fd=self.directory)
        if _number(above) != number:
            # The directory was moved during the walk: its new parent may be outside the root.
            os.close(above)
            raise failure(errno.ENOENT)
        self._move(above)


def _number(directory: int) -> tuple[int, int]:
    status = os.stat(directory)
    return status.st_dev, status.st_ino


def pointing_at(place: WalkedPlace) -> int:
    """Return a descriptor (O_PATH) of the file at a place; a link is not followed."""
    return os.open(place.name, _HERE | os.O_NOFOLLOW, dir_fd=place.directory)
