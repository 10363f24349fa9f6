"""Answers requests on the control socket: few clients, short lines, and none that holds up others.

Who connects is the server's account or root; the system says so (SO_PEERCRED in unix(7)), and the
socket's mode keeps all others out before. Even so each client is bounded: in the length of what it
asks, in the time that it takes to read an answer, and in what is kept for it.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Any

from nacre.daemon.control.place import peer_of
from nacre.daemon.control.requests import (
    ENDLESS,
    HANDED_OVER,
    LONGEST,
    REQUESTS,
    ServerControl,
    asked,
)
from nacre.daemon.control.values import ControlError, Rejected, line_of
from nacre.limits import KIB
from nacre.wire.text import safe

MOST_CLIENTS = 16
"""Clients at once; those who follow the log may be half of them."""

_MOST_FOLLOWERS = MOST_CLIENTS // 2

_PATIENCE = 10.0
"""Seconds that a client has to read what was written, and to ask a first time."""

_IDLE = 300.0
"""Seconds that a client may wait before it asks again."""

_UNREAD = 64 * KIB
"""Bytes that are written ahead of a client."""

_PAUSE = 1.0
"""Seconds until a client is taken after one could not be."""

_LONGEST_NAME = 80
"""Characters of the name of who watches."""

_AT_ONCE = 100
"""Lines of an answer after which others have their turn."""


class ControlService:
    """Serves the clients of the control socket, on the running loop.

    :param listener: the listening socket, which stays the caller's.
    :param control: answers.
    """

    def __init__(self, listener: socket.socket, control: ServerControl) -> None:
        self._listener = listener
        self._control = control
        # Once: a lookup of names may hang later.
        self._names = {uid: _name_of(uid) for uid in (0, os.geteuid())}
        self._loop = asyncio.get_running_loop()
        self._clients: set[asyncio.Task[None]] = set()
        self._following = 0
        self._again: asyncio.TimerHandle | None = None
        self._listen()

    def _listen(self) -> None:
        if self._listener.fileno() >= 0:  # a successor may have it
            self._loop.add_reader(self._listener, self._on_readable)

    def leave(self) -> None:
        """Take no more clients, and let those go that there are; others are answered."""
        if self._again is not None:
            self._again.cancel()
        if self._listener.fileno() >= 0:
            self._loop.remove_reader(self._listener)
        for client in self._clients:
            client.cancel()

    def close(self) -> None:
        """Answer nobody any more."""
        self.leave()

    def _on_readable(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError:  # no descriptor is left: look again, and not all the time
            self._loop.remove_reader(self._listener)
            self._again = self._loop.call_later(_PAUSE, self._listen)
            return
        sock.setblocking(False)
        _, uid = peer_of(sock)
        if uid not in (0, os.geteuid()):
            _refuse(sock, "the control socket is for the server's account and root alone")
        elif len(self._clients) >= MOST_CLIENTS:
            _refuse(sock, f"{MOST_CLIENTS} programs talk to the server already")
        else:
            self.attend(sock, self._names[uid])

    def attend(self, sock: socket.socket, by: str, idle: float | None = _IDLE) -> None:
        """Answer a client.

        :param by: the name of its account.
        :param idle: seconds that it may wait before it asks again; None for any time.
        """
        # A task that is cancelled before it begins runs nothing, and takes no socket.
        untaken = ExitStack()
        untaken.enter_context(sock)
        task = self._loop.create_task(self._serve(sock, untaken, by, idle))
        self._clients.add(task)
        task.add_done_callback(self._clients.discard)
        task.add_done_callback(lambda _: untaken.close())

    async def _serve(
        self, sock: socket.socket, untaken: ExitStack, by: str, idle: float | None
    ) -> None:
        untaken.pop_all()
        reader, writer = await asyncio.open_unix_connection(sock=sock, limit=LONGEST)
        # Then a wait for room is a wait until the client has read everything.
        writer.transport.set_write_buffer_limits(high=_UNREAD, low=0)
        try:
            patience = None if idle is None else _PATIENCE
            while True:
                async with asyncio.timeout(patience):
                    line = await reader.readline()
                if not line.endswith(b"\n"):
                    return
                if await self._answer(line, reader, writer, by):
                    return  # the socket is another process's
                patience = idle
        except ValueError:
            self._write(writer, Rejected(reason=f"a request has at most {LONGEST} bytes"))
        except (OSError, TimeoutError):
            pass  # the client is gone, or reads nothing
        finally:
            writer.close()
            self._loop.call_later(_PATIENCE, writer.transport.abort)

    async def _answer(
        self, line: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, by: str
    ) -> bool:
        """Answer a request; tell whether somebody else does, who has got the socket."""
        try:
            name, request = asked(line)
            if name in HANDED_OVER:
                await self._hand_over(name, request, writer, by)
                return True
            _, handler = REQUESTS[name]
            answers = handler(self._control, request)
            if name in ENDLESS:
                await self._stream(answers, reader, writer)
            else:
                await self._send(answers, writer, _PATIENCE)
        except ControlError as error:
            self._write(writer, Rejected(reason=str(error)))
        return False

    async def _hand_over(
        self, name: str, request: Any, writer: asyncio.StreamWriter, by: str
    ) -> None:
        """Give the socket of the one who asks to who answers the request.

        What was sent behind the request is lost: it was not asked for.

        :raises ControlError: nobody answers it; the socket stays here.
        """
        _, handler = HANDED_OVER[name]
        transport = writer.transport
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        sock = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
        try:
            by = f"{safe(request.by, _LONGEST_NAME)} through {by}" if request.by else by
            await handler(self._control, replace(request, by=by), sock)
        except BaseException:
            sock.close()
            transport.resume_reading()
            raise

    async def _send(
        self, answers: AsyncIterator[object], writer: asyncio.StreamWriter, patience: float | None
    ) -> None:
        """Write the values of an answer, no faster than the client reads.

        :raises TimeoutError: it reads nothing for so many seconds.
        """
        count = 0
        async for value in answers:
            self._write(writer, value)
            async with asyncio.timeout(patience):
                await writer.drain()
            count += 1
            if not count % _AT_ONCE:
                await asyncio.sleep(0)

    async def _stream(
        self,
        answers: AsyncIterator[object],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Write an answer that has no end, until the client goes away or asks something else.

        A client that does not read loses values, and neither time nor memory of this process.
        """
        if self._following >= _MOST_FOLLOWERS:
            raise ControlError(f"{_MOST_FOLLOWERS} programs follow the log already")
        self._following += 1
        sending = self._loop.create_task(self._send(answers, writer, None))
        gone = self._loop.create_task(reader.read(1))
        try:
            await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            self._following -= 1
            for task in (sending, gone):
                task.cancel()
            await asyncio.gather(sending, gone, return_exceptions=True)
            await answers.aclose()  # type: ignore[attr-defined]
        raise ConnectionAbortedError

    @staticmethod
    def _write(writer: asyncio.StreamWriter, value: object) -> None:
        writer.write(line_of(value))


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _refuse(sock: socket.socket, reason: str) -> None:
    with sock, suppress(OSError):
        sock.send(line_of(Rejected(reason=reason)))
