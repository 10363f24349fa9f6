"""Sockets on which processes of files tell what they do, for the thread of the audit.

An event is one message to the thread, and its receipt one message back: neither the session process
nor the loop of the process that keeps the audit has a part in it. A process of files has the rights
of the user's account. So what it says is bounded, and whose operation it was is known from the
socket that it has.
"""

from __future__ import annotations

import os
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

from nacre.daemon.audit.events import AuditEvent, BadEvent, Teller, checked
from nacre.daemon.audit.frames import (
    MOST_UNANSWERED,
    AuditedEvent,
    AuditState,
    BadFrame,
    EventFrames,
    Recorded,
    framed,
)
from nacre.errors import MalformedMessage, StateError
from nacre.limits import KIB
from nacre.sftp.server.receipts import UNKEPT
from nacre.wire.message import Message

MOST_OF_USER = 512
"""Processes of files of one user that tell events at a time."""

MOST = 8192
"""Processes of files that tell events at a time."""

_READ = 256 * KIB
"""Bytes of one read: more than a socket holds, so what was told before it is with it."""

_MOST_UNSENT = 256 * KIB
"""Bytes of receipts that a process may leave unread."""

_READY = 256
"""Sockets that are read in one turn."""


class FileEvent(NamedTuple):
    """An event that a process of files has told; ``waits`` if somebody waits for its receipt."""

    source: EventSource
    event: AuditEvent
    waits: bool


class EventSource:
    """The end of one process of files, which the thread reads; the loop may send, too.

    :ivar teller: whose operations are told.
    :ivar over: nothing more is taken: the process is gone, or has said what it may not.
    """

    def __init__(
        self,
        sock: socket.socket,
        ready: select.epoll,
        teller: Teller,
        report: Callable[[str], object],
    ) -> None:
        sock.setblocking(False)
        self.teller = teller
        self.over = False
        self._sock = sock
        self._ready = ready
        self._report = report
        self._frames = EventFrames()
        self._unanswered = 0
        self._unsent = bytearray()
        self._lock = threading.Lock()
        ready.register(sock, select.EPOLLIN)

    def read(self) -> Iterator[FileEvent]:
        """Return what was told."""
        try:
            data = self._sock.recv(_READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.over = not data
        try:
            for one in self._frames.take(data):
                yield self._take(one)
        except (BadFrame, BadEvent, MalformedMessage) as error:
            self.over = True
            self._report(str(error))

    def _take(self, data: bytes) -> FileEvent:
        if self._unanswered >= MOST_UNANSWERED or len(self._unsent) > _MOST_UNSENT:
            raise BadFrame("one event too many")
        told = AuditedEvent.decode(data)
        event, outcome, fields = checked(told.event, told.outcome, told.fields)
        if event != "file":
            raise BadEvent("a process of files tells of files only")
        self._unanswered += 1
        return FileEvent(self, self.teller.event(event, outcome, fields), told.waits)

    def answer(self, count: int, problem: str) -> None:
        """Tell what has become of so many events; the reason is for the log alone."""
        self._unanswered -= count
        self.send(Recorded(count, UNKEPT if problem else ""))

    def send(self, message: Message) -> None:
        """Send a message, now or when the process has read what was sent before."""
        self._put(framed(message))

    def go_on(self) -> None:
        """Send what waits, now that the process has read something."""
        self._put(b"")

    def _put(self, data: bytes) -> None:
        with self._lock, suppress(OSError):  # a process that is gone needs none
            waited = bool(self._unsent)
            self._unsent += data
            if waited and data:
                return
            with suppress(BlockingIOError):
                del self._unsent[: self._sock.send(self._unsent)]
            if waited != bool(self._unsent):
                more = select.EPOLLOUT if self._unsent else 0
                self._ready.modify(self._sock, select.EPOLLIN | more)

    def close(self) -> None:
        """Close the socket: the process fails whatever it would tell.

        The kernel reports a socket that was registered as long as anybody has it (epoll(7)), and a
        process that is being started may have a copy.
        """
        with self._lock:
            self._ready.unregister(self._sock)
            self._sock.close()


class EventSources:
    """The processes of files that tell events, and what else wakes the thread.

    The loop opens sockets, tells states and wakes the thread, which does everything else.
    """

    def __init__(self) -> None:
        self._ready = select.epoll()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._ready.register(self._wake, select.EPOLLIN)
        self._sources: dict[int, EventSource] = {}
        self._opening = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._sources)

    def open(
        self, teller: Teller, report: Callable[[str], object], problem: str = ""
    ) -> socket.socket:
        """Return a socket for a process of files.

        :param report: called in the thread with the reason when the process says what it may not.
        :param problem: why no event can be kept now.
        :raises StateError: there are too many of them.
        """
        others = list(self._sources.values())
        mine = sum(one.teller.user == teller.user for one in others)
        if self._wake < 0:
            raise StateError(UNKEPT if problem else "the server ends")
        if mine >= MOST_OF_USER or len(others) >= MOST:
            raise StateError("too many sessions of files tell events for the audit at a time")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with self._opening:  # the thread may have an event before this ends
            source = EventSource(ours, self._ready, teller, report)
            self._sources[ours.fileno()] = source
        if problem:
            source.send(AuditState(UNKEPT))
        return theirs

    def tell_state(self, problem: str) -> None:
        """Tell all processes whether events can be kept."""
        for source in list(self._sources.values()):
            source.send(AuditState(UNKEPT if problem else ""))

    def wake(self) -> None:
        """Have the thread return from :meth:`take`."""
        if self._wake >= 0:
            os.eventfd_write(self._wake, 1)

    def take(self, seconds: float | None) -> list[FileEvent]:
        """Return what was told, once there is something, the thread was woken, or it is late."""
        told: list[FileEvent] = []
        for number, what in self._ready.poll(seconds, _READY):
            if number == self._wake:
                os.eventfd_read(number)
                continue
            with self._opening:
                source = self._sources.get(number)
            if source is None:
                continue
            if what & select.EPOLLOUT:
                source.go_on()
            told += source.read()
            if source.over:
                del self._sources[number]  # before the next one may have this number
                source.close()
        return told

    def close(self) -> None:
        """Close all sockets; the thread has ended. Only the first call counts."""
        if self._wake < 0:
            return
        for source in self._sources.values():
            source.close()
        self._sources.clear()
        self._ready.close()
        wake, self._wake = self._wake, -1
        os.close(wake)
