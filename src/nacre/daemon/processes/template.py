"""The server's side of its template, which forks processes: see template_process.py.

A request is one message with descriptors: the kind of process, its standard input, output and
error, a *link*, and perhaps more. The link is a stream between the server and the new process: the
server writes what the process is to do, as JSON, the process writes its number and then begins, and
what follows is between both. So requests of several threads do not wait for each other.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import Literal, NoReturn, Protocol

from nacre.isolated import isolated, with_modules
from nacre.limits import MIB

Kind = Literal[
    "device",
    "files",
    "gate",
    "hooks",
    "metrics",
    "pam",
    "program",
    "recorder",
    "session",
    "socket",
]
"""What a process becomes."""

LINK = 3
"""The descriptor of the link, in a request and in the process."""

FIRST_MORE = 4
"""The first of the descriptors that belong to a kind."""

MOST_DESCRIPTORS = 16
LONGEST = 64
"""The most descriptors and the most bytes of a request."""

NUMBER = struct.Struct("=i")
"""The first answer on a link: the number of the process, or minus a number of errno."""

MOST_GIVEN = 8 * MIB
"""Bytes of the JSON: more than the system takes as arguments and variables of a program."""

LIMITS = {
    name: resource.getrlimit(getattr(resource, name)) for name in ("RLIMIT_NOFILE", "RLIMIT_CORE")
}
"""The limits at the start of this process; a server changes its own limits, not its sessions'."""

_PATIENCE = 20.0
"""Seconds that the template has to fork, and to start before."""

_MODULE = "nacre.daemon.processes.template_process"


@dataclass(frozen=True, slots=True)
class Forked:
    """A process that the template has made. It is a child of this process.

    :ivar link: the stream to it, in blocking mode with a timeout.
    """

    pid: int
    link: socket.socket

    def kill(self) -> None:
        """End it at once."""
        os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> None:
        """Wait for its end, and reap it."""
        os.waitpid(self.pid, 0)


class Forks(Protocol):
    """What forks processes: a template, or the process of a login that has a session of PAM."""

    def fork(
        self, kind: Kind, given: Mapping[str, object], streams: Sequence[int], *more: int
    ) -> Forked:
        """Fork a process; see :meth:`Template.fork`."""


@dataclass(frozen=True, slots=True)
class _Live:
    pid: int
    requests: socket.socket

    def reap_spare(self) -> None:
        """Reap a spare that nothing was asked of for long. It is in the process group of this one.

        This one is not reaped before :meth:`end`: until then nothing else can get its number.
        """
        look = os.WEXITED | os.WNOHANG | os.WNOWAIT
        with suppress(ChildProcessError):
            while (ended := os.waitid(os.P_PGID, self.pid, look)) is not None:
                if ended.si_pid == self.pid:
                    return
                os.waitpid(ended.si_pid, 0)

    def end(self) -> None:
        """End it and its spare, and reap both."""
        self.requests.close()
        os.killpg(self.pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            while True:
                os.waitpid(-self.pid, 0)


class Template:
    """The template of this process. It is started on first use, and again when it is gone."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._running: _Live | None = None
        self._more: dict[Kind, str] = {}

    def add(self, more: Mapping[Kind, str]) -> None:
        """Have it load the modules of further kinds. Call this before its start.

        A module has ``main``, which gets what the request says and the link, and ``load``.
        """
        self._more |= more

    def warm(self) -> None:
        """Start it, so that it is ready when it is needed; return before it is.

        :raises OSError: the system has no more processes.
        """
        self._current()

    def split(self, run: Callable[[socket.socket], NoReturn]) -> None:
        """Have a copy of this process, as it is now, as the template.

        This process must have one thread, and no event loop that runs.

        :param run: what the copy does with its end of the requests.
        :raises OSError: the system has no more processes.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            pid = os.fork()
            if pid == 0:
                run(theirs)
            ours.settimeout(_PATIENCE)
            self._running = _Live(pid, ours)

    def fork(
        self, kind: Kind, given: Mapping[str, object], streams: Sequence[int], *more: int
    ) -> Forked:
        """Have it fork a process that leads a session of its own. Blocks for some milliseconds.

        The process begins with its work, which may hang, when its number is known.

        :param given: what it is to do, as values of JSON.
        :param streams: what its standard input, output and error become.
        :param more: descriptors that it gets from :data:`FIRST_MORE` on.
        :raises OSError: the system has no more processes, or the template does not answer.
        """
        descriptors = (*streams, *more)
        try:
            return self._forked(kind, given, descriptors)
        except NoAnswer:
            return self._forked(kind, given, descriptors)

    def close(self) -> None:
        """End it. What it has forked lives on."""
        with self._lock:
            running, self._running = self._running, None
        if running is not None:
            running.end()

    def _current(self) -> _Live:
        with self._lock:
            if self._running is None:
                self._running = _start(self._more)
            return self._running

    def _forked(
        self, kind: Kind, given: Mapping[str, object], descriptors: Sequence[int]
    ) -> Forked:
        running = self._current()
        running.reap_spare()
        try:
            return request_fork(running.requests, kind, given, descriptors)
        except NoAnswer:
            self._end(running)
            raise

    def _end(self, running: _Live) -> None:
        """End one that does not answer, unless another thread has done so."""
        with self._lock:
            if self._running is not running:
                return
            self._running = None
        running.end()


TEMPLATE = Template()
"""The only one: what it forks are the children of this process."""


class NoAnswer(OSError):
    """What forks processes has ended, or hangs, and nothing was forked."""


def request_fork(
    requests: socket.socket, kind: Kind, given: Mapping[str, object], descriptors: Sequence[int]
) -> Forked:
    """Have what reads the other end of ``requests`` fork a process; see :meth:`Template.fork`.

    :raises NoAnswer: it has ended, or hangs.
    :raises OSError: the system has no more processes.
    """
    text = json.dumps(given).encode() + b"\n"
    link, theirs = socket.socketpair()
    try:
        number = _ask(requests, kind, descriptors, link, theirs, text)
    except OSError:  # another thread may have ended it, too
        link.close()
        raise NoAnswer("what forks processes does not answer") from None
    if number < 0:
        link.close()
        raise OSError(-number, os.strerror(-number))
    return Forked(number, link)


def _ask(
    requests: socket.socket,
    kind: Kind,
    descriptors: Sequence[int],
    link: socket.socket,
    theirs: socket.socket,
    text: bytes,
) -> int:
    """Send a request with the other end of ``link``, and return the first answer."""
    link.settimeout(_PATIENCE)
    with theirs:
        passed = [*descriptors[:LINK], theirs.fileno(), *descriptors[LINK:]]
        socket.send_fds(requests, [kind.encode()], passed)
    link.sendall(text)
    answer = link.recv(NUMBER.size)
    if not answer:
        raise ConnectionResetError
    number: int = NUMBER.unpack(answer)[0]
    return number


def _start(more: Mapping[Kind, str]) -> _Live:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        with theirs:
            pid = os.posix_spawn(
                sys.executable,
                isolated(_code(more)),
                {},
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, theirs.fileno(), 0),
                    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                ],
                setsid=True,
                setsigmask=(),
            )
    except BaseException:
        ours.close()
        raise
    ours.settimeout(_PATIENCE)
    return _Live(pid, ours)


def _code(more: Mapping[Kind, str]) -> str:
    """Return the program of the template."""
    return with_modules(f"from {_MODULE} import main; main({LIMITS!r}, {more!r})")
