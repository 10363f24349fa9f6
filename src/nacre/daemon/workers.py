"""The worker processes of one server, and the supervisor that starts, replaces and signals them.

The supervisor holds the listening sockets and only waits for signals. It has neither threads nor a
loop, so it can fork at any time. Its workers accept from the same sockets: when one dies, the
others, and then its replacement, serve the connections that are queued there.
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

from nacre.daemon.log import ServerLog
from nacre.errors import NacreError, StateError
from nacre.server.startups import Startups

AT_ONCE = signal.SIGUSR1
"""Makes a worker end its sessions at once.

A second SIGTERM would not do: it is lost while the first one is pending.
"""

PAUSE = 1.0
"""The least number of seconds from the start of a worker to the start of its replacement."""

_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}


class Worker:
    """A worker's side of the link to its supervisor.

    :ivar number: its number, from 1; a replacement gets a new number.
    """

    def __init__(self, number: int, ready: int, orphaned: int) -> None:
        self.number = number
        self._ready = ready
        self._orphaned = orphaned

    def serves(self) -> None:
        """Report to the supervisor that this worker serves, and unblock the pending signals."""
        os.write(self._ready, b"!")
        os.close(self._ready)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    @property
    def orphaned(self) -> int:
        """A descriptor that becomes readable when the supervisor has ended."""
        return self._orphaned


class Supervisor:
    """Keeps a number of workers running."""

    def __init__(
        self,
        count: int,
        sockets: list[socket.socket],
        startups: Startups,
        log: ServerLog,
        serve: Callable[[Worker], object],
    ) -> None:
        """Prepare.

        :param sockets: the workers' listening sockets; closed when the server stops.
        :param serve: what a worker does, in its own process, until it ends.
        """
        self._count = count
        self._sockets = sockets
        self._startups = startups
        self._log = log
        self._serve = serve
        # By pid: the worker's place, which is its index in Startups, and the time of its start.
        self._workers: dict[int, tuple[int, float]] = {}
        # By place: when the next worker is due.
        self._due: dict[int, float] = {}
        self._last = 0
        self._stopping = False
        self._orphaned, self._alive = os.pipe()

    def run(self, begun: Callable[[], None]) -> None:
        """Start the workers and call ``begun``; return when all have ended after a signal to stop.

        :raises StateError: a worker ended before it served.
        """
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # our parent may have set it to be ignored
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
            raise StateError("a worker ended before it served; its error is above")

    def _start(self, place: int) -> bool:
        """Start a worker; return whether it has begun to serve."""
        self._last += 1
        begins, ready = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(begins)
            self._be(Worker(self._last, ready, self._orphaned), place)
        os.close(ready)
        self._workers[pid] = place, time.monotonic()
        begun = os.read(begins, 1) != b""  # at the end of the file the worker has ended
        os.close(begins)
        return begun

    def _be(self, worker: Worker, place: int) -> NoReturn:
        """Run as the worker and never return into the supervisor's code."""
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
            self._signal_all(signal.SIGHUP)
        else:
            self._stop()

    def _stop(self) -> None:
        self._signal_all(AT_ONCE if self._stopping else signal.SIGTERM)
        self._stopping = True
        for sock in self._sockets:
            sock.close()

    def _signal_all(self, number: signal.Signals) -> None:
        for pid in self._workers:
            os.kill(pid, number)

    def _reap(self) -> None:
        while self._workers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            if pid not in self._workers:
                continue  # as process 1 of a container we inherit orphans
            place, start = self._workers.pop(pid)
            self._startups.forget(place)
            if not self._stopping:
                code = os.waitstatus_to_exitcode(status)
                self._log({"event": "error", "what": "a worker died", "pid": pid, "status": code})
                self._due[place] = start + PAUSE
