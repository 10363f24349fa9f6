"""A task's side: start the broker if there is none, and ask it. Loads almost nothing."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import socket
import stat
import subprocess
import time
from collections.abc import Iterator, Mapping
from typing import Any

from nacre._version import __version__
from nacre.compat.ansible.frames import HEAD, LARGEST, BrokerFrame, frame, head
from nacre.isolated import isolated, with_modules

LOGIN, CONNECTION, FILE = "login", "connection", "file"
"""What has failed."""

_BROKER = "nacre.compat.ansible.broker"
_TRIES = 3


class BrokerError(Exception):
    """What was asked for was not done.

    :ivar kind: ``login``, ``connection`` or ``file``: what has failed.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class BrokerRequest:
    """A request that the broker has taken. ``with`` ends it.

    :param sock: the connection to the broker.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def __enter__(self) -> BrokerRequest:
        return self

    def __exit__(self, *error: object) -> None:
        self._sock.close()

    def write(self, data: bytes) -> None:
        """Send a few bytes for the standard input."""
        with contextlib.suppress(OSError):  # the request has ended, and its last frame says how
            self._sock.sendall(frame(BrokerFrame.INPUT, data))

    def read(self, seconds: float | None = None) -> tuple[BrokerFrame, bytes]:
        """Return the next frame.

        :param seconds: how long to wait for it.
        :raises TimeoutError: it did not come.
        :raises BrokerError: the request has failed, or the broker has ended.
        """
        if seconds is not None and not select.select([self._sock], [], [], max(0, seconds))[0]:
            raise TimeoutError
        try:
            kind, data = _frame(self._sock)
        except OSError as error:
            raise BrokerError(CONNECTION, f"the broker of nacre has ended: {error}") from error
        if kind is BrokerFrame.DONE and "error" in (found := json.loads(data)):
            raise BrokerError(found["kind"], found["error"])
        return kind, data

    def pass_input(self, data: bytes, outputs: Mapping[BrokerFrame, bytearray]) -> int | None:
        """Send the standard input and take the outputs, to the end; return the exit status.

        Both at the same time: a command may print more than fits before it has read all.
        """
        pieces = _pieces(data)
        sending = next(pieces)
        while True:
            writable = [self._sock] if sending else []
            readable, ready, _ = select.select([self._sock], writable, [])
            if ready:
                sending = self._sent(sending) or next(pieces, memoryview(b""))
            if readable:
                kind, found = self.read()
                if kind is BrokerFrame.DONE:
                    status: int | None = json.loads(found)["exit_status"]
                    return status
                outputs[kind].extend(found)

    def _sent(self, data: memoryview) -> memoryview:
        """Send what fits; return what is left."""
        try:
            return data[self._sock.send(data, socket.MSG_DONTWAIT) :]
        except BlockingIOError:
            return data
        except OSError:
            return data[:0]  # the request has ended, and its last frame says how


def _pieces(data: bytes) -> Iterator[memoryview]:
    """Return the frames for a standard input, up to its end."""
    for first in range(0, len(data), LARGEST):
        yield memoryview(frame(BrokerFrame.INPUT, data[first : first + LARGEST]))
    yield memoryview(frame(BrokerFrame.END))


def ask(directory: str, unused: float, request: Mapping[str, Any]) -> BrokerRequest:
    """Ask the broker, which is started if there is none.

    :param directory: where its socket is; it is made for this account alone.
    :param unused: seconds after which a broker that is not used ends; for one that is started.
    :param request: ``login``, and what to do: ``command``, ``put``, ``get`` or ``reset``.
    :raises BrokerError: there is no broker, and none can be started.
    """
    data = frame(BrokerFrame.REQUEST, json.dumps(request).encode())
    for _ in range(_TRIES):
        sock = _reached(directory, unused)
        try:
            sock.sendall(data)
            kind, _ = _frame(sock)
            if kind is BrokerFrame.TAKEN:
                return BrokerRequest(sock)
        except OSError:
            pass  # it was ending, and has done nothing
        except BaseException:
            sock.close()
            raise
        sock.close()
    raise BrokerError(CONNECTION, "the broker of nacre ends at once")


def _frame(sock: socket.socket) -> tuple[BrokerFrame, bytes]:
    kind, size = head(_exactly(sock, HEAD.size))
    return kind, _exactly(sock, size)


def _exactly(sock: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        found = sock.recv(size - len(data))
        if not found:
            raise ConnectionResetError("no answer")
        data += found
    return bytes(data)


def _reached(directory: str, unused: float) -> socket.socket:
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        status = os.stat(directory)
        if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
            raise BrokerError(
                CONNECTION, f"{directory} is not this account's alone: chmod 700, or name another"
            )
        path = os.path.join(directory, f"broker-{__version__}")
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise BrokerError(CONNECTION, f"can't use {directory}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sock = _connected(path)
        if sock is None:
            _start(path, unused)
            sock = _connected(path)
    except OSError as error:
        raise BrokerError(CONNECTION, f"can't use {path}: {error}") from error
    finally:
        os.close(lock)
    if sock is None:
        raise BrokerError(CONNECTION, f"the broker of nacre at {path} can't be started")
    return sock


def _connected(path: str) -> socket.socket | None:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(path)
    except (FileNotFoundError, ConnectionRefusedError):
        sock.close()
        return None
    except BaseException:
        sock.close()
        raise
    return sock


def _start(path: str, unused: float) -> None:
    """Start a broker, which listens before it runs: so nobody has to wait for it."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(path)
        listening.listen(128)
        run = f"from {_BROKER} import main; main({listening.fileno()}, {path!r}, {unused!r})"
        process = subprocess.Popen(
            isolated(with_modules(run)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[listening.fileno()],
            start_new_session=True,
            cwd="/",
        )
    # It outlives this process, which does not wait for it.
    process.returncode = 0


def deadline(seconds: float) -> float:
    """Return the time at which so many seconds are over."""
    return time.monotonic() + seconds


def left(until: float) -> float:
    """Return the seconds up to a time."""
    return until - time.monotonic()
