"""A session's process: started with its account's rights, watched, and left alone or ended."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
import termios
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import nacre
from nacre.daemon.processes import launcher
from nacre.daemon.processes.launcher import Steps

GRACE = 5.0
"""Seconds between SIGHUP and SIGKILL for the rest of a session's process group."""

_LOOK_AGAIN = 0.05
_DESCRIPTORS = resource.getrlimit(resource.RLIMIT_NOFILE)
_CORE = resource.getrlimit(resource.RLIMIT_CORE)
"""The limits at the start of this process; a server changes its own limits, not its sessions'."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessCredentials:
    """The account whose rights a process gets."""

    uid: int
    gid: int
    groups: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program to run.

    :ivar path: the file to execute.
    :ivar arguments: ``argv``, its name included.
    :ivar environment: all of its environment variables.
    :ivar directory: its working directory.
    :ivar credentials: the rights it gets, or None for those of this process.
    :ivar takes_signals: whether the client may send it signals.
    :ivar ends: whether the rest of its process group is ended with its session.
    :ivar steps: what is done before it is executed, or None: see
        :mod:`nacre.daemon.processes.launcher`.
    """

    path: str
    arguments: Sequence[str | bytes]
    environment: Mapping[str, str]
    directory: str
    credentials: ProcessCredentials | None = None
    takes_signals: bool = True
    ends: bool = False
    steps: Steps | None = None


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

    def __init__(
        self, program: Program, stdin: int, stdout: int, stderr: int, *, terminal: bool
    ) -> None:
        """Start ``program``. Blocks until it is executed, about a millisecond.

        :param terminal: make ``stdin``, a terminal, the controlling terminal.
        :raises OSError: it can't be executed, or its directory can't be entered.
        :raises ValueError: an argument or a variable contains a NUL.
        """
        self._loop = asyncio.get_running_loop()
        self.how: Exit | None = None
        self.on_exit: Callable[[], None] = lambda: None
        self.gone: asyncio.Future[None] = self._loop.create_future()
        self._ended = False
        self._left = False
        self._killing: asyncio.TimerHandle | None = None
        self._credentials = program.credentials
        self._unsent: deque[int] = deque()
        # Only the leader of a session can set its controlling terminal, so this call is made
        # between fork and exec. It is a C function that takes no lock, which makes it safe beside
        # other threads. Without a preexec_fn, subprocess uses vfork, which is faster.
        acquire = partial(fcntl.ioctl, 0, termios.TIOCSCTTY, 0) if terminal else None
        started = program if program.steps is None else _launched(program, program.steps)
        with _session_core_limit():
            self._process = subprocess.Popen(
                list(started.arguments),
                executable=started.path,
                env=dict(started.environment),
                cwd=started.directory,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
                preexec_fn=acquire,
                **_rights(None if program.steps else program.credentials),
            )
        self.pid = self._process.pid
        if resource.getrlimit(resource.RLIMIT_NOFILE) != _DESCRIPTORS:
            with suppress(OSError):
                resource.prlimit(self.pid, resource.RLIMIT_NOFILE, _DESCRIPTORS)
        try:
            _watch(self.pid, self._loop, self._on_exit)
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
                **_rights(self._credentials),
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
            _watch(sender.pid, self._loop, sent)
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


def _launched(program: Program, steps: Steps) -> Program:
    """Return a program that does ``steps`` and then becomes ``program``."""
    rights = program.credentials
    given = {
        **asdict(steps),
        "directory": program.directory,
        "rights": None if rights is None else (rights.uid, rights.gid, rights.groups),
    }
    here = os.path.dirname(os.path.dirname(os.path.abspath(nacre.__file__)))
    code = f"import sys; sys.path += {[here]!r}; from {launcher.__name__} import main; main()"
    return replace(
        program,
        path=sys.executable,
        # Isolated, as in nacre.daemon.processes.file_process.command_line.
        arguments=[sys.executable, "-I", "-S", "-c", code, program.path, *program.arguments],
        environment={
            launcher.VARIABLE: json.dumps(given),
            **{launcher.PREFIX + name: value for name, value in program.environment.items()},
        },
        directory="/",
    )


@contextmanager
def _session_core_limit() -> Iterator[None]:
    """Have a process that is started here inherit the limit of core files that sessions have.

    This process, which may not have core files, is undumpable, so the limit alone is no matter.
    """
    own = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, _CORE)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, own)


def _rights(credentials: ProcessCredentials | None) -> dict[str, Any]:
    if credentials is None:
        return {}
    return {
        "user": credentials.uid,
        "group": credentials.gid,
        "extra_groups": list(credentials.groups),
        "umask": 0o022,
    }


def _watch(pid: int, loop: asyncio.AbstractEventLoop, exited: Callable[[], None]) -> None:
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
    """Do the same as :func:`_watch` on a system without pidfd."""

    def wait() -> None:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(exited)

    threading.Thread(target=wait, name=f"wait-{pid}", daemon=True).start()
