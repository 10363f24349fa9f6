"""A session's process: what it is, and how it is watched, and left alone or ended."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from typing import Any, Protocol, TypeAlias

from nacre.daemon.processes.kinds.launcher import UMASK, Steps
from nacre.daemon.processes.login_records import LoginRecord
from nacre.daemon.processes.template import Forks

GRACE = 5.0
"""Seconds between SIGHUP and SIGKILL for the rest of a session's process group."""

_LOOK_AGAIN = 0.05

Passed: TypeAlias = socket.socket | FileIO
"""What a process gets besides its streams."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessCredentials:
    """The account whose rights a process gets, and the umask."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    umask: int = UMASK


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTerms:
    """How the process of a session is treated, whatever it does.

    :ivar credentials: the rights that signals to it are sent with, or None for those of this
        process.
    :ivar takes_signals: whether the client may send it signals.
    :ivar ends: whether the rest of its process group is ended with its session.
    :ivar template: what forks it, or None for the template of all processes.
    :ivar notice: what the client is told on standard error before the output of the process.
    """

    credentials: ProcessCredentials | None = None
    takes_signals: bool = True
    ends: bool = False
    template: Forks | None = None
    notice: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program(JobTerms):
    """A program to run, with the rights of ``credentials``.

    :ivar path: the file to execute.
    :ivar arguments: ``argv``, its name included.
    :ivar environment: all of its environment variables.
    :ivar directory: its working directory.
    :ivar steps: what is done before it is executed, or None: see
        :mod:`nacre.daemon.processes.kinds.launcher`.
    :ivar login: what is recorded of it if it runs at a terminal, or None.
    """

    path: str
    arguments: Sequence[str | bytes]
    environment: Mapping[str, str]
    directory: str
    steps: Steps | None = None
    login: LoginRecord | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileService(JobTerms):
    """Files to serve.

    :ivar given: what :func:`nacre.daemon.processes.kinds.file_process.request` returns.
    :ivar passed: sockets and files that the process gets, which are closed here then.
    """

    given: Mapping[str, object]
    passed: Sequence[Passed] = ()


Job: TypeAlias = Program | FileService
"""What the process of a session does."""


class ChildProcess(Protocol):
    """A child of this process: one of :mod:`subprocess`, or one that the template has forked."""

    @property
    def pid(self) -> int:
        """Its number."""

    def kill(self) -> None:
        """End it at once."""

    def wait(self) -> object:
        """Wait for its end, and reap it."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended: with ``status``, or by ``signal``, perhaps with a core dump."""

    status: int | None
    signal: int | None = None
    core_dumped: bool = False


