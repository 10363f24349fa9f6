"""The master of a shared connection: serves programs that use it (OpenSSH's PROTOCOL.mux).

The order of reading: :class:`Services`, which a master offers; :class:`Master`, which takes
clients; :class:`_Served`, which serves one of them from a table of requests.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from nacre.client.sharing.messages import (
    INFORMATION,
    VERSION,
    Alive,
    AliveCheck,
    CloseForward,
    Done,
    Exited,
    Failure,
    Forbidden,
    GetInformation,
    Hello,
    Information,
    NewSession,
    NewStdioForward,
    OpenForward,
    PortChosen,
    Proxied,
    Proxy,
    SessionOpened,
    StopListening,
    TerminalFailed,
    Terminate,
    UnknownMessage,
    joined,
)
from nacre.client.sharing.sockets import ControlListener, ControlSocket
from nacre.errors import MalformedMessage, NacreError
from nacre.value import value
from nacre.wire.message import Record
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.client.connection import Connection
    from nacre.protocol.events import Chosen

MAXIMUM_CLIENTS = 200
"""Clients at once; a further one is closed. Each takes four descriptors of usually 1024."""

_PAUSE = 1.0
"""Seconds before accepting again after an error, such as too many open files."""


@value
class Guest:
    """How a session of a client reports what became of it.

    :ivar opened: called when the session is open.
    :ivar no_terminal: called when the server gives it no terminal.
    """

    opened: Callable[[], None]
    no_terminal: Callable[[], None]


class Services(Protocol):
    """What a master does for its clients. An error's text is told to the client.

    A method that gets descriptors owns them; it is cancelled when the client is gone.
    """

    async def session(
        self, wanted: NewSession, descriptors: Sequence[int], guest: Guest
    ) -> int | None:
        """Run a session on three descriptors; return its exit status, None if there is none."""

    async def join(self, wanted: NewStdioForward, descriptors: Sequence[int], guest: Guest) -> None:
        """Join two descriptors to the place."""

    async def open_forward(self, wanted: OpenForward) -> int:
        """Begin a forwarding, unless it is there; return the port that the server chose, or 0."""

    async def close_forward(self, wanted: CloseForward) -> None:
        """End a forwarding."""


Ask: TypeAlias = Callable[[str], Awaitable[bool]]
"""Asks the user whether a client may do what the text says."""


class Master:
    """Takes clients at a socket until it is closed, or the connection ends.

    :param listener: where clients connect; the master closes it.
    :param ask: asks the user before each use; None allows all.
    :param log: gets a line about a client that is refused.
    :ivar listening: whether it takes clients.
    :ivar terminated: set when a client has asked for the end of the connection.
    """

    def __init__(
        self,
        connection: Connection,
        listener: ControlListener,
        services: Services,
        *,
        ask: Ask | None = None,
        log: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.connection = connection
        self.services = services
        self.ask = ask
        self.log = log
        self.terminated = asyncio.Event()
        self.stopped = asyncio.Event()
        self.sessions = count(1)
        self._clients = 0
        self._listener = listener
        self._accepting = connection.spawn(self._accept())
        self._accepting.add_done_callback(lambda _: self.stop())

    def stop(self) -> None:
        """Take no more clients, and remove the socket's file. Clients that are there stay."""
        self._accepting.cancel()
        self._listener.close()
        self.stopped.set()

    async def _accept(self) -> None:
        loop = self.connection.loop
        while True:
            try:
                sock, _ = await loop.sock_accept(self._listener.sock)
            except ConnectionAbortedError:
                continue
            except OSError:
                await asyncio.sleep(_PAUSE)
                continue
            client = ControlSocket(sock)
            if self._clients >= MAXIMUM_CLIENTS or not client.ours:
                self.log("A client of the shared connection was refused: it is another user's, or")
                self.log(f"there are {MAXIMUM_CLIENTS} already.")
                client.close()
                continue
            self._clients += 1
            self.connection.spawn(self._serve(client), holds=True).add_done_callback(self._left)

    def _left(self, _: asyncio.Task[None]) -> None:
        self._clients -= 1

    async def _serve(self, sock: ControlSocket) -> None:
        client = _Served(self, sock)
        try:
            await client.serve()
        except (EOFError, OSError):
            pass  # the client is gone
        except MalformedMessage as error:
            self.log(f"A client of the shared connection breaks its protocol: {error}")
        finally:
            await client.end()
            sock.close()


