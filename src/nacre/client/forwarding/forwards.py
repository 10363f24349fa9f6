"""The client's side of forwarding: ports, SOCKS and an agent (RFC 4254 section 7).

The order of reading: :class:`Forwards`, which has a method for each kind and answers the channels
that the server opens; then what it returns, :class:`Listener` and :class:`Tunnel`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from nacre.aio.channel import Channel
from nacre.aio.dial import dial
from nacre.aio.stream import Reader, Writer
from nacre.aio.waiting import Closes, ClosesAtOnce, Later
from nacre.errors import (
    ConfigurationError,
    ConnectFailed,
    MalformedMessage,
    NacreError,
    RequestFailed,
)
from nacre.protocol.asks import AskOpen, OpenRefused, SessionProof
from nacre.protocol.requests import OtherRequest
from nacre.protocol.tcpip import (
    AGENT_CHANNEL,
    AGENT_REQUEST,
    CANCEL,
    DIRECT,
    DIRECT_STREAMLOCAL,
    FORWARDED,
    LISTEN,
    PORTS,
    AllocatedPort,
    StreamlocalChannel,
    TCPIPChannel,
    TCPIPForward,
)
from nacre.protocol.x11 import X11_CHANNEL
from nacre.tunnels.listeners import Listening, Take, bind
from nacre.tunnels.relay import Relay, carry, discard, grant
from nacre.tunnels.socks import Negotiation, SOCKSError
from nacre.wire.numbers import MAIN, OpenFailure
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.aio.connection import BaseConnection
    from nacre.client.forwarding.x11 import X11Forward

_logger = logging.getLogger("nacre.client")

_NEGOTIATION = 30.0
"""Seconds that a program has to send the SOCKS proxy its request."""

Endpoint: TypeAlias = tuple[str, int]
"""A host and a port."""


class RemotePort:
    """A port on which the server listens, until it is cancelled or the connection ends.

    :param cancel: cancels it.
    """

    def __init__(
        self, connection: BaseConnection, cancel: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        self._connection = connection
        self._cancel = cancel
        self._closing = asyncio.Event()
        self._task = connection.spawn(self._hold())

    async def _hold(self) -> None:
        await self._closing.wait()
        await self._cancel()

    @property
    def closed(self) -> bool:
        """Whether the server no longer listens."""
        return self._connection.ended or self._task.done()

    def close(self) -> None:
        """Start the request that cancels it."""
        self._closing.set()

    async def wait_closed(self) -> None:
        """Return when the server no longer listens."""
        if not self.closed:
            await asyncio.wait({self._task})


class Listener(Closes):
    """A forwarded port. ``async with`` closes it at the end.

    Its connections stay open until they end, or the SSH connection does.

    :ivar host: where it listens, as it was requested.
    :ivar port: its port, which the system may have chosen.
    """

    def __init__(self, host: str, port: int, listening: Listening | RemotePort) -> None:
        self.host = host
        self.port = port
        self._listening = listening

    @property
    def closed(self) -> bool:
        """Whether it no longer listens."""
        return self._listening.closed

    def close(self) -> Later[None]:
        """Stop listening. It acts at once; await the result to wait for the end."""
        self._listening.close()
        return Later(self.wait_closed)

    async def wait_closed(self) -> None:
        """Return when it no longer listens."""
        await self._listening.wait_closed()


class Tunnel(ClosesAtOnce):
    """A connection that the server made for us. ``async with`` closes it at the end.

    ``nacre.connect(..., sock=tunnel)`` logs in to what is at its other end.

    :ivar reader: reads from its other end.
    :ivar writer: writes to it; ``write_eof`` ends this direction and keeps the other one open.
    :ivar via: the SSH connection that carries it.
    """

    def __init__(self, channel: Channel, via: BaseConnection) -> None:
        self.reader = Reader(channel)
        self.writer = Writer(channel)
        self.via = via
        self._channel = channel
        channel.sinks = {MAIN: self.reader}

    def close(self) -> Later[None]:
        """Close the connection. It acts at once; await the result to wait for the end."""
        self._channel.close()
        return Later(self.wait_closed)

    async def wait_closed(self) -> None:
        """Return when both sides have closed it."""
        while not self._channel.closed:
            await self._channel.changed.wait()


class Forwards:
    """The ports, the agent and the display that one connection forwards.

    :param session: the session, of which the agent learns; None in SSH-1.
    :ivar display: the display that sessions may use, or None.
    """

    def __init__(self, connection: BaseConnection, session: SessionProof | None = None) -> None:
        self._connection = connection
        self._session = session
        self._remote: dict[Endpoint, Endpoint] = {}
        self._agent: str | None = None
        self.display: X11Forward | None = None
        self._carried: dict[int, str] = {}

    def open_now(self) -> tuple[str, ...]:
        """See :attr:`Connection.forwarded`."""
        relayed = {
            channel.number
            for channel in self._connection.channels
            if isinstance(channel.sinks.get(MAIN), Relay)
        }
        self._carried = {n: text for n, text in self._carried.items() if n in relayed}
        return tuple(f"#{number} {text}" for number, text in sorted(self._carried.items()))

    # --- channels that we open ---

    def _open(self, host: str, port: int, originator: Any) -> Channel:
        source = originator if isinstance(originator, tuple) else ("127.0.0.1", 0)
        data = TCPIPChannel(host, port, str(source[0]), int(source[1])).encode()
        return self._connection.open_channel(DIRECT, data)

    async def open_connection(self, host: str, port: int) -> Tunnel:
        """See :meth:`Connection.open_connection`."""
        return await self._tunnel(self._open(host, port, None))

    async def open_unix_connection(self, path: str) -> Tunnel:
        """See :meth:`Connection.open_unix_connection`."""
        data = StreamlocalChannel(path, "", 0).encode()
        return await self._tunnel(self._connection.open_channel(DIRECT_STREAMLOCAL, data))

    async def _tunnel(self, channel: Channel) -> Tunnel:
        tunnel = Tunnel(channel, self._connection)
        try:
            await channel.wait_opened()
        except BaseException:
            channel.close()
            raise
        return tunnel

    async def local(self, place: Endpoint, listen: Endpoint) -> Listener:
        """See :meth:`Connection.forward_local`."""
        return await self._listen(listen, partial(self._take, place))

    async def dynamic(self, listen: Endpoint) -> Listener:
        """See :meth:`Connection.forward_dynamic`."""
        return await self._listen(listen, partial(self._take, None))

    async def _listen(self, listen: Endpoint, take: Take) -> Listener:
        self._connection.check()
        sockets = await bind(*listen)
        listening = Listening(self._connection, sockets, take)
        return Listener(listen[0], sockets[0].getsockname()[1], listening)

    async def _take(self, place: Endpoint | None, sock: socket.socket, originator: Any) -> None:
        """Carry an accepted connection to ``place``; if that is None, the program names it."""
        negotiation = Negotiation(sock) if place is None else None
        carried = False
        try:
            if negotiation is not None:
                async with asyncio.timeout(_NEGOTIATION):
                    place = await negotiation.request()
            assert place is not None
            channel = self._open(*place, originator)
            opened = None if negotiation is None else negotiation.succeed
            self._carried[channel.number] = f"from {_shown(originator)} to {_shown(place)}"
            await carry(self._connection, channel, sock, opened)
            carried = True
        except (NacreError, SOCKSError, OSError) as error:
            self._warn(place or "a SOCKS client's destination", error)
            if negotiation is not None and isinstance(error, NacreError):
                with suppress(OSError):
                    await negotiation.fail(error)
        finally:
            if not carried:
                discard(self._connection, sock)

    def _warn(self, place: Endpoint | str, error: Exception) -> None:
        where = place if isinstance(place, str) else f"{place[0]} port {place[1]}"
        if not self._connection.ended:
            _logger.warning("forwarding to %s failed: %s", safe(where), error)

    # --- channels that the server opens ---

    async def remote(self, place: Endpoint, listen: Endpoint) -> Listener:
        """See :meth:`Connection.forward_remote`."""
        connection = self._connection
        host, port = listen
        answer = await connection.request(LISTEN, TCPIPForward(host, port).encode())
        if answer is None:
            raise RequestFailed(
                f"the server does not listen on {safe(host) or 'every address,'} port {port}: "
                "forwarding may not be allowed there, or the port may be taken"
            )
        if not port:
            port = AllocatedPort.decode(answer).port
            if port not in PORTS:
                raise RequestFailed(f"the server names port {port}, which there is not")
        self._remote[host, port] = place
        port_there = RemotePort(connection, partial(self._cancel, TCPIPForward(host, port)))
        return Listener(host, port, port_there)

    async def _cancel(self, listener: TCPIPForward) -> None:
        self._remote.pop((listener.host, listener.port), None)
        with suppress(NacreError):
            await self._connection.request(CANCEL, listener.encode())

    def lend_agent(self, path: str | os.PathLike[str] | None) -> None:
        """See :meth:`Connection.forward_agent`."""
        path = path or os.environ.get("SSH_AUTH_SOCK")
        if not path:
            raise ConfigurationError(
                "there is no agent to forward: start one (SSH_AUTH_SOCK names it), or give its path"
            )
        self._agent = os.fspath(path)

    @property
    def lends_agent(self) -> bool:
        """Whether sessions may use our agent."""
        return self._agent is not None

    @property
    def lends(self) -> tuple[OtherRequest, ...]:
        """The requests for what sessions may use of ours."""
        agent = (OtherRequest(AGENT_REQUEST, b""),) if self.lends_agent else ()
        return agent if self.display is None else (*agent, self.display.request)

    async def accept(self, ask: AskOpen) -> None:
        """Accept a channel that the server opens, if it belongs to a request of ours."""
        connection = self._connection
        if ask.channel_type == X11_CHANNEL and self.display is not None:
            self._carried[ask.channel] = "from the server to our display"
            await self.display.accept(ask)
            return
        if (place := self._place(ask)) is None:
            connection.answer(ask.ask_id, OpenRefused())
            return
        try:
            sock = await _connect(place)
            if ask.channel_type == AGENT_CHANNEL and self._session is not None:
                await _bind_agent(sock, self._session)
        except NacreError as error:
            refusal = OpenRefused(OpenFailure.CONNECT_FAILED, str(error))
            connection.answer(ask.ask_id, refusal)
            self._warn(place, error)
            return
        self._carried[ask.channel] = f"from the server to {_shown(place)}"
        await grant(connection, ask, sock)

    def _place(self, ask: AskOpen) -> Endpoint | str | None:
        """Return where a channel leads; some servers name another address than we requested."""
        if ask.channel_type == AGENT_CHANNEL:
            return self._agent
        if ask.channel_type != FORWARDED:
            return None
        try:
            opened = TCPIPChannel.decode(ask.data)
        except MalformedMessage:
            return None
        if (place := self._remote.get((opened.host, opened.port))) is not None:
            return place
        places = [place for (_, port), place in self._remote.items() if port == opened.port]
        return places[0] if len(places) == 1 else None


async def _bind_agent(sock: socket.socket, session: SessionProof) -> None:
    from nacre.agent.forwarded import bind

    try:
        await bind(sock, session)
    except BaseException:
        sock.close()
        raise


def _shown(place: Any) -> str:
    """Return an endpoint, or the path of a Unix socket, safe to print."""
    if isinstance(place, tuple) and len(place) >= 2:
        return f"{safe(str(place[0]))} port {place[1]}"
    return safe(str(place)) or "a Unix socket"


async def _connect(place: Endpoint | str) -> socket.socket:
    """Connect to a host and port, or to a Unix socket.

    :raises ConnectFailed: no connection could be made.
    """
    if not isinstance(place, str):
        return await dial(*place, wanted="anything")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, place)
    except OSError as error:
        sock.close()
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise ConnectFailed(f"no agent at {safe(place)}: {reason}") from error
    except BaseException:
        sock.close()
        raise
    return sock
