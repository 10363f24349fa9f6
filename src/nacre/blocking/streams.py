"""The streams of a channel as raw file objects."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from nacre.aio import stream
from nacre.blocking.background import background
from nacre.wire import given

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

READ = 1 << 20
"""Bytes that ``readinto`` and ``read1`` return at most."""


class Reader(io.RawIOBase):
    """What the peer sends, as a raw file: ``read(n)`` returns what has arrived, up to ``n`` bytes.

    For exact sizes or text, wrap it: ``io.BufferedReader(process.stdout)``.
    """

    def __init__(self, inner: stream.Reader) -> None:
        self._inner = inner

    def readable(self) -> bool:
        return True

    def read(self, n: int | None = -1) -> bytes:
        """Return what has arrived, at least one and at most ``n`` bytes; b"" at the end.

        :param n: -1 or None for everything up to the end.
        :raises NacreError: what ended the connection; ConnectionLost if it was lost.
        """
        return background.call(lambda: self._inner.read(-1 if n is None else n))

    def read1(self, n: int = -1) -> bytes:
        """Return what has arrived, at least one byte; b"" at the end."""
        return self.read(READ if n < 0 else n)

    def readall(self) -> bytes:
        """Return everything up to the end."""
        return self.read()

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Copy what has arrived into ``buffer``; return the number of bytes, 0 at the end."""
        view = memoryview(buffer).cast("B")
        data = self.read(min(len(view), READ))
        view[: len(data)] = data
        return len(data)

    def readexactly(self, n: int) -> bytes:
        """Return ``n`` bytes.

        :raises asyncio.IncompleteReadError: the stream ended before; holds what arrived.
        """
        return background.call(lambda: self._inner.readexactly(n))

    def readline(self, limit: int | None = -1) -> bytes:
        """Return a line with its LF, or the rest when the stream ends; b"" at the end.

        :param limit: bytes the line may have; -1 or None for the default bound.
        :raises ValueError: the line is longer; nothing was read.
        """
        size = stream.LINE if limit is None or limit < 0 else limit
        return background.call(lambda: self._inner.readline(size))

    def at_eof(self) -> bool:
        """Tell whether the stream has ended and everything was read."""
        return self._inner.at_eof()


class Writer(io.RawIOBase):
    """What is sent to the peer, as a raw file; ``write`` sends everything."""

    def __init__(self, inner: stream.Writer) -> None:
        self._inner = inner

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer) -> int:
        """Send ``data``; return its size once all of it fitted into the peer's window.

        :raises StreamClosed: after ``write_eof``, or the peer has closed the channel.
        :raises NacreError: what ended the connection; ConnectionLost if it was lost.
        """
        view = given.binary(data, "what is written to a stream")
        background.call(lambda: self._inner.write(view))
        return len(view)

    def drain(self) -> None:
        """Return when everything was written to the socket."""
        background.call(self._inner.drain)

    def write_eof(self) -> None:
        """Send EOF after what was written; does not wait."""
        background.call_soon(self._inner.write_eof)

    def close(self) -> None:
        """Send EOF, once, and close the file object."""
        if not self.closed:
            self.write_eof()
            super().close()