class Child:
    """A process that leads a session and process group of its own.

    It is reaped after :meth:`end` or :meth:`leave` and not before: until then no other process can
    get its number, and a signal to the group can't reach an unrelated process.

    :ivar how: how the leader ended, or None while it runs.
    :ivar on_exit: called when ``how`` is known.
    :ivar gone: done when no process of the group is left, or after :meth:`leave` when the leader
        is reaped.
    """

    def __init__(self, job: JobTerms, process: ChildProcess) -> None:
        """Watch a process.

        :param process: what :func:`nacre.daemon.processes.start.start` has made of ``job``.
        :raises OSError: it can't be watched, and was killed.
        """
        self._loop = asyncio.get_running_loop()
        self._process = process
        self.how: Exit | None = None
        self.on_exit: Callable[[], None] = lambda: None
        self.gone: asyncio.Future[None] = self._loop.create_future()
        self._ended = False
        self._left = False
        self._killing: asyncio.TimerHandle | None = None
        self._credentials = job.credentials
        self._unsent: deque[int] = deque()
        self.pid = self._process.pid
        try:
            watch(self.pid, self._loop, self._on_exit)
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise

    def _on_exit(self) -> None:
        # WNOWAIT leaves the zombie, which keeps the number in use.
        result = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        assert result is not None
        if result.si_code == os.CLD_EXITED:
            self.how = Exit(result.si_status)
        else:
            self.how = Exit(None, result.si_status, result.si_code == os.CLD_DUMPED)
        self.on_exit()
        if self._ended:
            self._reap()

    def send_signal(self, number: int) -> None:
        """Send a signal to the process group with the account's rights.

        Nothing is sent after :meth:`end` or :meth:`leave`. With other rights than those of this
        process a short-lived process sends it, so that a client can't signal what its account
        can't: a command may have become another account, as set-user-ID programs do.
        """
        if self._ended or number in self._unsent:
            return
        if self._credentials is None:
            self._signal_group(number)
            return
        self._unsent.append(number)
        if len(self._unsent) == 1:
            self._send_next()

    def _send_next(self) -> None:
        name = signal.Signals(self._unsent[0]).name.removeprefix("SIG")
        try:
            sender = subprocess.Popen(
                ["/bin/sh", "-c", 'kill -s "$0" -- "-$1"', name, str(self.pid)],
                env={},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                **rights(self._credentials),
            )
        except OSError:
            self._unsent.clear()  # without processes nothing can be sent
            return

        def sent() -> None:
            sender.wait()
            self._unsent.popleft()
            if self._unsent and not self._ended:
                self._send_next()

        try:
            watch(sender.pid, self._loop, sent)
        except OSError:
            sent()  # it takes a millisecond

    def _signal_group(self, number: int) -> bool:
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True

    def leave(self) -> None:
        """Let the group live on: send it no signal, and reap the leader when it ends."""
        if not self._ended:
            self._ended = self._left = True
            if self.how is not None:
                self._reap()

    @property
    def has_processes(self) -> bool:
        """Whether the group has a process, shortly after :meth:`end` or :meth:`leave`."""
        return self._signal_group(0)

    def end(self) -> None:
        """End the group: SIGHUP now, SIGKILL after :data:`GRACE`. A second call does nothing.

        Only a process that has left the group outlives its session: by ``setsid``, or as a job of
        an interactive shell.
        """
        if self._ended:
            return
        self._ended = True
        self._signal_group(signal.SIGHUP)
        self._signal_group(signal.SIGCONT)  # a stopped process handles SIGHUP only when continued
        if self.how is not None:
            self._reap()
        if not self.gone.done():
            self._killing = self._loop.call_later(GRACE, self.kill)

    def kill(self) -> None:
        """Send SIGKILL to the rest of the group, after :meth:`end`."""
        if not self.gone.done():
            self._signal_group(signal.SIGKILL)

    def _reap(self) -> None:
        self._process.wait()
        if self._left:
            self.gone.set_result(None)
        else:
            self._until_gone(self._loop.time() + GRACE + 1)

    def _until_gone(self, deadline: float) -> None:
        # As process 1 of a container this process inherits the group's orphans.
        with suppress(ChildProcessError):
            while os.waitpid(-self.pid, os.WNOHANG)[0]:
                pass
        # While the group has members, no other process gets its number.
        if self._signal_group(0) and self._loop.time() < deadline:
            self._loop.call_later(_LOOK_AGAIN, self._until_gone, deadline)
            return
        if self._killing is not None:
            self._killing.cancel()
        self.gone.set_result(None)


def rights(credentials: ProcessCredentials | None) -> dict[str, Any]:
    """Return the arguments of :class:`subprocess.Popen` for a process with these rights."""
    if credentials is None:
        return {}
    return {
        "user": credentials.uid,
        "group": credentials.gid,
        "extra_groups": list(credentials.groups),
        "umask": credentials.umask,
    }


def watch(pid: int, loop: asyncio.AbstractEventLoop, exited: Callable[[], None]) -> None:
    """Call ``exited`` on the loop when the process has ended and is not reaped yet."""
    try:
        descriptor = os.pidfd_open(pid)
    except (AttributeError, OSError):
        try:
            _watch_in_thread(pid, loop, exited)
        except RuntimeError as error:
            raise OSError(errno.EAGAIN, str(error)) from None
        return

    def ready() -> None:
        loop.remove_reader(descriptor)
        os.close(descriptor)
        exited()

    loop.add_reader(descriptor, ready)


def _watch_in_thread(pid: int, loop: asyncio.AbstractEventLoop, exited: Callable[[], None]) -> None:
    """Do the same as :func:`watch` on a system without pidfd."""

    def wait() -> None:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(exited)

    threading.Thread(target=wait, name=f"wait-{pid}", daemon=True).start()
