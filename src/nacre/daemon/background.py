"""What a server does that runs in the background: it leaves its terminal and writes its pid."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from nacre.errors import StateError

_PUBLIC = 0o644


def leave_terminal(*, quiet: bool) -> None:
    """Go on in a child process with a session of its own, in the directory ``/``.

    The process that called ends with the exit status 0. There must be no other threads. Standard
    input and output, and standard error if it is a terminal, become ``/dev/null``.

    :param quiet: so does standard error in any case.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if os.fork():
        os._exit(0)
    os.setsid()
    os.chdir("/")
    silence(0, 1, *([2] if quiet or os.isatty(2) else []))


def silence(*descriptors: int) -> None:
    """Make descriptors ``/dev/null``."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in descriptors:
        os.dup2(null, descriptor)
    if null not in descriptors:
        os.close(null)


def append_to(path: str) -> None:
    """Have standard error append to a file, which is made with mode 0600 if it is missing.

    :raises StateError: the file can't be opened.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        raise StateError(f"can't open the log file {path}: {error.strerror}") from error
    os.dup2(descriptor, 2)
    os.close(descriptor)


@contextmanager
def pid_file(path: str | None) -> Iterator[str | None]:
    """Write this process's number into a file, and remove the file at the end.

    :param path: None for no file.
    :returns: why there is no file, or None. As in sshd, that does not keep a server from starting.
    """
    if path is None:
        yield None
        return
    problem = None
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, _PUBLIC), "w") as file:
            file.write(f"{os.getpid()}\n")
    except OSError as error:
        problem = f"can't write the PidFile {path}: {error.strerror}"
    owner = os.getpid()
    try:
        yield problem
    finally:
        if problem is None and os.getpid() == owner:
            with suppress(OSError):
                os.unlink(path)
