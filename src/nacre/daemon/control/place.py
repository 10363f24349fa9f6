"""The control socket in the state directory: made for its owner alone, and found again.

Paths of sockets are short (108 bytes), and state directories need not be, so the socket is named by
the descriptor of its directory.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from nacre.daemon.control.values import ControlError
from nacre.daemon.state import alone
from nacre.errors import StateError

NAME = "control"
"""The name of the socket in the state directory."""

_BACKLOG = 16
_PATIENCE = 2
"""Seconds to wait for the answer of a server that is perhaps there."""

_LOOKS, _PAUSE = 10, 0.1
"""How often, and after how many seconds, a server is looked for again that ends perhaps."""

_CREDENTIALS = struct.Struct("=iII")
_TIME = struct.Struct("@ll")


class ControlPlace:
    """The listening control socket of this server.

    :ivar listener: the socket.
    """

    def __init__(self, state: Path, inherited: int | None = None) -> None:
        """Make the socket, in place of that of a server that has ended.

        :param inherited: the descriptor of the socket, from the server that this one follows. Its
            name stays, for that server perhaps, until :meth:`own`.
        :raises StateError: a server runs with this state directory, or it can't be made.
        """
        self._state = state
        self._made: int | None = None
        if inherited is not None:
            self.listener = socket.socket(fileno=inherited)
            self.listener.setblocking(False)
            return
        try:
            with alone(state), _directory(state) as path:
                try:
                    self.listener = listen_at(path, _BACKLOG)
                except FileExistsError:
                    raise StateError(
                        f"a server runs with the state directory {state} already: stop it, or name "
                        "another directory with --state"
                    ) from None
                self._made = os.stat(path).st_ino
        except OSError as error:
            raise StateError(
                f"can't make the control socket {state / NAME}: {error.strerror}"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def own(self) -> None:
        """Have the socket as this process's, which has it from a server or a process before."""
        if self._made is None:
            with suppress(OSError), _directory(self._state) as path:
                self._made = os.stat(path).st_ino
        # Those who connect are told the number of the process that listened last.
        self.listener.listen(_BACKLOG)

    def leave(self) -> None:
        """Close the socket, which another server has."""
        self.listener.close()

    def remove(self) -> None:
        """Remove the socket and close it; a second call does nothing."""
        if self.listener.fileno() < 0:
            return
        # As long as it listens no other server takes its name.
        with suppress(OSError), _directory(self._state) as path:
            if os.stat(path).st_ino == self._made:
                os.unlink(path)
        self.listener.close()


def listen_at(path: str, backlog: int) -> socket.socket:
    """Return a Unix socket that listens, for its owner alone.

    It replaces the socket of a program that has ended, and no other file. Keep others from making
    files in the directory meanwhile.

    :raises FileExistsError: a program listens there, or the file is no socket.
    :raises OSError: it can't be made.
    """
    if _stays(path):
        raise FileExistsError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # What is bound has this mode from its first moment on, whatever the umask.
        os.fchmod(listener.fileno(), 0o600)
        listener.bind(path)
        listener.listen(backlog)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _stays(path: str) -> bool:
    """Tell whether a server listens, and goes on: one that was just killed takes a moment to go."""
    for _ in range(_LOOKS):
        if not _answers(path):
            return False
        time.sleep(_PAUSE)
    return True


def _answers(path: str) -> bool:
    """Tell whether a server listens: one that is killed leaves a socket that refuses."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        # A queue that is full is that of a server that lives.
        probe.setblocking(False)
        try:
            probe.connect(path)
        except BlockingIOError:
            return True
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        return True


def connected(state: Path) -> socket.socket:
    """Return a connection to the server with this state directory.

    :raises ControlError: there is none, or it is not for this account; the message says so.
    """
    none = f"no server runs with the state directory {state}: start one with nacre serve, or name "
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Of a socket that does not block, connect fails at once where others wait in the queue.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _TIME.pack(_PATIENCE, 0))
        with _directory(state) as path:
            sock.connect(path)
        _, uid = peer_of(sock)
        if uid not in (0, os.geteuid(), state.stat().st_uid):
            raise ControlError(f"the control socket of {state} is another account's")
        return sock
    except BaseException as error:
        sock.close()
        if isinstance(error, FileNotFoundError | ConnectionRefusedError | NotADirectoryError):
            raise ControlError(f"{none}its directory with --state") from error
        if isinstance(error, PermissionError):
            raise ControlError(
                f"the control socket of {state} is for the server's account and root alone"
            ) from error
        if isinstance(error, OSError):
            reason = error.strerror or "it does not answer"
            raise ControlError(f"can't ask the server of {state}: {reason}") from error
        raise


def peer_of(sock: socket.socket) -> tuple[int, int]:
    """Return the number of the process at the other end, and the uid of its account."""
    data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(data)
    return pid, uid


@contextmanager
def _directory(state: Path) -> Iterator[str]:
    """Open the state directory, and yield a short path of the socket."""
    descriptor = os.open(state, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{NAME}"
    finally:
        os.close(descriptor)
