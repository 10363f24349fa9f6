"""The streams of a channel as file objects."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from nacre.aio import stream
from nacre.blocking.background import background
from nacre.wire.codec import Buffer

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

READ = 1 << 20
"""Bytes that ``readinto`` and ``read1`` ask for at most."""


class Reader(io.RawIOBase):
    """What the other side sends, as a raw file: ``read(n)`` returns what is there, at most ``n``.

    For exact sizes or text wrap it: ``io.BufferedReader(process.stdout)``.
    """

    def __init__(self, inner: stream.Reader) -> None:
        self._inner = inner

    def readable(self) -> bool:
        return True

    def read(self, n: int | None = -1) -> bytes:
        """Return what is there, at least one and at most ``n`` bytes; b"" at the end.

        :param n: -1 or None for everything up to the end.
        :raises ConnectionLost: the connection has ended; other errors that ended it likewise.
        """
        return background.call(lambda: self._inner.read(-1 if n is None else n))

    def read1(self, n: int = -1) -> bytes:
        """Return what is there, whatever its size."""
        return self.read(READ if n < 0 else n)

    def readall(self) -> bytes:
        """Return everything up to the end."""
        return self.read()

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill ``buffer`` with what is there, and return how much that was."""
        view = memoryview(buffer).cast("B")
        data = self.read(min(len(view), READ))
        view[: len(data)] = data
        return len(data)

    def readexactly(self, n: int) -> bytes:
        """Return ``n`` bytes.

        :raises asyncio.IncompleteReadError: the stream ended before; holds what there was.
        """
        return background.call(lambda: self._inner.readexactly(n))

    def readline(self, limit: int | None = -1) -> bytes:
        """Return a line with its LF, or what is left when the stream ends; b"" at the end.

        :param limit: bytes the line may have; -1 or None for the usual bound.
        :raises ValueError: it is longer; nothing was taken.
        """
        size = stream.LINE if limit is None or limit < 0 else limit
        return background.call(lambda: self._inner.readline(size))

    def at_eof(self) -> bool:
        """Tell whether everything was read and nothing more will come."""
        return self._inner.at_eof()


class Writer(io.RawIOBase):
    """What goes to the other side, as a raw file; ``write`` takes everything."""

    def __init__(self, inner: stream.Writer) -> None:
        self._inner = inner

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer) -> int:
        """Send ``data``; returns its size when the other side's window has taken all of it.

        :raises StreamClosed: after ``write_eof``, or when the other side takes no more.
        :raises ConnectionLost: the connection has ended; other errors that ended it likewise.
        """
        view: Buffer = memoryview(data).cast("B")
        background.call(lambda: self._inner.write(view))
        return len(view)

    def drain(self) -> None:
        """Return when the socket has everything."""
        background.call(self._inner.drain)

    def write_eof(self) -> None:
        """Say that nothing more follows. What is written is on its way already."""
        background.call_soon(self._inner.write_eof)

    def close(self) -> None:
        """The same as :meth:`write_eof`, as files have it."""
        if not self.closed:
            self.write_eof()
            super().close()
