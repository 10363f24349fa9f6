"""A connection that one of this server's sockets accepted, offered to the client as a channel."""

from __future__ import annotations

import socket
from functools import partial

from nacre.errors import NacreError
from nacre.server.peer import ServerConnection
from nacre.tunnels.relay import Make, Relay, carry, discard


async def offer(
    connection: ServerConnection, channel_type: str, data: bytes, sock: socket.socket
) -> None:
    """Open a channel to the client and join ``sock`` to it; close ``sock`` when that fails.

    :param data: what CHANNEL_OPEN carries for this type of channel (RFC 4254 section 7.2).
    """
    carried = False
    try:
        make: Make = Relay
        if connection.meter is not None:
            from nacre.tunnels.metered import MeteredRelay

            make = partial(MeteredRelay, connection.meter)
        channel = connection.open_channel(channel_type, data)
        await carry(connection, channel, sock, make=make)
        carried = True
    except (NacreError, OSError) as error:
        if not connection.ended:
            connection.record("forward", channel=channel_type, refused=str(error))
    finally:
        if not carried:
            discard(connection, sock)
