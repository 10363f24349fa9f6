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
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NoReturn, Protocol

from nacre.daemon.control.workers import WorkerLinks
from nacre.daemon.handover.restart import Restart, late
from nacre.daemon.handover.successor import PATIENCE, Successor
from nacre.daemon.log.server_log import ServerLog
from nacre.daemon.notify import STOPPING, notify, watchdog_seconds
from nacre.daemon.sockets import ListeningSockets, Passed
from nacre.errors import NacreError, StateError

AT_ONCE = signal.SIGUSR2
"""Makes a worker end its sessions at once.

A second SIGTERM would not do: it is lost while the first one is pending.
"""

LEAVE = b"leave"
"""Has a worker take no more clients, and end with the last that it has; in place of sockets."""

PAUSE = 1.0
"""The least number of seconds from the start of a worker to the start of its replacement."""

_LAST = 8.0
"""Seconds that a predecessor has to end when this server has ended."""

_CONTROL = -1
"""The place of the process that answers on the control socket."""

_LONGEST = 65536
"""Bytes of a message that passes sockets."""

_MOST_PASSED = 253
"""The most descriptors that Linux passes in a message (unix(7))."""

_LOOK = 0.1
"""Seconds between two looks whether a successor listens."""

_SIGNALS = {
    *(signal.SIGTERM, signal.SIGINT, signal.SIGHUP),
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD),
}


class WorkerCounts(Protocol):
    """What workers count in memory that they share."""

    def be(self, number: int) -> None:
        """Use part ``number`` in this process, and set it to 0."""

    def forget(self, number: int) -> None:
        """Set the part of a process that has ended to 0."""


