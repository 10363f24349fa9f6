"""The template: a process that has loaded what its children need, and forks them on request.

A fresh Python takes 60 ms until it serves files, a fork of one that has loaded everything a few.
The template is a program that the server executes (:mod:`nacre.daemon.processes.template`), and no
fork of the server: no host key, password or connection was ever in its memory. It has one thread,
no event loop, and reads nothing but requests of the server.

A child becomes the *server's* child (CLONE_PARENT in clone(2)), so the server waits for it as for
one that it has made itself, and no other process gets its number before. A double fork would give
it to the server too, if that were a "subreaper", but along with all that users leave running.

There is always one child ahead, the *spare*: it takes the next request, and the template forks
another one. What a request has a process do hangs this process alone.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import gc
import json
import os
import resource
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import Any, NoReturn

from nacre.crypto.secrecy import hide_memory
from nacre.daemon.processes.kinds import device_process, file_process, launcher, socket_process
from nacre.daemon.processes.pam import process
from nacre.daemon.processes.template import (
    LIMITS,
    LINK,
    LONGEST,
    MOST_DESCRIPTORS,
    MOST_GIVEN,
    NUMBER,
)
from nacre.daemon.sandbox.kernel import call_itself

_MAINS: dict[str, Callable[[dict[str, Any], socket.socket], None]] = {
    "device": device_process.main,
    "files": file_process.main,
    "pam": lambda given, link: process.main(_fork),
    "program": launcher.main,
    "socket": socket_process.main,
}
"""What a child becomes. It gets what the request says, and the link to the server."""

_CLONE_PARENT = 0x8000
_CLONE = {"x86_64": 56, "aarch64": 220, "riscv64": 220, "loongarch64": 220, "ppc64le": 120}
"""The number of clone(2) on 64-bit processors whose first argument of the call is the flags."""

SPARE_FOR = 10.0
"""Seconds for which the spare of a copy waits: it costs some 2 MB."""


_PYTHONS = (signal.SIGPIPE, signal.SIGXFSZ)
"""Python ignores these, and raises OSError in their place."""


def main(limits: dict[str, tuple[int, int]], more: dict[str, str]) -> None:
    """Fork for each request on standard input, until its end.

    :param limits: the soft and the hard limits of this process and its children, by the names that
        :mod:`resource` has for them.
    :param more: the modules of further kinds; their ``load`` loads what these need.
    """
    for kind, name in more.items():
        module = import_module(name)
        _MAINS[kind] = module.main
        module.load()
    hide_memory()
    call_itself("template")
    for name, bounds in limits.items():
        resource.setrlimit(getattr(resource, name), bounds)
    # A child may start sessions, too.
    LIMITS.update(limits)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, *_PYTHONS}:
        signal.signal(number, signal.SIG_DFL)
    os.chdir("/")
    os.environ.clear()
    file_process.rehearse()
    gc.collect()
    # A child does not write to the pages of what it does not use.
    gc.freeze()
    requests = socket.socket(fileno=0)
    while _keep_spare(requests):
        pass


def serve_copy(requests: socket.socket, *, ahead: bool = False) -> NoReturn:
    """Fork for each request: what the copy of a process does that a template has forked.

    Most users need it for nothing, so it has a spare for a while only, after each request.

    :param ahead: have a spare from the beginning.
    """

    def work() -> None:
        call_itself("copy")
        # Its spare ends with it.
        os.setpgid(0, 0)
        os.dup2(requests.fileno(), 0)
        os.closerange(LINK, os.sysconf("SC_OPEN_MAX"))
        own = socket.socket(fileno=0)
        if ahead:
            _keep_spares(own)
        kind, descriptors = _take(own)
        while kind:
            _fork(kind, descriptors)
            _keep_spares(own)
            kind, descriptors = _take(own)

    _end_with(work)


def _keep_spares(requests: socket.socket) -> None:
    """Have a spare until none was needed for a while."""
    while _keep_spare(requests, SPARE_FOR):
        pass


def _keep_spare(requests: socket.socket, seconds: float | None = None) -> bool:
    """Fork a child that waits for a request; return when it has one, or False at their end.

    :param seconds: how long it waits; None for any time. What comes later waits in ``requests``.
    """
    waiting, taken = os.pipe()
    try:
        child = clone_into_parent() == 0
    except OSError as error:
        os.close(waiting)
        os.close(taken)
        return _refuse(requests, error)
    if child:
        os.close(waiting)
        _wait_and_become(requests, taken, seconds)
    os.close(taken)
    with open(waiting, "rb", buffering=0) as pipe:
        return pipe.read(1) != b""


def _take(requests: socket.socket) -> tuple[str, list[int]]:
    kind, descriptors, _, _ = socket.recv_fds(requests, LONGEST, MOST_DESCRIPTORS)
    return kind.decode(), descriptors


def _refuse(requests: socket.socket, error: OSError) -> bool:
    """Tell the next one who wants a process why there is none."""
    kind, descriptors = _take(requests)
    if kind:
        _report(descriptors, error)
    for one in descriptors:
        os.close(one)
    return kind != ""


def _report(descriptors: list[int], error: OSError) -> None:
    with suppress(OSError):  # the server waits no longer
        os.write(descriptors[LINK], NUMBER.pack(-(error.errno or 1)))


def _fork(kind: str, descriptors: list[int]) -> None:
    """Fork a child for a request that another process of the template has taken."""
    try:
        if clone_into_parent() == 0:
            _end_with(partial(_become, kind, descriptors))
    except OSError as error:
        _report(descriptors, error)
    for one in descriptors:
        os.close(one)


def clone_into_parent() -> int:
    """Do what :func:`os.fork` does, with the parent of this process as the child's parent.

    This process must have one thread. Python and OpenSSL notice the fork, as at any other.

    :raises OSError: the system has no more processes, or the number of the call is not known.
    """
    python = ctypes.PyDLL(None, use_errno=True)
    number = _CLONE.get(os.uname().machine) if sys.maxsize > 1 << 32 else None
    if number is None:
        raise OSError(errno.ENOSYS, "the number of clone(2) is not known")
    python.PyOS_BeforeFork()
    pid: int = python.syscall(number, _CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        python.PyOS_AfterFork_Child()
        return 0
    failure = ctypes.get_errno()
    python.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(failure, os.strerror(failure))
    return pid


def _wait_and_become(requests: socket.socket, taken: int, seconds: float | None) -> NoReturn:
    """Wait for a request, be the process that it wants, and end with it."""

    def work() -> None:
        call_itself("spare")
        file_process.rehearse()
        if not select.select([requests], [], [], seconds)[0]:
            return
        kind, descriptors = _take(requests)
        if kind:
            with suppress(BrokenPipeError):  # of a template that has ended meanwhile
                os.write(taken, b"!")
            _become(kind, descriptors)

    _end_with(work)


def _end_with(work: Callable[[], object]) -> NoReturn:
    """Do the work of a child, and end with it."""
    status = 1
    try:
        work()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _become(kind: str, descriptors: list[int]) -> None:
    os.setsid()
    call_itself(kind)
    _arrange(descriptors)
    with socket.socket(fileno=LINK) as link:
        link.sendall(NUMBER.pack(os.getpid()))
        with link.makefile("rb") as file:
            given = json.loads(file.readline(MOST_GIVEN))
        _MAINS[kind](given, link)


def _arrange(descriptors: list[int]) -> None:
    """Have these descriptors as 0, 1, 2 and so on, and no others."""
    count = len(descriptors)
    # None of the copies has a number that another one gets.
    copies = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, count) for one in descriptors]
    for number, copy in enumerate(copies):
        os.dup2(copy, number, inheritable=number <= 2)
    os.closerange(count, os.sysconf("SC_OPEN_MAX"))