class _Served:
    def __init__(self, master: Master, sock: ControlSocket) -> None:
        self._master = master
        self._sock = sock
        self._session: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        """Answer the client's messages until it is gone.

        :raises EOFError: it is gone.
        :raises OSError: it takes no answers.
        :raises MalformedMessage: it breaks the protocol.
        """
        self._sock.send(Hello(VERSION, joined((INFORMATION, "0"))))
        hello = await self._sock.receive()
        if not isinstance(hello, Hello) or hello.version != VERSION:
            raise MalformedMessage("it does not begin with version 4")
        while True:
            try:
                message = await self._sock.receive()
            except UnknownMessage as unknown:
                self._sock.send(Failure(unknown.request_id, "unsupported request"))
                continue
            handler = _HANDLERS.get(type(message))
            if handler is None:
                raise MalformedMessage(f"{type(message).__name__} is no request")
            await handler(self, message)
            if isinstance(message, Proxy):
                return

    async def end(self) -> None:
        """End the session of a client that is gone."""
        if self._session is not None:
            self._session.cancel()
            await asyncio.wait([self._session])

    # --- requests ---

    async def _information(self, message: GetInformation) -> None:
        lines = _about(self._master.connection).get(message.about)
        if lines is None:
            self._sock.send(Failure(message.request_id, "nothing is known of that"))
        else:
            text = "".join(f"{line}\n" for line in lines)
            self._sock.send(Information(message.request_id, text))

    async def _proxy(self, message: Proxy) -> None:
        from nacre.client.sharing.proxy import serve_proxy

        if await self._allowed(message, "Allow shared connection to {}? "):
            self._sock.send(Proxied(message.request_id))
            connection = self._master.connection
            await serve_proxy(connection, connection._forwarding, self._sock.give())

    async def _alive(self, message: AliveCheck) -> None:
        self._sock.send(Alive(message.request_id, os.getpid()))

    async def _terminate(self, message: Terminate) -> None:
        if await self._allowed(message, "Terminate shared connection to {}? "):
            self._sock.send(Done(message.request_id))
            self._master.terminated.set()

    async def _stop(self, message: StopListening) -> None:
        if await self._allowed(message, "Take no further clients on shared connection to {}? "):
            self._master.stop()
            self._sock.send(Done(message.request_id))

    async def _open_forward(self, message: OpenForward) -> None:
        if not await self._allowed(message, "Open a forwarding over shared connection to {}? "):
            return
        try:
            port = await self._master.services.open_forward(message)
        except (NacreError, OSError) as error:
            self._sock.send(Failure(message.request_id, str(error)))
            return
        done = PortChosen(message.request_id, port) if port else Done(message.request_id)
        self._sock.send(done)

    async def _close_forward(self, message: CloseForward) -> None:
        try:
            await self._master.services.close_forward(message)
        except (NacreError, OSError) as error:
            self._sock.send(Failure(message.request_id, str(error)))
        else:
            self._sock.send(Done(message.request_id))

    async def _new_session(self, message: NewSession) -> None:
        descriptors = await self._sock.receive_descriptors(3)
        await self._start(message, descriptors, self._run_session)

    async def _new_stdio_forward(self, message: NewStdioForward) -> None:
        descriptors = await self._sock.receive_descriptors(2)
        await self._start(message, descriptors, self._run_join)

    async def _start(
        self,
        message: Any,
        descriptors: list[int],
        run: Callable[[Any, list[int]], Coroutine[Any, Any, None]],
    ) -> None:
        """Start a session in a task, so that the end of the client is noticed meanwhile."""
        first = self._session is None
        try:
            if first and await self._allowed(message, "Allow shared connection to {}? "):
                self._session = asyncio.create_task(run(message, descriptors))
                descriptors = []
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        if not first:
            self._sock.send(Failure(message.request_id, "Multiple sessions not supported"))
        # A task that is cancelled before its first step would close no descriptors.
        await asyncio.sleep(0)

    async def _run_session(self, message: NewSession, descriptors: list[int]) -> None:
        number, services = next(self._master.sessions), self._master.services

        async def session(opened: Callable[[], None]) -> None:
            guest = Guest(opened, lambda: self._tell(TerminalFailed(number)))
            status = await services.session(message, descriptors, guest)
            if status is not None:
                self._tell(Exited(number, status))

        await self._run(message.request_id, number, session)

    async def _run_join(self, message: NewStdioForward, descriptors: list[int]) -> None:
        number, services = next(self._master.sessions), self._master.services
        await self._run(
            message.request_id,
            number,
            lambda opened: services.join(message, descriptors, Guest(opened, lambda: None)),
        )

    async def _run(
        self,
        request_id: int,
        number: int,
        work: Callable[[Callable[[], None]], Coroutine[Any, Any, None]],
    ) -> None:
        """Run a session, and let the client know its end, or why it could not begin."""
        begun = False

        def opened() -> None:
            nonlocal begun
            begun = True
            self._tell(SessionOpened(request_id, number))

        try:
            await work(opened)
        except (NacreError, OSError) as error:
            if not begun:
                self._tell(Failure(request_id, str(error)))
            self._master.log(f"A session of the shared connection failed: {error}")
        finally:
            self._sock.end()

    def _tell(self, message: Record) -> None:
        """Send a message; that the client is gone is noticed by the task that reads."""
        with suppress(OSError):
            self._sock.send(message)

    async def _allowed(self, message: Any, question: str) -> bool:
        """Ask the user, if there is something to ask; if the answer is no, tell the client."""
        ask = self._master.ask
        if ask is None or await ask(question.format(safe(self._master.connection.host))):
            return True
        self._sock.send(Forbidden(message.request_id, "Permission denied"))
        return False


