"""The state directory: host keys and user store of one server, readable by its account only."""

from __future__ import annotations

import errno
import fcntl
import os
import pwd
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nacre.errors import StateError

_UNFINISHED = ".unfinished"
"""How the names of temporary files end."""


def default_path() -> Path:
    """Return ``/var/lib/nacre`` for root, else ``nacre`` under ``XDG_STATE_HOME``."""
    if os.geteuid() == 0:
        return Path("/var/lib/nacre")
    # The XDG specification says that a path that is not absolute must be ignored.
    base = Path(os.environ.get("XDG_STATE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".local" / "state") / "nacre"


def open_state(path: Path | None = None, *, create: bool = True) -> Path:
    """Return the state directory.

    :param create: make it with mode 0700 when it is missing.
    :raises StateError: it is missing, can't be made, belongs to another account, or others can
        write to it.
    """
    path = (path or default_path()).absolute()
    try:
        if create:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.stat()
    except OSError as error:
        raise StateError(
            f"can't use the state directory {path}: {error.strerror}; name another with --state"
        ) from error
    # Another owner could change files under us, and could not read the ones that we make.
    if status.st_uid != os.geteuid():
        raise StateError(
            f"the state directory {path} belongs to {_account(status.st_uid)}: "
            "run as that account, or name another with --state"
        )
    if status.st_mode & 0o022:
        raise StateError(
            f"other accounts can write to the state directory {path}: chmod go-w {path}"
        )
    return path


def _account(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def replaceable(path: Path, owner: int) -> str | None:
    """Return which directory above lets other accounts put something else in its place, or None."""
    for above in path.absolute().parents:
        status = os.stat(above)
        shared = status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX
        if status.st_uid not in (0, owner, os.geteuid()) or shared:
            return f"other accounts can change the directory {above}"
    return None


def changeable(path: Path) -> str | None:
    """Return why others can make and replace files in a directory, or None. Blocks.

    One like ``/tmp``, where each account has files of its own, is a directory of others, too.

    :raises OSError: it, or one above, can't be looked at.
    """
    status = os.stat(path)
    if status.st_uid not in (0, os.geteuid()) or status.st_mode & 0o022:
        return f"other accounts can write to the directory {path}"
    return replaceable(path, os.geteuid())


def write_once(path: Path, content: bytes) -> bool:
    """Write a secret file, mode 0600, atomically, unless there is one.

    Of two processes that call this at once exactly one writes its content.

    :returns: whether this call has written the file; False when there was one.
    :raises OSError: as ``open`` and ``write`` do.
    """
    with alone(path.parent):
        if path.exists():
            return False
        # A file of mode 0600, in the same directory so that the link can't cross file systems.
        descriptor, temporary = tempfile.mkstemp(_UNFINISHED, f".{path.name}.", path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.link(temporary, path)
            _sync_directory(path.parent)
            return True
        finally:
            with suppress(FileNotFoundError):
                os.unlink(temporary)


def remove_unfinished(directory: Path) -> None:
    """Remove the temporary files of a process that was killed in :func:`write_once`.

    :raises OSError: as ``open`` and ``unlink`` do.
    """
    if not any(directory.glob(f".*{_UNFINISHED}")):
        return  # a directory that is read-only needs no lock
    with alone(directory):
        for path in directory.glob(f".*{_UNFINISHED}"):
            path.unlink(missing_ok=True)


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Keep others of this account, who call this too, from making files in ``directory``.

    The lock is on a file that no other account can open. Who can list a directory could lock the
    directory itself, and keep a server from starting.

    :raises PermissionError: the file is another account's.
    :raises OSError: as ``open`` does.
    """
    path = directory / f".lock-{os.geteuid()}"
    descriptor = _locked(path)
    try:
        yield
    finally:
        with suppress(OSError):
            os.unlink(path)  # who waits for the lock sees that, and makes another file
        os.close(descriptor)


def _locked(path: Path) -> int:
    """Return a descriptor of a file that is locked, and has its name still."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    while True:
        descriptor = os.open(path, flags, 0o600)
        try:
            if os.fstat(descriptor).st_uid != os.geteuid():
                raise PermissionError(errno.EACCES, f"{path} is another account's: remove it")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), os.lstat(path)):
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
