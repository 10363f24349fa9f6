"""What a server does that runs in the background: it leaves its terminal and writes its pid."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress

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


class PidFile:
    """The file with the number of this process, for those who send it signals.

    :param report: gets what keeps the file from being written. As in sshd, a server does without.
    """

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._owner = os.getpid()
        self._path: str | None = None

    def write(self, path: str | None) -> None:
        """Write the file, anew after a reload, as sshd does; remove one of a former name.

        :param path: None for no file.
        """
        if path != self._path:
            self.remove()
        if path is None:
            return
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            with os.fdopen(os.open(path, flags, _PUBLIC), "w") as file:
                file.write(f"{self._owner}\n")
        except OSError as error:
            self._report(f"can't write the PidFile {path}: {error.strerror}")
        else:
            self._path = path

    def leave(self) -> None:
        """Leave the file to the process that writes it from now on."""
        self._path = None

    def remove(self) -> None:
        """Remove the file, if this process has written it."""
        if self._path is not None and os.getpid() == self._owner:
            with suppress(OSError):
                os.unlink(self._path)
        self._path = None
