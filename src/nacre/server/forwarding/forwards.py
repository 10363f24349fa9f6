"""What one connection's client forwards, at the server (RFC 4254 section 7).

The order of reading: :class:`ServerForwards`, whose tables say which kind of place a channel or a
request is about; then :mod:`nacre.server.forwarding.kinds`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from functools import partial
from typing import Any

from nacre.aio.dial import Lookups
from nacre.errors import ConnectFailed, MalformedMessage, NacreError
from nacre.limits import Limits
from nacre.protocol.asks import Answer, AskOpen, Denied, GlobalGranted, OpenRefused
from nacre.protocol.tcpip import (
    CANCEL,
    CANCEL_STREAMLOCAL,
    CANCELLED_BY_CLIENTS,
    DIRECT,
    DIRECT_STREAMLOCAL,
    LISTEN,
    LISTEN_STREAMLOCAL,
    Endpoint,
)
from nacre.protocol.tunnel import TUNNEL
from nacre.server.admission.refusals import Refusals
from nacre.server.forwarding.kinds import PlaceKind, Ports, UnixPaths
from nacre.server.offer import offer
from nacre.server.peer import ServerConnection
from nacre.server.questions import Questions
from nacre.sftp.server.receipts import UNKEPT
from nacre.tunnels.listeners import Listening
from nacre.tunnels.relay import Make, Relay, grant
from nacre.wire.numbers import OpenFailure
from nacre.wire.text import safe

_SHOWN = 255
"""Characters of a place that the log shows."""

KINDS: Mapping[str, type[PlaceKind]] = {
    DIRECT: Ports,
    LISTEN: Ports,
    CANCEL: Ports,
    DIRECT_STREAMLOCAL: UnixPaths,
    LISTEN_STREAMLOCAL: UnixPaths,
    CANCEL_STREAMLOCAL: UnixPaths,
}
"""The kind of place that a channel of a type leads to, or that a global request is about."""


class ServerForwards:
    """The forwarding of one connection.

    :param lookups: where names are looked up.
    """

    def __init__(
        self,
        connection: ServerConnection,
        questions: Questions,
        lookups: Lookups,
        limits: Limits,
    ) -> None:
        self._connection = connection
        self._questions = questions
        self._lookups = lookups
        self._most = limits.listeners
        self._refused = Refusals("forward", "channels")
        self._opening = asyncio.Semaphore(limits.opening)
        self._listening: dict[Endpoint, Listening] = {}
        # Requests to listen and to cancel are carried out in the order of their arrival, and before
        # channels that are opened after them: these may lead to what is listened on.
        self._order = asyncio.Lock()

    @property
    def listens(self) -> int:
        """On how many places it listens for the client."""
        return len(self._listening)

    # --- connections that the client opens through this server ---

    async def open(self, ask: AskOpen) -> None:
        """Answer a channel of a type in :data:`KINDS`, or of a device, and relay its data."""
        connection = self._connection
        if ask.channel_type == TUNNEL:
            from nacre.server.forwarding.devices import open_tunnel

            await open_tunnel(connection, self._questions, ask)
            return
        kind = KINDS[ask.channel_type](connection, self._questions, self._lookups)
        try:
            place = kind.destination(ask.data)
        except MalformedMessage:
            connection.answer(ask.ask_id, OpenRefused(description="malformed"))
            return
        async with self._order:
            await self._questions.wait_welcomed()
        async with self._opening:
            sock = await self._connected(kind, place, ask)
        if sock is None:
            return
        make: Make = Relay
        if connection.meter is not None:
            from nacre.tunnels.metered import MeteredRelay

            make = partial(MeteredRelay, connection.meter)
        await grant(connection, ask, sock, make)

    async def _connected(
        self, kind: PlaceKind, place: Endpoint, ask: AskOpen
    ) -> socket.socket | None:
        """Return a connection to a place, or refuse the channel."""
        connection = self._connection
        connect = await kind.may_connect(place)
        if connect is None:
            self._refused.note(connection, to=_shown(place), granted=False)
            connection.answer(ask.ask_id, OpenRefused(description="not allowed"))
            return None
        connection.record("forward", to=_shown(place), granted=True)
        if not await connection.record_is_kept():
            connection.answer(ask.ask_id, OpenRefused(description=UNKEPT))
            return None
        try:
            return await connect()
        except ConnectFailed as error:
            connection.answer(ask.ask_id, OpenRefused(OpenFailure.CONNECT_FAILED, str(error)))
            return None

    # --- places that this server listens on for the client ---

    async def decide(self, name: str, data: bytes) -> Answer:
        """Carry out a request to listen or to stop, one of :data:`KINDS`, and return the answer."""
        kind = KINDS[name](self._connection, self._questions, self._lookups)
        try:
            asked = kind.place(data)
        except MalformedMessage:
            return Denied("malformed")
        async with self._order:
            if name in CANCELLED_BY_CLIENTS:
                return await self._cancel(asked)
            return await self._listen(kind, asked)

    async def _listen(self, kind: PlaceKind, asked: Endpoint) -> Answer:
        await self._questions.wait_welcomed()
        place, reason = asked, kind.impossible(asked) or self._refusal(asked)
        listen = None if reason else await kind.may_listen(asked)
        if listen is None:
            reason = reason or "not allowed"
        else:
            try:
                sockets, place, release = await listen()
            except (NacreError, OSError) as error:
                reason = str(error)
            else:
                take = partial(self._take, kind, place)
                listening = Listening(self._connection, sockets, take, release)
                self._listening[place] = listening
        why = {"reason": safe(reason)} if reason else {}
        self._connection.record("forward", listen=_shown(place), granted=not reason, **why)
        if not await self._connection.record_is_kept() and not reason:
            await self._cancel(place)
            return Denied(UNKEPT)
        return Denied(reason) if reason else GlobalGranted(kind.reply(asked, place))

    def _refusal(self, asked: Endpoint) -> str:
        if len(self._listening) >= self._most:
            return "too many ports"
        return "it is forwarded already" if asked in self._listening else ""

    async def _cancel(self, asked: Endpoint) -> Answer:
        listening = self._listening.pop(asked, None)
        if listening is None:
            return Denied("no such listener")
        listening.close()
        await listening.wait_closed()
        return GlobalGranted()

    async def _take(
        self, kind: PlaceKind, place: Endpoint, sock: socket.socket, originator: Any
    ) -> None:
        """Offer the client a connection that one of its places has accepted."""
        await offer(self._connection, kind.OFFERED, kind.offer(place, originator), sock)


def _shown(place: Endpoint) -> str:
    return safe(place.path, _SHOWN) or f"{safe(place.host, _SHOWN)}:{place.port}"