class Worker:
    """A worker's side of the link to its supervisor.

    :ivar number: its number, from 1; a replacement gets a new number.
    :ivar place: which of the workers it is, from 0; a replacement has the place of the former one.
    """

    def __init__(self, number: int, place: int, ready: int, link: socket.socket) -> None:
        self.number, self.place = number, place
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
        counts: Sequence[WorkerCounts],
        log: ServerLog,
        serve: Callable[[Worker], object],
        reload: Callable[[], None],
        reopen: Callable[[], None],
        links: WorkerLinks | None = None,
        restart: Restart | None = None,
    ) -> None:
        """Prepare.

        :param sockets: the workers' listening sockets; closed when the server stops.
        :param serve: what a worker does, in its own process, until it ends.
        :param reload: reads the configuration again and changes ``sockets``; raises NacreError.
        :param reopen: opens the log file again; raises NacreError.
        :param links: the control socket, and the links to who answers there; None for no socket.
        :param restart: how another server follows this one, and how this one follows another.
        """
        self._count = count
        self._sockets = sockets
        self._counts = counts
        self._control = links
        self._log = log
        self._serve = serve
        self._reload = reload
        self._reopen = reopen
        self._links: dict[int, socket.socket] = {}
        # By pid: the worker's place, which is its index in Startups, and the time of its start.
        self._workers: dict[int, tuple[int, float]] = {}
        # By place: when the next worker is due.
        self._due: dict[int, float] = {}
        self._restart = restart
        self._successor: tuple[Successor, float] | None = None  # with the time of its start
        self._last = 0 if restart is None else restart.first
        # As long as it is left to another, a first signal to stop is still to come.
        self._stopping = self._left = False
        self._watchdog = watchdog_seconds()

    def run(self, begun: Callable[[], None]) -> None:
        """Start the workers and call ``begun``; return when all have ended after a signal to stop.

        :raises StateError: a worker ended before it served.
        """
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # our parent may have set it to be ignored
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            all_begun = all(self._start(place) for place in range(self._count))
            if all_begun:
                if self._restart is not None:
                    self._restart.take_over()
                self._start_control()
                begun()
            else:
                self._stop()
            while self._goes_on():
                self._wait()
            self._end_with_predecessor()
        finally:
            self._stop_control()
            while signal.sigtimedwait(_SIGNALS, 0) is not None:
                pass  # a signal to stop would end the process before it has tidied up
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        if not all_begun:
            raise StateError("a worker ended before it served; its error is above")

    def _goes_on(self) -> bool:
        if self._workers or (self._due and not self._stopping):
            return True
        # The successor knows of a predecessor's connections through this server.
        before = None if self._restart is None else self._restart.predecessor
        return self._left and before is not None and not before.gone

    def _end_with_predecessor(self) -> None:
        before = None if self._restart is None else self._restart.predecessor
        if before is not None and self._stopping:
            before.wait(_LAST)

    def _start_control(self) -> None:
        """Start the process that answers on the control socket."""
        if self._control is not None:
            self._control.start((*self._links.values(), *self._sockets.all))
            self._control.follow(self._log)

    def _stop_control(self) -> None:
        if self._control is not None:
            self._control.stop()

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
            self._be(Worker(self._last, place, ready, theirs))
        os.close(ready)
        theirs.close()
        self._workers[pid] = place, time.monotonic()
        self._links[pid] = ours
        begun = os.read(begins, 1) != b""  # at the end of the file the worker has ended
        os.close(begins)
        return begun

    def _be(self, worker: Worker) -> NoReturn:
        """Run as the worker and never return into the supervisor's code."""
        status = 1
        try:
            for counts in self._counts:
                counts.be(worker.place)
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
            if not self._stopping and place == _CONTROL:
                self._start_control()
            elif not self._stopping:
                self._start(place)
        timeout = max(0.0, min(self._due.values(), default=now + 60) - now)
        if self._successor is not None:
            self._attend_successor(*self._successor)
            timeout = min(timeout, _LOOK)
        if self._restart is not None and self._restart.predecessor is not None:
            self._restart.forget_gone()
            timeout = min(timeout, 1.0)
        if self._watchdog is not None:
            notify("WATCHDOG=1")
            timeout = min(timeout, self._watchdog)
        info = signal.sigtimedwait(_SIGNALS, timeout)
        if info is None:
            return
        if info.si_signo == signal.SIGCHLD:
            self._reap()
        elif info.si_signo == signal.SIGHUP:
            if not self._stopping:
                self._on_reload()
        elif info.si_signo == signal.SIGUSR1:
            self._on_reopen()
        elif info.si_signo == signal.SIGUSR2:
            self._on_restart()
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

    def _on_reopen(self) -> None:
        try:
            self._reopen()
        except NacreError as error:
            self._log({"event": "error", "what": "the log goes on as before", "error": str(error)})
        self._signal_all(signal.SIGUSR1)
        self._signal_predecessor(signal.SIGUSR1)

    def _signal_predecessor(self, number: signal.Signals) -> None:
        if self._restart is not None and self._restart.predecessor is not None:
            self._restart.predecessor.signal(number)

    def _on_restart(self) -> None:
        if self._restart is None or self._stopping or self._successor is not None:
            self._log_failure("this is not the time for it")
            return
        try:
            self._successor = self._restart.begin(self._last), time.monotonic()
        except (StateError, OSError) as error:
            self._log_failure(str(error))

    def _attend_successor(self, successor: Successor, began: float) -> None:
        """Leave all new clients to a successor that listens, and give one up that never will."""
        assert self._restart is not None
        try:
            if not successor.listens():
                if time.monotonic() - began > PATIENCE:
                    raise late()
                return
            self._restart.hand_over(successor)
        except StateError as error:
            self._restart.give_up(successor)
            self._successor = None
            self._log_failure(str(error))
            return
        self._successor = None
        self._log({"event": "restarted", "process": successor.pid})
        self._stopping = self._left = True
        self._sockets.close()
        self._due.clear()
        if self._control is not None:
            self._control.start(self._links.values())
        for link in self._links.values():
            with suppress(OSError):  # a worker that reads nothing is ended with the server
                link.send(LEAVE, socket.MSG_DONTWAIT)

    def _log_failure(self, reason: str) -> None:
        self._log({"event": "error", "what": "nothing was restarted", "error": reason})

    def _stop(self) -> None:
        if self._successor is not None and self._restart is not None:
            self._restart.give_up(self._successor[0])
            self._successor = None
        if not self._left:
            notify(STOPPING)
        self._signal_predecessor(signal.SIGTERM)
        at_once = self._stopping and not self._left
        self._signal_all(AT_ONCE if at_once else signal.SIGTERM)
        self._stop_control()
        self._stopping, self._left = True, False
        self._sockets.close()

    def _signal_all(self, number: signal.Signals) -> None:
        for pid in self._workers:
            os.kill(pid, number)

    def _reap(self) -> None:
        while self._workers or (self._control is not None and self._control.pid):
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            if self._control is not None and pid == self._control.pid:
                self._control.pid = 0
                self._log({"event": "error", "what": "the control process died", "pid": pid})
                self._due[_CONTROL] = time.monotonic() + PAUSE
                continue
            if pid not in self._workers:
                continue  # as process 1 of a container we inherit orphans
            place, start = self._workers.pop(pid)
            self._links.pop(pid).close()
            for counts in self._counts:
                counts.forget(place)
            if self._left and self._control is not None:
                self._control.forget(place)
            if not self._stopping:
                code = os.waitstatus_to_exitcode(status)
                self._log({"event": "error", "what": "a worker died", "pid": pid, "status": code})
                self._due[place] = start + PAUSE
