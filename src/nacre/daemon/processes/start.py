"""Starts a session's program with its account's rights, in a thread: its directory may hang.

A thread of this process gets a working directory of its own (unshare(2)) and enters the program's
before the process is made, which inherits it. If the child entered it, this whole process would
wait: ``vfork`` lets it go on when the child has executed the program.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import resource
import signal
import subprocess
import termios
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache, partial

from nacre.daemon.processes.child import ChildProcess, FileService, Job, Program, rights
from nacre.daemon.processes.kinds.launcher import Steps
from nacre.daemon.processes.template import LIMITS, TEMPLATE, Forked, Kind

_CLONE_FS = 0x200
_STDERR = 2
_PYTHONS = (signal.SIGPIPE, signal.SIGXFSZ)
"""Python ignores these, and so would a program."""

_starting = threading.Lock()


@dataclass(frozen=True, slots=True)
class Spawned:
    """A program that is a child of this process."""

    pid: int

    def kill(self) -> None:
        """End it at once."""
        os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> None:
        """Wait for its end, and reap it."""
        os.waitpid(self.pid, 0)


def start(job: Job, stdin: int, stdout: int, stderr: int, *, terminal: bool) -> ChildProcess:
    """Start what serves files, or a program; return when it is known that it runs, or executed.

    Blocks, for some milliseconds or much longer.

    :param terminal: make ``stdin``, a terminal, the controlling terminal.
    :raises OSError: it can't be executed, or its directory can't be entered.
    :raises ValueError: an argument or a variable contains a NUL.
    """
    streams = stdin, stdout, stderr
    if isinstance(job, FileService):
        with ExitStack() as passed:
            for one in job.passed:
                passed.enter_context(one)
            more = [one.fileno() for one in job.passed]
            return _forked(job, "files", job.given, streams, *more)
    if job.steps is not None or job.template is not None:
        launched = _launched(job, job.steps or Steps(), terminal)
        return _forked(job, "program", launched, streams)
    return _executed(job, streams, terminal)


def _forked(
    job: Job, kind: Kind, given: Mapping[str, object], streams: tuple[int, int, int], *more: int
) -> Forked:
    forked = (job.template or TEMPLATE).fork(kind, given, streams, *more)
    forked.link.close()
    return forked


def _launched(program: Program, steps: Steps, terminal: bool) -> dict[str, object]:
    """Return what :func:`nacre.daemon.processes.kinds.launcher.main` gets."""
    rights = program.credentials
    return {
        "steps": asdict(steps),
        "path": program.path,
        "arguments": [_bytes(word) for word in program.arguments],
        "environment": {
            _bytes(name): _bytes(content) for name, content in program.environment.items()
        },
        "directory": program.directory,
        "rights": None if rights is None else (rights.uid, rights.gid, rights.groups, rights.umask),
        "terminal": terminal,
    }


def _bytes(text: str | bytes) -> str:
    """Return bytes as text of Latin-1: both processes may have other encodings of file names."""
    encoded = os.fsencode(text)
    if b"\0" in encoded:
        raise ValueError("embedded null byte")
    return encoded.decode("latin-1")


def _executed(program: Program, streams: tuple[int, int, int], terminal: bool) -> ChildProcess:
    with suppress(OSError):  # what is wrong with it, the system says when it is executed
        os.stat(program.path)
    with _working_in(program.directory) as directory, _session_limits() as limited:
        process: ChildProcess
        if terminal and directory is None and program.credentials is None:
            process = _spawned_at_terminal(program, os.ttyname(streams[0]))
        else:
            process = _opened(program, streams, directory, terminal=terminal)
    if not limited:
        with suppress(OSError):
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, LIMITS["RLIMIT_NOFILE"])
    return process


def _opened(
    program: Program, streams: tuple[int, int, int], directory: str | None, *, terminal: bool
) -> ChildProcess:
    # Only the leader of a session can set its controlling terminal, so this call is made
    # between fork and exec. It is a C function that takes no lock, which makes it safe beside
    # other threads. Without a preexec_fn, subprocess uses vfork, which is faster.
    acquire = partial(fcntl.ioctl, 0, termios.TIOCSCTTY, 0) if terminal else None
    stdin, stdout, stderr = streams
    return subprocess.Popen(
        list(program.arguments),
        executable=program.path,
        env=dict(program.environment),
        cwd=directory,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
        preexec_fn=acquire,
        **rights(program.credentials),
    )


def _spawned_at_terminal(program: Program, terminal: str) -> ChildProcess:
    """Start a program of this account at a terminal, without a copy of this process's memory.

    The leader of a session that opens a terminal has it as its controlling terminal, and
    posix_spawn(3) begins the session before it opens files.
    """
    _keep_descriptors()
    pid = os.posix_spawn(
        program.path,
        list(program.arguments),
        dict(program.environment),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, terminal, os.O_RDWR, 0),
            (os.POSIX_SPAWN_DUP2, 0, 1),
            (os.POSIX_SPAWN_DUP2, 0, 2),
        ],
        setsid=True,
        setsigdef=_PYTHONS,
    )
    return Spawned(pid)


@cache
def _keep_descriptors() -> None:
    """Have descriptors that this process was started with closed in programs.

    Those that Python has opened are.
    """
    for number in map(int, os.listdir("/proc/self/fd")):
        if number > _STDERR:
            with suppress(OSError):  # of the directory, which is closed again
                os.set_inheritable(number, False)


@contextmanager
def _working_in(path: str) -> Iterator[str | None]:
    """Have this thread alone work in a directory; yield what a child has to enter, usually None.

    Some containers forbid that. There the child enters the directory, which answers at least now.
    """
    main = threading.current_thread() is threading.main_thread()
    if main or ctypes.CDLL(None).unshare(_CLONE_FS):
        os.stat(path)
        yield path
        return
    before = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.chdir(path)
        yield None
    finally:
        os.fchdir(before)
        os.close(before)


@contextmanager
def _session_limits() -> Iterator[bool]:
    """Have a process that is started here inherit the limits of sessions; yield whether all.

    This process, which may not have core files, is undumpable, so that limit alone is no matter.
    That of descriptors is set where no other thread notices it: all are far below it.
    """
    with _starting:
        names = ["RLIMIT_CORE"]
        if all_set := _has_room():
            names.append("RLIMIT_NOFILE")
        own = {name: resource.getrlimit(getattr(resource, name)) for name in names}
        for name in names:
            resource.setrlimit(getattr(resource, name), LIMITS[name])
        try:
            yield all_set
        finally:
            for name, limits in own.items():
                resource.setrlimit(getattr(resource, name), limits)


def _has_room() -> bool:
    """Return whether this process may have the limit of a session, and is far below it.

    It may not where somebody has lowered its own since the start: prlimit(2). A descriptor that was
    opened just now says nothing of the next one: its number may be the last low one that was free.
    """
    soft, most = LIMITS["RLIMIT_NOFILE"]
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] != most:
        return False
    try:
        return max(map(int, os.listdir("/proc/self/fd"))) < soft // 2
    except OSError:
        return False
