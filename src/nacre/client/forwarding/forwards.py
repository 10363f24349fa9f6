"""What one connection forwards, at the client (RFC 4254 section 7).

The order of reading: :class:`Forwards`, which has a method for each kind of forwarding; then
:data:`ACCEPTS`, which says what answers each type of channel that a server opens.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from nacre.aio.channel import Channel
from nacre.aio.dial import dial
from nacre.client.forwarding.carried import Carried
from nacre.client.forwarding.listener import Listener, RemoteListening
from nacre.client.forwarding.tunnel import Tunnel
from nacre.errors import (
    ConfigurationError,
    ConnectFailed,
    MalformedMessage,
    NacreError,
    RequestFailed,
)
from nacre.protocol.asks import AskOpen, SessionProof
from nacre.protocol.requests import OtherRequest
from nacre.protocol.tcpip import (
    AGENT_CHANNEL,
    AGENT_REQUEST,
    CANCEL,
    CANCEL_STREAMLOCAL,
    DIRECT,
    DIRECT_STREAMLOCAL,
    FORWARDED,
    FORWARDED_STREAMLOCAL,
    LISTEN,
    LISTEN_STREAMLOCAL,
    PORTS,
    X11_CHANNEL,
    AllocatedPort,
    Endpoint,
    ForwardedStreamlocalChannel,
    StreamlocalChannel,
    StreamlocalForward,
    TCPIPChannel,
    TCPIPForward,
)
from nacre.tunnels.listeners import Listening, Take, bind
from nacre.tunnels.relay import carry, discard
from nacre.tunnels.socks import NEGOTIATION, Negotiation, SOCKSError
from nacre.tunnels.unix import UnixSockets
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.aio.connection import BaseConnection
    from nacre.client.forwarding.x11 import X11Forward


class Serves(Protocol):
    """What serves connections that the server has accepted, in place of one destination."""

    async def serve(self, carried: Carried, ask: AskOpen) -> None:
        """Answer the channel of one, and carry it to its end."""


class Forwards:
    """The ports, the Unix sockets, the agent and the display that one connection forwards.

    :param session: the session, of which the agent learns; None in SSH-1.
    :ivar display: the display that sessions may use, or None.
    """

    def __init__(self, connection: BaseConnection, session: SessionProof | None = None) -> None:
        self._connection = connection
        self._carried = Carried(connection)
        self._session = session
        self._remote: dict[Endpoint, Endpoint | Serves] = {}
        self._agent: str | None = None
        self.display: X11Forward | None = None

    def open_now(self) -> tuple[str, ...]:
        """See :attr:`Connection.forwarded`."""
        return self._carried.open_now()

    # --- channels that we open ---

    def _open(self, place: Endpoint, originator: Any = None) -> Channel:
        """Have the server connect to ``place``."""
        if place.path:
            data = StreamlocalChannel(place.path, "", 0).encode()
            return self._connection.open_channel(DIRECT_STREAMLOCAL, data)
        source = originator if isinstance(originator, tuple) else ("127.0.0.1", 0)
        data = TCPIPChannel(place.host, place.port, str(source[0]), int(source[1])).encode()
        return self._connection.open_channel(DIRECT, data)

    async def open(self, place: Endpoint) -> Tunnel:
        """See :meth:`Connection.open_connection`."""
        channel = self._open(place)
        tunnel = Tunnel(channel, self._connection)
        try:
            await channel.wait_opened()
        except BaseException:
            channel.close()
            raise
        return tunnel

    async def local(self, place: Endpoint, listen: Endpoint, unix: UnixSockets | None) -> Listener:
        """See :meth:`Connection.forward_local`."""
        return await self._listen(listen, unix, partial(self._take, place))

    async def dynamic(self, listen: Endpoint, unix: UnixSockets | None) -> Listener:
        """See :meth:`Connection.forward_dynamic`."""
        return await self._listen(listen, unix, partial(self._take, None))

    async def _listen(self, listen: Endpoint, unix: UnixSockets | None, take: Take) -> Listener:
        self._connection.check()
        if listen.path:
            sock, release = await (unix or UnixSockets()).listen(listen.path)
            return Listener(listen, Listening(self._connection, [sock], take, release))
        sockets = await bind(listen.host, listen.port)
        where = Endpoint(listen.host, sockets[0].getsockname()[1])
        return Listener(where, Listening(self._connection, sockets, take))

    async def _take(self, place: Endpoint | None, sock: socket.socket, originator: Any) -> None:
        """Carry an accepted connection to ``place``; if that is None, the program names it."""
        negotiation = Negotiation.of(sock) if place is None else None
        carried = False
        try:
            if negotiation is not None:
                async with asyncio.timeout(NEGOTIATION):
                    place = Endpoint(*await negotiation.request())
            assert place is not None
            channel = self._open(place, originator)
            opened = None if negotiation is None else negotiation.succeed
            self._carried.note(channel.number, f"from {_shown(originator)} to {place}")
            await carry(self._connection, channel, sock, opened)
            carried = True
        except (NacreError, SOCKSError, OSError) as error:
            self._carried.warn(place or "a SOCKS client's destination", error)
            if negotiation is not None and isinstance(error, NacreError):
                with suppress(OSError):
                    await negotiation.fail(error)
        finally:
            if not carried:
                discard(self._connection, sock)

    # --- channels that the server opens ---

    async def remote_dynamic(
        self, permitted: Sequence[tuple[str, int | None]] | None, listen: Endpoint
    ) -> Listener:
        """See :meth:`Connection.forward_remote_dynamic`."""
        from nacre.client.forwarding.remote_socks import RemoteSOCKS

        return await self.remote(RemoteSOCKS(permitted), listen)

    async def remote(self, leads: Endpoint | Serves, listen: Endpoint) -> Listener:
        """See :meth:`Connection.forward_remote`.

        :param leads: the destination, or what serves each connection.
        """
        if listen in self._remote:
            raise RequestFailed(f"{listen} of the server is forwarded already")
        request, cancel, data = _requests(listen)
        answer = await self._connection.request(request, data)
        if answer is None:
            raise RequestFailed(
                f"the server does not listen on {listen}: forwarding may not be allowed there, or "
                f"the {'path' if listen.path else 'port'} may be taken"
            )
        if not listen.path and not listen.port:
            port = AllocatedPort.decode(answer).port
            if port not in PORTS:
                raise RequestFailed(f"the server names port {port}, which there is not")
            listen = Endpoint(listen.host, port)
            data = _requests(listen)[-1]
        self._remote[listen] = leads
        ending = partial(self._cancel, listen, cancel, data)
        return Listener(listen, RemoteListening(self._connection, ending))

    async def _cancel(self, listen: Endpoint, request: str, data: bytes) -> None:
        self._remote.pop(listen, None)
        with suppress(NacreError):
            await self._connection.request(request, data)

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

    def lends(self, *, agent: bool = True, x11: bool = True) -> tuple[OtherRequest, ...]:
        """Return the requests for what a session may use of ours.

        :param agent: whether it wants the agent, and ``x11`` whether it wants the display.
        """
        lent = (OtherRequest(AGENT_REQUEST, b""),) if agent and self.lends_agent else ()
        return (*lent, self.display.request) if x11 and self.display is not None else lent

    async def accept(self, ask: AskOpen) -> None:
        """Answer a channel that the server opens, from the table :data:`ACCEPTS`."""
        if (row := ACCEPTS.get(ask.channel_type)) is None:
            self._carried.refuse(ask)
        else:
            await row(self, ask)

    async def _accept_port(self, ask: AskOpen) -> None:
        try:
            opened = TCPIPChannel.decode(ask.data)
        except MalformedMessage:
            await self._lead(None, ask)
            return
        # Some servers name another address than we requested.
        listening = {listen for listen in self._remote if listen.port == opened.port}
        named = Endpoint(opened.host, opened.port)
        found = named if named in listening or len(listening) != 1 else listening.pop()
        await self._lead(self._remote.get(found), ask)

    async def _accept_unix(self, ask: AskOpen) -> None:
        try:
            opened = ForwardedStreamlocalChannel.decode(ask.data)
        except MalformedMessage:
            await self._lead(None, ask)
            return
        await self._lead(self._remote.get(Endpoint(path=opened.path)), ask)

    async def _lead(self, leads: Endpoint | Serves | None, ask: AskOpen) -> None:
        """Answer a channel of something that we requested, if ``leads`` says where it leads."""
        if leads is None:
            self._carried.refuse(ask)
        elif isinstance(leads, Endpoint):
            await self._carried.join(ask, leads, partial(_connect, leads))
        else:
            await leads.serve(self._carried, ask)

    async def _accept_agent(self, ask: AskOpen) -> None:
        if self._agent is None:
            self._carried.refuse(ask)
            return
        place = Endpoint(path=self._agent)
        await self._carried.join(ask, place, partial(_reach_agent, self._agent, self._session))

    async def _accept_x11(self, ask: AskOpen) -> None:
        if self.display is None:
            self._carried.refuse(ask)
        else:
            await self.display.accept(self._carried, ask)


ACCEPTS: Mapping[str, Callable[[Forwards, AskOpen], Coroutine[Any, Any, None]]] = {
    FORWARDED: Forwards._accept_port,
    FORWARDED_STREAMLOCAL: Forwards._accept_unix,
    AGENT_CHANNEL: Forwards._accept_agent,
    X11_CHANNEL: Forwards._accept_x11,
}
"""What answers each type of channel that a server opens; others are refused."""


def _requests(listen: Endpoint) -> tuple[str, str, bytes]:
    """Return the names of the requests to listen and to stop, and the data of both."""
    if listen.path:
        return LISTEN_STREAMLOCAL, CANCEL_STREAMLOCAL, StreamlocalForward(listen.path).encode()
    return LISTEN, CANCEL, TCPIPForward(listen.host, listen.port).encode()


async def _connect(place: Endpoint) -> socket.socket:
    if place.path:
        return await UnixSockets().connect(place.path)
    return await dial(place.host, place.port, wanted="anything")


async def _reach_agent(path: str, session: SessionProof | None) -> socket.socket:
    """Return a connection to the agent, which was told of the session.

    :raises ConnectFailed: there is no agent, or it does not answer.
    """
    try:
        sock = await UnixSockets().connect(path)
    except ConnectFailed as error:
        raise ConnectFailed(f"the agent can't be reached: {error}") from error
    if session is None:
        return sock
    from nacre.agent.forwarded import bind as tell

    try:
        await tell(sock, session)
    except BaseException:
        sock.close()
        raise
    return sock


def _shown(originator: Any) -> str:
    """Return the other end of an accepted connection, safe to print."""
    if isinstance(originator, tuple) and len(originator) >= 2:
        return f"{safe(str(originator[0]))} port {originator[1]}"
    return "a Unix socket"
