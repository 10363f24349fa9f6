"""Walks below a directory that nobody leaves, whatever others rename and link meanwhile.

Each step opens one name relative to the descriptor of the directory reached so far and follows no
link; links are read and walked here, absolute ones from the root. ``..`` is the directory the walk
came through, known by its number, and at the root it is the root. A path's text decides nothing.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

_LINKS = 40
"""Symbolic links in one walk, as Linux has it."""

_STEPS = 8192
"""Names in one walk, those of links included."""

_PATH = 4096
"""Octets of a path, as Linux has it."""

_HERE = getattr(os, "O_PATH", os.O_RDONLY) | os.O_CLOEXEC
_DIRECTORY = _HERE | os.O_DIRECTORY | os.O_NOFOLLOW


def failure(number: int) -> OSError:
    """Return the exception of an errno."""
    return OSError(number, os.strerror(number))


def encoded(path: str) -> bytes:
    """Return a path's octets.

    :raises OSError: no system has such a path.
    """
    if "\0" in path:
        raise failure(errno.EINVAL)
    octets = path.encode("utf-8", "surrogateescape")
    if len(octets) > _PATH:
        raise failure(errno.ENAMETOOLONG)
    return octets


@dataclass(slots=True)
class Place:
    """Where a walk ended: a name in a directory, or the directory itself, named ``.``.

    :ivar directory: its descriptor, open as long as the place is.
    """

    directory: int
    name: bytes


class Walker:
    """Finds places below ``root``, a descriptor; relative paths start from ``base``."""

    def __init__(self, root: int, base: tuple[bytes, ...] = ()) -> None:
        self._root = root
        self._base = base

    @contextmanager
    def place(self, path: str, *, follow: bool = False) -> Iterator[Place]:
        """Find the place that ``path`` names; its last name need not exist.

        :param follow: go through a link at the end; what is there then is no link when looked at.
        :raises OSError: a directory on the way is missing, or can't be passed.
        """
        walk = self._walk(path, follow)
        try:
            yield Place(walk.directory, walk.name)
        finally:
            walk.close()

    def real(self, path: str) -> str:
        """Return the absolute path below the root, without links; its last name may be missing."""
        walk = self._walk(path, True)
        try:
            names = [name for name, _ in walk.above]
            if walk.name != b".":
                names.append(walk.name)
        finally:
            walk.close()
        return "/" + b"/".join(names).decode("utf-8", "surrogateescape")

    def _walk(self, path: str, follow: bool) -> _Walk:
        octets = encoded(path)
        walk = _Walk(self._root)
        try:
            names = octets.split(b"/")
            if not octets.startswith(b"/"):
                names = [*self._base, *names]
            # What ends in a slash is a directory: through a link, if there is one.
            walk.go(names, follow or octets.endswith((b"/", b"/.")))
        except BaseException:
            walk.close()
            raise
        return walk


class _Walk:
    """One walk: the directory it is in, and the names and numbers of those above."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._links = self._steps = 0
        self._ids: list[tuple[int, int]] = []
        self.directory = root
        self.above: list[tuple[bytes, tuple[int, int]]] = []
        self.name = b"."

    def close(self) -> None:
        self._move(self._root)

    def _move(self, directory: int) -> None:
        if self.directory != self._root:
            os.close(self.directory)
        self.directory = directory

    def go(self, names: list[bytes], follow: bool) -> None:
        """Walk along ``names``, and leave the last in ``name``."""
        todo = [name for name in reversed(names) if name not in (b"", b".")]
        while todo:
            self._steps += 1
            if self._steps > _STEPS:
                raise failure(errno.ELOOP)
            name = todo.pop()
            self.name = b"."
            if name == b"..":
                self._up()
            elif not todo and not follow:
                self.name = name
            elif (target := self._enter(name, last=not todo)) is not None:
                self._links += 1
                if self._links > _LINKS:
                    raise failure(errno.ELOOP)
                if target.startswith(b"/"):
                    self._move(self._root)
                    self.above.clear()
                todo += [part for part in reversed(target.split(b"/")) if part not in (b"", b".")]

    def _enter(self, name: bytes, *, last: bool) -> bytes | None:
        """Go into the directory ``name``, or return the target of the link that it is.

        At the end, what is neither, or is missing, becomes ``name``.
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
            number = _number(self.directory)
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
        _, number = self.above.pop()
        above = os.open(b"..", _DIRECTORY, dir_fd=self.directory)
        if _number(above) != number:
            # The directory was moved while we were in it: where it is now is not for us to know.
            os.close(above)
            raise failure(errno.ENOENT)
        self._move(above)


def _number(directory: int) -> tuple[int, int]:
    status = os.stat(directory)
    return status.st_dev, status.st_ino


def pointing_at(place: Place) -> int:
    """Open what is at a place, a link itself, only to point at it."""
    return os.open(place.name, _HERE | os.O_NOFOLLOW, dir_fd=place.directory)
