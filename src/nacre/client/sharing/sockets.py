"""The sockets of a shared connection at its master: the one that listens, and one per client.

Descriptors are lost with the bytes they come with, unless those are read with room for them. So a
client's socket is read up to the end of a message and no further.
"""

from __future__ import annotations

import array
import asyncio
import os
import secrets
import socket
from contextlib import suppress
from struct import Struct

from nacre.aio.home import detach, own
from nacre.client.sharing.messages import MAXIMUM_MESSAGE, decode, encode
from nacre.errors import MalformedMessage, NotUsableHere
from nacre.wire.message import Record

_BACKLOG = 64
_CREDENTIALS = Struct("3i")  # struct ucred: pid, uid, gid
_ROOM = socket.CMSG_SPACE(array.array("i").itemsize)


class ControlListener:
    """A listening Unix socket of mode 0600, which has its name only once it listens.

    :param path: the name.
    :raises FileExistsError: there is such a file.
    :raises OSError: the socket can't be made.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        temporary = f"{path}.{secrets.token_hex(6)}"
        try:
            self.sock.setblocking(False)
            self.sock.bind(temporary)
            try:
                # Nobody can connect before the socket listens.
                os.chmod(temporary, 0o600)
                self.sock.listen(_BACKLOG)
                os.link(temporary, path)
                self._file = os.stat(path)
            finally:
                os.unlink(temporary)
        except BaseException:
            self.sock.close()
            raise
        own(self)

    def close(self) -> None:
        """Stop listening, and remove the file, unless another one has taken its place."""
        if self.sock.fileno() < 0:
            return
        with suppress(OSError):
            if os.path.samestat(self._file, os.stat(self.path)):
                os.unlink(self.path)
        self.sock.close()

    def disown(self, error: NotUsableHere) -> None:
        """Let go of the socket in a forked child; see :mod:`nacre.aio.home`."""
        detach([self.sock.fileno()])


class ControlSocket:
    """The socket of one client. One task reads it.

    :param sock: connected, and not blocking.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        own(self)

    @property
    def ours(self) -> bool:
        """Whether the client is of this process's account, or root's (``SO_PEERCRED``, unix(7))."""
        if not hasattr(socket, "SO_PEERCRED"):
            return True  # the mode of the file is the protection
        data = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        return _CREDENTIALS.unpack(data)[1] in (0, os.geteuid())

    def send(self, *messages: Record) -> None:
        """Send messages.

        :raises OSError: the client is gone, or has left so much unread that it can't take more.
        """
        data = b"".join(map(encode, messages))
        if self._sock.send(data) < len(data):
            raise BlockingIOError("the client reads nothing")

    async def receive(self) -> Record:
        """Return the client's next message.

        :raises EOFError: the client is gone.
        :raises MalformedMessage: it is none, or is larger than a message may be.
        """
        size = int.from_bytes(await self._exactly(4), "big")
        if not 4 <= size <= MAXIMUM_MESSAGE:
            raise MalformedMessage(f"a message of {size} bytes is announced")
        return decode(await self._exactly(size))

    async def _exactly(self, size: int) -> bytes:
        found = bytearray()
        while len(found) < size:
            try:
                data = await self._loop.sock_recv(self._sock, size - len(found))
            except OSError:
                data = b""
            if not data:
                raise EOFError
            found += data
        return bytes(found)

    async def receive_descriptors(self, count: int) -> list[int]:
        """Return that many descriptors, each of which comes with a byte of its own.

        :raises EOFError: the client is gone.
        :raises MalformedMessage: a byte comes without a descriptor.
        """
        found: list[int] = []
        try:
            while len(found) < count:
                await self._readable()
                found.append(self._descriptor())
        except BaseException:
            for descriptor in found:
                os.close(descriptor)
            raise
        return found

    def _descriptor(self) -> int:
        try:
            data, ancillary, flags, _ = self._sock.recvmsg(1, _ROOM, socket.MSG_CMSG_CLOEXEC)
        except OSError as error:
            raise EOFError from error
        numbers = array.array("i")
        for level, kind, part in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                numbers.frombytes(part[: len(part) - len(part) % numbers.itemsize])
        if not data:
            raise EOFError
        if len(numbers) != 1 or flags & socket.MSG_CTRUNC:
            for descriptor in numbers:
                os.close(descriptor)
            raise MalformedMessage("a descriptor is missing; this process may have too many open")
        return numbers[0]

    async def _readable(self) -> None:
        ready: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(self._sock, _set, ready)
        try:
            await ready
        finally:
            self._loop.remove_reader(self._sock)

    def give(self) -> socket.socket:
        """Return the socket, of which nothing behind the last message was read."""
        return self._sock

    def end(self) -> None:
        """Let the client see the end. What was sent reaches it before."""
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()

    def disown(self, error: NotUsableHere) -> None:
        """Let go of the socket in a forked child; see :mod:`nacre.aio.home`."""
        detach([self._sock.fileno()])


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
