"""The proxy mode of a master: a client has channels and requests of its own (RFC 4254).

To the client the master is the server: each channel that one of the two opens is joined to one that
the master opens at the other, and requests are passed on. Both channels have windows of their own,
and numbers. The agent and the display that sessions may use are the master's.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar

from nacre.aio.channel import Channel
from nacre.aio.connection import COMMON, BaseConnection, Handlers
from nacre.aio.stream import SLICE, Reader, Writer
from nacre.client.forwarding.carried import Carried
from nacre.client.forwarding.forwards import Forwards
from nacre.client.forwarding.listener import Listener
from nacre.errors import (
    LocalProtocolError,
    MalformedMessage,
    NacreError,
    StreamClosed,
)
from nacre.limits import DEFAULT_LIMITS
from nacre.protocol.asks import (
    Answer,
    AskGlobalRequest,
    AskOpen,
    AskRequest,
    Denied,
    GlobalGranted,
    Granted,
    OpenRefused,
)
from nacre.protocol.events import GlobalRequestReceived
from nacre.protocol.options import EngineOptions
from nacre.protocol.phases import Role
from nacre.protocol.requests import OtherRequest, Request
from nacre.protocol.tcpip import (
    CANCEL,
    CANCEL_STREAMLOCAL,
    CANCELLED_BY_CLIENTS,
    DIRECT,
    DIRECT_STREAMLOCAL,
    LISTEN,
    LISTEN_STREAMLOCAL,
    AllocatedPort,
    Endpoint,
    StreamlocalForward,
    TCPIPForward,
)
from nacre.ssh2.proxied import ProxiedEngine
from nacre.value import replace
from nacre.wire.numbers import MAIN, STDERR, OpenFailure

_OPENED = {
    "session": {MAIN, STDERR},
    DIRECT: {MAIN},
    DIRECT_STREAMLOCAL: {MAIN},
}
"""The channels that clients may open, and the streams to them."""

_PLACES: dict[str, Callable[[bytes], Endpoint]] = {
    LISTEN: lambda data: _port(TCPIPForward.decode(data)),
    CANCEL: lambda data: _port(TCPIPForward.decode(data)),
    LISTEN_STREAMLOCAL: lambda data: Endpoint(path=StreamlocalForward.decode(data).path),
    CANCEL_STREAMLOCAL: lambda data: Endpoint(path=StreamlocalForward.decode(data).path),
}
"""The global requests of clients, and where the server is to listen, or no longer."""

_LIMITS = replace(DEFAULT_LIMITS, sessions=DEFAULT_LIMITS.channels)
"""How many sessions there may be, the server says."""

_CODES = frozenset(map(int, OpenFailure))


async def serve_proxy(connection: BaseConnection, forwards: Forwards, sock: socket.socket) -> None:
    """Carry a client's channels over ``connection`` until the client is gone.

    :param forwards: what the connection forwards, and lends to sessions.
    :param sock: becomes the proxy's.
    """
    proxy = _Proxy(connection, forwards)
    try:
        await proxy.loop.connect_accepted_socket(lambda: proxy.driver, sock)
        await proxy.wait_closed()
    finally:
        proxy.abort()
        for listener in proxy.listeners.values():
            listener.close()


class _Proxy(BaseConnection):
    """The connection to a client; ``far`` names what is on the side of the server.

    :ivar listeners: where the server listens for this client.
    """

    handlers: ClassVar[Handlers]

    def __init__(self, far: BaseConnection, forwards: Forwards) -> None:
        engine = ProxiedEngine(Role.SERVER, EngineOptions(limits=_LIMITS))
        super().__init__(engine, keepalive=None, keepalive_count=1)
        self.listeners: dict[Endpoint, Listener] = {}
        self._far = far
        self._forwards = forwards
        self._joined: dict[int, Channel] = {}
        # A request to cancel follows the one to listen.
        self._order = asyncio.Lock()

    # --- channels that the client opens ---

    def _on_open(self, ask: AskOpen) -> None:
        self.spawn(self._open(ask))

    async def _open(self, ask: AskOpen) -> None:
        streams = _OPENED.get(ask.channel_type)
        if streams is None:
            self.answer(ask.ask_id, OpenRefused(OpenFailure.UNKNOWN_CHANNEL_TYPE))
            return
        joined = await _join(self, ask, self._far, streams)
        if joined is not None:
            self._joined[ask.channel] = joined.opened
            try:
                await joined.carry()
            finally:
                del self._joined[ask.channel]

    def _on_request_ask(self, ask: AskRequest) -> None:
        self.spawn(self._request(ask, self._joined.get(ask.channel)))

    async def _request(self, ask: AskRequest, far: Channel | None) -> None:
        answer: Answer = Denied()
        request = self._passed(ask.request)
        if far is not None and request is not None:
            with suppress(NacreError):
                token = far.request(request, want_reply=True)
                if not token or await far.granted(token):
                    answer = Granted()
        self.answer(ask.ask_id, answer)

    def _passed(self, request: Request) -> Request | None:
        """Return what to send for a session's request: what leads to this host is the master's."""
        if not isinstance(request, OtherRequest):
            return request
        return next((one for one in self._forwards.lends() if one.NAME == request.NAME), None)

    # --- what the server listens on for the client ---

    def _on_global_ask(self, ask: AskGlobalRequest) -> None:
        self.spawn(self._decide(ask.name, bytes(ask.data), ask.ask_id))

    def _on_global_notice(self, event: GlobalRequestReceived) -> None:
        self.spawn(self._decide(event.name, bytes(event.data), None))

    async def _decide(self, name: str, data: bytes, ask_id: int | None) -> None:
        found = await self._listen(name, data)
        if ask_id is not None:
            self.answer(ask_id, Denied() if found is None else GlobalGranted(found))

    async def _listen(self, name: str, data: bytes) -> bytes | None:
        """Carry out a global request; return the data of its success, or None for a failure."""
        if name not in _PLACES:
            return None
        try:
            place = _PLACES[name](data)
        except MalformedMessage:
            return None
        async with self._order:
            if name in CANCELLED_BY_CLIENTS:
                listener = self.listeners.pop(place, None)
                if listener is None:
                    return None
                await listener.close()
                return b""
            try:
                listener = await self._forwards.remote(self, place)
            except NacreError:
                return None
            self.listeners[Endpoint(listener.host, listener.port, listener.path)] = listener
            chosen = not place.path and not place.port
            return AllocatedPort(listener.port).encode() if chosen else b""

    async def serve(self, carried: Carried, ask: AskOpen) -> None:
        """Offer the client a connection to one of these places."""
        joined = await _join(self._far, ask, self, {MAIN})
        if joined is not None:
            await joined.carry()


_Proxy.handlers = {
    **COMMON,
    AskOpen: _Proxy._on_open,
    AskRequest: _Proxy._on_request_ask,
    AskGlobalRequest: _Proxy._on_global_ask,
    GlobalRequestReceived: _Proxy._on_global_notice,
}


def _port(asked: TCPIPForward) -> Endpoint:
    return Endpoint(asked.host, asked.port)


def _readers(channel: Channel, streams: set[int]) -> dict[int, Reader]:
    readers = {stream: Reader(channel) for stream in streams}
    channel.sinks = {**readers}
    return readers


async def _join(
    asked: BaseConnection, ask: AskOpen, other: BaseConnection, streams: set[int]
) -> _Joined | None:
    """Open a channel like the one that is asked for at the other connection, and grant that one.

    :param streams: what is received on the channel that is opened.
    :returns: both, or None if the other connection's peer opens none, which the asker is told.
    """
    opened: Channel | None = None
    try:
        opened = other.open_channel(ask.channel_type, ask.data)
        readers = _readers(opened, streams)
        await opened.wait_opened()
    except NacreError as error:
        code = getattr(error, "code", None)
        known = OpenFailure(code) if code in _CODES else OpenFailure.RESOURCE_SHORTAGE
        asked.answer(ask.ask_id, OpenRefused(known, str(error)))
        return None
    except BaseException:
        if opened is not None:
            opened.close()
        raise
    channel = Channel(asked.engine, asked.driver, ask.channel, set(streams))
    asked.add_channel(channel)
    joined = _Joined(channel, opened, readers)
    asked.answer(ask.ask_id, Granted())
    return joined


class _Joined:
    """Two channels of which each gets what is received on the other.

    :param asked: the one that was asked for.
    :param opened: the one that was opened therefore.
    """

    def __init__(self, asked: Channel, opened: Channel, readers: dict[int, Reader]) -> None:
        self.opened = opened
        self._asked = asked
        self._readers = readers
        self._input = _readers(asked, {MAIN})[MAIN]
        self._changed = asyncio.Event()
        asked.on_change = opened.on_change = self._changed.set
        asked.on_request = self._pass_on_to(opened)
        opened.on_request = self._pass_on_to(asked)

    def _pass_on_to(self, channel: Channel) -> Callable[[Request], None]:
        def pass_on(request: Request) -> None:
            with suppress(LocalProtocolError):
                channel.request(request)

        return pass_on

    async def carry(self) -> None:
        """Return when both channels are closed on our side."""
        asked, opened = self._asked, self.opened
        outputs = [
            asyncio.create_task(_pump(reader, Writer(asked, stream)))
            for stream, reader in self._readers.items()
        ]
        incoming = asyncio.create_task(_pump(self._input, Writer(opened)))
        try:
            while not asked.closed and not opened.closed:
                await self._changed.wait()
                self._changed.clear()
            # What was sent reaches the other end before the end does.
            if opened.closed:
                await asyncio.wait(outputs)
            elif asked.error is None:
                await asyncio.wait([incoming])
        finally:
            # Without waiting first: this task is cancelled when the client is gone.
            opened.close()
            asked.close()
            for task in (*outputs, incoming):
                task.cancel()
            await asyncio.gather(*outputs, incoming, return_exceptions=True)


async def _pump(reader: Reader, writer: Writer) -> None:
    with suppress(StreamClosed):
        while chunks := await reader.read_chunks(SLICE):
            for chunk in chunks:
                await writer.write(chunk)
        writer.write_eof()
