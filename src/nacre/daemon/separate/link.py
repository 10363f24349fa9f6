"""A link between two processes of the server: messages over a Unix socket, with descriptors.

A message is its length (4 bytes) and its bytes; descriptors come along in ancillary data
(unix(7)), in the order of the messages that need them. The ends don't trust each other: a message
that is too long, or one descriptor too many, ends the link.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from nacre.limits import MIB

LONGEST = 4 * MIB
"""Bytes of a message: the state of a connection, with what its client has sent ahead, is one."""

_READ = 64 * 1024
_HEAD = 4
_MOST_DESCRIPTORS = 64
"""Descriptors that may wait for their messages."""

MOST_UNSENT = 8192
"""Messages that may wait for an end that does not read: more than it may have asked for at once."""

MOST_UNSENT_BYTES = 64 * MIB
"""Bytes of these messages: thousands of connections that have logged in, as they mostly are."""

LATER = 0.01
"""Seconds that a message may wait to be sent together with others: each one wakes a process."""


class LinkError(Exception):
    """The other end does what it may not do; the text is for the log."""


class Link:
    """One end of a link, on the running loop.

    :param receive: called with each message; :meth:`descriptor` returns what came along. A
        :exc:`LinkError` of it ends the link.
    :param lost: called once, when the other end is gone or was cut off, with the reason or None.
    """

    def __init__(
        self,
        sock: socket.socket,
        receive: Callable[[bytes], None],
        lost: Callable[[str | None], None],
    ) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._receive = receive
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._read = bytearray()
        self._descriptors: deque[int] = deque()
        self._unsent: deque[tuple[memoryview, tuple[int, ...]]] = deque()
        self._unsent_bytes = 0
        self._later: list[bytes] = []
        self._later_descriptors: list[int] = []
        self._flushing: asyncio.TimerHandle | None = None
        self._closed = False
        self._loop.add_reader(sock, self._on_readable)

    def send(self, message: bytes, descriptors: Sequence[int] = ()) -> None:
        """Send a message; the descriptors remain the caller's. Nothing is sent after the end."""
        if self._closed:
            return
        self._put(message)
        self._flush(descriptors)

    def _send_framed(self, framed: memoryview, descriptors: Sequence[int]) -> None:
        # What waits keeps copies: the caller may close its own.
        kept = tuple(map(os.dup, descriptors)) if self._unsent else tuple(descriptors)
        if self._unsent:
            self._unsent.append((framed, kept))
            self._unsent_bytes += len(framed)
            if len(self._unsent) > MOST_UNSENT or self._unsent_bytes > MOST_UNSENT_BYTES:
                self._loop.call_soon(self._end, "what is sent is not read")
            return
        left, kept = self._write(framed, kept)
        if left:
            self._unsent.append((left, tuple(map(os.dup, kept))))
            self._unsent_bytes += len(left)
            self._loop.add_writer(self._sock, self._on_writable)

    def send_later(self, message: bytes, descriptors: Sequence[int] = ()) -> None:
        """Send a message in front of the next one, or alone within :data:`LATER` seconds."""
        if self._closed:
            return
        self._put(message)
        self._later_descriptors += map(os.dup, descriptors)
        if self._flushing is None:
            self._flushing = self._loop.call_later(LATER, self._flush)

    def _put(self, message: bytes) -> None:
        self._later += (len(message).to_bytes(_HEAD), message)

    def _flush(self, descriptors: Sequence[int] = ()) -> None:
        """Send what waits; ``descriptors`` belong to its last message."""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        later, self._later = self._later, []
        own, self._later_descriptors = self._later_descriptors, []
        if later:
            self._send_framed(memoryview(b"".join(later)), [*own, *descriptors])
        for number in own:
            os.close(number)

    @property
    def unsent(self) -> int:
        """How many messages wait for the other end to read."""
        return len(self._unsent)

    def descriptor(self) -> int:
        """Return the descriptor that came with the message that is being received.

        :raises LinkError: none came.
        """
        if not self._descriptors:
            raise LinkError("a descriptor is missing")
        return self._descriptors.popleft()

    def close(self) -> None:
        """Close this end, without a call of ``lost``; what waits to be sent is sent before."""
        if self._closed:
            return
        self._flush()
        self._closed = True
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()
        for number in (*self._descriptors, *(n for _, kept in self._unsent for n in kept)):
            os.close(number)
        self._descriptors.clear()
        self._unsent.clear()
        self._unsent_bytes = 0

    def _end(self, reason: str | None) -> None:
        if not self._closed:
            self.close()
            self._lost(reason)

    def _write(
        self, data: memoryview, descriptors: tuple[int, ...]
    ) -> tuple[memoryview, tuple[int, ...]]:
        """Return what the socket did not take, and the descriptors that go with it."""
        try:
            sent = socket.send_fds(self._sock, [data], descriptors)
        except BlockingIOError:
            return data, descriptors
        except OSError as error:
            self._loop.call_soon(self._end, error.strerror)
            return data[:0], ()
        return data[sent:], ()

    def _on_writable(self) -> None:
        while self._unsent:
            data, kept = self._unsent[0]
            left, unsent = self._write(data, kept)
            self._unsent_bytes -= len(data) - len(left)
            if not unsent:
                for number in kept:
                    os.close(number)
            if left:
                self._unsent[0] = left, unsent
                return
            if self._closed:
                return
            self._unsent.popleft()
        self._loop.remove_writer(self._sock)

    def _on_readable(self) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._sock, _READ, _MOST_DESCRIPTORS)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(error.strerror)
            return
        for number in descriptors:
            os.set_inheritable(number, False)
        self._descriptors += descriptors
        self._read += data
        try:
            if len(self._descriptors) > _MOST_DESCRIPTORS:
                raise LinkError("too many descriptors")
            self._take_messages()
        except LinkError as error:
            self._end(str(error))
        except BaseException:
            self._end("a message was not expected")  # what follows it must not count
            raise
        if not data:
            self._end(None)

    def _take_messages(self) -> None:
        """Hand over the messages that are complete; what is left is the begin of the next one."""
        read, at = self._read, 0
        there = len(read)
        while (begin := at + _HEAD) <= there and not self._closed:
            size = int.from_bytes(read[at:begin])
            if size > LONGEST:
                raise LinkError("a message is too long")
            if (end := begin + size) > there:
                break
            at = end
            self._receive(bytes(read[begin:end]))
        del read[:at]


def pair() -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a new link."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with suppress(OSError):
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 * MIB)
    return ours, theirs
