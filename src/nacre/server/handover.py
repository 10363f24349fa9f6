"""A connection moves to another process, at the login or at rest: the socket and the state."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol, TypeAlias

from nacre.aio.driver import Driver
from nacre.errors import ConnectionLost, DisconnectCode, LocalProtocolError
from nacre.protocol.asks import AskHandover
from nacre.protocol.frozen import FrozenServer
from nacre.server.peer import ServerConnection

HandOver: TypeAlias = Callable[[ServerConnection, FrozenServer, socket.socket], Awaitable[None]]
"""Passes a connection on to the process that serves it; the socket is closed here afterwards."""

_FAILED = "the handover to another process failed"


async def hand_over(
    connection: ServerConnection, ask: AskHandover, move: HandOver, left: Callable[[], None]
) -> None:
    """Freeze a connection and pass it on; if that fails, it ends and the log says why.

    :param left: called when the connection is no longer this process's.
    """
    try:
        frozen, sock = await connection.driver.hand_over(ask.freeze)
    except LocalProtocolError:
        return  # the client has gone meanwhile
    except OSError as error:
        connection.record_error(_FAILED, error)
        lost = ConnectionLost(_FAILED)
        connection.fail(lost, DisconnectCode.BY_APPLICATION, "the server can't serve this user now")
        return
    left()
    with sock:
        try:
            await move(connection, frozen, sock)
        except Exception as error:
            connection.record_error(_FAILED, error)


class Movable(Protocol):
    """A connection that another process began."""

    driver: Driver

    @property
    def at_rest(self) -> bool:
        """Whether another process can go on with the connection, as far as its engine can, too."""

    def left(self) -> None:
        """Note that another process serves the connection."""

    async def wait_closed(self) -> None:
        """Return when the transport is closed."""


async def rested(
    connection: Movable, freeze: Callable[[], FrozenServer], seconds: float
) -> tuple[FrozenServer, socket.socket] | None:
    """Give a connection up when its client has been silent for so long, and nothing goes on.

    :param freeze: freezes its engine.
    :returns: its state, and the socket, which is the caller's to close; or None at its end.
    """
    driver = connection.driver
    due = driver.received_at + seconds
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout_at(due):
                await connection.wait_closed()
            return None
        now = driver.loop.time()
        due = driver.received_at + seconds
        if due > now:
            continue
        due = now + seconds
        if connection.at_rest:
            with suppress(LocalProtocolError, OSError):
                given_up = await driver.hand_over(freeze)
                connection.left()
                await connection.wait_closed()
                return given_up
