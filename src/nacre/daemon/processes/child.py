"""A session's process: started with its account's rights, watched, ended with its group."""

from __future__ import annotations

import asyncio
import fcntl
import os
import resource
import signal
import subprocess
import termios
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

GRACE = 5.0
"""Seconds between SIGHUP and SIGKILL for what is left of a session's process group."""

_LOOK_AGAIN = 0.05
_DESCRIPTORS = resource.getrlimit(resource.RLIMIT_NOFILE)
"""What this process began with; a server raises its own limit, not that of its sessions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessCredentials:
    """Whose rights a process gets."""

    uid: int
    gid: int
    groups: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to run.

    :ivar path: the file to execute.
    :ivar arguments: with ``argv[0]``.
    :ivar credentials: None for those of this process.
    """

    path: str
    arguments: Sequence[str | bytes]
    environment: Mapping[str, str]
    directory: str
    credentials: ProcessCredentials | None = None


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended: ``status``, or ``signal`` and perhaps a core dump."""

    status: int | None
    signal: int | None = None
    core_dumped: bool = False


class Child:
    """The leader of a session and process group of its own.

    It is reaped in :meth:`end` and not before: until then nobody else can get its number, and a
    signal for the group can't hit a stranger.

    :ivar how: how the leader ended, or None while it runs.
    :ivar on_exit: called when ``how`` is known.
    :ivar gone: done when nothing is left of the group.
    """

    def __init__(
        self, program: Program, stdin: int, stdout: int, stderr: int, *, terminal: bool
    ) -> None:
        """Start ``program``. Blocks until it is executed, a millisecond or so.

        :param terminal: make the terminal that is ``stdin`` the controlling one.
        :raises OSError: it can't be executed, or not in its directory.
        :raises ValueError: an argument or a variable can't be passed on.
        """
        self._loop = asyncio.get_running_loop()
        self.how: Exit | None = None
        self.on_exit: Callable[[], None] = lambda: None
        self.gone: asyncio.Future[None] = self._loop.create_future()
        self._ended = False
        self._killing: asyncio.TimerHandle | None = None
        # Only the leader of a session can get a controlling terminal, and only by itself. So this
        # one call is made between fork and exec. It is C alone and takes no lock, which makes it
        # safe while other threads run. Without it, subprocess uses vfork.
        acquire = partial(fcntl.ioctl, 0, termios.TIOCSCTTY, 0) if terminal else None
        self._process = subprocess.Popen(
            list(program.arguments),
            executable=program.path,
            env=dict(program.environment),
            cwd=program.directory,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            preexec_fn=acquire,
            **_rights(program.credentials),
        )
        self.pid = self._process.pid
        if resource.getrlimit(resource.RLIMIT_NOFILE) != _DESCRIPTORS:
            with suppress(OSError):
                resource.prlimit(self.pid, resource.RLIMIT_NOFILE, _DESCRIPTORS)
        _watch(self.pid, self._loop, self._on_exit)

    def _on_exit(self) -> None:
        # WNOWAIT: the zombie stays, and with it the number.
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
        """Send a signal to the process group; not to those who left it, and not after the end."""
        if not self._ended:
            self._signal_group(number)

    def _signal_group(self, number: int) -> bool:
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True

    def end(self) -> None:
        """End the group: SIGHUP now, SIGKILL after the grace. The second call does nothing.

        A process that is to outlive its session leaves the group, as with ``setsid`` or as a job
        of an interactive shell.
        """
        if self._ended:
            return
        self._ended = True
        self._signal_group(signal.SIGHUP)
        self._signal_group(signal.SIGCONT)  # what is stopped can't die of SIGHUP
        if self.how is not None:
            self._reap()
        if not self.gone.done():
            self._killing = self._loop.call_later(GRACE, self.kill)

    def kill(self) -> None:
        """Send SIGKILL to what is left of the group that ``end`` was called for."""
        if not self.gone.done():
            self._signal_group(signal.SIGKILL)

    def _reap(self) -> None:
        self._process.wait()
        self._until_gone(self._loop.time() + GRACE + 1)

    def _until_gone(self, deadline: float) -> None:
        # As process 1 of a container we inherit the group's orphans.
        with suppress(ChildProcessError):
            while os.waitpid(-self.pid, os.WNOHANG)[0]:
                pass
        # While members are left, the group's number is theirs: nobody else gets it.
        if self._signal_group(0) and self._loop.time() < deadline:
            self._loop.call_later(_LOOK_AGAIN, self._until_gone, deadline)
            return
        if self._killing is not None:
            self._killing.cancel()
        self.gone.set_result(None)


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
    """Call ``exited`` on the loop when the process is a zombie."""
    try:
        descriptor = os.pidfd_open(pid)
    except (AttributeError, OSError):
        _watch_in_thread(pid, loop, exited)
        return

    def ready() -> None:
        loop.remove_reader(descriptor)
        os.close(descriptor)
        exited()

    loop.add_reader(descriptor, ready)


def _watch_in_thread(pid: int, loop: asyncio.AbstractEventLoop, exited: Callable[[], None]) -> None:
    """Do as :func:`_watch` where the system has no pidfd."""

    def wait() -> None:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(exited)

    threading.Thread(target=wait, name=f"wait-{pid}", daemon=True).start()
