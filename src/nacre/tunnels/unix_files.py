"""The files of Unix sockets: made, and removed only while they are the ones that were made.

Nothing here needs an event loop: processes that only make a socket start with this module.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import suppress

BACKLOG = 128
"""Connections that the system queues until they are accepted."""


def bind_unix(sock: socket.socket, path: str, *, mask: int, replace: bool) -> None:
    """Bind a socket to ``path`` and listen; see :class:`UnixSockets` for the arguments.

    :raises OSError: the path can't be used.
    """
    check(path)
    if replace:
        remove(path, identity(path))
    before = os.umask(mask)
    try:
        sock.bind(path)
    finally:
        os.umask(before)
    sock.listen(BACKLOG)


def check(path: str) -> None:
    """Refuse a path with a NUL, at which the system would end it.

    :raises OSError: it has one.
    """
    if "\0" in path:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


def identity(path: str) -> tuple[int, int] | None:
    """Return the device and number of the socket's file at ``path``, or None."""
    with suppress(OSError):
        found = os.lstat(path)
        if stat.S_ISSOCK(found.st_mode):
            return found.st_dev, found.st_ino
    return None


def remove(path: str, made: tuple[int, int] | None) -> None:
    """Remove the file at ``path`` if it is still the one with the identity ``made``."""
    if made is not None and identity(path) == made:
        with suppress(OSError):
            os.unlink(path)
