"""The proxy mode of a master: a client has channels and requests of its own (RFC 4254).

To the client the master is the server: each channel that it opens is joined to one that the master
opens, and requests are passed on. Both channels have windows of their own, and numbers.
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
from nacre.errors import ChannelOpenFailed, LocalProtocolError, NacreError, StreamClosed
from nacre.limits import DEFAULT_LIMITS
from nacre.protocol.asks import (
    Answer,
    AskOpen,
    AskRequest,
    Denied,
    Granted,
    OpenRefused,
)
from nacre.protocol.options import EngineOptions
from nacre.protocol.phases import Role
from nacre.protocol.requests import OtherRequest, Request
from nacre.protocol.tcpip import AGENT_REQUEST, DIRECT, DIRECT_STREAMLOCAL
from nacre.ssh2.proxied import ProxiedEngine
from nacre.value import replace
from nacre.wire.numbers import MAIN, STDERR, OpenFailure

_OPENED = {
    "session": {MAIN, STDERR},
    DIRECT: {MAIN},
    DIRECT_STREAMLOCAL: {MAIN},
}
"""The channels that clients may open, and the streams to them."""

_LIMITS = replace(DEFAULT_LIMITS, sessions=DEFAULT_LIMITS.channels)
"""How many sessions there may be, the server says."""

_CODES = frozenset(map(int, OpenFailure))


async def serve_proxy(connection: BaseConnection, sock: socket.socket, *, agent: bool) -> None:
    """Carry a client's channels over ``connection`` until the client is gone.

    :param sock: becomes the proxy's.
    :param agent: whether sessions may use the master's agent.
    """
    proxy = _Proxy(connection, agent=agent)
    try:
        await proxy.loop.connect_accepted_socket(lambda: proxy.driver, sock)
        await proxy.wait_closed()
    finally:
        proxy.abort()


class _Proxy(BaseConnection):
    """The connection to a client; ``far`` names what is on the side of the server."""

    handlers: ClassVar[Handlers]

    def __init__(self, far: BaseConnection, *, agent: bool) -> None:
        engine = ProxiedEngine(Role.SERVER, EngineOptions(limits=_LIMITS))
        super().__init__(engine, keepalive=None, keepalive_count=1)
        self._far = far
        self._agent = agent
        self._joined: dict[int, Channel] = {}

    # --- channels that the client opens ---

    def _on_open(self, ask: AskOpen) -> None:
        self.spawn(self._open(ask))

    async def _open(self, ask: AskOpen) -> None:
        streams = _OPENED.get(ask.channel_type)
        if streams is None:
            self.answer(ask.ask_id, OpenRefused(OpenFailure.UNKNOWN_CHANNEL_TYPE))
            return
        far: Channel | None = None
        try:
            far = self._far.open_channel(ask.channel_type, ask.data)
            readers = _readers(far, streams)
            await far.wait_opened()
        except ChannelOpenFailed as error:
            known = error.code in _CODES
            code = OpenFailure(error.code) if known else OpenFailure.RESOURCE_SHORTAGE
            self.answer(ask.ask_id, OpenRefused(code, str(error)))
            return
        except BaseException:
            if far is not None:
                far.close()
            raise
        near = Channel(self.engine, self.driver, ask.channel, set(streams))
        self.add_channel(near)
        self._joined[ask.channel] = far
        joined = _Joined(near, far, readers)
        self.answer(ask.ask_id, Granted())
        try:
            await joined.carry()
        finally:
            del self._joined[ask.channel]

    def _on_request_ask(self, ask: AskRequest) -> None:
        self.spawn(self._request(ask, self._joined.get(ask.channel)))

    async def _request(self, ask: AskRequest, far: Channel | None) -> None:
        answer: Answer = Denied()
        if far is not None and self._permits(ask.request):
            with suppress(NacreError):
                token = far.request(ask.request, want_reply=True)
                if not token or await far.granted(token):
                    answer = Granted()
        self.answer(ask.ask_id, answer)

    def _permits(self, request: Request) -> bool:
        """Return whether a session may have this: what leads to this host is the master's."""
        if not isinstance(request, OtherRequest):
            return True
        return self._agent and request.NAME == AGENT_REQUEST


_Proxy.handlers = {
    **COMMON,
    AskOpen: _Proxy._on_open,
    AskRequest: _Proxy._on_request_ask,
}


def _readers(channel: Channel, streams: set[int]) -> dict[int, Reader]:
    readers = {stream: Reader(channel) for stream in streams}
    channel.sinks = {**readers}
    return readers


class _Joined:
    """Two channels of which each gets what is received on the other."""

    def __init__(self, near: Channel, far: Channel, readers: dict[int, Reader]) -> None:
        self._near = near
        self._far = far
        self._readers = readers
        self._input = _readers(near, {MAIN})[MAIN]
        self._changed = asyncio.Event()
        near.on_change = far.on_change = self._changed.set
        near.on_request = self._pass_on_to(far)
        far.on_request = self._pass_on_to(near)

    def _pass_on_to(self, channel: Channel) -> Callable[[Request], None]:
        def pass_on(request: Request) -> None:
            with suppress(LocalProtocolError):
                channel.request(request)

        return pass_on

    async def carry(self) -> None:
        """Return when both channels are closed on our side."""
        near, far = self._near, self._far
        outputs = [
            asyncio.create_task(_pump(reader, Writer(near, stream)))
            for stream, reader in self._readers.items()
        ]
        incoming = asyncio.create_task(_pump(self._input, Writer(far)))
        try:
            while not near.closed and not far.closed:
                await self._changed.wait()
                self._changed.clear()
            # What was sent reaches the other end before the end does.
            if far.closed:
                await asyncio.wait(outputs)
            elif near.error is None:
                await asyncio.wait([incoming])
        finally:
            # Without waiting first: this task is cancelled when the client is gone.
            far.close()
            near.close()
            for task in (*outputs, incoming):
                task.cancel()
            await asyncio.gather(*outputs, incoming, return_exceptions=True)


async def _pump(reader: Reader, writer: Writer) -> None:
    with suppress(StreamClosed):
        while chunks := await reader.read_chunks(SLICE):
            for chunk in chunks:
                await writer.write(chunk)
        writer.write_eof()
