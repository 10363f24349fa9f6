"""Changes of ``known_hosts`` files, which other programs may change at the same time."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

NEW_MODE = 0o600

_MOST_TRIES = 100
"""How often a change is made again because another program has changed the file meanwhile."""


def update(
    path: Path,
    edit: Callable[[bytes], bytes | None],
    *,
    mode: int = NEW_MODE,
    backup: Path | None = None,
) -> bool:
    """Change the content of a file atomically; return whether it was changed.

    A lock keeps other processes of nacre out. Text that is only added is appended, as ssh(1) does:
    a line that ssh adds meanwhile stays. For other changes a new file with the mode and the owner
    of the former one replaces it. If another program has replaced or changed the file meanwhile,
    the change is made again. If ``path`` is a symbolic link, it stays one.

    :param edit: gets the content, which is empty if there is no file, and returns the new one, or
        None to change nothing. It may be called several times.
    :param mode: of a file that is created. A directory that is missing is created, too, with mode
        0700.
    :param backup: a file that gets the former content; then the file is always replaced.
    :raises OSError: the file can't be read or written; it has its former content.
    """
    # The file that a link points at is changed, not the link.
    path = Path(os.path.realpath(path))
    for _ in range(_MOST_TRIES):
        if not path.exists():
            if edit(b"") is None:
                return False
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(_Overtaken):
            return _try(path, edit, mode, backup)
    raise OSError(errno.EBUSY, "other programs change it all the time", str(path))


class _Overtaken(Exception):
    """Another program has replaced or changed the file meanwhile."""


def _try(path: Path, edit: Callable[[bytes], bytes | None], mode: int, backup: Path | None) -> bool:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, mode)
    with open(descriptor, "r+b", buffering=0) as file:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        _check_same(path, descriptor)
        before = file.read()
        after = edit(before)
        if after is None or (after == before and backup is None):
            return False
        if after.startswith(before) and backup is None:
            _append(descriptor, after[len(before) :])
            # The other program's new file has no such line.
            _check_same(path, descriptor)
            return True
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file: can't be changed", str(path))
        former = os.fstat(descriptor)
        with _Replacement(path, after, former) as replacement:
            if backup is not None:
                with _Replacement(backup, before, former) as copy:
                    copy.take_place()
            # ssh appends without a lock.
            if file.read():
                raise _Overtaken
            _check_same(path, descriptor)
            replacement.take_place()
        return True


def _append(descriptor: int, text: bytes) -> None:
    """Append text in one write, so that no other line comes between."""
    length = os.fstat(descriptor).st_size
    written = os.write(descriptor, text)
    if written < len(text):
        os.ftruncate(descriptor, length)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _check_same(path: Path, descriptor: int) -> None:
    """Check that ``path`` is still the file that was opened."""
    try:
        now = os.stat(path)
    except FileNotFoundError:
        raise _Overtaken from None
    if not os.path.samestat(now, os.fstat(descriptor)):
        raise _Overtaken


def replace(path: Path, content: bytes, mode: int) -> None:
    """Write a file atomically: on an error the former one stays. A symbolic link stays one.

    :param mode: of the new file, whatever the former one had.
    :raises OSError: it can't be written.
    """
    with _Replacement(Path(os.path.realpath(path)), content, mode) as replacement:
        replacement.take_place()


class _Replacement:
    """A file with new content beside the one that it replaces; it is removed unless it does.

    :param like: its mode, or what the former file is: its mode and owner.
    """

    def __init__(self, path: Path, content: bytes, like: int | os.stat_result) -> None:
        self._path = path
        import tempfile  # what only reads such files does not need it

        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        self._temporary: str | None = name
        try:
            with os.fdopen(descriptor, "wb") as file:
                if isinstance(like, os.stat_result):
                    # Root may change the file of another user.
                    with suppress(PermissionError):
                        os.fchown(descriptor, like.st_uid, like.st_gid)
                    like = stat.S_IMODE(like.st_mode)
                os.fchmod(descriptor, like)
                file.write(content)
                file.flush()
                os.fsync(descriptor)
        except BaseException:
            os.unlink(name)
            raise

    def __enter__(self) -> _Replacement:
        return self

    def take_place(self) -> None:
        """Take the place of the former file."""
        assert self._temporary is not None
        os.replace(self._temporary, self._path)
        self._temporary = None

    def __exit__(self, *_: object) -> None:
        if self._temporary is not None:
            os.unlink(self._temporary)
