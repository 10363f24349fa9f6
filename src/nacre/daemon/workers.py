"""The worker processes of one server, and the supervisor that starts, replaces and signals them.

The supervisor holds the listening sockets and only waits for signals. It has neither threads nor a
loop, so it can fork at any time. Its workers accept from the same sockets: when one dies, the
others, and then its replacement, serve the connections that are queued there. At a reload it binds
what is new, and passes its sockets to each worker over a link that also tells a worker when the
supervisor has ended.
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
from nacre.daemon.sockets import ListeningSockets, Passed
from nacre.errors import NacreError, StateError
from nacre.server.startups import Startups

AT_ONCE = signal.SIGUSR1
"""Makes a worker end its sessions at once.

A second SIGTERM would not do: it is lost while the first one is pending.
"""

PAUSE = 1.0
"""The least number of seconds from the start of a worker to the start of its replacement."""

_LONGEST = 65536
"""Bytes of a message that passes sockets."""

_MOST_PASSED = 253
"""The most descriptors that Linux passes in a message (unix(7))."""

_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}


class Worker:
    """A worker's side of the link to its supervisor.

    :ivar number: its number, from 1; a replacement gets a new number.
    """

    def __init__(self, number: int, ready: int, link: socket.socket) -> None:
        self.number = number
        self._ready = ready
        self._link = link

    def serves(self) -> None:
        """Report to the supervisor that this worker serves, and unblock the pending signals."""
        os.write(self._ready, b"!")
        os.close(self._ready)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    @property
    def link(self) -> int:
        """A descriptor that becomes readable for a call of :meth:`passed`."""
        return self._link.fileno()

    def passed(self) -> Passed | None:
        """Return the sockets to listen on from now on; None when the supervisor has ended."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self._link, _LONGEST, _MOST_PASSED)
        except OSError:
            return None
        return Passed(data, descriptors) if data else None


class Supervisor:
    """Keeps a number of workers running."""

    def __init__(
        self,
        count: int,
        sockets: ListeningSockets,
        startups: Startups,
        log: ServerLog,
        serve: Callable[[Worker], object],
        reload: Callable[[], None],
    ) -> None:
        """Prepare.

        :param sockets: the workers' listening sockets; closed when the server stops.
        :param serve: what a worker does, in its own process, until it ends.
        :param reload: reads the configuration again and changes ``sockets``; raises NacreError.
        """
        self._count = count
        self._sockets = sockets
        self._startups = startups
        self._log = log
        self._serve = serve
        self._reload = reload
        self._links: dict[int, socket.socket] = {}
        # By pid: the worker's place, which is its index in Startups, and the time of its start.
        self._workers: dict[int, tuple[int, float]] = {}
        # By place: when the next worker is due.
        self._due: dict[int, float] = {}
        self._last = 0
        self._stopping = False

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
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if pid == 0:
            os.close(begins)
            for link in (ours, *self._links.values()):
                link.close()
            self._be(Worker(self._last, ready, theirs), place)
        os.close(ready)
        theirs.close()
        self._workers[pid] = place, time.monotonic()
        self._links[pid] = ours
        begun = os.read(begins, 1) != b""  # at the end of the file the worker has ended
        os.close(begins)
        return begun

    def _be(self, worker: Worker, place: int) -> NoReturn:
        """Run as the worker and never return into the supervisor's code."""
        status = 1
        try:
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
            self._on_reload()
        else:
            self._stop()

    def _on_reload(self) -> None:
        try:
            self._reload()
        except NacreError as error:
            self._log({"event": "error", "what": "nothing was reloaded", "error": str(error)})
            return
        data, descriptors = self._sockets.pack()
        for pid, link in self._links.items():
            try:
                socket.send_fds(link, [data], descriptors, socket.MSG_DONTWAIT)
            except OSError as error:
                what = "a worker was not told to reload"
                self._log({"event": "error", "what": what, "pid": pid, "error": str(error)})

    def _stop(self) -> None:
        self._signal_all(AT_ONCE if self._stopping else signal.SIGTERM)
        self._stopping = True
        self._sockets.close()

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
            self._links.pop(pid).close()
            self._startups.forget(place)
            if not self._stopping:
                code = os.waitstatus_to_exitcode(status)
                self._log({"event": "error", "what": "a worker died", "pid": pid, "status": code})
                self._due[place] = start + PAUSE
