"""Several processes of one server: who starts them, replaces them, and tells them what to do.

The supervisor holds the listening sockets and does no more than wait for signals; it has neither
threads nor a loop, so it can fork at any time. Its workers take connections from the same sockets:
when one dies, what waits there is served by the others, and by the one that replaces it.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from typing import NoReturn

from nacre.daemon.log import StderrLog
from nacre.errors import NacreError, StateError
from nacre.server.startups import Startups

AT_ONCE = signal.SIGUSR1
"""Tells a worker to end without letting sessions end by themselves.

A second SIGTERM would be lost where the first one still waits.
"""

PAUSE = 1.0
"""Seconds from the start of a worker to that of the one that replaces it, at the least."""

_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}


class Worker:
    """What a worker knows of itself.

    :ivar number: its number, from 1; one that replaces another has a number of its own.
    """

    def __init__(self, number: int, ready: int, orphaned: int) -> None:
        self.number = number
        self._ready = ready
        self._orphaned = orphaned

    def serves(self) -> None:
        """Tell the supervisor that this worker has begun, and take the signals that waited."""
        os.write(self._ready, b"!")
        os.close(self._ready)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    @property
    def orphaned(self) -> int:
        """A descriptor that can be read when the supervisor is gone."""
        return self._orphaned


class Supervisor:
    """Keeps a number of workers at work."""

    def __init__(
        self,
        count: int,
        sockets: list[socket.socket],
        startups: Startups,
        log: StderrLog,
        serve: Callable[[Worker], None],
    ) -> None:
        """Prepare.

        :param sockets: where the workers listen; closed when the server stops.
        :param serve: what a worker does, in a process of its own.
        """
        self._count = count
        self._sockets = sockets
        self._startups = startups
        self._log = log
        self._serve = serve
        # By pid: the worker's place among the counts, and when it was started.
        self._workers: dict[int, tuple[int, float]] = {}
        # By place: when the next worker for it is due.
        self._due: dict[int, float] = {}
        self._last = 0
        self._stopping = False
        self._orphaned, self._alive = os.pipe()

    def run(self, begun: Callable[[], None]) -> None:
        """Start the workers, call ``begun``, and return when a signal said stop and all are gone.

        :raises StateError: a worker could not even begin.
        """
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # whoever started us may ignore it
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            all_begun = all(self._start(place) for place in range(self._count))
            if all_begun:
                begun()
            else:
                self._stop()
            while self._workers or (self._due and not self._stopping):
                self._wait()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        if not all_begun:
            raise StateError("a worker ended before it served; it has said why")

    def _start(self, place: int) -> bool:
        """Start a worker; tell whether it has begun to serve."""
        self._last += 1
        told, ready = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(told)
            self._be(Worker(self._last, ready, self._orphaned), place)
        os.close(ready)
        self._workers[pid] = place, time.monotonic()
        begun = os.read(told, 1) != b""  # the end of the file: it is gone
        os.close(told)
        return begun

    def _be(self, worker: Worker, place: int) -> NoReturn:
        """Be a worker: nothing of what the supervisor is in the middle of may go on here."""
        status = 1
        try:
            os.close(self._alive)
            self._startups.be(place)
            self._serve(worker)
            status = 0
        except NacreError as error:
            print(f"Error: {error}", file=sys.stderr)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)

    def _wait(self) -> None:
        now = time.monotonic()
        for place in [place for place, due in self._due.items() if due <= now]:
            del self._due[place]
            if not self._stopping:
                self._start(place)
        timeout = max(0.0, min(self._due.values(), default=now + 60) - now)
        info = signal.sigtimedwait(_SIGNALS, timeout)
        if info is None:
            return
        if info.si_signo == signal.SIGCHLD:
            self._reap()
        elif info.si_signo == signal.SIGHUP:
            self._tell(signal.SIGHUP)
        else:
            self._stop()

    def _stop(self) -> None:
        self._tell(AT_ONCE if self._stopping else signal.SIGTERM)
        self._stopping = True
        for sock in self._sockets:
            sock.close()

    def _tell(self, number: signal.Signals) -> None:
        for pid in self._workers:
            os.kill(pid, number)

    def _reap(self) -> None:
        while self._workers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            if pid not in self._workers:
                continue  # an orphan of process 1 in a container
            place, start = self._workers.pop(pid)
            self._startups.forget(place)
            if not self._stopping:
                code = os.waitstatus_to_exitcode(status)
                self._log({"event": "error", "what": "a worker died", "pid": pid, "status": code})
                self._due[place] = start + PAUSE
