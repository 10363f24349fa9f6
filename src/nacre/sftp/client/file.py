"""An open file of a server: what ``sftp.open`` returns, in binary and in text mode."""

from __future__ import annotations

import asyncio
import codecs
import errno
import io
import os
from collections import deque
from typing import Any, Self

from nacre.aio.waiting import Closes
from nacre.errors import NacreError, SFTPError
from nacre.limits import KIB, MIB
from nacre.sftp.client.session import HEAD_ROOM, SFTPSession
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.attributes import Attributes
from nacre.sftp.protocol.client import Result
from nacre.sftp.protocol.extensions import FSync
from nacre.wire import given
from nacre.wire.codec import Buffer

_FIRST_READ = 32 * KIB
"""Bytes of the first READ of a file, and of the first after a seek."""

_AHEAD = 8 * MIB
"""What a file has of :attr:`SFTPFile.ahead` at first."""


class SFTPFile(Closes):
    """A file in binary mode: buffered and seekable; it reads ahead and writes without waiting.

    A write that fails on the server raises in a later ``write``, in ``flush`` or in ``close``.
    When ``close`` has returned, the server has everything. One task may use a file at a time.

    :ivar name: the path, as the caller gave it.
    :ivar closed: whether it is closed.
    :ivar ahead: bytes requested ahead of the reader, and bytes written but not yet confirmed, at
        most. A program with many open files takes fewer.
    """

    def __init__(
        self,
        session: SFTPSession,
        handle: bytes,
        name: str | bytes,
        *,
        readable: bool = False,
        writable: bool = False,
        position: int = 0,
    ) -> None:
        self.name = name
        self.closed = False
        self.ahead = _AHEAD
        self._session = session
        self._handle = handle
        self._readable = readable
        self._writable = writable
        self._position = position
        self._chunk = memoryview(b"")
        self._chunks: deque[memoryview] = deque()
        self._asked: deque[tuple[int, asyncio.Future[Any]]] = deque()
        self._asked_to = 0
        self._request = min(_FIRST_READ, session.read_size)
        self._depth = 1
        self._block: bytearray | None = None
        self._filled = 0
        self._unconfirmed = 0
        self._failure: NacreError | None = None
        self._confirmed: asyncio.Future[None] | None = None

    def readable(self) -> bool:
        """Tell whether the file was opened for reading."""
        return self._readable

    def writable(self) -> bool:
        """Tell whether the file was opened for writing."""
        return self._writable

    # --- reading ---

    async def read(self, n: int | None = -1) -> bytes:
        """Return ``n`` bytes, or fewer at the end of the file; with -1 everything up to the end.

        :raises SFTPError: the server can't read the file.
        """
        parts: list[Buffer] = []
        left = -1 if n is None or n < 0 else n
        while left and await self._has_chunk():
            part = self._chunk[:left] if left > 0 else self._chunk
            self._advance(len(part))
            parts.append(part)
            left -= len(part) if left > 0 else 0
        return b"".join(parts)

    async def readinto(self, buffer: bytearray | memoryview) -> int:
        """Fill ``buffer``; return the number of bytes, which is smaller only at the end."""
        view = memoryview(buffer).cast("B")
        done = 0
        while done < len(view) and await self._has_chunk():
            part = self._chunk[: len(view) - done]
            view[done : done + len(part)] = part
            self._advance(len(part))
            done += len(part)
        return done

    async def readline(self, limit: int = -1) -> bytes:
        """Return a line with its LF; without one, the rest of the file, or ``limit`` bytes."""
        parts: list[bytes] = []
        left = limit
        while left and await self._has_chunk():
            held = bytes(self._chunk[: min(64 * KIB, left) if left > 0 else 64 * KIB])
            end = held.find(b"\n") + 1
            part = held[:end] if end else held
            self._advance(len(part))
            parts.append(part)
            if end:
                break
            left -= len(part) if left > 0 else 0
        return b"".join(parts)

    async def readlines(self) -> list[bytes]:
        """Return the remaining lines."""
        return [line async for line in self]

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if line := await self.readline():
            return line
        raise StopAsyncIteration

    def _advance(self, count: int) -> None:
        self._chunk = self._chunk[count:]
        self._position += count

    async def _has_chunk(self) -> bool:
        """Wait until bytes are buffered, and return True; return False at the end of the file."""
        if len(self._chunk):
            return True
        if self._chunks:
            self._chunk = self._chunks.popleft()
            return True
        self._check_open()
        if not self._readable:
            raise io.UnsupportedOperation("the file is not open for reading")
        if self._block is not None or self._unconfirmed:
            await self.flush()
        self._ask()
        length, future = self._asked[0]
        # After a cancellation, the next read finds the answer in the queue.
        result: Result = await asyncio.shield(future)
        self._session.check_handle(self._handle)
        self._asked.popleft()
        if isinstance(result, NacreError):
            self._forget()
            raise result.with_traceback(None)
        if not isinstance(result, list):
            self._forget()
            return False
        self._chunks.extend(result)
        got = self._held
        self._chunk = self._chunks.popleft()
        if got < length:
            # A short answer: the READs in flight start too far behind, so they are dropped.
            self._asked.clear()
        else:
            self._request = self._session.read_size
            self._depth = min(2 * self._depth, max(1, self.ahead // self._request))
            self._ask()
        return True

    def _ask(self) -> None:
        if not self._asked:
            self._asked_to = self._position + self._held
        while len(self._asked) < self._depth and (self._session.room or not self._asked):
            future = self._session.start_read(self._handle, self._asked_to, self._request)
            self._asked.append((self._request, future))
            self._asked_to += self._request

    @property
    def _held(self) -> int:
        """Buffered bytes that follow the position."""
        return len(self._chunk) + sum(map(len, self._chunks))

    def _forget(self) -> None:
        """Drop what was read ahead."""
        self._chunk = memoryview(b"")
        self._chunks.clear()
        self._asked.clear()
        self._depth = 1
        self._request = min(_FIRST_READ, self._session.read_size)

    # --- writing ---

    async def write(self, data: Buffer) -> int:
        """Write ``data``; return its size. The server has it after ``flush`` or ``close``.

        :raises SFTPError: an earlier write failed.
        """
        self._check_open()
        if not self._writable:
            raise io.UnsupportedOperation("the file is not open for writing")
        self._raise_failure()
        self._forget()
        session = self._session
        view = given.binary(data, "what is written to a file opened with 'b'")
        left = view
        while left:
            if self._block is None:
                self._block = session.blocks.take()
                self._filled = 0
            part = left[: session.write_size - self._filled]
            start = HEAD_ROOM + self._filled
            self._block[start : start + len(part)] = part
            self._filled += len(part)
            self._position += len(part)
            left = left[len(part) :]
            if self._filled == session.write_size:
                self._send_block()
                while self._unconfirmed >= self.ahead:
                    await self._wait_confirmed()
                    self._raise_failure()
        return len(view)

    async def flush(self) -> None:
        """Return when the server has everything that was written.

        :raises SFTPError: a write failed.
        """
        self._check_open()
        self._send_block()
        while self._unconfirmed:
            await self._wait_confirmed()
        self._session.check_handle(self._handle)
        self._raise_failure()

    async def fsync(self) -> None:
        """Flush the file, and let the server bring it to its disk.

        :raises SFTPError: with ``EOPNOTSUPP`` when the server offers no ``fsync@openssh.com``.
        """
        await self.flush()
        if not self._session.client.offers(FSync.EXTENSION):
            raise SFTPError(errno.EOPNOTSUPP, "The server offers no fsync", self._shown, code=8)
        await self._session.request(FSync(self._handle))

    def _send_block(self) -> None:
        block, self._block = self._block, None
        if block is None:
            return
        self._session.check()
        size = self._filled

        def accept(result: Result) -> None:
            self._unconfirmed -= size
            if isinstance(result, NacreError):
                if isinstance(result, SFTPError):
                    result.filename = self._shown
                self._failure = self._failure or result
            if self._confirmed is not None and not self._confirmed.done():
                self._confirmed.set_result(None)

        self._unconfirmed += size
        self._session.write(self._handle, self._position - size, block, size, accept)

    async def _wait_confirmed(self) -> None:
        self._confirmed = asyncio.get_running_loop().create_future()
        try:
            await self._confirmed
        finally:
            self._confirmed = None

    def _raise_failure(self) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure.with_traceback(None)

    # --- the rest of a file ---

    async def tell(self) -> int:
        """Return the position in bytes."""
        return self._position

    async def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position, and return it."""
        self._check_open()
        if self._block is not None:
            self._send_block()
        if whence == os.SEEK_CUR:
            offset += self._position
        elif whence == os.SEEK_END:
            await self.flush()
            offset += (await self._attributes()).size or 0
        elif whence != os.SEEK_SET:
            raise ValueError(f"whence {whence} is not 0, 1 or 2")
        if offset < 0:
            raise ValueError(f"a negative position: {offset}")
        ahead = offset - self._position
        if 0 <= ahead <= self._held:
            while ahead > len(self._chunk):
                ahead -= len(self._chunk)
                self._advance(len(self._chunk))
                self._chunk = self._chunks.popleft()
            self._advance(ahead)
        else:
            self._forget()
            self._position = offset
        return offset

    async def truncate(self, size: int | None = None) -> int:
        """Make the file ``size`` bytes long, by default up to the position; return the size."""
        await self.flush()
        self._forget()
        size = self._position if size is None else size
        await self._session.request(msg.FSetStat(self._handle, Attributes(size=size)))
        return size

    async def stat(self) -> os.stat_result:
        """Return the file's attributes."""
        from nacre.sftp.client.results import stat_result

        await self.flush()
        return stat_result(await self._attributes())

    async def _attributes(self) -> Attributes:
        return await self._session.request(msg.FStat(self._handle))

    async def close(self) -> None:
        """Flush the file and close it.

        :raises SFTPError: a write or the close failed; the file is closed nevertheless.
        """
        if self.closed:
            return
        try:
            if self._session.error is None or self._block is not None:
                await self.flush()
        except BaseException:
            self._session.close_handle(self._handle)
            raise
        finally:
            self.closed = True
            self._asked.clear()
        await self._session.request(msg.Close(self._handle))

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")

    @property
    def _shown(self) -> str:
        name = self.name
        return name if isinstance(name, str) else name.decode("utf-8", "surrogateescape")


class SFTPTextFile(Closes):
    """A file in text mode: read from front to back, or written.

    :ivar buffer: the underlying binary file.
    """

    def __init__(self, buffer: SFTPFile, encoding: str = "utf-8", errors: str = "strict") -> None:
        self.buffer = buffer
        self.encoding = encoding
        self._errors = errors
        self._encode = codecs.getincrementalencoder(encoding)(errors).encode
        self._decoder: io.IncrementalNewlineDecoder
        self._rewind()

    @property
    def name(self) -> str | bytes:
        """The path, as the caller gave it."""
        return self.buffer.name

    @property
    def closed(self) -> bool:
        """Whether the file is closed."""
        return self.buffer.closed

    async def read(self, n: int | None = -1) -> str:
        """Return ``n`` characters, or fewer at the end of the file; line ends become LF."""
        if n is None or n < 0:
            self._text += self._decoder.decode(await self.buffer.read(), final=True)
            return self._take(len(self._text))
        while len(self._text) < n and await self._more():
            pass
        return self._take(n)

    async def readline(self) -> str:
        """Return a line with its LF; without one, the rest of the file."""
        while "\n" not in self._text and await self._more():
            pass
        return self._take(self._text.find("\n") + 1 or len(self._text))

    async def readlines(self) -> list[str]:
        """Return the remaining lines."""
        return [line async for line in self]

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        if line := await self.readline():
            return line
        raise StopAsyncIteration

    async def write(self, text: str) -> int:
        """Write ``text``; return its length."""
        await self.buffer.write(self._encode(text))
        return len(text)

    async def flush(self) -> None:
        """See :meth:`SFTPFile.flush`."""
        await self.buffer.flush()

    async def seek(self, offset: int) -> int:
        """Move to a position in bytes, at which a character must begin; return it."""
        self._rewind()
        return await self.buffer.seek(offset)

    async def close(self) -> None:
        """See :meth:`SFTPFile.close`."""
        await self.buffer.close()

    def _rewind(self) -> None:
        self._text = ""
        decoder = codecs.getincrementaldecoder(self.encoding)(self._errors)
        self._decoder = io.IncrementalNewlineDecoder(decoder, translate=True)

    async def _more(self) -> bool:
        data = await self.buffer.read(64 * KIB)
        self._text += self._decoder.decode(data, final=not data)
        return bool(data)

    def _take(self, n: int) -> str:
        taken, self._text = self._text[:n], self._text[n:]
        return taken