def _algorithms(chosen: Chosen | None) -> Iterator[str]:
    """Yield a line for each algorithm; those of both directions are told when they differ."""
    if chosen is None:
        return  # SSH-1
    yield f"kex {chosen.kex}"
    yield f"host key {chosen.host_key}"
    for name, sent, received in (
        ("cipher", chosen.cipher_c2s, chosen.cipher_s2c),
        ("MAC", chosen.mac_c2s, chosen.mac_s2c),
        ("compression", chosen.compression_c2s, chosen.compression_s2c),
    ):
        yield f"{name} {sent}" if sent == received else f"{name} {sent} sent, {received} received"


def _about(connection: Connection) -> dict[str, list[str]]:
    """Return what a client may ask about, as lines."""
    return {
        "connection": [
            f"{safe(connection.user)}@{safe(connection.host)} port {connection.port}",
            connection.peer_version,
            *_algorithms(connection.algorithms),
        ],
        "channels": [
            *(f"#{one.number} {safe(one.kind)}" for one in connection.channels),
            *connection.forwarded,
        ],
    }


_HANDLERS: dict[type[Record], Callable[[_Served, Any], Awaitable[None]]] = {
    AliveCheck: _Served._alive,
    Terminate: _Served._terminate,
    StopListening: _Served._stop,
    OpenForward: _Served._open_forward,
    CloseForward: _Served._close_forward,
    NewSession: _Served._new_session,
    NewStdioForward: _Served._new_stdio_forward,
    Proxy: _Served._proxy,
    GetInformation: _Served._information,
}
