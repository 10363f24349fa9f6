"""The trail of a process of files: a socket to the thread of the audit.

Where the process has to wait, it waits for the socket, but for no disk that hangs: the server tells
it then that nothing can be kept.
"""

from __future__ import annotations

import select
import socket
from collections import deque
from collections.abc import Mapping

from nacre.daemon.audit.events import of_file, written
from nacre.daemon.audit.frames import (
    ENOUGH,
    AuditedEvent,
    AuditState,
    BadFrame,
    EventFrames,
    Recorded,
    framed,
)
from nacre.errors import MalformedMessage
from nacre.sftp.server.receipts import UNKEPT, Receipt, settle_all

_READ = 64 * 1024


class PipedTrail:
    """Where the operations of this process go to.

    :param sock: the socket.
    :param hashes: whether the contents of transfers are hashed.
    """

    behind = False

    def __init__(self, sock: socket.socket, *, hashes: bool) -> None:
        self.hashes = hashes
        self._sock = sock
        self._frames = EventFrames()
        self._unsent = bytearray()
        self._receipts: deque[Receipt] = deque()
        self._problem = ""
        self._gone = False
        self.last = Receipt()
        self.last.settle("")

    @property
    def problem(self) -> str:
        """Why no event can be kept now; or empty."""
        self._read(wait=False)
        return self._problem

    def add(self, fields: Mapping[str, object], *, waits: bool) -> Receipt:
        """Have an operation kept."""
        event, outcome, kept = of_file(fields)
        self.last = Receipt()
        full = self._unsent or len(self._receipts) >= ENOUGH
        if self._gone or (self._problem and full):
            self.last.settle(UNKEPT)
            return self.last
        self._receipts.append(self.last)
        told = AuditedEvent(b"", event, outcome, waits, written(kept).encode())
        self._unsent += framed(told)
        self._send()
        while len(self._receipts) >= ENOUGH and not self._problem:
            self._read(wait=True)
        if self._problem:
            self.last.settle(UNKEPT)
        return self.last

    def _send(self) -> None:
        """Send what waits, unless nothing can be kept and nobody takes it."""
        while self._unsent:
            try:
                del self._unsent[: self._sock.send(self._unsent, socket.MSG_DONTWAIT)]
            except BlockingIOError:
                if self._problem:
                    return
                either = select.poll()
                either.register(self._sock, select.POLLIN | select.POLLOUT)
                either.poll()
                self._read(wait=False)
            except OSError:
                self._end()

    async def settled(self) -> str:
        """Return when all events so far are kept; it blocks, and waits for no loop."""
        while self.last.problem is None:
            self._read(wait=True)
        return self.last.problem

    def _read(self, *, wait: bool) -> None:
        """Take answers: those that are there, or at least one."""
        if self._gone:
            return
        try:
            data = self._sock.recv(_READ, 0 if wait else socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end()
            return
        try:
            for one in self._frames.take(data):
                self._take(one)
        except (BadFrame, MalformedMessage):
            self._end()

    def _take(self, data: bytes) -> None:
        if data[0] == AuditState.NUMBER:
            self._problem = AuditState.decode(data).problem
            if self._problem:  # a receipt that comes nevertheless counts no more
                settle_all(self._receipts, UNKEPT)
            return
        answer = Recorded.decode(data)
        # The thread has told before the loop tells of the state: nothing may be done in between.
        self._problem = answer.problem or self._problem
        for _ in range(min(answer.count, len(self._receipts))):
            self._receipts.popleft().settle(answer.problem)

    def _end(self) -> None:
        """Give up: nobody keeps what is told here any more."""
        self._gone, self._problem = True, UNKEPT
        self._unsent.clear()
        while self._receipts:
            self._receipts.popleft().settle(UNKEPT)
